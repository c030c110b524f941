#include "hub/cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/files.h"
#include "base/process.h"
#include "base/weight_index.h"
#include "hub/settings.h"

namespace breakeven::hub {
namespace {

namespace fs = std::filesystem;

// The names under which a model may be in the cache. Models of the first days had no organisation
// and moved into one later; the hub redirects, and caches hold both.
std::vector<std::string> names_of(const std::string& name) {
  struct Move {
    const char* prefix;
    const char* organisation;
  };
  static constexpr Move kMoves[] = {{"distilbert-", "distilbert/"}, {"bert-", "google-bert/"}};
  std::vector<std::string> names = {name};
  for (const auto& [prefix, organisation] : kMoves) {
    const std::string with = std::string(organisation) + prefix;
    if (name.starts_with(prefix)) names.push_back(organisation + name);
    if (name.starts_with(with)) names.push_back(name.substr(std::string_view(organisation).size()));
  }
  return names;
}

// The snapshot of a revision, or nothing. Errors: file/unreadable.
Result<fs::path> snapshot_of(const fs::path& model, const std::string& revision) {
  std::string commit = revision;
  if (!is_commit(revision)) {
    auto ref = read_file(model / "refs" / revision);
    if (!ref && ref.error().code == "file/unreadable") return propagate(std::move(ref));
    if (!ref) return fs::path();
    commit = *std::move(ref);
    commit.erase(commit.find_last_not_of(" \r\n\t") + 1);
    if (!is_commit(commit)) return fs::path();
  }
  const fs::path snapshot = model / "snapshots" / commit;
  BREAKEVEN_TRY(const PathKind kind, look_at(snapshot));
  return kind == PathKind::nothing ? fs::path() : snapshot;
}

// The shard that the index of a snapshot names and the snapshot lacks, or "".
std::string missing_shard(const fs::path& snapshot, std::string_view index_name) {
  const auto index = read_weight_index(snapshot / index_name);
  if (!index) return std::string(index_name);
  for (const auto& [tensor, file] : *index) {
    if (!is_there(snapshot / file)) return file;
  }
  return "";
}

// The file that a snapshot lacks, or "". A link whose blob was removed counts as missing.
std::string missing_in(const fs::path& snapshot, Files needed) {
  const auto one_of = [&](std::span<const std::string_view> names) {
    const auto found = std::find_if(names.begin(), names.end(), [&](std::string_view name) {
      return is_there(snapshot / name);
    });
    return found == names.end() ? std::string_view() : *found;
  };
  if (needed != Files::model && one_of(kVocabularyFiles).empty()) {
    return "tokenizer.json, vocab.txt, vocab.json or SentencePiece's model";
  }
  if (needed == Files::tokenizer) return "";
  const std::string_view weights = one_of(kWeightFiles);
  if (weights.empty()) return "model.safetensors or pytorch_model.bin";
  if (!is_there(snapshot / "config.json")) return "config.json";
  const bool look = needed == Files::all && weights.ends_with(".index.json");
  return look ? missing_shard(snapshot, weights) : "";
}

tl::unexpected<Error> disk_error(const fs::path& path, const std::error_code& error) {
  return fail("hub/disk", fmt::format("cannot write {}: {}", path.string(), error.message()),
              "free some space, or set HF_HUB_CACHE to a folder that you may write to");
}

}  // namespace

bool is_commit(const std::string& text) {
  return text.size() == 40 && std::all_of(text.begin(), text.end(),
                                          [](unsigned char c) { return std::isxdigit(c) != 0; });
}

Result<void> check_name(const std::string& name) {
  constexpr std::size_t kLongest = 96;
  const auto slash = name.find('/');
  bool good = !name.empty() && name.size() <= kLongest && !name.ends_with(".git") &&
              name.find("--") == std::string::npos && name.find("..") == std::string::npos;
  good = good && std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
         });
  const auto good_part = [](std::string_view part) {
    return !part.empty() && part.find('/') == std::string_view::npos && part.front() != '-' &&
           part.front() != '.' && part.back() != '-' && part.back() != '.';
  };
  good = good &&
         (slash == std::string::npos ? good_part(name)
                                     : good_part(std::string_view(name).substr(0, slash)) &&
                                           good_part(std::string_view(name).substr(slash + 1)));
  if (good) return {};
  if (const std::string inside = name_inside(name); !inside.empty()) {
    return fail("hub/name",
                fmt::format("{} is not the name of a model, but leads to one", printable(name)),
                fmt::format("give its name alone: {}", inside));
  }
  return fail("hub/name", fmt::format("'{}' cannot be the name of a model", printable(name, 100)),
              "a name is NAME or ORGANISATION/NAME, of letters, digits, - _ and .; if a folder was "
              "meant, it is not there");
}

std::string name_inside(const std::string& text) {
  std::string_view rest = text;
  if (rest.starts_with("models--")) {
    std::string name(rest.substr(std::string_view("models--").size()));
    if (const auto dashes = name.find("--"); dashes != std::string::npos)
      name.replace(dashes, 2, "/");
    return check_name(name) ? name : "";
  }
  for (const std::string_view scheme : {"https://", "http://", "www."}) {
    if (rest.starts_with(scheme)) rest.remove_prefix(scheme.size());
  }
  for (const std::string_view host : {"huggingface.co/", "hf.co/"}) {
    if (!rest.starts_with(host)) continue;
    rest.remove_prefix(host.size());
    rest = rest.substr(0, rest.find_first_of("?#"));
    const auto slash = rest.find('/');
    const auto end = slash == rest.npos ? slash : rest.find('/', slash + 1);
    const std::string name(rest.substr(0, end));
    return check_name(name) ? name : "";
  }
  return {};
}

Result<void> check_revision(const std::string& revision) {
  const bool good =
      !revision.empty() && revision.size() <= 200 && revision.front() != '/' &&
      revision.back() != '/' && revision.front() != '-' &&
      revision.find("..") == std::string::npos && revision.find("//") == std::string::npos &&
      std::all_of(revision.begin(), revision.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 ||
               std::string_view("-_./+@").find(static_cast<char>(c)) != std::string_view::npos;
      });
  if (good) return {};
  return fail("hub/revision", fmt::format("{} cannot be a revision", revision),
              "give a branch, a tag or a commit, such as main");
}

fs::path model_folder(const fs::path& cache, const std::string& name) {
  std::string folder = "models--" + name;
  if (const auto slash = folder.find('/'); slash != std::string::npos)
    folder.replace(slash, 1, "--");
  return cache / folder;
}

Result<std::string> find_cached(const std::string& name, const std::string& revision,
                                const fs::path& cache, Files needed) {
  BREAKEVEN_TRY_VOID(check_name(name));
  BREAKEVEN_TRY_VOID(check_revision(revision));
  const std::string fetch_hint = fmt::format("breakeven fetch {}{} downloads it", name,
                                             revision == "main" ? "" : " --revision " + revision);
  std::string incomplete;
  for (const std::string& each : names_of(name)) {
    BREAKEVEN_TRY(const fs::path snapshot, snapshot_of(model_folder(cache, each), revision));
    if (snapshot.empty()) continue;
    const std::string missing = missing_in(snapshot, needed);
    if (missing.empty()) return snapshot.string();
    if (incomplete.empty()) {
      incomplete =
          fmt::format("{} is in the cache without {} ({})", name, missing, snapshot.string());
    }
  }
  if (!incomplete.empty()) return fail("hub/incomplete", incomplete, fetch_hint);
  return fail("hub/not-cached",
              fmt::format("{} is not in the Hugging Face cache ({})", name, cache.string()),
              fetch_hint);
}

Result<std::string> find_cached(const std::string& name, Files needed) {
  BREAKEVEN_TRY(const Settings settings, settings_from_environment());
  Result<std::string> found = find_cached(name, "main", settings.cache, needed);
  if (!found && found.error().code == "hub/not-cached" && !settings.old_cache.empty()) {
    found.error().hint +=
        "; TRANSFORMERS_CACHE is set, and neither Transformers 5 nor this program "
        "looks there: HF_HUB_CACHE names another cache";
  }
  return found;
}

Result<void> link_snapshot(const fs::path& model, const std::string& commit,
                           const std::string& file, const std::string& etag) {
  const fs::path snapshot = model / "snapshots" / commit;
  const fs::path link = snapshot / file;
  const fs::path target = fs::path("../../blobs") / etag;
  std::error_code error;
  fs::create_directories(snapshot, error);
  if (error) return disk_error(snapshot, error);
  if (fs::read_symlink(link, error) == target) return {};
  // Through a name of this process and a rename: another process sees the old file or the new one.
  const fs::path temporary = snapshot / fmt::format(".{}.{}", file, ::getpid());
  fs::remove(temporary, error);
  fs::create_symlink(target, temporary, error);
  if (error) {
    fs::copy_file(model / "blobs" / etag, temporary, fs::copy_options::overwrite_existing, error);
  }
  if (!error) fs::rename(temporary, link, error);
  if (error) {
    const std::error_code reason = error;
    fs::remove(temporary, error);
    return disk_error(link, reason);
  }
  return {};
}

Result<void> write_ref(const fs::path& model, const std::string& revision,
                       const std::string& commit) {
  if (revision == commit) return {};
  const fs::path ref = model / "refs" / revision;
  std::error_code error;
  fs::create_directories(ref.parent_path(), error);
  if (error) return disk_error(ref, error);
  return write_file_atomic(ref, commit);
}

}  // namespace breakeven::hub

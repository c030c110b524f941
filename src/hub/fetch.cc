#include "hub/fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <iterator>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <thread>
#include <utility>

#include "base/files.h"
#include "base/numbers.h"
#include "base/weight_index.h"
#include "hub/cache.h"

namespace breakeven::hub {
namespace {

namespace fs = std::filesystem;

// What the hub says about a file before it is downloaded.
struct RemoteFile {
  std::string name;
  std::string etag;
  std::optional<std::uint64_t> size;
  std::string commit;
};

std::string percent_encoded(const std::string& text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                       std::string_view("-_.~").find(c) != std::string_view::npos;
    encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

// W/"abc" -> abc
std::string bare_etag(std::string etag) {
  if (etag.starts_with("W/")) etag.erase(0, 2);
  std::erase(etag, '"');
  return etag;
}

// An ETag becomes the name of a file.
bool can_be_file_name(const std::string& etag) {
  return !etag.empty() && etag.size() <= 128 && etag.front() != '.' &&
         std::all_of(etag.begin(), etag.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
         });
}

tl::unexpected<Error> offline(const std::string& why) {
  return fail("hub/offline",
              "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set: nothing is downloaded, and " + why,
              "unset it to fetch");
}

// A model that is there already needs no network, as with huggingface_hub.
Result<FetchedModel> fetch_offline(const std::string& name, const std::string& revision,
                                   const Settings& settings) {
  const auto cached = find_cached(name, revision, settings.cache, Files::all);
  if (!cached) return offline(cached.error().message);
  FetchedModel fetched;
  fetched.folder = *cached;
  fetched.commit = fs::path(*cached).filename();
  for (const fs::path& file : entries_of(*cached)) fetched.files.push_back(file.filename());
  return fetched;
}

class ModelFetch {
 public:
  ModelFetch(std::string name, std::string revision, const Settings& settings,
             const Listener& listener)
      : name_(std::move(name)),
        revision_(std::move(revision)),
        settings_(settings),
        listener_(listener),
        http_(settings.stall_s),
        model_(model_folder(settings.cache, name_)) {}

  Result<FetchedModel> run(const Approve& approve);

 private:
  std::string url_of(const std::string& file) const {
    // Once the commit is known, every file is asked for at it: a push in between mixes nothing.
    return fmt::format("{}/{}/resolve/{}/{}", settings_.endpoint, name_,
                       percent_encoded(fetched_.commit.empty() ? revision_ : fetched_.commit),
                       percent_encoded(file));
  }
  Result<Response> head(const std::string& url);
  // The file's size and digest, or nothing when the model has no such file.
  Result<std::optional<RemoteFile>> look_up(const std::string& file);
  Result<void> look_up_config();
  Result<void> look_up_tokenizer();
  Result<void> look_up_weights();
  Result<void> get(const RemoteFile& file);
  Result<std::set<std::string>> shards() const;

  std::string name_;
  std::string revision_;
  const Settings& settings_;
  const Listener& listener_;
  Http http_;
  fs::path model_;
  std::vector<RemoteFile> files_;
  FetchedModel fetched_;
};

// A few attempts, as downloads have them; a host that does not answer at all is told at once.
Result<Response> ModelFetch::head(const std::string& url) {
  Request request;
  request.url = url;
  request.head = true;
  request.token = settings_.token;
  // The way to the storage host is only for the download itself: its address may not take HEAD.
  request.is_enough = [](const Response& redirect) {
    return redirect.leaves_host && !redirect.header("x-linked-etag").empty();
  };
  double wait_s = settings_.retry_wait_s;
  for (int attempt = 1;; ++attempt) {
    auto response = http_.perform(request);
    if (response && (response->status >= 500 || response->status == 429)) {
      response = tl::unexpected<Error>(status_error(*response, name_, url));
    }
    const bool again = !response && is_transient(response.error()) &&
                       response.error().code != "hub/connect" && attempt < settings_.attempts;
    if (!again) return response;
    if (listener_) {
      listener_(Event{Event::Kind::retrying, name_, 0, std::nullopt, response.error().message});
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(wait_s));
    wait_s *= 2;
  }
}

Result<std::optional<RemoteFile>> ModelFetch::look_up(const std::string& file) {
  const std::string url = url_of(file);
  BREAKEVEN_TRY(const Response response, head(url));
  const bool is_redirect = !response.redirect.empty();
  if (!is_redirect && (response.status < 200 || response.status >= 300)) {
    Error error = status_error(response, name_, url);
    const bool known = !fetched_.commit.empty();
    if (error.code == "hub/no-file" || (known && error.code == "hub/not-found")) {
      return std::optional<RemoteFile>();
    }
    return tl::unexpected<Error>(std::move(error));
  }
  RemoteFile remote;
  remote.name = file;
  remote.commit = response.header("x-repo-commit");
  remote.etag = bare_etag(response.header("x-linked-etag"));
  if (remote.etag.empty()) remote.etag = bare_etag(response.header("etag"));
  const std::string size = response.header("x-linked-size").empty() && !is_redirect
                               ? response.header("content-length")
                               : response.header("x-linked-size");
  remote.size = parse_number<std::uint64_t>(size);
  if (!is_commit(remote.commit) || !can_be_file_name(remote.etag)) {
    return fail("hub/endpoint",
                fmt::format("{} answers, but not as a Hugging Face hub does", printable_url(url)),
                "check HF_ENDPOINT");
  }
  return std::optional<RemoteFile>(std::move(remote));
}

Result<void> ModelFetch::look_up_config() {
  BREAKEVEN_TRY(auto config, look_up("config.json"));
  if (!config) {
    return fail("hub/no-file", fmt::format("{} has no config.json", name_),
                "it is no Transformers model: choose another");
  }
  fetched_.commit = config->commit;
  files_.push_back(*std::move(config));
  return {};
}

Result<void> ModelFetch::look_up_tokenizer() {
  bool found = false;
  const auto take = [&](std::string_view name) -> Result<void> {
    BREAKEVEN_TRY(auto remote, look_up(std::string(name)));
    if (!remote) return {};
    found = found || std::find(std::begin(kVocabularyFiles), std::end(kVocabularyFiles),
                               remote->name) != std::end(kVocabularyFiles);
    files_.push_back(*std::move(remote));
    return {};
  };
  for (const char* name : {"tokenizer.json", "vocab.txt", "vocab.json", "merges.txt",
                           "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"})
    BREAKEVEN_TRY_VOID(take(name));
  for (const std::string_view name : std::span(kVocabularyFiles).last(kSentencePieceFiles))
    if (!found) BREAKEVEN_TRY_VOID(take(name));
  if (found) return {};
  return fail("hub/no-tokenizer",
              fmt::format("{} has neither tokenizer.json nor vocab.txt, vocab.json, "
                          "sentencepiece.bpe.model or spm.model",
                          name_),
              "choose a model with a tokenizer of BERT's, RoBERTa's or XLM-RoBERTa's kind");
}

// Appends the weights or their index, whose shards are looked up when it has come.
Result<void> ModelFetch::look_up_weights() {
  for (const std::string_view file : kWeightFiles) {
    BREAKEVEN_TRY(auto remote, look_up(std::string(file)));
    if (!remote) continue;
    files_.push_back(*std::move(remote));
    return {};
  }
  return fail("hub/no-weights",
              fmt::format("{} has neither model.safetensors nor pytorch_model.bin", name_),
              "choose another model, or a --revision that has one: Hugging Face's own conversions "
              "are revisions such as refs/pr/1");
}

Result<void> ModelFetch::get(const RemoteFile& file) {
  Wanted wanted;
  wanted.name = file.name;
  wanted.url = url_of(file.name);
  wanted.token = settings_.token;
  wanted.size = file.size;
  wanted.digest = digest_of_etag(file.etag);
  wanted.destination = model_ / "blobs" / file.etag;
  wanted.lock = settings_.cache / ".locks" / model_.filename() / (file.etag + ".lock");
  BREAKEVEN_TRY_VOID(download(http_, settings_, wanted, listener_));
  BREAKEVEN_TRY_VOID(link_snapshot(model_, fetched_.commit, file.name, file.etag));
  fetched_.files.push_back(file.name);
  if (wanted.digest.kind == DigestKind::none) fetched_.unchecked.push_back(file.name);
  return {};
}

// The files that the index names.
Result<std::set<std::string>> ModelFetch::shards() const {
  const std::string& name = files_.back().name;
  const auto index = read_weight_index(fs::path(fetched_.folder) / name);
  std::set<std::string> names;
  bool good = index.has_value();
  if (good) {
    for (const auto& [tensor, file] : *index) {
      good = good && can_be_file_name(file);
      names.insert(file);
    }
  }
  if (good) return names;
  return fail("hub/index",
              fmt::format("{}: {}", name_,
                          index ? fmt::format("{} names no files of the same folder", name)
                                : index.error().message),
              "the model is damaged: choose another, or another --revision");
}

Result<FetchedModel> ModelFetch::run(const Approve& approve) {
  BREAKEVEN_TRY_VOID(look_up_config());
  fetched_.folder = model_ / "snapshots" / fetched_.commit;
  BREAKEVEN_TRY_VOID(look_up_tokenizer());
  BREAKEVEN_TRY_VOID(look_up_weights());
  for (const RemoteFile& file : files_) {
    const bool is_last = &file == &files_.back();  // the weights, or their index
    if (is_last && approve) BREAKEVEN_TRY_VOID(approve(fetched_.folder));
    BREAKEVEN_TRY_VOID(get(file));
  }
  if (const std::string& index = files_.back().name; index.ends_with(".index.json")) {
    BREAKEVEN_TRY(const std::set<std::string> names, shards());
    for (const std::string& name : names) {
      BREAKEVEN_TRY(const auto remote, look_up(name));
      if (!remote) {
        return fail("hub/index",
                    fmt::format("{}: {} names {}, which is not there", name_, index, name),
                    "the model is damaged: choose another, or another --revision");
      }
      BREAKEVEN_TRY_VOID(get(*remote));
    }
  }
  BREAKEVEN_TRY_VOID(write_ref(model_, revision_, fetched_.commit));
  return fetched_;
}

}  // namespace

Result<FetchedModel> fetch_model(const std::string& name, const std::string& revision,
                                 const Settings& settings, const Listener& listener,
                                 const Approve& approve) {
  BREAKEVEN_TRY_VOID(check_name(name));
  BREAKEVEN_TRY_VOID(check_revision(revision));
  if (settings.offline) return fetch_offline(name, revision, settings);
  return ModelFetch(name, revision, settings, listener).run(approve);
}

Archive imdb_archive(const Lookup& lookup) {
  Archive archive{"https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz", 84'125'825,
                  "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"};
  const char* mirror = lookup("BREAKEVEN_IMDB_URL");
  if (mirror != nullptr && mirror[0] != '\0') archive.url = mirror;
  return archive;
}

Result<std::string> imdb_archive_path() {
  BREAKEVEN_TRY(const std::string folder, cache_folder());
  return (fs::path(folder) / "data" / "aclImdb_v1.tar.gz").string();
}

Result<void> fetch_archive(const Archive& archive, const fs::path& path, const Settings& settings,
                           const Listener& listener) {
  if (settings.offline) {
    const auto digest = digest_of_file(path, DigestKind::sha256);
    if (digest && *digest == archive.sha256) return {};
    return offline(fmt::format("{} is not there", path.string()));
  }
  Http http(settings.stall_s);
  Wanted wanted;
  wanted.name = path.filename();
  wanted.url = archive.url;
  wanted.size = archive.size;
  wanted.digest = {DigestKind::sha256, archive.sha256};
  wanted.destination = path;
  wanted.lock = path.string() + ".lock";
  return download(http, settings, wanted, listener);
}

}  // namespace breakeven::hub

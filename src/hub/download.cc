#include "hub/download.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "base/descriptor.h"
#include "base/numbers.h"
#include "base/units.h"
#include "hub/file_lock.h"

namespace breakeven::hub {
namespace {

namespace fs = std::filesystem;

// An attempt that brought this much was worth it: failures before it are forgotten.
constexpr std::uint64_t kProgressBytes = 1'000'000;
constexpr const char* kDiskHint =
    "free some space, or set HF_HUB_CACHE to a folder that you may write to";

tl::unexpected<Error> disk_error(const fs::path& path, int error_number) {
  return fail("hub/disk",
              fmt::format("cannot write {}: {}", path.string(),
                          std::generic_category().message(error_number)),
              kDiskHint);
}

// "bytes 100-199/1000": the first byte that comes and the size of the whole.
struct ContentRange {
  std::uint64_t from = 0;
  std::optional<std::uint64_t> total;
};
std::optional<ContentRange> parse_content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  const auto dash = text.find('-');
  const auto slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos) return std::nullopt;
  const auto from = parse_number<std::uint64_t>(text.substr(0, dash));
  if (!from) return std::nullopt;
  return ContentRange{*from, parse_number<std::uint64_t>(text.substr(slash + 1))};
}

// The file that grows: <destination>.incomplete.
class Partial {
 public:
  static Result<Partial> open(const fs::path& path) {
    Partial partial(path, ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
    struct stat status {};
    const bool good = partial.file_.is_open() && ::fstat(partial.file_.get(), &status) == 0;
    if (!good) return disk_error(path, errno);
    partial.size_ = static_cast<std::uint64_t>(status.st_size);
    return partial;
  }

  std::uint64_t size() const { return size_; }
  const fs::path& path() const { return path_; }

  Result<void> append(std::string_view piece) {
    if (const int error = write_fully(file_.get(), piece); error != 0) {
      return disk_error(path_, error);
    }
    size_ += piece.size();
    return {};
  }
  Result<void> clear() {
    if (::ftruncate(file_.get(), 0) != 0) return disk_error(path_, errno);
    size_ = 0;
    return {};
  }
  Result<void> sync() const {
    if (::fsync(file_.get()) != 0) return disk_error(path_, errno);
    return {};
  }

 private:
  Partial(fs::path path, int fd) : path_(std::move(path)), file_(fd) {}
  fs::path path_;
  Descriptor file_;
  std::uint64_t size_ = 0;
};

class Download {
 public:
  Download(Http& http, const Settings& settings, const Wanted& wanted, const Listener& listener)
      : http_(http), settings_(settings), wanted_(wanted), listener_(listener) {}

  Result<void> run();

 private:
  void tell(Event::Kind kind, std::uint64_t done, const std::string& note = {}) const {
    if (listener_) listener_(Event{kind, wanted_.name, done, wanted_.size, note});
  }
  bool is_complete(const Partial& partial) const {
    return wanted_.size && partial.size() == *wanted_.size;
  }
  tl::unexpected<Error> wrong_size(std::uint64_t bytes, const char* verb) const {
    return fail("hub/size",
                fmt::format("{}: the server {} {} bytes instead of {}", wanted_.name, verb, bytes,
                            *wanted_.size),
                "try again later; a proxy or mirror in between may be at fault");
  }

  Result<bool> is_right(const fs::path& file);
  Result<void> check_space(std::uint64_t have) const;
  Result<void> begin_answer(const Response& answer, Partial& partial) const;
  Result<void> attempt(Partial& partial);
  Result<void> transfer(Partial& partial);
  Result<void> finish(Partial& partial);

  Http& http_;
  const Settings& settings_;
  const Wanted& wanted_;
  const Listener& listener_;
};

// Size and digest are as wanted. Not an error when they are not.
Result<bool> Download::is_right(const fs::path& file) {
  std::error_code error;
  const std::uint64_t size = fs::file_size(file, error);
  if (error || (wanted_.size && size != *wanted_.size)) return false;
  tell(Event::Kind::checking, size);
  BREAKEVEN_TRY(const std::string hex, digest_of_file(file, wanted_.digest.kind));
  return hex == wanted_.digest.hex;
}

Result<void> Download::check_space(std::uint64_t have) const {
  if (!wanted_.size || *wanted_.size <= have) return {};
  std::error_code error;
  const fs::space_info space = fs::space(wanted_.destination.parent_path(), error);
  const std::uint64_t missing = *wanted_.size - have;
  if (error || space.available >= missing) return {};
  return fail("hub/disk",
              fmt::format("{} needs {} more in {}, and {} are free", wanted_.name,
                          format_bytes(static_cast<double>(missing)),
                          wanted_.destination.parent_path().string(),
                          format_bytes(static_cast<double>(space.available))),
              kDiskHint);
}

// Looks at what the server says it sends, before the first byte of it is kept.
Result<void> Download::begin_answer(const Response& answer, Partial& partial) const {
  std::optional<std::uint64_t> total;
  if (answer.status == 206) {
    const auto range = parse_content_range(answer.header("content-range"));
    if (!range || range->from != partial.size()) {
      BREAKEVEN_TRY_VOID(partial.clear());
      return fail("hub/broken-off",
                  fmt::format("{}: the server sends another part than was asked for", wanted_.name),
                  "try again later");
    }
    total = range->total;
  } else {
    // The whole file, whether or not a part was asked for.
    if (partial.size() > 0) BREAKEVEN_TRY_VOID(partial.clear());
    total = parse_number<std::uint64_t>(answer.header("content-length"));
  }
  if (wanted_.size && total && *total != *wanted_.size) return wrong_size(*total, "announces");
  return {};
}

Result<void> Download::attempt(Partial& partial) {
  Request request;
  request.url = wanted_.url;
  request.token = wanted_.token;
  request.from = partial.size();
  bool begun = false;
  request.body = [&](const Response& answer, std::string_view piece) -> Result<void> {
    if (!std::exchange(begun, true)) BREAKEVEN_TRY_VOID(begin_answer(answer, partial));
    if (wanted_.size && partial.size() + piece.size() > *wanted_.size) {
      return wrong_size(partial.size() + piece.size(), "sends at least");
    }
    BREAKEVEN_TRY_VOID(partial.append(piece));
    tell(Event::Kind::progress, partial.size());
    return {};
  };
  BREAKEVEN_TRY(const Response answer, http_.perform(request));
  if (answer.status == 416) {
    // What is here is no beginning of what is there.
    BREAKEVEN_TRY_VOID(partial.clear());
    return fail("hub/broken-off", fmt::format("{} cannot be continued", wanted_.name), "try again");
  }
  if (answer.status < 200 || answer.status >= 300) {
    return tl::unexpected<Error>(status_error(answer, wanted_.name, wanted_.url));
  }
  if (wanted_.size && partial.size() < *wanted_.size) {
    return fail("hub/broken-off",
                fmt::format("{}: the connection ended after {} of {} bytes", wanted_.name,
                            partial.size(), *wanted_.size),
                "try again: what has come is kept");
  }
  return {};
}

// Attempts until all bytes are there or it fails too often in a row.
Result<void> Download::transfer(Partial& partial) {
  double wait_s = settings_.retry_wait_s;
  int failures = 0;
  if (wanted_.size && partial.size() > *wanted_.size) BREAKEVEN_TRY_VOID(partial.clear());
  BREAKEVEN_TRY_VOID(check_space(partial.size()));
  tell(Event::Kind::progress, partial.size());
  while (!is_complete(partial)) {
    const std::uint64_t before = partial.size();
    auto attempted = attempt(partial);
    if (attempted) return {};
    Error error = std::move(attempted).error();
    if (!is_transient(error)) return tl::unexpected<Error>(std::move(error));
    if (partial.size() >= before + kProgressBytes) {
      failures = 0;
      wait_s = settings_.retry_wait_s;
    }
    if (++failures >= settings_.attempts) {
      error.message +=
          fmt::format(" ({} attempts; {} are kept in {})", failures,
                      format_bytes(static_cast<double>(partial.size())), partial.path().string());
      error.hint = "run it again to go on from there";
      return tl::unexpected<Error>(std::move(error));
    }
    tell(Event::Kind::retrying, partial.size(), error.message);
    std::this_thread::sleep_for(std::chrono::duration<double>(wait_s));
    wait_s *= 2;
  }
  return {};
}

Result<void> Download::finish(Partial& partial) {
  BREAKEVEN_TRY_VOID(partial.sync());
  std::error_code error;
  fs::rename(partial.path(), wanted_.destination, error);
  if (error) return disk_error(wanted_.destination, error.value());
  tell(Event::Kind::done, partial.size());
  return {};
}

Result<void> Download::run() {
  std::error_code error;
  fs::create_directories(wanted_.destination.parent_path(), error);
  if (error) return disk_error(wanted_.destination.parent_path(), error.value());
  BREAKEVEN_TRY(const FileLock lock,
                FileLock::take(wanted_.lock, [&] { tell(Event::Kind::waiting, 0); }));
  if (fs::exists(wanted_.destination, error)) {
    BREAKEVEN_TRY(const bool right, is_right(wanted_.destination));
    if (right) {
      tell(Event::Kind::present, wanted_.size.value_or(0));
      return {};
    }
  }
  const fs::path path = wanted_.destination.string() + ".incomplete";
  BREAKEVEN_TRY(Partial partial, Partial::open(path));
  // What another run left may be the beginning of something else: then once more, from the start.
  const bool continued = partial.size() > 0;
  for (const bool last : {!continued, true}) {
    BREAKEVEN_TRY_VOID(transfer(partial));
    BREAKEVEN_TRY(const bool right, is_right(path));
    if (right) return finish(partial);
    BREAKEVEN_TRY_VOID(partial.clear());
    if (last) break;
    tell(Event::Kind::retrying, 0, "the part from an earlier run does not belong to this file");
  }
  fs::remove(path, error);
  return fail(
      "hub/digest",
      fmt::format("{}: what came is not what the server's digest {} says", wanted_.name,
                  wanted_.digest.hex),
      "it was thrown away; try again, and distrust the mirror or proxy if it happens again");
}

}  // namespace

Error status_error(const Response& response, const std::string& name, const std::string& url) {
  const std::string cause = response.header("x-error-code");
  const std::string where = printable_url(url);
  constexpr const char* kTokenHint =
      "check the name; for a private model set HF_TOKEN to a token that may read it "
      "(https://huggingface.co/settings/tokens)";
  if (cause == "GatedRepo" || (response.status == 403 && cause.empty())) {
    return {"hub/gated", fmt::format("{} is gated: the server refuses {}", name, where),
            "accept its terms on its page, then set HF_TOKEN to a token of the same account"};
  }
  if (cause == "RevisionNotFound") {
    return {"hub/no-revision", fmt::format("{} has no such revision ({})", name, where),
            "check --revision: a branch, a tag or a commit"};
  }
  if (cause == "EntryNotFound") {
    return {"hub/no-file", fmt::format("there is no {}", where), "check the name"};
  }
  if (response.status == 404 || cause == "RepoNotFound") {
    return {"hub/not-found", fmt::format("there is no {} ({}: {})", name, where, response.status),
            kTokenHint};
  }
  if (response.status == 401 || response.status == 403) {
    return {"hub/unauthorized",
            fmt::format("{} may not be read ({}: {})", name, where, response.status), kTokenHint};
  }
  if (response.status >= 500 || response.status == 429) {
    return {"hub/server",
            fmt::format("the server cannot answer now ({}: {})", where, response.status),
            "try again later"};
  }
  return {"hub/status", fmt::format("unexpected answer {} of {}", response.status, where),
          "check HF_ENDPOINT"};
}

Result<void> download(Http& http, const Settings& settings, const Wanted& wanted,
                      const Listener& listener) {
  return Download(http, settings, wanted, listener).run();
}

}  // namespace breakeven::hub

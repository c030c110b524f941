#include "record/journal.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <utility>

#include "base/descriptor.h"
#include "base/files.h"
#include "base/unwritable.h"
#include "record/json.h"

namespace breakeven::record {
namespace {

constexpr const char* kTaken = "record/taken";

// Devices and pipes cannot be synced, and need not be.
bool sync(int fd) {
  return ::fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS;
}

std::string_view trimmed(std::string_view line) {
  const auto first = line.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

// What must follow the content so that the next record starts on a line of its own.
std::string_view missing_end(std::string_view content) {
  if (content.empty() || content.back() == '\n') return {};
  const auto last_newline = content.rfind('\n');
  const auto line = content.substr(last_newline == std::string_view::npos ? 0 : last_newline + 1);
  return parse_record(trimmed(line)) ? "\n" : "#torn\n";
}

}  // namespace

std::string journal_name(double unix_seconds, unsigned number) {
  return fmt::format("breakeven-{:%Y%m%dT%H%M%SZ}{}.jsonl",
                     fmt::gmtime(static_cast<std::time_t>(unix_seconds)),
                     number == 1 ? "" : fmt::format("-{}", number));
}

Result<Journal> Journal::open(const std::string& path) {
  return open(path, 0);
}

Result<Journal> Journal::open_new(double unix_seconds) {
  constexpr unsigned kMost = 1000;
  for (unsigned number = 1;; ++number) {
    auto journal = open(journal_name(unix_seconds, number), O_EXCL);
    if (journal || journal.error().code != kTaken || number == kMost) return journal;
  }
}

Result<Journal> Journal::open(const std::string& path, int more_flags) {
  Journal journal;
  journal.path_ = path;
  journal.fd_ = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | more_flags, 0666);
  if (journal.fd_ < 0) {
    if (errno == EEXIST) return fail(kTaken, fmt::format("{} is there already", path));
    return unwritable(path, errno);
  }
  if (::flock(journal.fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return fail("record/in-use", fmt::format("another breakeven is writing {}", path),
                "wait until it ends or choose another journal");
  }
  struct stat status {};
  if (::fstat(journal.fd_, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
    BREAKEVEN_TRY(const std::string content, read_file(path));
    const int error = write_fully(journal.fd_, missing_end(content));
    if (error != 0) return unwritable(path, error);
  }
  return journal;
}

Journal::Journal(Journal&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

Journal& Journal::operator=(Journal&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

Journal::~Journal() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> Journal::append(const Record& record) {
  BREAKEVEN_TRY(std::string line, to_json_line(record));
  line += '\n';
  const off_t before = ::lseek(fd_, 0, SEEK_END);
  int why = write_fully(fd_, line);
  if (why == 0 && !sync(fd_)) why = errno;
  if (why != 0) {
    // Half a record is worth nothing; without it the file stays readable to its last line.
    [[maybe_unused]] const int cut = before >= 0 ? ::ftruncate(fd_, before) : 0;
    return unwritable(path_, why);
  }
  return {};
}

Result<JournalContent> parse_journal(std::string_view content, std::string_view name) {
  JournalContent journal;
  std::size_t number = 0;
  while (!content.empty()) {
    ++number;
    const auto newline = content.find('\n');
    const bool ended = newline != std::string_view::npos;
    const auto line = trimmed(content.substr(0, newline));
    content.remove_prefix(ended ? newline + 1 : content.size());
    if (line.empty()) continue;
    auto record = parse_record(line);
    if (record) {
      journal.records.push_back(*std::move(record));
    } else if (line.ends_with(kTornMark) || (!ended && record.error().code == "record/json")) {
      journal.notes.push_back(
          fmt::format("{}: line {} is torn (its run was cut off); it is left out", name, number));
    } else {
      Error error = std::move(record).error();
      error.message = fmt::format("{}, line {}: {}", name, number, error.message);
      return tl::unexpected<Error>(std::move(error));
    }
  }
  return journal;
}

Result<JournalContent> read_journal(const std::string& path) {
  BREAKEVEN_TRY(const MappedFile file, MappedFile::open(path));
  return parse_journal(file.text(), path);
}

}  // namespace breakeven::record

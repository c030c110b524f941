#include "cli/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/descriptor.h"
#include "base/files.h"
#include "base/unwritable.h"

namespace breakeven::cli {
namespace {

bool is_stdout(const std::string& path) {
  return path.empty() || path == "-";
}

bool is_same_file(int fd, const std::string& path) {
  struct stat ours {};
  struct stat theirs {};
  if (::fstat(fd, &ours) != 0 || !S_ISREG(ours.st_mode)) return false;
  const int found = path == "-" ? ::fstat(STDIN_FILENO, &theirs) : ::stat(path.c_str(), &theirs);
  return found == 0 && ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

}  // namespace

Result<Output> Output::open(const std::string& path, const std::string& input) {
  if (is_stdout(path)) {
    Output out(STDOUT_FILENO, false, "stdout");
    out.truncated_ = true;
    return out;
  }
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return unwritable(path, errno);
  Output out(fd, true, path);
  if (is_same_file(fd, input)) {
    return fail("output/same-file", fmt::format("{} is the file being read", path),
                "choose another file for -o");
  }
  return out;
}

Output::Output(Output&& other) noexcept
    : fd_(other.fd_),
      owned_(std::exchange(other.owned_, false)),
      truncated_(other.truncated_),
      name_(std::move(other.name_)),
      records_(other.records_) {}

Output::~Output() {
  if (owned_) ::close(fd_);
}

Result<void> Output::truncate_once() {
  if (truncated_) return {};
  truncated_ = true;
  struct stat status {};
  // Only a regular file has an old content; a device or a pipe refuses to be cut.
  if (::fstat(fd_, &status) != 0) return unwritable(name_, errno);
  if (S_ISREG(status.st_mode) && ::ftruncate(fd_, 0) != 0) return unwritable(name_, errno);
  return {};
}

Result<void> Output::write(std::string_view text, std::uint64_t records) {
  BREAKEVEN_TRY_VOID(truncate_once());
  if (const int error = write_fully(fd_, text); error != 0) {
    if (error == EPIPE) return fail("output/closed", fmt::format("{} was closed", name_));
    return unwritable(name_, error);
  }
  records_ += records;
  return {};
}

Result<void> Output::close() {
  BREAKEVEN_TRY_VOID(truncate_once());
  if (!owned_) return {};
  owned_ = false;
  if (::close(fd_) != 0 && errno != EINTR) return unwritable(name_, errno);
  return {};
}

bool is_closed_pipe(const Error& error) {
  return error.code == "output/closed";
}

Result<void> check_output(const std::string& path) {
  if (is_stdout(path)) return {};
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return unwritable(path, EISDIR);
    if (access(path.c_str(), W_OK) != 0) return unwritable(path, errno);
  }
  const std::size_t slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (access(folder.c_str(), W_OK | X_OK) != 0) return unwritable(path, errno);
  return {};
}

Result<void> write_output(const std::string& path, const std::string& content) {
  if (!is_stdout(path)) return write_file_atomic(path, content);
  BREAKEVEN_TRY(Output output, Output::open(path, ""));
  Result<void> written = output.write(content, 1);
  // A reader that has seen enough (`| head`) is no mistake of anybody's.
  if (!written && is_closed_pipe(written.error())) return {};
  return written;
}

bool use_colour(const std::string& path) {
  return is_stdout(path) && ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
}

std::string shown(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool acts = (byte < ' ' && c != '\n' && c != '\t') || byte == 127;
    safe += acts ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return safe;
}

void tell(const std::string& line) {
  std::fprintf(stderr, "breakeven: %s\n", shown(line).c_str());
}

}  // namespace breakeven::cli

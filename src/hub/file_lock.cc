#include "hub/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

namespace breakeven::hub {
namespace {

// A holder may remove the file as it lets go; a lock on a removed file locks nothing.
bool still_there(int fd, const std::filesystem::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

}  // namespace

Result<FileLock> FileLock::take(const std::filesystem::path& path,
                                const std::function<void()>& on_wait) {
  constexpr auto kPause = std::chrono::milliseconds(100);
  constexpr auto kLongest = std::chrono::hours(1);
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  const auto give_up = std::chrono::steady_clock::now() + kLongest;
  for (bool waited = false;; waited = true) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664);
    if (fd < 0) {
      return fail(
          "hub/disk",
          fmt::format("cannot write {}: {}", path.string(), std::generic_category().message(errno)),
          "set HF_HUB_CACHE to a folder that you may write to");
    }
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
      if (still_there(fd, path)) return FileLock(fd);
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
      // A file system without locks: renames keep the cache whole, only work is done twice.
      return FileLock(fd);
    }
    ::close(fd);
    if (std::chrono::steady_clock::now() > give_up) {
      return fail("hub/locked", fmt::format("another process holds {} for an hour", path.string()),
                  "end that process, or remove the file if there is none");
    }
    if (!waited && on_wait) on_wait();
    std::this_thread::sleep_for(kPause);
  }
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);  // lets go of the lock
}

}  // namespace breakeven::hub

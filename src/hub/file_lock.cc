#include "hub/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

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
    Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664));
    if (!file.is_open()) {
      return fail(
          "hub/disk",
          fmt::format("cannot write {}: {}", path.string(), std::generic_category().message(errno)),
          "set HF_HUB_CACHE to a folder that you may write to");
    }
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      if (still_there(file.get(), path)) return FileLock(std::move(file));
    } else if (errno != EWOULDBLOCK && errno != EINTR) {
      // A file system without locks: renames keep the cache whole, only work is done twice.
      return FileLock(std::move(file));
    }
    file.close();
    if (std::chrono::steady_clock::now() > give_up) {
      return fail("hub/locked", fmt::format("another process holds {} for an hour", path.string()),
                  "end that process, or remove the file if there is none");
    }
    if (!waited && on_wait) on_wait();
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace breakeven::hub

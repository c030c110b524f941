// A lock between processes on a file, as Python's filelock (and so huggingface_hub) takes it:
// flock(2), released when the process ends.
#pragma once

#include <filesystem>
#include <functional>

#include "base/descriptor.h"
#include "base/result.h"

namespace breakeven::hub {

class FileLock {
 public:
  // Makes the file and its folders when they are missing, and waits while another holds the lock:
  // calls on_wait once, then asks again ten times a second, an hour at most. Errors: hub/disk,
  // hub/locked.
  static Result<FileLock> take(const std::filesystem::path& path,
                               const std::function<void()>& on_wait);

 private:
  explicit FileLock(Descriptor file) : file_(std::move(file)) {}
  Descriptor file_;  // closing it lets go of the lock
};

}  // namespace breakeven::hub

// Makes the virtual environment of a runtime: python3 -m venv, then pip with the exact versions of
// runtimes/requirements-NAME.txt. What is half made is never taken for ready: the stamp is written
// last, and a failure removes what there is.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace breakeven::runtimes {

struct SetupOptions {
  std::string python = "python3";  // makes the environment; a path, or a name in $PATH
  double limit_s = 3600;           // of all of it: PyTorch's packages are 3 GB
  const std::atomic<bool>* stop = nullptr;
  // What it does, for a progress line: "collecting numpy". May be empty.
  std::function<void(std::string_view what)> progress{};
  // Each line that venv and pip print. May be empty.
  std::function<void(std::string_view line)> log{};
};

// False when it was ready already. Errors: those of environment_place; runtime/no-python,
// runtime/no-venv (Debian's python3-venv is missing), runtime/network, runtime/disk-full,
// runtime/time-limit, runtime/interrupted, runtime/setup (anything else that pip says),
// runtime/busy (another process sets it up).
Result<bool> set_up(const std::string& runtime, const SetupOptions& options);

}  // namespace breakeven::runtimes

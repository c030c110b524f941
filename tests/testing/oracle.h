// The Python of the slow tier's judges (tools/requirements-oracle.txt), which ./test --slow makes.
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "testing/paths.h"

namespace breakeven::testing {

// $BREAKEVEN_ORACLE_PYTHON, or the one in the cache folder. A test skips when it does not exist.
inline std::filesystem::path oracle_python() {
  if (const char* given = std::getenv("BREAKEVEN_ORACLE_PYTHON")) return given;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path root =
      cache != nullptr ? std::filesystem::path(cache)
                       : std::filesystem::path(home != nullptr ? home : "") / ".cache";
  return root / "breakeven" / "oracle-venv" / "bin" / "python";
}

// Runs tools/SCRIPT; true when it exits 0. `arguments` are the shell's.
inline bool run_oracle(const std::string& script, const std::string& arguments) {
  const std::string command = fmt::format("'{}' '{}' {}", oracle_python().string(),
                                          (source_dir() / "tools" / script).string(), arguments);
  return std::system(command.c_str()) == 0;  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace breakeven::testing

// A program as a user runs it: a shell command, what it printed, how it ended.
#pragma once

#include <string>

namespace breakeven::testing {

struct Ended {
  int code = -1;  // -1: it could not be started or was killed
  std::string out, err;
};

// Runs `command` by the shell; what it writes to stderr passes through the file `err_file`.
Ended run_shell(const std::string& command, const std::string& err_file);

}  // namespace breakeven::testing

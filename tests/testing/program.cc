#include "testing/program.h"

#include <sys/wait.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace breakeven::testing {

Ended run_shell(const std::string& command, const std::string& err_file) {
  Ended ended;
  FILE* pipe = popen(("( " + command + " ) 2>'" + err_file + "'").c_str(), "r");
  if (pipe == nullptr) return ended;
  char buffer[4096];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    ended.out.append(buffer, n);
  }
  const int status = pclose(pipe);
  if (WIFEXITED(status)) ended.code = WEXITSTATUS(status);
  std::stringstream text;
  text << std::ifstream(err_file).rdbuf();
  ended.err = text.str();
  return ended;
}

}  // namespace breakeven::testing

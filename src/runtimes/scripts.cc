#include "runtimes/scripts.h"

#include "base/program_folder.h"

namespace breakeven::runtimes {

Result<std::string> scripts_folder() {
  return find_program_folder({"runtimes", "BREAKEVEN_RUNTIMES", BREAKEVEN_RUNTIMES_DIR, "common.py",
                              "runtime/no-scripts"});
}

}  // namespace breakeven::runtimes

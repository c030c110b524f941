// Which Python runs another runtime: one that the user names, or the virtual environment in the
// cache folder that `breakeven runtimes setup` made (runtimes/setup.h). Starts no worker.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace breakeven::runtimes {

// "NAME=PATH" as it stands after --python, PATH an interpreter or the folder of a virtual
// environment -> interpreter by runtime. Errors: runtime/unknown, runtime/interpreter (no "=", or
// nothing at PATH that can be executed).
Result<std::map<std::string, std::string>> parse_interpreters(
    const std::vector<std::string>& named);

// The interpreter for `runtime`: from `named`, then $BREAKEVEN_PYTHON_<NAME in capitals> (a PATH as
// above), then the runtime's own environment. Errors: runtime/unknown; runtime/interpreter (what
// the variable names); runtime/missing (not set up, or set up from other requirements than this
// program's), with the line that sets it up; runtime/no-scripts.
Result<std::string> find_interpreter(const std::string& runtime,
                                     const std::map<std::string, std::string>& named);

// Where a runtime's own environment is, whether it exists or not.
struct EnvironmentPlace {
  std::string folder;        // holds all of it
  std::string venv;          // the virtual environment
  std::string stamp;         // a copy of the requirements, written when everything is installed
  std::string requirements;  // runtimes/requirements-NAME.txt
  std::string interpreter() const { return venv + "/bin/python"; }
};
// Errors: runtime/unknown, runtime/no-scripts, file/unwritable (no cache folder).
Result<EnvironmentPlace> environment_place(const std::string& runtime);

enum class EnvironmentState : std::uint8_t {
  ready,
  missing,
  outdated,    // made from other requirements
  incomplete,  // an interpreter that lacks the runtime's package
};

struct EnvironmentStatus {
  std::string runtime;
  EnvironmentState state = EnvironmentState::missing;
  std::string interpreter;  // "" when missing
  std::string origin;       // "--python", "BREAKEVEN_PYTHON_OPENVINO", "own environment"
  // Installed packages of the requirements with their versions, the runtime's own first.
  std::vector<std::pair<std::string, std::string>> packages;
  std::string hint;  // what to do when it is not ready
};

// Asks the interpreter for the versions of its packages, without importing one. Errors: as
// find_interpreter but for runtime/missing, which is a state.
Result<EnvironmentStatus> inspect_environment(const std::string& runtime,
                                              const std::map<std::string, std::string>& named);

}  // namespace breakeven::runtimes

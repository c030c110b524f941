// The folders that belong to the program: models, the scripts of other runtimes.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace breakeven {

struct ProgramFolder {
  std::string name;                      // below share/breakeven of an installed program
  std::string variable;                  // of the environment, looked at first
  std::filesystem::path in_source_tree;  // "" in a program that is packed for other machines
  std::filesystem::path witness;         // a file of it: a folder without it is passed over
  std::string error_code;
};

// The folder of the file that this code was loaded from: the program, or a module of another one.
std::filesystem::path code_folder();

// Looks in $variable, then in share/breakeven one above the folder of the installed program or in
// that folder itself (Python's module lies beside it), then in the source tree that it was built
// from. A module counts as the program whose code it holds, whoever has loaded it.
// Errors: error_code, with every place that was looked at.
Result<std::string> find_program_folder(const ProgramFolder& wanted);

}  // namespace breakeven

#include "base/program_folder.h"

#include <fmt/format.h>

#include <cstdlib>
#include <vector>

#include "base/files.h"

namespace breakeven {

Result<std::string> find_program_folder(const ProgramFolder& wanted) {
  std::vector<std::filesystem::path> places;
  const char* given = std::getenv(wanted.variable.c_str());
  if (given != nullptr && *given != '\0') places.emplace_back(given);
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  places.push_back(program.parent_path() / ".." / "share" / "breakeven" / wanted.name);
  places.push_back(wanted.in_source_tree);
  std::string looked;
  for (const auto& place : places) {
    if (is_there(place / wanted.witness)) {
      return place.lexically_normal().string();
    }
    looked += (looked.empty() ? "" : ", ") + place.lexically_normal().string();
  }
  return fail(wanted.error_code,
              fmt::format("there is no {} in any of {}", wanted.witness.string(), looked),
              fmt::format("set {} to the project's folder {}", wanted.variable, wanted.name));
}

}  // namespace breakeven

#include "runtimes/scripts.h"

#include <cstdlib>
#include <filesystem>
#include <vector>

namespace breakeven::runtimes {

Result<std::string> scripts_folder() {
  std::vector<std::filesystem::path> places;
  if (const char* given = std::getenv("BREAKEVEN_RUNTIMES"); given != nullptr && *given != '\0') {
    places.emplace_back(given);
  }
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  places.push_back(program.parent_path() / ".." / "share" / "breakeven" / "runtimes");
  places.emplace_back(BREAKEVEN_RUNTIMES_DIR);
  std::string looked;
  for (const auto& place : places) {
    if (std::filesystem::exists(place / "common.py")) return place.lexically_normal().string();
    looked += (looked.empty() ? "" : ", ") + place.lexically_normal().string();
  }
  return fail("runtime/no-scripts",
              "the scripts of other runtimes are missing; looked in " + looked,
              "set BREAKEVEN_RUNTIMES to the project's runtimes folder");
}

}  // namespace breakeven::runtimes

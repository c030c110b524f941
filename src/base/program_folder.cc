#include "base/program_folder.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>

#include <cstdlib>
#include <vector>

#include "base/files.h"

namespace breakeven {

std::filesystem::path code_folder() {
  std::error_code error;
  Dl_info info{};
  void* found = nullptr;
  if (dladdr1(reinterpret_cast<const void*>(&find_program_folder), &info, &found,
              RTLD_DL_LINKMAP) != 0) {
    const std::string_view name = static_cast<const link_map*>(found)->l_name;
    if (!name.empty()) return std::filesystem::absolute(name, error).parent_path();
  }
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

Result<std::string> find_program_folder(const ProgramFolder& wanted) {
  std::vector<std::filesystem::path> places;
  const char* given = std::getenv(wanted.variable.c_str());
  if (given != nullptr && *given != '\0') places.emplace_back(given);
  const std::filesystem::path own = code_folder();
  for (const char* from : {"..", "."}) {
    places.push_back(own / from / "share" / "breakeven" / wanted.name);
  }
  if (!wanted.in_source_tree.empty()) places.push_back(wanted.in_source_tree);
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

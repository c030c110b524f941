#include "base/cgroups.h"

#include <fstream>
#include <sstream>

namespace breakeven {

void for_each_cgroup_folder(const std::filesystem::path& root, const std::string& controller,
                            const std::function<void(const std::filesystem::path& folder)>& visit) {
  std::ifstream cgroups(root / "proc/self/cgroup");
  for (std::string line; std::getline(cgroups, line);) {
    // hierarchy:controllers:path; v2 has no controllers.
    std::istringstream fields(line);
    std::string hierarchy;
    std::string controllers;
    std::string path;
    std::getline(fields, hierarchy, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, path);
    const bool v2 = controllers.empty();
    if (!v2 && ("," + controllers + ",").find("," + controller + ",") == std::string::npos)
      continue;
    const std::filesystem::path mount = root / "sys/fs/cgroup" / controllers;
    std::filesystem::path below = std::filesystem::path(path).relative_path();
    while (true) {
      visit(mount / below);
      if (below.empty()) break;
      below = below.parent_path();
    }
  }
}

}  // namespace breakeven

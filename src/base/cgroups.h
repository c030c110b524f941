// The cgroups that limit this process, v1 and v2 alike.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace breakeven {

// Calls visit(folder) for the folder of this process's cgroup and each one above it: every level
// limits those below. In v1 only the hierarchy of `controller` ("cpu", "memory") counts. `root` is
// "/" but for tests.
void for_each_cgroup_folder(const std::filesystem::path& root, const std::string& controller,
                            const std::function<void(const std::filesystem::path& folder)>& visit);

}  // namespace breakeven

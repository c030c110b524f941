// What this binary is (declared in environment.h).
#include <fmt/format.h>
#include <gnu/libc-version.h>

#include <sstream>

#include "build_info.h"
#include "measure/environment.h"

namespace breakeven::measure {

record::Build read_build() {
  record::Build build;
  build.version = build_info::kVersion;
  build.commit = build_info::kCommit;
  build.dirty = build_info::kDirty;
  build.compiler = build_info::kCompiler;
  build.flags = build_info::kFlags;
  build.build_type = build_info::kBuildType;
  std::istringstream libraries(build_info::kLibraries);
  for (std::string entry; std::getline(libraries, entry, ',');) {
    const auto space = entry.find(' ');
    if (space != std::string::npos)
      build.libraries[entry.substr(0, space)] = entry.substr(space + 1);
  }
  build.libraries["fmt"] =
      fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100);
  build.libraries["glibc"] = ::gnu_get_libc_version();
  return build;
}

}  // namespace breakeven::measure

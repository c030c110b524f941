#include "base/unwritable.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

namespace breakeven {

tl::unexpected<Error> unwritable(const std::string& path, int error_number) {
  const auto advice = [&] {
    switch (error_number) {
      case ENOSPC:
      case EDQUOT:
        return "free some space or choose another place";
      case ENOENT:
        return "make its folder first or choose another place";
      case EISDIR:
        return "it is a folder: name a file in it";
      default:
        return "choose a place that you may write to";
    }
  };
  return fail(
      "file/unwritable",
      fmt::format("cannot write {}: {}", path, std::generic_category().message(error_number)),
      advice());
}

}  // namespace breakeven

#include "base/device_name.h"

#include <algorithm>

namespace breakeven {

std::vector<std::string> device_parts(std::string_view name) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t plus = std::min(name.find('+', begin), name.size());
    parts.emplace_back(name.substr(begin, plus - begin));
    begin = plus + 1;
  }
  return parts;
}

}  // namespace breakeven

#include "base/numbers.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

namespace breakeven {

void append_float(float value, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  fmt::format_to(std::back_inserter(out), "{:.9g}", value);
}

}  // namespace breakeven

#include "classifier/classifier.h"

#include <fmt/format.h>

namespace breakeven {

std::string_view to_string(Padding padding) {
  switch (padding) {
    case Padding::none:
      return "none";
    case Padding::longest:
      return "longest";
    case Padding::max_length:
      return "max_length";
  }
  return "unknown";
}

Result<Padding> parse_padding(std::string_view text) {
  for (const Padding p : {Padding::none, Padding::longest, Padding::max_length}) {
    if (text == to_string(p)) return p;
  }
  return fail("padding/unknown", fmt::format("'{}' is not a padding policy", text),
              "choose from none, longest, max_length");
}

}  // namespace breakeven

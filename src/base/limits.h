// The project's one table of tolerances, docs/parity.md, as the code sees it.
#pragma once

#include <string_view>

namespace breakeven {

// The number in the row `key` of docs/parity.md. A key that is not there is our bug and aborts.
double limit(std::string_view key);

}  // namespace breakeven

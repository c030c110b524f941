// A device as it is named on the command line and in records: "cpu", "cuda:0", "cuda:0+cuda:1".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace breakeven {

// "cuda:0", "cuda:1" of "cuda:0+cuda:1"; one part, which may be empty, of a name without a plus.
std::vector<std::string> device_parts(std::string_view name);

}  // namespace breakeven

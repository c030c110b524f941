// How many blocks a launch has.
#pragma once

#include <cstddef>

namespace breakeven::ops::cuda {

// Along y and z at most 65,535.
struct Grid {
  std::size_t x = 1, y = 1, z = 1;
  std::size_t shared_bytes = 0;  // dynamic shared memory of a block
};

}  // namespace breakeven::ops::cuda

// The two ways to run the AMX kernels: the CPU's tiles, and the stand-in for them.
#pragma once

#include <string>

#include "emulated_tiles.h"
#include "ops/cpu/tile_kernels.h"
#include "sets.h"

namespace breakeven::testing {

enum class Tiles : std::uint8_t { emulated, hardware };

inline const ops::cpu::TileKernels& kernels_of(Tiles tiles) {
  return tiles == Tiles::emulated ? emulated_tiles() : ops::cpu::amx_tiles();
}
// As missing(InstructionSet).
inline std::string missing(Tiles tiles) {
  return tiles == Tiles::emulated ? missing(InstructionSet::avx2)
                                  : missing(InstructionSet::avx512_core_amx);
}
inline std::string name_of(Tiles tiles) {
  return tiles == Tiles::emulated ? "emulated" : "hardware";
}

}  // namespace breakeven::testing

// attention_amx.cc on the stand-in for its instructions.
#define BREAKEVEN_EMULATED_TILES
#define BREAKEVEN_TILES_NAMESPACE emulated
#include "emulated_avx512.h"
#include "emulated_tiles.h"
// NOLINTNEXTLINE(bugprone-suspicious-include)
#include "ops/cpu/attention_amx.cc"

// Paths of the engine that a person may leave out, so that a pass can be timed with and without
// each of them. A path that does not fit a model or a device is not taken anyway.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace breakeven::ops::cuda {

// Each member's name is what a person writes; false: left out.
struct Switches {
  bool graphs = true;          // captured graphs; without them the host launches every kernel
  bool fp32_tiles = true;      // fp32 attention on tensor cores, by halves of 16 bits
  bool product_scales = true;  // fp8: qkv's product knows its scales and its bias, on sm_90
  bool residual_beta = true;   // in fp16 and fp32 the product adds the residual, not residual_norm
  bool wide_rows = true;       // LayerNorm of few rows with a block a row, not a warp
  bool wide_attention = true;  // attention of 128 query rows a block, in fp16 and bf16
  bool cls_tiles = true;       // the last layer's attention on tensor cores, in fp16 and bf16
  bool pinned_logits = true;   // few rows: the head writes logits to the host's memory itself
  friend bool operator==(const Switches&, const Switches&) = default;
};

// All but `names`, which are separated by commas; "" = all.
// Errors: ops/switches, with the name that is unknown and those that there are.
Result<Switches> switches_without(std::string_view names);
// As BREAKEVEN_CUDA_WITHOUT says.
Result<Switches> switches_by_environment();
// "without graphs", for the record; "" when nothing is left out.
std::string to_string(const Switches& switches);

}  // namespace breakeven::ops::cuda

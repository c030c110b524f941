// A GPU whose record ships with the program, as it would be on a reader's own texts. What decides a
// GPU's speed is the model's shape and the precision, not its weights, so that another model of the
// same shape may be asked about; the lengths of the texts are bridged by the latency model.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/record.h"

namespace breakeven::decide {

// Rows of `known` (of one GPU and model shape) on the texts and the model of `own`: each time is
// what the latency model says for the own lengths × what was measured ÷ what the model says for the
// recorded ones, so that noise and misfit stay in. Each row says where it comes from. Errors:
// known/shape (another shape, or `own` does not say its own), known/texts (`own` holds no lengths),
// known/model (no row of `known` has a latency model).
Result<std::vector<record::Record>> on_own_texts(std::span<const record::Record> known,
                                                 std::span<const record::Record> own);

}  // namespace breakeven::decide

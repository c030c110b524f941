// The one forward pass of the program. Reads like the paper; knows no device.
#pragma once

#include <atomic>
#include <functional>

#include "model/plan.h"
#include "ops/ops.h"

namespace breakeven::model {

// Runs the group that was uploaded to `lane`: afterwards backend.wait(lane) gives its logits [B,
// C]. Where the head reads row 0 of each sequence, the last layer is computed for that row only:
// nothing else reaches the head, so this is exact. Once `stop` is set it ends after the op that is
// under way, and the logits mean nothing; null for a backend that records a pass once and replays
// it.
void forward(ops::Backend& backend, ops::Lane& lane, const EncoderPlan& plan,
             const std::atomic<bool>* stop = nullptr);

// For tests: calls after_layer(layer, Act) once the embeddings (layer 0) and each layer (1..L) are
// done. In the last layer only x_cls exists, unless the head reads all rows.
using AfterLayer = std::function<void(std::size_t layer, ops::Act act)>;
void forward(ops::Backend& backend, ops::Lane& lane, const EncoderPlan& plan,
             const AfterLayer& after_layer, const std::atomic<bool>* stop = nullptr);

}  // namespace breakeven::model

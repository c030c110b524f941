#include "model/forward.h"

#include <functional>

#include "base/check.h"

namespace breakeven::model {

using ops::Act;

void forward(ops::Backend& backend, ops::Lane& lane, const EncoderPlan& plan,
             const std::atomic<bool>* stop) {
  forward(backend, lane, plan, {}, stop);
}

void forward(ops::Backend& backend, ops::Lane& lane, const EncoderPlan& plan,
             const AfterLayer& after_layer, const std::atomic<bool>* stop) {
  BREAKEVEN_CHECK(plan.layers >= 1, "L={}", plan.layers);
  const auto stopped = [stop] { return stop != nullptr && stop->load(std::memory_order_relaxed); };
  const auto body = [&] {
    backend.embed_ln(lane);
    if (after_layer) after_layer(0, Act::x);

    const bool all_rows = plan.form.pooling == ops::EncoderForm::Pooling::mean;
    const std::size_t last = plan.layers - 1;
    for (std::size_t layer = 0; layer < (all_rows ? plan.layers : last); ++layer) {
      if (stopped()) return;
      backend.attention(lane, layer);
      if (stopped()) return;
      backend.project_ln(lane, layer, Act::x);
      if (stopped()) return;
      backend.ffn_ln(lane, layer, Act::x);
      if (after_layer) after_layer(layer + 1, Act::x);
    }

    if (!all_rows) {
      backend.cls_attention(lane, last);
      backend.project_ln(lane, last, Act::x_cls);
      backend.ffn_ln(lane, last, Act::x_cls);
      if (after_layer) after_layer(plan.layers, Act::x_cls);
    }

    backend.head(lane);
  };
  backend.run(lane, std::cref(body));  // a reference: std::function need not allocate
}

}  // namespace breakeven::model

#include "model/forward.h"

#include <functional>

#include "base/check.h"

namespace breakeven::model {

using ops::Act;

void forward(ops::Backend& backend, ops::Lane& lane, const EncoderPlan& plan) {
  forward(backend, lane, plan, {});
}

void forward(ops::Backend& backend, ops::Lane& lane, const EncoderPlan& plan,
             const AfterLayer& after_layer) {
  BREAKEVEN_CHECK(plan.layers >= 1, "L={}", plan.layers);
  const auto body = [&] {
    backend.embed_ln(lane);
    if (after_layer) after_layer(0, Act::x);

    const std::size_t last = plan.layers - 1;
    for (std::size_t layer = 0; layer < last; ++layer) {
      backend.attention(lane, layer);
      backend.project_ln(lane, layer, Act::x);
      backend.ffn_ln(lane, layer, Act::x);
      if (after_layer) after_layer(layer + 1, Act::x);
    }

    backend.cls_attention(lane, last);
    backend.project_ln(lane, last, Act::x_cls);
    backend.ffn_ln(lane, last, Act::x_cls);
    if (after_layer) after_layer(plan.layers, Act::x_cls);

    backend.head(lane);
  };
  backend.run(lane, std::cref(body));  // a reference: std::function need not allocate
}

}  // namespace breakeven::model

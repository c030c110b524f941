// Runs two backends on the same encoder and batch and compares every activation on the way.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "ops/cpu/cpu_backend.h"
#include "ops/ops.h"
#include "testing/random_encoder.h"

namespace breakeven::testing {

struct Tapped {
  std::string name;
  std::vector<float> values;
};

inline std::vector<Tapped> run_all(ops::Backend& backend, ops::Lane& lane,
                                   const EncoderShape& shape, const ops::Batch& batch) {
  using ops::Act;
  std::vector<Tapped> taps;
  const auto tap = [&](const char* what, std::size_t layer, Act act, std::size_t rows) {
    taps.push_back({what + std::to_string(layer), std::vector<float>(rows * shape.hidden)});
    backend.tap(lane, act, taps.back().values);
  };
  backend.upload(lane, batch);
  const bool all_rows = shape.form.pooling == ops::EncoderForm::Pooling::mean;
  const std::size_t last = shape.layers - 1;
  backend.run(lane, [&] {
    backend.embed_ln(lane);
    tap("embed_ln", 0, Act::x, batch.rows());
    for (std::size_t layer = 0; layer < (all_rows ? shape.layers : last); ++layer) {
      backend.attention(lane, layer);
      tap("attention", layer, Act::ctx, batch.rows());
      backend.project_ln(lane, layer, Act::x);
      tap("project_ln", layer, Act::x, batch.rows());
      backend.ffn_ln(lane, layer, Act::x);
      tap("ffn_ln", layer, Act::x, batch.rows());
    }
    if (!all_rows) {
      backend.cls_attention(lane, last);
      tap("cls_attention", last, Act::ctx_cls, batch.sequences());
      backend.project_ln(lane, last, Act::x_cls);
      tap("cls project_ln", last, Act::x_cls, batch.sequences());
      backend.ffn_ln(lane, last, Act::x_cls);
      tap("cls ffn_ln", last, Act::x_cls, batch.sequences());
    }
    backend.head(lane);
  });
  const auto logits = backend.wait(lane);
  taps.push_back({"logits", {logits.begin(), logits.end()}});
  return taps;
}

struct Difference {
  double abs_max = 0;
  double relative_rms = 0;  // rms(difference) / rms(judge)
};

inline Difference difference(const std::vector<float>& ours, const std::vector<float>& judge) {
  Difference d;
  double squares = 0;
  double size = 0;
  for (std::size_t i = 0; i < judge.size(); ++i) {
    const double delta = static_cast<double>(ours[i]) - judge[i];
    // A NaN must not hide behind a comparison.
    d.abs_max = std::isnan(delta) ? INFINITY : std::max(d.abs_max, std::fabs(delta));
    squares += delta * delta;
    size += static_cast<double>(judge[i]) * judge[i];
  }
  d.relative_rms = std::sqrt(squares / std::max(size, 1e-30));
  return d;
}

// Everything that one backend needs to run one encoder.
struct Runner {
  std::unique_ptr<ops::Backend> backend;
  std::shared_ptr<const ops::PackedModel> model;
  std::unique_ptr<ops::Lane> lane;

  Runner(std::unique_ptr<ops::Backend> made, const ops::EncoderWeights& weights,
         const ops::LaneLimits& limits)
      : backend(std::move(made)) {
    model = backend->pack(weights).value();
    lane = backend->make_lane(model, limits).value();
  }
};

}  // namespace breakeven::testing

#include "model/forward.h"

#include <gmock/gmock.h>

#include "ops/reference/reference.h"
#include "testing/random_encoder.h"

namespace breakeven::model {
namespace {

using breakeven::testing::EncoderShape;
using breakeven::testing::RandomBatch;
using breakeven::testing::RandomEncoder;
using ops::Act;
using ::testing::ElementsAre;
using ::testing::Pair;

// Writes down which ops were called; every other method is the reference's.
class Recorder final : public ops::Backend {
 public:
  ops::BackendInfo info() const override { return real_->info(); }
  Result<std::shared_ptr<const ops::PackedModel>> pack(const ops::EncoderWeights& w) override {
    return real_->pack(w);
  }
  std::size_t lane_bytes(const ops::PackedModel& model,
                         const ops::LaneLimits& limits) const override {
    return real_->lane_bytes(model, limits);
  }
  Result<std::unique_ptr<ops::Lane>> make_lane(std::shared_ptr<const ops::PackedModel> model,
                                               const ops::LaneLimits& limits) override {
    return real_->make_lane(std::move(model), limits);
  }
  void upload(ops::Lane& lane, const ops::Batch& batch) override { real_->upload(lane, batch); }
  void run(ops::Lane& lane, const std::function<void()>& body) override {
    calls.push_back("run");
    real_->run(lane, body);
    calls.push_back("end");
  }
  std::span<const float> wait(ops::Lane& lane) override { return real_->wait(lane); }
  void embed_ln(ops::Lane& lane) override {
    calls.push_back("embed_ln");
    real_->embed_ln(lane);
  }
  void attention(ops::Lane& lane, std::size_t layer) override {
    calls.push_back("attention " + std::to_string(layer));
    real_->attention(lane, layer);
  }
  void cls_attention(ops::Lane& lane, std::size_t layer) override {
    calls.push_back("cls_attention " + std::to_string(layer));
    real_->cls_attention(lane, layer);
  }
  void project_ln(ops::Lane& lane, std::size_t layer, Act x) override {
    calls.push_back("project_ln " + std::to_string(layer) + (x == Act::x ? " x" : " x_cls"));
    real_->project_ln(lane, layer, x);
  }
  void ffn_ln(ops::Lane& lane, std::size_t layer, Act x) override {
    calls.push_back("ffn_ln " + std::to_string(layer) + (x == Act::x ? " x" : " x_cls"));
    real_->ffn_ln(lane, layer, x);
  }
  void head(ops::Lane& lane) override {
    calls.push_back("head");
    real_->head(lane);
  }
  void tap(ops::Lane& lane, Act act, std::span<float> out) override { real_->tap(lane, act, out); }

  std::vector<std::string> calls;

 private:
  std::unique_ptr<ops::Backend> real_ = ops::make_reference_backend();
};

struct Ready {
  explicit Ready(const EncoderShape& shape)
      : encoder(shape), batch(shape, {{3, 3}, {8, 10}, {1, 1}}) {
    plan.layers = shape.layers;
    lane = *backend.make_lane(*backend.pack(encoder.weights), {batch.ids.size(), 3, 1});
    backend.upload(*lane, batch.batch());
  }
  RandomEncoder encoder;
  RandomBatch batch;
  EncoderPlan plan;
  Recorder backend;
  std::unique_ptr<ops::Lane> lane;
};

TEST(Forward, CallsTheOpsOfThePaper) {
  EncoderShape shape;
  shape.layers = 3;
  Ready ready(shape);
  forward(ready.backend, *ready.lane, ready.plan);
  EXPECT_THAT(ready.backend.calls,
              ElementsAre("run", "embed_ln",                                          //
                          "attention 0", "project_ln 0 x", "ffn_ln 0 x",              //
                          "attention 1", "project_ln 1 x", "ffn_ln 1 x",              //
                          "cls_attention 2", "project_ln 2 x_cls", "ffn_ln 2 x_cls",  //
                          "head", "end"));
}

TEST(Forward, OneLayer) {
  EncoderShape shape;
  shape.layers = 1;
  Ready ready(shape);
  forward(ready.backend, *ready.lane, ready.plan);
  EXPECT_THAT(ready.backend.calls,
              ElementsAre("run", "embed_ln", "cls_attention 0", "project_ln 0 x_cls",
                          "ffn_ln 0 x_cls", "head", "end"));
}

TEST(Forward, TellsWhenEachLayerIsDone) {
  EncoderShape shape;
  shape.layers = 3;
  Ready ready(shape);
  std::vector<std::pair<std::size_t, Act>> seen;
  std::vector<std::size_t> calls_before;
  forward(ready.backend, *ready.lane, ready.plan, [&](std::size_t layer, Act act) {
    seen.emplace_back(layer, act);
    calls_before.push_back(ready.backend.calls.size());
  });
  EXPECT_THAT(seen, ElementsAre(Pair(0U, Act::x), Pair(1U, Act::x), Pair(2U, Act::x),
                                Pair(3U, Act::x_cls)));
  EXPECT_THAT(calls_before, ElementsAre(2U, 5U, 8U, 11U));
}

// The shortcut of the last layer is exact: the logits of the full last layer, bit for bit.
TEST(Forward, LastLayerForClsRowsOnlyIsExact) {
  Ready ready(EncoderShape{});
  forward(ready.backend, *ready.lane, ready.plan);
  const auto shortcut = ready.backend.wait(*ready.lane);
  const std::vector<float> expected(shortcut.begin(), shortcut.end());

  const std::size_t hidden = ready.encoder.weights.hidden;
  std::vector<float> full(ready.batch.ids.size() * hidden);
  std::vector<float> cls(3 * hidden);
  ops::Backend& backend = ready.backend;
  forward(backend, *ready.lane, ready.plan, [&](std::size_t layer, Act) {
    if (layer != 1) return;  // before the last layer: compute it in full
    backend.attention(*ready.lane, 1);
    backend.project_ln(*ready.lane, 1, Act::x);
    backend.ffn_ln(*ready.lane, 1, Act::x);
    backend.tap(*ready.lane, Act::x, full);
  });
  // Now the shortcut's own row 0, from a fresh pass.
  forward(backend, *ready.lane, ready.plan);
  backend.tap(*ready.lane, Act::x_cls, cls);
  for (std::size_t b = 0; b < 3; ++b) {
    for (std::size_t h = 0; h < hidden; ++h) {
      const auto row = static_cast<std::size_t>(ready.batch.cu_seqlens[b]);
      ASSERT_EQ(cls[b * hidden + h], full[row * hidden + h]) << b << " " << h;
    }
  }
  EXPECT_THAT(backend.wait(*ready.lane), ::testing::ElementsAreArray(expected));
}

TEST(ForwardDeathTest, NeedsALayer) {
  Ready ready(EncoderShape{});
  ready.plan.layers = 0;
  EXPECT_DEATH(forward(ready.backend, *ready.lane, ready.plan), "L=0");
}

}  // namespace
}  // namespace breakeven::model

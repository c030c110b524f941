// The same blocks on a real GPU. Without one every test skips and says so; that this program starts
// at all on a machine without a driver is worth something by itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/limits.h"
#include "model/forward.h"
#include "ops/cpu/harness.h"
#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/device_list.h"
#include "ops/reference/reference.h"

namespace breakeven::testing {
namespace {

using ops::Precision;
using ::testing::StartsWith;

class CudaDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!ops::cuda_engine_built()) GTEST_SKIP() << "SKIPPED: this build has no CUDA engine";
    const ops::GpuList list = ops::list_gpus();
    if (list.gpus.empty()) GTEST_SKIP() << "SKIPPED: no GPU: " << list.note;
    major_ = list.gpus.front().major;
    minor_ = list.gpus.front().minor;
  }
  int major_ = 0;
  int minor_ = 0;
};

EncoderShape distilbert_layer(std::size_t hidden = 768) {
  return {.hidden = hidden,
          .heads = 12,
          .intermediate = 4 * hidden,
          .vocabulary = 200,
          .positions = 512,
          .layers = 2,
          .labels = 2};
}

TEST_F(CudaDevice, TheKnownAnswerTestChoosesTheFastKernels) {
  for (const Precision precision : ops::cuda_precisions(major_, minor_)) {
    auto backend = ops::make_cuda_backend({.precision = precision});
    ASSERT_TRUE(backend) << backend.error().to_string();
    const RandomEncoder encoder(distilbert_layer());
    const auto model = (*backend)->pack(encoder.weights);
    ASSERT_TRUE(model) << model.error().to_string();
    EXPECT_EQ((*backend)->kernels(), "fast")
        << to_string(precision) << " with " << (*backend)->info().gemm;
  }
}

void expect_agreement(const EncoderShape& shape,
                      const std::vector<RandomBatch::Sequence>& sequences,
                      const std::vector<Precision>& precisions) {
  const RandomEncoder encoder(shape);
  const RandomBatch batch(shape, sequences);
  const ops::LaneLimits limits{
      .rows = batch.ids.size(), .sequences = sequences.size(), .threads = 2};
  Runner judge(ops::make_reference_backend(), encoder.weights, limits);
  const auto right = run_all(*judge.backend, *judge.lane, shape, batch.batch());
  for (const Precision precision : precisions) {
    for (const char* kernels : {"", "plain"}) {
      SCOPED_TRACE(::testing::Message() << to_string(precision) << " " << kernels);
      auto backend = ops::make_cuda_backend({.precision = precision, .kernels = kernels});
      ASSERT_TRUE(backend) << backend.error().to_string();
      Runner cuda(std::move(*backend), encoder.weights, limits);
      const auto ours = run_all(*cuda.backend, *cuda.lane, shape, batch.batch());
      const std::string key = "ops/" + std::string(to_string(precision));
      for (std::size_t i = 0; i < right.size(); ++i) {
        const Difference d = difference(ours[i].values, right[i].values);
        if (right[i].name == "logits") {
          EXPECT_LE(d.abs_max, limit(key + "/logit_abs_max"));
        } else {
          EXPECT_LE(d.relative_rms, limit(key + "/relative_rms")) << right[i].name;
        }
      }
    }
  }
}

TEST_F(CudaDevice, AgreesWithTheReference) {
  const std::vector<Precision> precisions = ops::cuda_precisions(major_, minor_);
  expect_agreement(distilbert_layer(),
                   {{512, 512}, {5, 5}, {128, 128}, {17, 40}, {1, 2}, {200, 200}}, precisions);
  for (const std::size_t hidden : {768U, 384U}) {  // one text alone, short and long
    expect_agreement(distilbert_layer(hidden), {{13, 13}}, precisions);
    expect_agreement(distilbert_layer(hidden), {{300, 300}}, precisions);
  }
}

// ModernBERT's layer, the first over all keys and the second in a window, by both poolings.
TEST_F(CudaDevice, AModernEncoderAgreesWithTheReference) {
  using Form = ops::EncoderForm;
  EncoderShape shape = distilbert_layer();
  shape.intermediate = 1152;
  shape.form = {.norm = Form::Norm::pre,
                .position = Form::Position::rotary,
                .ffn = Form::Ffn::gated,
                .attention = Form::Attention::windowed};
  shape.window = 64;
  shape.biases = false;
  shape.gain = 1.0F;
  for (const auto pooling : {Form::Pooling::mean, Form::Pooling::cls}) {
    shape.form.pooling = pooling;
    expect_agreement(shape, {{300, 300}, {5, 5}, {17, 100}}, ops::cuda_precisions(major_, minor_));
  }
}

// DeBERTa-v3's layer.
TEST_F(CudaDevice, RelativePositionsAgreeWithTheReference) {
  EncoderShape shape = distilbert_layer();
  shape.distances = {.span = 256, .near = 128, .farthest = 512};
  shape.head_activation = ops::Activation::gelu_erf;
  expect_agreement(shape, {{300, 300}, {5, 5}, {17, 100}}, ops::cuda_precisions(major_, minor_));
}

// Groups of many sizes in random order, each three times: eager, captured, replayed. A hundred
// passes over each lane must give the bits that the first one gave.
TEST_F(CudaDevice, RepeatsGiveTheSameBits) {
  const EncoderShape shape = distilbert_layer();
  const RandomEncoder encoder(shape);
  model::EncoderPlan plan;
  plan.layers = shape.layers;
  std::mt19937 random(1);
  for (const Precision precision : ops::cuda_precisions(major_, minor_)) {
    auto backend = ops::make_cuda_backend({.precision = precision});
    ASSERT_TRUE(backend) << backend.error().to_string();
    Runner cuda(std::move(*backend), encoder.weights, {.rows = 2000, .sequences = 12});
    std::vector<RandomBatch> batches;
    std::vector<std::vector<float>> first(5);
    for (std::uint32_t i = 0; i < 5; ++i) {
      std::vector<RandomBatch::Sequence> sequences;
      for (std::uint32_t b = 0; b < 1 + 2 * i; ++b) {
        const std::size_t rows = 1 + random() % 180;
        sequences.push_back({rows, rows});
      }
      batches.emplace_back(shape, sequences, i);
    }
    for (int round = 0; round < 100; ++round) {
      const std::size_t i = random() % batches.size();
      cuda.backend->upload(*cuda.lane, batches[i].batch());
      model::forward(*cuda.backend, *cuda.lane, plan);
      const auto logits = cuda.backend->wait(*cuda.lane);
      const std::vector<float> now(logits.begin(), logits.end());
      if (first[i].empty()) first[i] = now;
      ASSERT_EQ(now, first[i]) << to_string(precision) << " round " << round;
    }
    const ops::DeviceSeconds seconds = cuda.backend->device_seconds(*cuda.lane);
    EXPECT_GT(seconds.compute, 0);
  }
}

TEST_F(CudaDevice, AnArenaThatDoesNotFitIsRefusedWithTheNumber) {
  auto backend = ops::make_cuda_backend({.precision = Precision::fp16});
  ASSERT_TRUE(backend) << backend.error().to_string();
  const RandomEncoder encoder(distilbert_layer());
  const auto model = (*backend)->pack(encoder.weights).value();
  const auto lane = (*backend)->make_lane(model, {.rows = 100'000'000, .sequences = 10});
  ASSERT_FALSE(lane);
  EXPECT_EQ(lane.error().code, "ops/memory");
  EXPECT_TRUE((*backend)->make_lane(model, {.rows = 1000, .sequences = 10}));
}

// Holds on every machine.
TEST(CudaBackend, ADeviceThatIsNotThereIsAnError) {
  const auto backend = ops::make_cuda_backend({.device = 99});
  ASSERT_FALSE(backend);
  EXPECT_THAT(backend.error().code, StartsWith("device/"));
  EXPECT_EQ(backend.error().code, ops::cuda_engine_built() ? "device/failed" : "device/no-engine");
}

}  // namespace
}  // namespace breakeven::testing

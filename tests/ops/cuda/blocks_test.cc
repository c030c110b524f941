// The whole CUDA backend on the host executor, op by op against the reference, over random shapes.
#include "ops/cuda/blocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/limits.h"
#include "model/forward.h"
#include "ops/cpu/harness.h"
#include "ops/cuda/emulator/host_runtime.h"
#include "ops/cuda/self_test.h"
#include "ops/reference/reference.h"

namespace breakeven::testing {
namespace {

using emulator::HostDevice;
using emulator::HostRuntime;
using ops::Precision;
using ops::cuda::BlocksOptions;
using ops::cuda::KernelChoice;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr KernelChoice kPlain{
    .rows = false, .attention = false, .cls_attention = false, .gemm = false};

struct Case {
  EncoderShape shape;
  std::vector<RandomBatch::Sequence> sequences;
  Precision precision = Precision::fp16;
  BlocksOptions options{.kernels = {}, .graphs = false};
  HostDevice device{};
};

// Runs the case on both backends and holds every activation against the limits of its precision.
void expect_agreement(const Case& c) {
  const RandomEncoder encoder(c.shape);
  const RandomBatch batch(c.shape, c.sequences);
  const ops::LaneLimits limits{
      .rows = batch.ids.size() + 5, .sequences = c.sequences.size() + 1, .threads = 2};
  auto runtime = std::make_shared<HostRuntime>(c.device);
  std::vector<Tapped> ours;
  {
    Runner cuda(ops::cuda::make_blocks(runtime, c.precision, c.options), encoder.weights, limits);
    ours = run_all(*cuda.backend, *cuda.lane, c.shape, batch.batch());
  }
  Runner judge(ops::make_reference_backend(), encoder.weights, limits);
  const auto right = run_all(*judge.backend, *judge.lane, c.shape, batch.batch());
  EXPECT_THAT(runtime->report().findings, IsEmpty());
  const std::string key = "ops/" + std::string(to_string(c.precision));
  for (std::size_t i = 0; i < right.size(); ++i) {
    const Difference d = difference(ours[i].values, right[i].values);
    if (right[i].name == "logits") {  // few numbers, near 0 at times: no relative error
      EXPECT_LE(d.abs_max, limit(key + "/logit_abs_max"));
    } else {
      EXPECT_LE(d.relative_rms, limit(key + "/relative_rms")) << right[i].name;
    }
  }
}

EncoderShape small_bert() {
  return {.hidden = 128,
          .heads = 2,
          .intermediate = 256,
          .vocabulary = 50,
          .positions = 160,
          .token_types = 2,
          .layers = 2,
          .labels = 3,
          .head_activation = ops::Activation::tanh};
}

std::vector<Precision> precisions() {
  return {Precision::fp32, Precision::fp16, Precision::bf16};
}

TEST(CudaBlocks, FastKernelsAgreeWithTheReference) {
  for (const Precision precision : precisions()) {
    SCOPED_TRACE(to_string(precision));
    expect_agreement({.shape = small_bert(),
                      .sequences = {{5, 5}, {130, 130}, {64, 64}, {17, 40}, {1, 2}},
                      .precision = precision});
  }
}

TEST(CudaBlocks, PlainTwinsAgreeWithTheReference) {
  for (const Precision precision : precisions()) {
    SCOPED_TRACE(to_string(precision));
    EncoderShape shape = small_bert();
    shape.hidden = 36;  // no fast kernel fits
    shape.heads = 3;
    shape.intermediate = 50;
    shape.positions = 70;
    expect_agreement({.shape = shape,
                      .sequences = {{5, 5}, {66, 66}, {17, 30}},
                      .precision = precision,
                      .options = {.kernels = kPlain, .graphs = false}});
  }
}

// Shapes at random among those that fast kernels take: widths, heads of 32 and 64, lengths around
// the ends of tiles, padding, labels, activations, another order of warps each time.
TEST(CudaBlocks, RandomShapesAgreeWithTheReference) {
  std::mt19937 random(20);
  const auto choose = [&](const auto& from) { return from[random() % std::size(from)]; };
  const std::size_t lengths[] = {1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129};
  const ops::Activation activations[] = {ops::Activation::gelu_erf, ops::Activation::gelu_tanh,
                                         ops::Activation::relu};
  const std::size_t head_sizes[] = {32, 64};
  for (std::uint32_t round = 0; round < 8; ++round) {
    EncoderShape shape = small_bert();
    shape.heads = 1 + random() % 5;
    shape.hidden = shape.heads * choose(head_sizes);
    shape.intermediate = 8 * (1 + random() % 20);
    shape.labels = 1 + random() % 5;
    shape.token_types = 2 * (random() % 2);
    shape.layers = 1 + random() % 2;
    shape.activation = choose(activations);
    Case c{.shape = shape, .sequences = {}};
    for (std::size_t b = 1 + random() % 3; b > 0; --b) {
      const std::size_t valid = choose(lengths);
      c.sequences.push_back({valid, valid + random() % 30});
    }
    c.precision = precisions()[random() % 3];
    c.device.seed = round;
    c.device.major = round % 2 == 0 ? 8 : 9;
    SCOPED_TRACE(::testing::Message() << "round " << round << " H=" << shape.hidden
                                      << " N=" << shape.heads << " F=" << shape.intermediate);
    expect_agreement(c);
  }
}

// Logits of one pass.
std::vector<float> pass(ops::Backend& backend, ops::Lane& lane, const model::EncoderPlan& plan,
                        const ops::Batch& batch) {
  backend.upload(lane, batch);
  model::forward(backend, lane, plan);
  const auto logits = backend.wait(lane);
  return {logits.begin(), logits.end()};
}

struct GraphFixture {
  EncoderShape shape = small_bert();
  RandomEncoder encoder{shape};
  model::EncoderPlan plan;
  std::shared_ptr<HostRuntime> runtime = std::make_shared<HostRuntime>();
  Runner runner{ops::cuda::make_blocks(runtime, Precision::fp16, {.kernels = {}}),
                encoder.weights,
                {.rows = 200, .sequences = 4, .threads = 1}};
  GraphFixture() { plan.layers = shape.layers; }
  std::vector<float> run(const std::vector<RandomBatch::Sequence>& sequences, std::uint32_t seed) {
    const RandomBatch batch(shape, sequences, seed);
    return pass(*runner.backend, *runner.lane, plan, batch.batch());
  }
};

// Eagerly the first time, captured the second, replayed the third; other texts of the same bucket
// go through the same graph, and what an earlier group left in memory changes nothing.
TEST(CudaGraphs, ReplaysGiveTheSameBits) {
  GraphFixture f;
  const auto first = f.run({{20, 20}, {30, 30}}, 1);
  const auto other = f.run({{28, 28}, {21, 22}}, 2);
  EXPECT_EQ(f.runtime->graph_launches(), 1U);
  EXPECT_EQ(f.run({{20, 20}, {30, 30}}, 1), first);
  EXPECT_EQ(f.run({{28, 28}, {21, 22}}, 2), other);
  EXPECT_EQ(f.runtime->graph_launches(), 3U);
  f.run({{90, 90}, {90, 90}}, 3);  // another bucket
  EXPECT_EQ(f.runtime->graph_launches(), 3U);
  EXPECT_EQ(f.run({{20, 20}, {30, 30}}, 1), first);
  EXPECT_EQ(f.runtime->graph_launches(), 4U);
  EXPECT_THAT(f.runtime->report().findings, IsEmpty());
}

TEST(CudaGraphs, OneSynchronisationABatchAndTimesByEvents) {
  GraphFixture f;
  for (int i = 0; i < 3; ++i) {
    const std::size_t before = f.runtime->synchronisations();
    f.run({{20, 20}}, 1);
    EXPECT_EQ(f.runtime->synchronisations(), before + 1);
    const ops::DeviceSeconds seconds =
        dynamic_cast<ops::DeviceBackend&>(*f.runner.backend).device_seconds(*f.runner.lane);
    EXPECT_GT(seconds.upload, 0);
    EXPECT_GT(seconds.compute, 0);
    EXPECT_GT(seconds.download, 0);
  }
}

TEST(CudaKernels, TensorCoreAttentionHasNoBankConflicts) {
  for (const std::size_t heads : {2U, 4U}) {  // of 64 and of 32
    EncoderShape shape = small_bert();
    shape.heads = heads;
    auto runtime = std::make_shared<HostRuntime>();
    const RandomEncoder encoder(shape);
    const RandomBatch batch(shape, {{130, 130}});
    Runner cuda(ops::cuda::make_blocks(runtime, Precision::fp16, {.kernels = {}, .graphs = false}),
                encoder.weights, {.rows = 130, .sequences = 1});
    ops::Backend& backend = *cuda.backend;
    backend.upload(*cuda.lane, batch.batch());
    backend.embed_ln(*cuda.lane);
    backend.attention(*cuda.lane, 0);
    std::vector<float> ctx(130 * shape.hidden);
    backend.tap(*cuda.lane, ops::Act::ctx, ctx);
    EXPECT_THAT(runtime->report().kernels, Contains("flash_attention"));
    EXPECT_GT(runtime->report().shared_accesses, 1000U);
    EXPECT_EQ(runtime->report().bank_conflicts, 0U) << heads;
    EXPECT_THAT(runtime->report().findings, IsEmpty());
  }
}

TEST(CudaSelfTest, AHealthyDevicePasses) {
  for (const Precision precision : precisions()) {
    HostRuntime runtime;
    const auto result = ops::cuda::test_kernels(runtime, precision);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->passed, KernelChoice{}) << result->note;
    EXPECT_EQ(result->note, "");
    EXPECT_THAT(runtime.report().findings, IsEmpty());
  }
}

TEST(CudaSelfTest, AKernelThatIsOffIsNotUsedAndSaidSo) {
  const auto broken = [](const char* kernel) {
    HostRuntime runtime({.broken = kernel});
    return ops::cuda::test_kernels(runtime, Precision::fp16).value();
  };
  EXPECT_EQ(broken("flash_attention").passed, (KernelChoice{.attention = false}));
  EXPECT_THAT(broken("flash_attention").note, HasSubstr("attention of 64 is off by"));
  EXPECT_EQ(broken("embed_norm").passed, (KernelChoice{.rows = false}));
  EXPECT_EQ(broken("gemm").passed, (KernelChoice{.gemm = false}));
  auto runtime = std::make_shared<HostRuntime>();
  const auto result = broken("flash_attention");
  const auto backend = ops::cuda::make_blocks(runtime, Precision::fp16,
                                              {.kernels = result.passed, .note = result.note});
  const RandomEncoder encoder(small_bert());
  const auto model = backend->pack(encoder.weights).value();
  EXPECT_THAT(backend->kernels(), HasSubstr("plain: attention (attention of 64 is off by"));
}

TEST(CudaSelfTest, WithoutTheLibraryProductsArePlain) {
  HostRuntime runtime({.gemm_library = false});
  EXPECT_EQ(ops::cuda::test_kernels(runtime, Precision::bf16).value().passed,
            (KernelChoice{.gemm = false}));
}

}  // namespace
}  // namespace breakeven::testing

// The CUDA backend on the host executor against the reference.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "ops/cpu/harness.h"
#include "ops/cuda/blocks.h"
#include "ops/cuda/emulator/host_runtime.h"
#include "ops/reference/reference.h"

namespace breakeven::testing {

using emulator::HostDevice;
using emulator::HostRuntime;
using ops::Precision;
using ops::cuda::BlocksOptions;
using ops::cuda::KernelChoice;

inline constexpr KernelChoice kPlain{
    .rows = false, .attention = false, .cls_attention = false, .cls_tiles = false, .gemm = false};

struct Case {
  EncoderShape shape;
  std::vector<RandomBatch::Sequence> sequences;
  Precision precision = Precision::fp16;
  BlocksOptions options{.kernels = {}, .switches = {.graphs = false}};
  HostDevice device{.minor = 9};
};

// Runs the case on both backends and holds every activation against the limits of its precision.
inline void expect_agreement(const Case& c, const std::shared_ptr<HostRuntime>& runtime) {
  const RandomEncoder encoder(c.shape);
  const RandomBatch batch(c.shape, c.sequences);
  const ops::LaneLimits limits{
      .rows = batch.ids.size() + 5, .sequences = c.sequences.size() + 1, .threads = 2};
  std::vector<Tapped> ours;
  {
    Runner cuda(ops::cuda::make_blocks(runtime, c.precision, c.options), encoder.weights, limits);
    ours = run_all(*cuda.backend, *cuda.lane, c.shape, batch.batch());
  }
  Runner judge(ops::make_reference_backend(), encoder.weights, limits);
  const auto right = run_all(*judge.backend, *judge.lane, c.shape, batch.batch());
  EXPECT_THAT(runtime->report().findings, ::testing::IsEmpty());
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

inline void expect_agreement(const Case& c) {
  expect_agreement(c, std::make_shared<HostRuntime>(c.device));
}

inline EncoderShape small_bert() {
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

// Sizes that no fast kernel takes.
inline EncoderShape odd_sized(EncoderShape shape, Precision precision) {
  const bool eights = precision == Precision::fp32x3;  // which wants multiples of 8
  shape.hidden = eights ? 48 : 36;
  shape.heads = 3;
  shape.intermediate = eights ? 56 : 50;
  return shape;
}

inline std::vector<Precision> precisions() {
  return {Precision::fp32, Precision::fp32x3, Precision::fp16,
          Precision::bf16, Precision::int8,   Precision::fp8};
}

}  // namespace breakeven::testing

// fp32 by fp16 halves, on the host executor: attention against double and where numbers leave
// fp16's range, and fp32x3.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/limits.h"
#include "ops/cpu/harness.h"
#include "ops/cuda/arena.h"
#include "ops/cuda/blocks.h"
#include "ops/cuda/emulator/host_runtime.h"
#include "ops/reference/reference.h"

namespace breakeven::testing {
namespace {

using emulator::HostRuntime;
using ops::Precision;
using ops::cuda::AttentionParameters;
using ops::cuda::AttentionTile;
using ops::cuda::FlashAttention;
using ops::cuda::PlainAttention;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Sequences one behind the other, with random queries, keys and values.
struct Problem {
  Problem(std::size_t heads_in, std::size_t size, std::vector<RandomBatch::Sequence> sequences_in)
      : heads(heads_in), head_size(size), sequences(std::move(sequences_in)) {
    for (const auto& sequence : sequences) rows += sequence.rows;
    std::mt19937 random(static_cast<std::uint32_t>(rows + heads + head_size));
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < rows * 3 * hidden(); ++i) qkv.push_back(normal(random));
  }
  std::size_t hidden() const { return heads * head_size; }
  // part: 0 queries, 1 keys, 2 values
  float& at(std::size_t row, std::size_t part, std::size_t column) {
    return qkv[row * 3 * hidden() + part * hidden() + column];
  }

  std::size_t heads;
  std::size_t head_size;
  std::vector<RandomBatch::Sequence> sequences;
  std::size_t rows = 0;
  std::vector<float> qkv;  // [rows, 3 H]
};

std::vector<float> run(const Problem& problem, bool fast) {
  std::vector<AttentionTile> tiles;
  std::int32_t first = 0;
  for (const auto& sequence : problem.sequences) {
    const auto rows = static_cast<std::int32_t>(sequence.rows);
    for (std::int32_t begin = 0; begin < rows; begin += 64) {
      tiles.push_back({first, begin, rows, static_cast<std::int32_t>(sequence.valid)});
    }
    first += rows;
  }
  tiles.push_back({});
  HostRuntime runtime({.seed = static_cast<std::uint32_t>(problem.rows)});
  std::vector<float> out(problem.rows * problem.hidden());
  {
    const auto lay_out = [&](ops::cuda::Arena& arena, AttentionTile*& to_tiles, float*& qkv) {
      to_tiles = arena.take<AttentionTile>(tiles.size());
      qkv = arena.take<float>(problem.qkv.size());
      return arena.take<float>(out.size());
    };
    AttentionTile* device_tiles = nullptr;
    float* qkv = nullptr;
    ops::cuda::Arena counted;
    lay_out(counted, device_tiles, qkv);
    const auto memory = runtime.allocate(counted.used(), ops::cuda::Purpose::activations).value();
    ops::cuda::Arena arena(memory->data);
    float* ctx = lay_out(arena, device_tiles, qkv);
    const auto stream = runtime.make_stream();
    runtime.copy_to_device(*stream, device_tiles, tiles.data(), tiles.size() * sizeof(tiles[0]));
    runtime.copy_to_device(*stream, qkv, problem.qkv.data(), problem.qkv.size() * sizeof(float));
    const AttentionParameters<float> parameters{
        .tiles = device_tiles,
        .qkv = qkv,
        .ctx = ctx,
        .hidden = static_cast<unsigned>(problem.hidden()),
        .head_size = static_cast<unsigned>(problem.head_size),
        .scale = 1.0F / std::sqrt(static_cast<float>(problem.head_size))};
    const auto launch = [&](const auto& kernel, std::size_t shared_bytes) {
      runtime.launch(*stream,
                     {ops::cuda::KernelOf<float>(kernel),
                      {.x = tiles.size(), .y = problem.heads, .shared_bytes = shared_bytes}});
    };
    if (!fast) {
      launch(PlainAttention<float>{parameters}, 0);
    } else if (problem.head_size == 64) {
      launch(FlashAttention<float, 64>{parameters}, FlashAttention<float, 64>::kSharedBytes);
    } else {
      launch(FlashAttention<float, 32>{parameters}, FlashAttention<float, 32>::kSharedBytes);
    }
    // Reads what nobody wrote unless every row was written.
    runtime.copy_to_host(*stream, out.data(), ctx, out.size() * sizeof(float));
    runtime.synchronise(*stream);
  }
  EXPECT_THAT(runtime.report().findings, IsEmpty());
  if (fast) {
    EXPECT_EQ(runtime.report().bank_conflicts, 0U);
  }
  return out;
}

std::vector<float> judge(Problem& problem) {
  std::vector<float> out;
  std::size_t first = 0;
  for (const auto& sequence : problem.sequences) {
    for (std::size_t row = first; row < first + sequence.rows; ++row) {
      for (std::size_t head = 0; head < problem.heads; ++head) {
        const std::size_t column = head * problem.head_size;
        std::vector<double> shares(sequence.valid);
        double sum = 0;
        for (std::size_t j = 0; j < shares.size(); ++j) {
          double score = 0;
          for (std::size_t d = column; d < column + problem.head_size; ++d) {
            score += static_cast<double>(problem.at(row, 0, d)) *
                     static_cast<double>(problem.at(first + j, 1, d));
          }
          shares[j] = std::exp(score / std::sqrt(static_cast<double>(problem.head_size)));
          sum += shares[j];
        }
        for (std::size_t d = column; d < column + problem.head_size; ++d) {
          double value = 0;
          for (std::size_t j = 0; j < shares.size(); ++j) {
            value += shares[j] * static_cast<double>(problem.at(first + j, 2, d));
          }
          out.push_back(static_cast<float>(value / sum));
        }
      }
    }
    first += sequence.rows;
  }
  return out;
}

void expect_close(Problem& problem) {
  EXPECT_LE(difference(run(problem, true), judge(problem)).relative_rms,
            limit("ops/fp32/relative_rms"));
}

TEST(SplitAttention, AgreesWithDoubleAtTheEndsOfTilesAndWarps) {
  for (const std::size_t head_size : {32U, 64U}) {
    for (const std::size_t length : {1U, 15U, 16U, 17U, 31U, 32U, 33U, 63U, 64U, 65U, 129U}) {
      SCOPED_TRACE(::testing::Message() << head_size << " x " << length);
      Problem problem(2, head_size, {{length, length}, {length, length + 5}, {3, 3}});
      expect_close(problem);
    }
  }
}

TEST(SplitAttention, AgreesWithDoubleOverTheLongestSequence) {
  Problem problem(1, 64, {{512, 512}});
  expect_close(problem);
}

TEST(SplitAttention, AgreesWithDoubleInDistilBertsShape) {
  Problem problem(12, 64, {{40, 40}, {1, 1}, {70, 76}});
  expect_close(problem);
}

// fp16 has no number below 2^-24: what is small beside it must not be lost.
TEST(SplitAttention, SmallAndLargeValuesKeepTheirBits) {
  for (const float size : {1e-3F, 1e3F}) {
    SCOPED_TRACE(size);
    Problem problem(1, 64, {{100, 100}});
    for (std::size_t row = 0; row < problem.rows; ++row) {
      for (std::size_t d = 0; d < problem.hidden(); ++d) problem.at(row, 2, d) *= size;
    }
    expect_close(problem);
  }
}

// One number of the first sequence does not fit: what it reaches is computed plainly, bit for bit,
// and nothing else is touched.
TEST(SplitAttention, WhatFp16CannotHoldIsDonePlainly) {
  for (const std::size_t part : {0U, 1U, 2U}) {
    SCOPED_TRACE(part);
    Problem problem(2, 32, {{50, 50}, {20, 20}});
    const std::vector<float> before = run(problem, true);
    problem.at(20, part, 3) = 1e6F;  // of the first head
    const std::vector<float> fast = run(problem, true);
    const std::vector<float> plain = run(problem, false);
    for (std::size_t row = 0; row < problem.rows; ++row) {
      for (std::size_t d = 0; d < problem.hidden(); ++d) {
        const std::size_t i = row * problem.hidden() + d;
        // A query reaches the 16 rows of its warp.
        const bool reached = d < 32 && row < 50 && (part != 0 || row / 16 == 1);
        ASSERT_EQ(fast[i], (reached ? plain : before)[i]) << row << " " << d;
      }
    }
  }
}

EncoderShape small_bert(std::size_t layers, std::size_t intermediate) {
  return {.hidden = 128,
          .heads = 2,
          .intermediate = intermediate,
          .vocabulary = 50,
          .positions = 160,
          .token_types = 2,
          .layers = layers,
          .labels = 3};
}

// The halves' limits are wide enough for bf16, ours are fp16: the products are as good as fp32's.
TEST(CudaSplit, IsAsExactAsFp32) {
  const EncoderShape shape = small_bert(3, 256);
  const RandomEncoder encoder(shape);
  const RandomBatch batch(shape, {{60, 60}, {17, 20}, {5, 5}});
  const ops::LaneLimits limits{.rows = batch.ids.size(), .sequences = 3, .threads = 1};
  const auto run = [&](std::unique_ptr<ops::Backend> backend) {
    Runner runner(std::move(backend), encoder.weights, limits);
    return run_all(*runner.backend, *runner.lane, shape, batch.batch());
  };
  const auto ours = run(ops::cuda::make_blocks(std::make_shared<HostRuntime>(), Precision::fp32x3,
                                               {.kernels = {}, .switches = {.graphs = false}}));
  const auto right = run(ops::make_reference_backend());
  for (std::size_t i = 0; i + 1 < right.size(); ++i) {
    EXPECT_LE(difference(ours[i].values, right[i].values).relative_rms,
              limit("ops/fp32/relative_rms"))
        << right[i].name;
  }
}

TEST(CudaSplit, WidthsAndWeightsThatHalvesCannotHoldAreRefused) {
  const auto pack = [](const RandomEncoder& encoder) {
    return ops::cuda::make_blocks(std::make_shared<HostRuntime>(), Precision::fp32x3,
                                  {.kernels = {}})
        ->pack(encoder.weights);
  };
  const auto odd = pack(RandomEncoder(small_bert(2, 252)));
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().code, "ops/unsupported");
  EXPECT_THAT(odd.error().message, HasSubstr("widths of 128 and 252"));
  RandomEncoder encoder(small_bert(2, 256));
  ASSERT_TRUE(pack(encoder));
  std::vector<float> heavy(encoder.weights.layers[1].up.weight.begin(),
                           encoder.weights.layers[1].up.weight.end());
  heavy[5] = -300;
  encoder.weights.layers[1].up.weight = heavy;
  const auto refused = pack(encoder);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "a weight of -300 in layer 1: fp32x3 on a GPU holds 255.875 at most");
}

}  // namespace
}  // namespace breakeven::testing

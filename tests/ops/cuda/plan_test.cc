// Buckets, the group as the device sees it, and products in BLAS's words: arithmetic only.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "ops/cuda/blocks.h"
#include "ops/cuda/buckets.h"
#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/emulator/host_runtime.h"
#include "ops/cuda/lane.h"
#include "testing/random_encoder.h"

namespace breakeven::ops::cuda {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Buckets, HoldTheGroupAndWasteLittle) {
  const LaneLimits limits{.rows = 70000, .sequences = 600};
  std::size_t last = 0;
  for (std::size_t rows = 1; rows <= limits.rows; rows += 1 + rows / 97) {
    const Bucket bucket = bucket_for(rows, 1, limits);
    EXPECT_GE(bucket.rows, rows);
    EXPECT_LE(bucket.rows - rows, std::max<std::size_t>(15, rows / 16)) << rows;
    EXPECT_EQ(bucket.rows % 16, 0U);
    EXPECT_GE(bucket.rows, last);
    last = bucket.rows;
  }
  EXPECT_EQ(bucket_for(1, 1, limits), (Bucket{16, 1}));
  EXPECT_EQ(bucket_for(129, 5, limits), (Bucket{144, 8}));
  EXPECT_EQ(bucket_for(1000, 600, limits), (Bucket{1024, 600}));
  EXPECT_EQ(bucket_for(16300, 129, limits), (Bucket{16384, 256}));
  EXPECT_EQ(bucket_for(9729, 1, limits).rows, 9984U);
  EXPECT_EQ(bucket_for(33000, 1, {.rows = 65536, .sequences = 1}).rows, 33280U);
}

TEST(Buckets, TheLargestHoldsEveryOther) {
  for (const std::size_t most : {1U, 17U, 512U, 1001U, 40000U}) {
    const LaneLimits limits{.rows = most, .sequences = 37};
    const Bucket largest = largest_bucket(limits);
    for (std::size_t rows = 1; rows <= most; ++rows) {
      const Bucket bucket = bucket_for(rows, 37, limits);
      ASSERT_LE(bucket.rows, largest.rows) << rows;
      ASSERT_LE(bucket.sequences, largest.sequences);
    }
  }
}

TEST(Buckets, FewOfThemCoverAllBatchesOfARun) {
  const LaneLimits limits{.rows = 65536, .sequences = 512};
  std::set<std::size_t> seen;
  for (std::size_t rows = 1; rows <= limits.rows; ++rows) {
    seen.insert(bucket_for(rows, 1, limits).rows);
  }
  EXPECT_LE(seen.size(), 256U);  // as many as a lane keeps graphs
}

TEST(Buckets, TilesAreWideWhereRowsAreManyAndSequencesLong) {
  const LaneLimits limits{.rows = 70000, .sequences = 600};
  EXPECT_EQ(bucket_for(513, 8, limits, true), (Bucket{544, 8, 128}));
  EXPECT_EQ(bucket_for(512, 4, limits, true).tile_rows, 64U);  // few rows
  EXPECT_EQ(bucket_for(576, 9, limits, true).tile_rows, 64U);  // 64 a sequence
  EXPECT_EQ(bucket_for(577, 9, limits, true), (Bucket{608, 16, 128}));
  EXPECT_EQ(bucket_for(577, 9, limits, false).tile_rows, 64U);
  EXPECT_LT(bucket_for(577, 9, limits, false), bucket_for(577, 9, limits, true));
  EXPECT_EQ(tiles_of({608, 16, 128}), 20U);
  EXPECT_EQ(tiles_of({608, 16}), 25U);
}

TEST(GroupInput, WideTilesHoldUpTo128Rows) {
  const std::vector<std::int32_t> ids(300, 9);
  const std::vector<std::int32_t> cu_seqlens{0, 129, 300};
  const std::vector<std::int32_t> valid{129, 160};
  const Bucket bucket{304, 2, 128};
  std::vector<std::byte> memory(input_bytes(bucket));
  const GroupInput input = input_at(memory.data(), bucket);
  write_input({.ids = ids, .token_types = {}, .cu_seqlens = cu_seqlens, .valid_len = valid}, -1,
              bucket, input);
  std::vector<std::vector<std::int32_t>> tiles;
  for (std::size_t i = 0; i < tiles_of(bucket); ++i) {
    const AttentionTile& t = input.tiles[i];
    tiles.push_back({t.first_row, t.query_begin, t.rows, t.valid});
  }
  EXPECT_THAT(tiles, ElementsAre(ElementsAre(0, 0, 129, 129), ElementsAre(0, 128, 129, 129),
                                 ElementsAre(129, 0, 171, 160), ElementsAre(129, 128, 171, 160)));
}

TEST(GroupInput, IsPaddedToItsBucket) {
  const std::vector<std::int32_t> ids(70, 9);
  const std::vector<std::int32_t> cu_seqlens{0, 3, 70};
  const std::vector<std::int32_t> valid{2, 67};
  const Bucket bucket{80, 4};
  std::vector<std::byte> memory(input_bytes(bucket), std::byte{0xEE});
  const GroupInput input = input_at(memory.data(), bucket);
  write_input({.ids = ids, .token_types = {}, .cu_seqlens = cu_seqlens, .valid_len = valid}, -1,
              bucket, input);
  const auto tile = [&](std::size_t i) {
    const AttentionTile& t = input.tiles[i];
    return std::vector<std::int32_t>{t.first_row, t.query_begin, t.rows, t.valid};
  };
  EXPECT_THAT(tile(0), ElementsAre(0, 0, 3, 2));
  EXPECT_THAT(tile(1), ElementsAre(3, 0, 67, 67));
  EXPECT_THAT(tile(2), ElementsAre(3, 64, 67, 67));
  for (std::size_t i = 3; i < tiles_of(bucket); ++i) EXPECT_THAT(tile(i), ElementsAre(0, 0, 0, 0));
  EXPECT_EQ(input.places[2], 2);
  EXPECT_EQ(input.places[3], 0);
  EXPECT_EQ(input.places[69], 66);
  for (std::size_t row = 70; row < 80; ++row) {
    EXPECT_EQ(input.ids[row], 0);
    EXPECT_EQ(input.places[row], 0);
    EXPECT_EQ(input.kinds[row], 0);
  }
  EXPECT_THAT(std::vector(input.first_row, input.first_row + 4), ElementsAre(0, 3, 0, 0));
  EXPECT_THAT(std::vector(input.valid, input.valid + 4), ElementsAre(2, 67, 1, 1));
}

TEST(GroupInput, TilesOfEveryGroupFitTheirBucket) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::int32_t> cu_seqlens{0};
    std::vector<std::int32_t> valid;
    const std::size_t sequences = 1 + random() % 40;
    for (std::size_t b = 0; b < sequences; ++b) {
      const auto rows = static_cast<std::int32_t>(1 + random() % 260);
      valid.push_back(rows);
      cu_seqlens.push_back(cu_seqlens.back() + rows);
    }
    const std::vector<std::int32_t> ids(static_cast<std::size_t>(cu_seqlens.back()), 1);
    const LaneLimits limits{.rows = ids.size() + random() % 50, .sequences = sequences};
    const Bucket bucket = bucket_for(ids.size(), sequences, limits, round % 2 == 0);
    std::vector<std::byte> memory(input_bytes(bucket));
    ASSERT_LE(memory.size(), input_bytes(largest_bucket(limits)));
    // write_input aborts when they do not.
    write_input({.ids = ids, .token_types = {}, .cu_seqlens = cu_seqlens, .valid_len = valid}, -1,
                bucket, input_at(memory.data(), bucket));
  }
}

// The product as GemmCall defines it, against the same one in the words that cublasLt is given.
TEST(Gemm, RowMajorCallsMeanTheSameToBlas) {
  std::mt19937 random(11);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (const bool in_by_out : {false, true}) {
    GemmCall call{.rows = 5, .columns = 6, .depth = 7, .batch = 3};
    std::vector<float> a(3 * 100);
    std::vector<float> b(3 * 100);
    std::vector<float> bias(3 * 9);
    std::vector<float> add(3 * 100);
    std::vector<float> out(3 * 100);
    for (auto* values : {&a, &b, &bias, &add}) {
      for (float& value : *values) value = uniform(random);
    }
    call.a = a.data();
    call.a_row = 11;
    call.a_stride = 100;
    call.b = b.data();
    call.b_row = 9;
    call.b_stride = 99;
    call.b_in_by_out = in_by_out;
    call.bias = bias.data();
    call.bias_stride = 9;
    call.add = add.data();
    call.out = out.data();
    call.out_row = 8;
    call.out_stride = 98;
    emulator::multiply_column_major<float>(to_column_major(call));
    for (std::size_t batch = 0; batch < 3; ++batch) {
      for (std::size_t r = 0; r < 5; ++r) {
        for (std::size_t c = 0; c < 6; ++c) {
          float sum = bias[batch * 9 + c] + add[batch * 98 + r * 8 + c];
          for (std::size_t d = 0; d < 7; ++d) {
            sum += a[batch * 100 + r * 11 + d] *
                   (in_by_out ? b[batch * 99 + d * 9 + c] : b[batch * 99 + c * 9 + d]);
          }
          EXPECT_NEAR(out[batch * 98 + r * 8 + c], sum, 1e-5);
        }
      }
    }
  }
}

TEST(Memory, IsToldBeforeItIsTaken) {
  const testing::EncoderShape shape{.hidden = 64, .heads = 2, .intermediate = 128};
  const testing::RandomEncoder encoder(shape);
  for (const Precision precision : {Precision::fp32, Precision::fp32x3, Precision::fp16,
                                    Precision::bf16, Precision::int8, Precision::fp8}) {
    auto runtime = std::make_shared<emulator::HostRuntime>();
    const auto backend = make_blocks(runtime, precision, {.kernels = {}});
    const auto model = backend->pack(encoder.weights).value();
    EXPECT_EQ(runtime->memory_use().weights, model->weight_bytes());
    const LaneLimits limits{.rows = 100, .sequences = 7};
    const std::size_t told = backend->lane_bytes(*model, limits);
    const auto lane = backend->make_lane(model, limits).value();
    EXPECT_EQ(runtime->memory_use().activations + runtime->memory_use().library, told);
    EXPECT_EQ(runtime->memory_use().peak, told + model->weight_bytes());
    EXPECT_EQ(backend->peak_device_bytes(), told + model->weight_bytes());
  }
}

TEST(Memory, ALaneThatDoesNotFitIsAnErrorAndLeavesNothingBehind) {
  const testing::EncoderShape shape{.hidden = 64, .heads = 2, .intermediate = 128};
  const testing::RandomEncoder encoder(shape);
  auto runtime = std::make_shared<emulator::HostRuntime>(
      emulator::HostDevice{.memory_bytes = std::size_t{8} << 20});
  const auto backend = make_blocks(runtime, Precision::fp16, {.kernels = {}});
  const auto model = backend->pack(encoder.weights).value();
  const auto lane = backend->make_lane(model, {.rows = 100000, .sequences = 100});
  ASSERT_FALSE(lane);
  EXPECT_EQ(lane.error().code, "ops/memory");
  EXPECT_EQ(runtime->memory_use().activations + runtime->memory_use().library, 0U);
  EXPECT_TRUE(backend->make_lane(model, {.rows = 100, .sequences = 10}));
}

TEST(Memory, AModelThatDoesNotFitIsAnError) {
  const testing::RandomEncoder encoder({.hidden = 64, .heads = 2});
  auto runtime =
      std::make_shared<emulator::HostRuntime>(emulator::HostDevice{.memory_bytes = 1000});
  const auto backend = make_blocks(runtime, Precision::fp16, {.kernels = {}});
  const auto model = backend->pack(encoder.weights);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, "ops/memory");
}

TEST(Kernels, AreChosenByShapeAndFormat) {
  const KernelChoice all;
  ModelShape shape{.hidden = 768, .heads = 12, .head_size = 64, .intermediate = 3072};
  shape.positions = 512;
  EXPECT_EQ(to_string(fitting(shape, all)), "fast");
  shape.head_size = 48;
  EXPECT_EQ(to_string(fitting(shape, all)), "plain: attention");
  shape.head_size = 64;
  // A row of the FFN's hidden layer has one scale with e4m3, and must fit a block of threads.
  shape.codes = Codes::e4m3;
  shape.ffn_block = shape.intermediate = 4096;
  EXPECT_EQ(to_string(fitting(shape, all)), "fast");
  shape.ffn_block = shape.intermediate = 4104;
  EXPECT_EQ(to_string(fitting(shape, all)), "plain: rows, gemm");
  shape.codes = Codes::none;
  shape.ffn_block = 0;
  shape.intermediate = 3072;
  shape.hidden = 2048;
  EXPECT_EQ(to_string(fitting(shape, all)), "plain: rows");
  shape.positions = 4096;
  EXPECT_EQ(to_string(fitting(shape, all)), "plain: rows, cls attention");
  shape.hidden = 36;
  EXPECT_EQ(to_string(fitting(shape, all)), "plain: rows, attention, cls attention, gemm");
}

TEST(Kernels, AHeadTooLargeIsRefused) {
  const testing::RandomEncoder encoder({.hidden = 514, .heads = 2});
  const auto shape = shape_of(encoder.weights, Precision::fp16);
  ASSERT_FALSE(shape);
  EXPECT_EQ(shape.error().code, "ops/unsupported");
  EXPECT_THAT(shape.error().message, ::testing::HasSubstr("257"));
}

TEST(Precisions, Bf16NeedsCapability8AndFp8Needs89) {
  EXPECT_THAT(cuda_precisions(7, 5),
              ElementsAre(Precision::fp32, Precision::fp32x3, Precision::fp16, Precision::int8));
  const auto without_fp8 = ElementsAre(Precision::fp32, Precision::fp32x3, Precision::bf16,
                                       Precision::fp16, Precision::int8);
  EXPECT_THAT(cuda_precisions(8, 0), without_fp8);
  EXPECT_THAT(cuda_precisions(8, 6), without_fp8);
  const auto with_fp8 = ElementsAre(Precision::fp32, Precision::fp32x3, Precision::bf16,
                                    Precision::fp16, Precision::int8, Precision::fp8);
  EXPECT_THAT(cuda_precisions(8, 9), with_fp8);
  EXPECT_THAT(cuda_precisions(9, 0), with_fp8);
  EXPECT_THAT(cuda_precisions(12, 0), with_fp8);
}

}  // namespace
}  // namespace breakeven::ops::cuda

// Attention of 128 query rows a block, on the host executor, against sums in double; and which
// groups it is for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "ops/cuda/agreement.h"
#include "ops/cuda/arena.h"

namespace breakeven::testing {
namespace {

using ops::cuda::AttentionTile;
using ops::cuda::Bf16;
using ops::cuda::Half;
using ops::cuda::WideAttention;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Sequence = RandomBatch::Sequence;

constexpr unsigned kHeads = 2;

template <class T>
std::vector<T> random_rows(std::size_t rows, std::size_t hidden) {
  std::mt19937 random(static_cast<std::uint32_t>(rows + hidden));
  std::normal_distribution<float> normal(0, 1.5F);  // scores of some deviations
  std::vector<T> qkv(rows * 3 * hidden);
  for (T& value : qkv) value = ops::cuda::from_float<T>(normal(random));
  return qkv;
}

template <class T, unsigned Size>
std::vector<float> run(const std::vector<Sequence>& sequences, const std::vector<T>& qkv) {
  std::vector<AttentionTile> tiles;
  std::int32_t first = 0;
  for (const Sequence& sequence : sequences) {
    const auto rows = static_cast<std::int32_t>(sequence.rows);
    for (std::int32_t begin = 0; begin < rows; begin += 128) {
      tiles.push_back({first, begin, rows, static_cast<std::int32_t>(sequence.valid)});
    }
    first += rows;
  }
  tiles.push_back({});
  HostRuntime runtime({.seed = static_cast<std::uint32_t>(first)});
  std::vector<T> out(qkv.size() / 3);
  {
    const auto memory =
        runtime.allocate(std::size_t{8} << 20, ops::cuda::Purpose::activations).value();
    ops::cuda::Arena arena(memory->data);
    const auto stream = runtime.make_stream();
    const auto place = [&]<class V>(const std::vector<V>& values) {
      V* at = arena.take<V>(values.size());
      runtime.copy_to_device(*stream, at, values.data(), values.size() * sizeof(V));
      return at;
    };
    const WideAttention<T, Size> kernel{{{.tiles = place(tiles),
                                          .qkv = place(qkv),
                                          .ctx = arena.take<T>(out.size()),
                                          .hidden = kHeads * Size,
                                          .head_size = Size,
                                          .scale = 1.0F / std::sqrt(static_cast<float>(Size))}}};
    runtime.launch(
        *stream,
        {ops::cuda::KernelOf<T>(kernel),
         {.x = tiles.size(), .y = kHeads, .shared_bytes = WideAttention<T, Size>::kSharedBytes}});
    // Reads what nobody wrote unless every row was written.
    runtime.copy_to_host(*stream, out.data(), kernel.p.ctx, out.size() * sizeof(T));
    runtime.synchronise(*stream);
  }
  EXPECT_THAT(runtime.report().findings, IsEmpty());
  EXPECT_EQ(runtime.report().bank_conflicts, 0U);
  std::vector<float> values;
  for (const T value : out) values.push_back(ops::cuda::to_float(value));
  return values;
}

template <class T, unsigned Size>
std::vector<float> judge(const std::vector<Sequence>& sequences, const std::vector<T>& qkv) {
  constexpr std::size_t kHidden = std::size_t{kHeads} * Size;
  const auto at = [&](std::size_t row, std::size_t part, std::size_t column) {
    return static_cast<double>(
        ops::cuda::to_float(qkv[row * 3 * kHidden + part * kHidden + column]));
  };
  std::vector<float> out;
  std::size_t first = 0;
  for (const Sequence& sequence : sequences) {
    for (std::size_t row = first; row < first + sequence.rows; ++row) {
      for (std::size_t column = 0; column < kHidden; column += Size) {
        std::vector<double> mix(Size);
        double sum = 0;
        for (std::size_t key = first; key < first + sequence.valid; ++key) {
          double score = 0;
          for (std::size_t d = column; d < column + Size; ++d)
            score += at(row, 0, d) * at(key, 1, d);
          const double share = std::exp(score / std::sqrt(static_cast<double>(Size)));
          sum += share;
          for (std::size_t d = 0; d < Size; ++d) mix[d] += share * at(key, 2, column + d);
        }
        for (const double value : mix) out.push_back(static_cast<float>(value / sum));
      }
    }
    first += sequence.rows;
  }
  return out;
}

template <class T, unsigned Size>
void expect_close(const std::vector<Sequence>& sequences, const std::string& precision) {
  std::size_t rows = 0;
  for (const Sequence& sequence : sequences) rows += sequence.rows;
  const std::vector<T> qkv = random_rows<T>(rows, std::size_t{kHeads} * Size);
  EXPECT_LE(difference(run<T, Size>(sequences, qkv), judge<T, Size>(sequences, qkv)).relative_rms,
            limit("ops/" + precision + "/relative_rms"));
}

// A sequence that ends there, one with padding behind its keys, and a short one behind both, whose
// rows must neither be seen nor be overwritten.
std::vector<Sequence> around(std::size_t length) {
  return {{length, length}, {length, length + 5}, {3, 3}};
}

TEST(WideAttention, AgreesWithDoubleAtTheEndsOfStepsTilesAndBlocks) {
  for (const std::size_t length :
       {1U, 15U, 16U, 17U, 48U, 63U, 64U, 65U, 80U, 81U, 127U, 128U, 129U, 192U, 193U, 257U}) {
    SCOPED_TRACE(length);
    expect_close<Half, 64>(around(length), "fp16");
    expect_close<Half, 32>(around(length), "fp16");
  }
}

TEST(WideAttention, AgreesWithDoubleInBf16) {
  for (const std::size_t length : {33U, 100U, 150U}) {
    SCOPED_TRACE(length);
    expect_close<Bf16, 64>(around(length), "bf16");
    expect_close<Bf16, 32>(around(length), "bf16");
  }
}

// A row's highest score moves from tile to tile, both ways.
TEST(WideAttention, ScoresThatGrowOrShrinkFromTileToTileKeepTheirShares) {
  for (const bool grow : {false, true}) {
    const std::vector<Sequence> sequences{{300, 300}};
    std::vector<Half> qkv = random_rows<Half>(300, 128);
    for (std::size_t row = 0; row < 300; ++row) {
      const float size = static_cast<float>(grow ? row : 299 - row) / 100;
      for (std::size_t i = 128; i < 256; ++i) {
        Half& key = qkv[row * 384 + i];
        key = ops::cuda::from_float<Half>(ops::cuda::to_float(key) * size);
      }
    }
    const Difference off =
        difference(run<Half, 64>(sequences, qkv), judge<Half, 64>(sequences, qkv));
    EXPECT_LE(off.relative_rms, limit("ops/fp16/relative_rms"));
  }
}

// Launches of the kernel fail: whoever needs none does not see it.
bool launches_it(const Case& c) {
  const auto runtime = std::make_shared<HostRuntime>(c.device);
  const RandomEncoder encoder(c.shape);
  const RandomBatch batch(c.shape, c.sequences);
  const ops::LaneLimits limits{
      .rows = batch.ids.size(), .sequences = c.sequences.size(), .threads = 1};
  Runner runner(ops::cuda::make_blocks(runtime, c.precision, c.options), encoder.weights, limits);
  runtime->refuse("wide_attention");
  try {
    run_all(*runner.backend, *runner.lane, c.shape, batch.batch());
  } catch (const ops::DeviceFailure& failure) {
    EXPECT_THAT(failure.what(), HasSubstr("wide_attention"));
    return true;
  }
  return false;
}

TEST(WideAttention, IsForGroupsOfManyRowsAndLongSequences) {
  const Case many{.shape = small_bert(), .sequences = std::vector<Sequence>(5, {104, 104})};
  for (const Precision precision :
       {Precision::fp16, Precision::bf16, Precision::int8, Precision::fp8}) {
    Case c = many;
    c.precision = precision;
    EXPECT_TRUE(launches_it(c)) << to_string(precision);
  }
  Case fp32 = many;
  fp32.precision = Precision::fp32;
  EXPECT_FALSE(launches_it(fp32));
  Case off = many;
  off.options.switches.wide_attention = false;
  EXPECT_FALSE(launches_it(off));
  Case few = many;
  few.sequences.pop_back();
  EXPECT_FALSE(launches_it(few));
  Case brief = many;
  brief.sequences = std::vector<Sequence>(9, {60, 60});
  EXPECT_FALSE(launches_it(brief));
}

TEST(WideAttention, APassWithItIsWithinTheLimits) {
  for (const Precision precision : {Precision::fp16, Precision::bf16}) {
    SCOPED_TRACE(to_string(precision));
    expect_agreement({.shape = small_bert(),
                      .sequences = {{160, 160}, {129, 140}, {128, 128}, {70, 70}, {20, 20}},
                      .precision = precision});
  }
}

}  // namespace
}  // namespace breakeven::testing

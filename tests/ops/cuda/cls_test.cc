// The last layer's attention of [CLS] in tiles, on the host executor, against sums in double.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "ops/cuda/arena.h"
#include "ops/cuda/emulator/host_runtime.h"

namespace breakeven::ops::cuda {
namespace {

using emulator::HostRuntime;
using ::testing::IsEmpty;

// Sequences of these lengths one after the other, of which the last row is padding.
struct Case {
  std::vector<unsigned> lengths;
  unsigned hidden = 128;
  unsigned heads = 2;
  unsigned parts = 1;
  std::uint32_t seed = 1;
  unsigned valid(std::size_t b) const { return std::max(lengths[b], 2U) - 1; }
  unsigned rows() const {
    unsigned sum = 0;
    for (const unsigned length : lengths) sum += length;
    return sum;
  }
};

template <class T>
std::vector<T> numbers(std::mt19937& random, std::size_t count, float deviation) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<T> values(count);
  for (T& value : values) value = from_float<T>(normal(random));
  return values;
}

template <class T>
struct Input {
  explicit Input(const Case& c) {
    std::mt19937 random(c.seed);
    x = numbers<T>(random, std::size_t{c.rows()} * c.hidden, 1);
    // Scores of some deviations, so that single keys matter.
    keys = numbers<T>(random, c.lengths.size() * c.heads * c.hidden,
                      4 / std::sqrt(static_cast<float>(c.hidden)));
  }
  std::vector<T> x, keys;
};

template <class T>
std::vector<double> expected(const Case& c, const Input<T>& in) {
  std::vector<double> mix(c.lengths.size() * c.heads * c.hidden);
  std::size_t first = 0;
  for (std::size_t b = 0; b < c.lengths.size(); ++b) {
    const T* x = in.x.data() + first * c.hidden;
    first += c.lengths[b];
    for (std::size_t at = b * c.heads * c.hidden; at < (b + 1) * c.heads * c.hidden;
         at += c.hidden) {
      double total = 0;
      for (std::size_t j = 0; j < c.valid(b); ++j) {
        double score = 0;
        for (std::size_t i = 0; i < c.hidden; ++i) {
          score += static_cast<double>(to_float(x[j * c.hidden + i])) *
                   static_cast<double>(to_float(in.keys[at + i]));
        }
        const double share = std::exp(score / 2);
        total += share;
        for (std::size_t i = 0; i < c.hidden; ++i) {
          mix[at + i] += share * static_cast<double>(to_float(x[j * c.hidden + i]));
        }
      }
      for (std::size_t i = 0; i < c.hidden; ++i) mix[at + i] /= total;
    }
  }
  return mix;
}

// Memory that nobody has written stays so, and its shadow says when it is read.
template <class T, unsigned Warps>
std::vector<T> run(HostRuntime& runtime, const Case& c, const Input<T>& in) {
  const auto memory = runtime.allocate(std::size_t{8} << 20, Purpose::activations).value();
  const auto stream = runtime.make_stream();
  Arena arena(memory->data);
  const auto place = [&]<class V>(const std::vector<V>& values) {
    V* at = arena.take<V>(values.size());
    runtime.copy_to_device(*stream, at, values.data(), values.size() * sizeof(V));
    return at;
  };
  std::vector<std::int32_t> first_row;
  std::vector<std::int32_t> valid;
  for (std::size_t b = 0; b < c.lengths.size(); ++b) {
    first_row.push_back(b == 0 ? 0
                               : first_row.back() + static_cast<std::int32_t>(c.lengths[b - 1]));
    valid.push_back(static_cast<std::int32_t>(c.valid(b)));
  }
  const std::size_t sequences = c.lengths.size();
  std::vector<T> mix(sequences * c.heads * c.hidden);
  ClsParameters<T> p{.first_row = place(first_row), .valid = place(valid), .x = place(in.x)};
  p.keys = place(in.keys);
  p.mix = arena.take<T>(mix.size());
  p.hidden = c.hidden;
  p.heads = c.heads;
  p.scale = 0.5F;
  float* mixes = arena.take<float>(sequences * c.parts * ClsSplit::floats(c.heads, c.hidden));
  const ClsSplit split{c.parts, mixes, mixes + sequences * c.parts * c.heads * c.hidden};
  runtime.launch(*stream, {KernelOf<T>(ClsTiles<T, Warps>{p, split}),
                           {.x = sequences,
                            .y = c.parts,
                            .z = (c.heads + kClsHeads - 1) / kClsHeads,
                            .shared_bytes = ClsTiles<T, Warps>::kSharedBytes}});
  if (c.parts > 1) {
    runtime.launch(*stream, {KernelOf<T>(ClsMerge<T>{p, split}), {.x = sequences, .y = c.heads}});
  }
  runtime.copy_to_host(*stream, mix.data(), p.mix, mix.size() * sizeof(T));
  runtime.synchronise(*stream);
  return mix;
}

template <class T, unsigned Warps>
void expect_right(const Case& c) {
  SCOPED_TRACE(::testing::Message()
               << "H=" << c.hidden << " N=" << c.heads << " B=" << c.lengths.size()
               << " parts=" << c.parts << " length " << c.lengths.front() << " warps=" << Warps);
  HostRuntime runtime({.seed = c.seed});
  const Input<T> in(c);
  const std::vector<T> ours = run<T, Warps>(runtime, c, in);
  EXPECT_THAT(runtime.report().findings, IsEmpty());
  EXPECT_EQ(runtime.report().bank_conflicts, 0U);
  const std::vector<double> right = expected(c, in);
  double squares = 0;
  double size = 0;
  for (std::size_t i = 0; i < right.size(); ++i) {
    const double delta = static_cast<double>(to_float(ours[i])) - right[i];
    squares += delta * delta;
    size += right[i] * right[i];
  }
  EXPECT_LE(std::sqrt(squares / size), (std::is_same_v<T, Half> ? 1e-3 : 8e-3));
}

// A block of four warps and one of eight, where both have columns to work on.
void expect_right(const Case& c) {
  expect_right<Half, 8>(c);
  expect_right<Bf16, 8>(c);
  if (c.hidden > ClsTiles<Half, 4>::kWidest) return;
  expect_right<Half, 4>(c);
  expect_right<Bf16, 4>(c);
}

TEST(ClsTiles, AreRightAtEveryLengthAroundTheEndsOfTiles) {
  for (const unsigned length : {1U, 2U, 3U, 15U, 16U, 17U, 18U, 31U, 32U, 33U, 64U, 100U}) {
    for (const unsigned parts : {1U, 2U, 3U}) expect_right({.lengths = {length}, .parts = parts});
  }
}

TEST(ClsTiles, AreRightForTheWidthsOfModels) {
  for (const auto& [hidden, heads] : {std::pair{8U, 1U},
                                      {128U, 2U},
                                      {312U, 12U},
                                      {384U, 12U},
                                      {392U, 12U},
                                      {512U, 8U},
                                      {768U, 12U}}) {
    expect_right({.lengths = {40, 1, 23}, .hidden = hidden, .heads = heads});
    expect_right({.lengths = {40, 1, 75}, .hidden = hidden, .heads = heads, .parts = 3});
  }
  expect_right({.lengths = {512}, .hidden = 768, .heads = 12});
  expect_right({.lengths = {512}, .hidden = 768, .heads = 12, .parts = 5});
}

TEST(ClsTiles, AreRightForAnyNumberOfHeadsAndSequences) {
  for (const unsigned heads : {1U, 15U, 16U, 17U, 33U}) {
    expect_right({.lengths = {20, 35}, .heads = heads, .parts = 2});
  }
  std::mt19937 random(5);
  const auto up_to = [&random](unsigned most) {
    return 1 + static_cast<unsigned>(random() % most);
  };
  for (std::uint32_t round = 0; round < 6; ++round) {
    Case c{.lengths = std::vector<unsigned>(up_to(9)), .hidden = 8 * up_to(96)};
    for (unsigned& length : c.lengths) length = up_to(90);
    c.heads = up_to(13);
    c.parts = up_to(ClsSplit::kMostParts);
    c.seed = round;
    expect_right(c);
  }
}

// Scores far apart: the highest so far rises from tile to tile, and what came before shrinks to 0.
TEST(ClsTiles, AreRightForScoresFarApart) {
  const Case c{.lengths = {70}, .parts = 2};
  Input<Half> in(c);
  for (Half& key : in.keys) key = from_float<Half>(20 * to_float(key));
  HostRuntime runtime;
  const std::vector<Half> ours = run<Half, 4>(runtime, c, in);
  const std::vector<double> right = expected(c, in);
  for (std::size_t i = 0; i < right.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(to_float(ours[i])), right[i], 2e-2) << i;
  }
}

// In every order of blocks and warps.
TEST(ClsTiles, GiveTheSameBits) {
  const Case c{.lengths = {70, 33}, .hidden = 384, .heads = 12, .parts = 3};
  const Input<Half> in(c);
  std::vector<std::uint16_t> first;
  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    HostRuntime runtime({.seed = seed});
    std::vector<std::uint16_t> bits;
    for (const Half value : run<Half, 4>(runtime, c, in)) bits.push_back(value.bits);
    if (first.empty()) first = bits;
    EXPECT_EQ(bits, first);
  }
}

TEST(ClsTiles, AreSharedOutWhereKeysAreManyAndSequencesFew) {
  constexpr std::size_t kRoom = 10'000;
  EXPECT_EQ(ClsSplit::parts_for(1, 16, kRoom), 1U);
  EXPECT_EQ(ClsSplit::parts_for(1, 191, kRoom), 1U);
  EXPECT_EQ(ClsSplit::parts_for(1, 192, kRoom), 2U);
  EXPECT_EQ(ClsSplit::parts_for(1, 512, kRoom), 5U);
  EXPECT_EQ(ClsSplit::parts_for(1, 4096, kRoom), 8U);
  EXPECT_EQ(ClsSplit::parts_for(32, 512, kRoom), 4U);
  EXPECT_EQ(ClsSplit::parts_for(128, 512, kRoom), 1U);
  EXPECT_EQ(ClsSplit::parts_for(1000, 512, kRoom), 1U);
  EXPECT_EQ(ClsSplit::parts_for(2, 512, 6), 3U);
  EXPECT_EQ(ClsSplit::parts_for(2, 512, 1), 1U);
}

}  // namespace
}  // namespace breakeven::ops::cuda

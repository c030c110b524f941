// Kernels over few rows and over rows of [CLS], on the host executor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "ops/cuda/arena.h"
#include "ops/cuda/emulator/host_runtime.h"

namespace breakeven::ops::cuda {
namespace {

using emulator::HostRuntime;
using ::testing::IsEmpty;

// Memory of the host executor with random numbers in it.
struct Machine {
  template <class T>
  std::vector<T> numbers(std::size_t count, float mean = 0) {
    std::normal_distribution<float> normal(mean, 1);
    std::vector<T> values(count);
    for (T& value : values) value = from_float<T>(normal(random));
    return values;
  }
  template <class V>
  V* place(const std::vector<V>& values) {
    V* at = arena.take<V>(values.size());
    runtime.copy_to_device(*stream, at, values.data(), values.size() * sizeof(V));
    runtime.synchronise(*stream);
    return at;
  }
  template <class V>
  std::vector<V> read(const V* at, std::size_t count) {
    std::vector<V> values(count);
    runtime.copy_to_host(*stream, values.data(), at, count * sizeof(V));
    runtime.synchronise(*stream);
    return values;
  }
  template <class T, class K>
  void launch(const K& kernel, const Grid& grid) {
    runtime.launch(*stream, {KernelOf<T>(kernel), grid});
  }

  HostRuntime runtime;
  std::unique_ptr<Runtime::Memory> memory =
      runtime.allocate(std::size_t{1} << 20, Purpose::activations).value();
  std::unique_ptr<Runtime::Stream> stream = runtime.make_stream();
  Arena arena{memory->data};
  std::mt19937 random{3};
};

template <class V>
void expect_near(const std::vector<V>& ours, const std::vector<V>& right, double unit) {
  for (std::size_t i = 0; i < right.size(); ++i) {
    const auto value = static_cast<double>(to_float(right[i]));
    ASSERT_NEAR(static_cast<double>(to_float(ours[i])), value, unit * (1 + std::fabs(value))) << i;
  }
}

// One rounding of T.
template <class T>
constexpr double kUnit = std::is_same_v<T, float>  ? 1e-5
                         : std::is_same_v<T, Half> ? 1e-3
                                                   : 8e-3;

constexpr unsigned kRows = 3;

template <class T>
void expect_wide_is_plain(unsigned hidden, bool added) {
  using R = ResidualOf<T>;
  SCOPED_TRACE(::testing::Message() << hidden << (added ? " added" : ""));
  Machine m;
  const std::size_t count = std::size_t{kRows} * hidden;
  const NormParameters norm{m.place(m.numbers<float>(hidden, 1)), m.place(m.numbers<float>(hidden)),
                            1e-12F};
  const std::int32_t* which = m.place(std::vector<std::int32_t>{2, 0, 4});
  T* x = m.arena.take<T>(count);
  R* residual = std::is_same_v<T, R> ? nullptr : m.arena.take<R>(count);
  const EmbeddingTables<T> tables{m.place(m.numbers<T>(5 * hidden)),
                                  m.place(m.numbers<T>(5 * hidden)),
                                  added ? nullptr : m.place(m.numbers<T>(5 * hidden)), norm};
  const EmbedNorm<T, R> embed{tables, which, which, which, x, residual, kRows, hidden};
  const ResidualNorm<T, R> add{.in = m.place(m.numbers<T>(count)),
                               .bias = m.place(m.numbers<float>(hidden)),
                               .norm = norm,
                               .x = x,
                               .residual = residual,
                               .rows = kRows,
                               .hidden = hidden,
                               .added = added};
  m.launch<T>(PlainEmbedNorm<T, R>{embed}, {});
  const auto embedded = m.read(x, count);
  m.launch<T>(PlainResidualNorm<T, R>{add}, {});
  const auto right = m.read(x, count);
  const Grid grid{.x = kRows, .shared_bytes = WideRow::kSharedBytes};
  m.launch<T>(WideEmbedNorm<T, R>{{}, embed}, grid);
  expect_near(m.read(x, count), embedded, kUnit<T>);
  m.launch<T>(WideResidualNorm<T, R>{{}, add}, grid);
  expect_near(m.read(x, count), right, 2 * kUnit<T>);
  EXPECT_THAT(m.runtime.report().findings, IsEmpty());
  EXPECT_EQ(m.runtime.report().bank_conflicts, 0U);
}

TEST(WideRows, AreThePlainOnes) {
  for (const unsigned hidden : {8U, 128U, 264U, 384U, 768U, 1024U}) {
    for (const bool added : {false, true}) {
      expect_wide_is_plain<float>(hidden, added);
      expect_wide_is_plain<Half>(hidden, added);
      expect_wide_is_plain<Bf16>(hidden, false);
    }
  }
}

template <class T>
void expect_first_rows(unsigned hidden) {
  using R = ResidualOf<T>;
  Machine m;
  const auto x = m.numbers<T>(std::size_t{4} * hidden);
  const auto residual = m.numbers<R>(std::size_t{4} * hidden);
  const std::vector<std::int32_t> first{0, 3, 1};
  T* x_cls = m.arena.take<T>(first.size() * hidden);
  R* residual_cls = m.arena.take<R>(first.size() * hidden);
  m.launch<T>(
      GatherCls<T, R>{m.place(first), m.place(x), m.place(residual), x_cls, residual_cls, hidden},
      {.x = first.size()});
  const auto rows = m.read(x_cls, first.size() * hidden);
  const auto others = m.read(residual_cls, first.size() * hidden);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t at = static_cast<std::size_t>(first[i / hidden]) * hidden + i % hidden;
    ASSERT_EQ(to_float(rows[i]), to_float(x[at])) << i;
    ASSERT_EQ(to_float(others[i]), to_float(residual[at])) << i;
  }
  EXPECT_THAT(m.runtime.report().findings, IsEmpty());
}

TEST(GatherCls, CopiesRowsOfAnyWidth) {
  for (const unsigned hidden : {1U, 36U, 128U, 768U, 1032U}) {
    expect_first_rows<float>(hidden);
    expect_first_rows<Half>(hidden);
    expect_first_rows<Bf16>(hidden);
  }
}

template <class T>
void expect_logits(unsigned hidden, Activation activation) {
  constexpr unsigned kSequences = 3;
  constexpr unsigned kLabels = 2;
  Machine m;
  const auto dense = m.numbers<T>(std::size_t{kSequences} * hidden);
  const auto bias = m.numbers<float>(hidden);
  const auto weights = m.numbers<float>(std::size_t{kLabels} * hidden);
  const auto label_bias = m.numbers<float>(kLabels);
  float* logits = m.arena.take<float>(std::size_t{kSequences} * kLabels);
  m.launch<T>(Head<T>{m.place(dense), m.place(bias), m.place(weights), m.place(label_bias), logits,
                      activation, kSequences, hidden, kLabels},
              {.x = 2});
  const auto ours = m.read(logits, std::size_t{kSequences} * kLabels);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    auto right = static_cast<double>(label_bias[i % kLabels]);
    for (std::size_t c = 0; c < hidden; ++c) {
      const float in = to_float(dense[i / kLabels * hidden + c]) + bias[c];
      right += static_cast<double>(activate(activation, in)) *
               static_cast<double>(weights[i % kLabels * hidden + c]);
    }
    EXPECT_NEAR(static_cast<double>(ours[i]), right, 1e-4) << hidden;
  }
  EXPECT_THAT(m.runtime.report().findings, IsEmpty());
}

TEST(Head, IsRightForAnyWidthAndActivation) {
  for (const unsigned hidden : {1U, 36U, 128U, 384U, 768U, 1024U, 1544U}) {
    for (const Activation activation :
         {Activation::gelu_erf, Activation::gelu_tanh, Activation::relu, Activation::tanh}) {
      expect_logits<float>(hidden, activation);
      expect_logits<Half>(hidden, activation);
      expect_logits<Bf16>(hidden, activation);
    }
  }
}

}  // namespace
}  // namespace breakeven::ops::cuda

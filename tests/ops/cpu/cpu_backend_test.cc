// The CPU backend against the reference: every op of a whole pass, for every precision, over shapes
// at and around tile and chunk edges, on every instruction set that this CPU has.
#include "ops/cpu/cpu_backend.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "harness.h"
#include "judge.h"
#include "ops/cpu/backend.h"
#include "tile_sets.h"

namespace breakeven {
namespace {

using ops::Precision;
using testing::EncoderShape;
using testing::judge;
using testing::RandomBatch;
using testing::RandomEncoder;
using testing::Runner;
using Sequences = std::vector<RandomBatch::Sequence>;

struct Kind {
  InstructionSet set;
  Precision precision;
  bool emulated = false;  // AMX tiles by the stand-in for them, on the best vectors here
};

// The limits of a precision, from docs/parity.md.
struct Limits {
  double relative_rms, logit;
};
Limits limits_for(const Kind& kind) {
  const std::string name = kind.precision == Precision::int8 && !has_vnni(kind.set)
                               ? "int7"
                               : std::string(to_string(kind.precision));
  return {limit("ops/" + name + "/relative_rms"), limit("ops/" + name + "/logit_abs_max")};
}

Sequences unpadded(std::initializer_list<std::size_t> lengths) {
  Sequences sequences;
  for (const std::size_t length : lengths) sequences.push_back({length, length});
  return sequences;
}

std::unique_ptr<ops::Backend> emulated(Precision precision) {
  const bool avx512 = testing::missing(InstructionSet::avx512_core).empty();
  return std::make_unique<ops::cpu::CpuBackend>(
      ops::cpu::formats_for(precision, InstructionSet::avx512_core_amx,
                            ops::cpu::kernels_for(avx512), &testing::emulated_tiles()));
}

class CpuBackend : public ::testing::TestWithParam<Kind> {
 protected:
  static Precision precision() { return GetParam().precision; }
  void SetUp() override {
    const InstructionSet needed = GetParam().emulated ? InstructionSet::avx2 : GetParam().set;
    const std::string reason = testing::missing(needed);
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
  static std::unique_ptr<ops::Backend> make() {
    if (GetParam().emulated) return emulated(precision());
    return ops::make_cpu_backend({precision(), std::string(to_string(GetParam().set))}).value();
  }

  static void expect_near(const std::vector<testing::Tapped>& ours,
                          const std::vector<testing::Tapped>& judge, const std::string& what) {
    const Limits limits = limits_for(GetParam());
    ASSERT_EQ(ours.size(), judge.size());
    for (std::size_t i = 0; i < judge.size(); ++i) {
      const auto d = testing::difference(ours[i].values, judge[i].values);
      if (judge[i].name == "logits") {
        EXPECT_LE(d.abs_max, limits.logit) << what << " " << judge[i].name;
      } else {
        EXPECT_LE(d.relative_rms, limits.relative_rms) << what << " " << judge[i].name;
        EXPECT_TRUE(std::isfinite(d.abs_max)) << what << " " << judge[i].name;
      }
    }
  }

  static void compare(const EncoderShape& shape, const ops::EncoderWeights& weights,
                      const Sequences& sequences, unsigned threads, const std::string& what) {
    const RandomBatch batch(shape, sequences);
    Runner ours(make(), weights, {batch.ids.size(), sequences.size(), threads});
    expect_near(run_all(*ours.backend, *ours.lane, shape, batch.batch()),
                judge().run(shape, weights, batch, ""), what);
  }

  static void expect_the_same_bits(const EncoderShape& made);
  static void expect_outliers_near(const EncoderShape& made, const std::string& made_by);

  static EncoderShape shape(std::size_t hidden, std::size_t heads, std::size_t intermediate) {
    EncoderShape made;
    made.hidden = hidden;
    made.heads = heads;
    made.intermediate = intermediate;
    made.positions = 512;
    made.layers = 2;
    return made;
  }
};

TEST_P(CpuBackend, RunsOnItsSet) {
  const auto info = make()->info();
  EXPECT_EQ(info.instruction_set, to_string(GetParam().set));
  EXPECT_EQ(info.precision, precision());
  EXPECT_EQ(info.gemm, "");
}

TEST_P(CpuBackend, PositionsPassOverAnUncountedId) {
  EncoderShape made = shape(64, 2, 128);
  made.uncounted_id = 1;
  made.positions = 42;
  const RandomEncoder encoder(made);
  compare(made, encoder.weights, {{40, 40}, {9, 9}, {1, 1}, {20, 33}}, 2, "packed and padded");
}

TEST_P(CpuBackend, EmbeddingsOfAnotherWidthAreProjected) {
  EncoderShape made = shape(72, 2, 128);
  made.head_activation = ops::Activation::gelu_erf;
  made.token_types = 2;
  for (const std::size_t embedding : {std::size_t{20}, std::size_t{64}, std::size_t{100}}) {
    made.embedding = embedding;
    const RandomEncoder encoder(made);
    compare(made, encoder.weights, {{70, 70}, {9, 9}, {1, 1}, {20, 33}}, 2,
            std::to_string(embedding));
  }
}

// Up to distances beyond the table's, with heads of whole panels and of others, packed and padded.
TEST_P(CpuBackend, RelativePositions) {
  const ops::RelativeDistances tables[] = {
      {.span = 16, .near = 8, .farthest = 40},
      {.span = 5, .near = 2, .farthest = 12},
      {.span = 40, .near = 40, .farthest = 40},
      {.span = 256, .near = 128, .farthest = 512},
  };
  for (const auto& [hidden, heads] : {std::pair<std::size_t, std::size_t>{128, 2}, {72, 6}}) {
    for (const ops::RelativeDistances& distances : tables) {
      EncoderShape made = shape(hidden, heads, 128);
      made.distances = distances;
      const RandomEncoder encoder(made);
      const std::string what = fmt::format("H={} span {}", hidden, distances.span);
      compare(made, encoder.weights, {{70, 70}, {9, 9}, {1, 1}, {20, 33}}, 3, what);
      if (distances.span == 256) compare(made, encoder.weights, unpadded({3, 500}), 1, what);
    }
  }
}

using Form = ops::EncoderForm;
// A gated FFN multiplies two products, and their errors.
constexpr float kModernGain = 1.0F;
constexpr Form kModern{.norm = Form::Norm::pre,
                       .position = Form::Position::rotary,
                       .ffn = Form::Ffn::gated,
                       .attention = Form::Attention::windowed,
                       .pooling = Form::Pooling::mean};

// Each field of the form alone, and all that ModernBERT has together.
TEST_P(CpuBackend, EveryForm) {
  const std::pair<const char*, Form> forms[] = {
      {"pre", {.norm = Form::Norm::pre}},
      {"rotary", {.position = Form::Position::rotary}},
      {"gated", {.ffn = Form::Ffn::gated}},
      {"window", {.attention = Form::Attention::windowed}},
      {"mean", {.pooling = Form::Pooling::mean}},
      {"all, mean", kModern},
      {"all, row 0",
       {.norm = Form::Norm::pre,
        .position = Form::Position::rotary,
        .ffn = Form::Ffn::gated,
        .attention = Form::Attention::windowed}},
  };
  for (const auto& [name, form] : forms) {
    for (const bool biases : {true, false}) {
      EncoderShape made = shape(72, 3, 90);
      made.form = form;
      made.window = form.attention == Form::Attention::windowed ? 11 : 0;
      made.layers = 3;
      made.biases = biases;
      made.gain = kModernGain;
      const RandomEncoder encoder(made);
      for (const unsigned threads : {1U, 2U}) {
        compare(made, encoder.weights, {{70, 70}, {9, 9}, {1, 1}, {20, 45}, {101, 101}}, threads,
                fmt::format("{} {} {}", name, biases ? "biases" : "bare", threads));
      }
    }
  }
}

// Heads of whole vectors, of parts of them, FFNs of several blocks, windows that end within panels.
TEST_P(CpuBackend, EveryShapeOfModernModel) {
  const std::array<std::array<std::size_t, 4>, 5> shapes{{{128, 2, 192, 64},
                                                          {96, 4, 160, 32},
                                                          {40, 2, 72, 7},
                                                          {256, 2, 1100, 33},
                                                          {768, 12, 1152, 64}}};
  for (const auto& [hidden, heads, intermediate, window] : shapes) {
    EncoderShape made = shape(hidden, heads, intermediate);
    made.form = kModern;
    if (hidden == 96) made.form.pooling = Form::Pooling::cls;
    made.window = window;
    made.biases = false;
    made.gain = kModernGain;
    made.layers = hidden == 768 ? 2 : 3;
    const RandomEncoder encoder(made);
    const Sequences sequences =
        hidden == 768 ? unpadded({150, 20}) : Sequences{{330, 330}, {1, 1}, {64, 64}, {18, 300}};
    compare(made, encoder.weights, sequences, 2, fmt::format("H={} window {}", hidden, window));
  }
}

TEST_P(CpuBackend, RelativePositionsGiveATextTheSameBitsInEveryCompany) {
  EncoderShape made = shape(128, 4, 256);
  made.distances = {.span = 16, .near = 8, .farthest = 60};
  expect_the_same_bits(made);
}

TEST_P(CpuBackend, AModernEncoderGivesATextTheSameBitsInEveryCompany) {
  EncoderShape made = shape(128, 4, 200);
  made.form = kModern;
  made.window = 20;
  made.layers = 3;
  made.biases = false;
  expect_the_same_bits(made);
  made.form.pooling = Form::Pooling::cls;
  expect_the_same_bits(made);
}

// Whatever stands beside a text and however many threads compute it: the same bits.
void CpuBackend::expect_the_same_bits(const EncoderShape& made) {
  const RandomEncoder encoder(made);
  const RandomBatch batch(made, unpadded({40, 1, 300, 17, 31, 150, 2}));
  const std::size_t sequences = batch.valid_len.size();
  const auto logits = [&](const ops::Batch& of, unsigned threads) {
    Runner runner(make(), encoder.weights, {of.rows(), of.sequences(), threads});
    return run_all(*runner.backend, *runner.lane, made, of).back().values;
  };
  std::vector<float> alone;
  for (std::size_t s = 0; s < sequences; ++s) {
    const std::vector<std::int32_t> cu_seqlens{0, batch.valid_len[s]};
    const auto one =
        logits({.ids = std::span(batch.ids).subspan(static_cast<std::size_t>(batch.cu_seqlens[s]),
                                                    static_cast<std::size_t>(batch.valid_len[s])),
                .token_types = {},
                .cu_seqlens = cu_seqlens,
                .valid_len = std::span(batch.valid_len).subspan(s, 1)},
               1 + static_cast<unsigned>(s) % 2);
    alone.insert(alone.end(), one.begin(), one.end());
  }
  for (const unsigned threads : {1U, 2U, 5U}) {
    EXPECT_EQ(logits(batch.batch(), threads), alone) << threads;
  }
}

TEST_P(CpuBackend, EveryShapeOfSequence) {
  const EncoderShape small = shape(64, 2, 128);
  const RandomEncoder encoder(small);
  const std::vector<Sequences> groups = {
      unpadded({1}),
      unpadded({2}),
      unpadded({15}),
      unpadded({16}),
      unpadded({17}),
      unpadded({31, 32, 33}),
      unpadded({63, 65}),
      unpadded({255}),
      unpadded({256}),
      unpadded({257}),
      unpadded({511, 1, 512}),
      Sequences(70, {3, 3}),
      Sequences(33, {17, 17}),
      {{5, 40}, {40, 40}, {1, 40}},
      {{100, 512}, {512, 512}},
  };
  for (const Sequences& group : groups) {
    for (const unsigned threads : {1U, 2U}) {
      compare(small, encoder.weights, group, threads,
              "first of " + std::to_string(group.size()) + ": " + std::to_string(group[0].rows) +
                  " with " + std::to_string(threads));
    }
  }
}

TEST_P(CpuBackend, EveryShapeOfModel) {
  const std::array<std::array<std::size_t, 3>, 8> shapes{{{32, 4, 48},      // heads of 8
                                                          {40, 5, 72},      // no multiple of 16
                                                          {16, 1, 16},      // one head
                                                          {128, 1, 300},    // heads of 128
                                                          {96, 2, 96},      // heads of 48
                                                          {384, 12, 1536},  // imdb-minilm
                                                          {768, 12, 3072},  // DistilBERT
                                                          {1040, 13, 2100}}};
  for (const auto& [hidden, heads, intermediate] : shapes) {
    EncoderShape made = shape(hidden, heads, intermediate);
    made.token_types = hidden == 384 ? 2 : 0;
    const RandomEncoder encoder(made);
    compare(made, encoder.weights, {{35, 35}, {1, 1}, {64, 64}, {18, 30}}, 2,
            "H=" + std::to_string(hidden));
  }
}

TEST_P(CpuBackend, EveryActivationAndNumberOfLabels) {
  EncoderShape made = shape(64, 2, 128);
  made.activation = ops::Activation::gelu_tanh;
  made.head_activation = ops::Activation::tanh;
  made.labels = 1;
  compare(made, RandomEncoder(made).weights, unpadded({20, 9}), 1, "gelu_tanh");
  made.activation = ops::Activation::relu;
  made.labels = 37;
  compare(made, RandomEncoder(made).weights, unpadded({20, 9}), 1, "relu");
}

TEST_P(CpuBackend, ThreadsAndOneLayer) {
  EncoderShape made = shape(128, 4, 256);
  made.layers = 1;
  compare(made, RandomEncoder(made).weights, unpadded({300, 200, 100}), 3, "one layer");
  made.layers = 4;
  compare(made, RandomEncoder(made).weights, unpadded({300}), 5, "more threads than cores");
}

// Real checkpoints have a handful of channels that are far larger than all others in every row:
// they eat the range of a row's 8-bit scale.
TEST_P(CpuBackend, OutlierChannels) {
  expect_outliers_near(shape(384, 6, 768), "outliers ");
}

TEST_P(CpuBackend, OutlierChannelsWithRelativePositions) {
  EncoderShape made = shape(384, 6, 768);
  made.distances = {.span = 64, .near = 32, .farthest = 512};
  expect_outliers_near(made, "outliers, relative ");
}

TEST_P(CpuBackend, OutlierChannelsOfAModernEncoder) {
  EncoderShape made = shape(384, 6, 768);
  made.form = kModern;
  made.window = 30;
  made.biases = false;
  made.gain = kModernGain;
  expect_outliers_near(made, "outliers, modern ");
}

void CpuBackend::expect_outliers_near(const EncoderShape& made, const std::string& made_by) {
  const RandomEncoder encoder(made);
  ops::EncoderWeights weights = encoder.weights;
  std::vector<float> gamma(weights.embedding.norm.gamma.begin(),
                           weights.embedding.norm.gamma.end());
  for (const std::size_t channel : {3U, 77U, 140U, 201U, 255U, 383U}) gamma[channel] *= 40.0F;
  // Where norms stand before the blocks, what they read has the outliers, not the stream.
  const bool in_stream = weights.form.norm == Form::Norm::post;
  if (in_stream) weights.embedding.norm.gamma = gamma;
  for (auto& layer : weights.layers) {
    if (!layer.attention_norm.gamma.empty()) layer.attention_norm.gamma = gamma;
    layer.ffn_norm.gamma = gamma;
  }
  // Attention looks at the outliers, too, so that it would be one-hot; a checkpoint's weights of
  // those channels are small.
  std::deque<std::vector<float>> damped;
  const auto damp = [&](ops::LinearWeights& linear) {
    auto& copy = damped.emplace_back(linear.weight.begin(), linear.weight.end());
    for (const std::size_t channel : {3U, 77U, 140U, 201U, 255U, 383U}) {
      for (std::size_t o = 0; o < linear.out; ++o) copy[o * linear.in + channel] *= 0.05F;
    }
    linear.weight = copy;
  };
  for (auto& layer : weights.layers) {
    for (auto* linear : {&layer.query, &layer.key, &layer.value, &layer.up}) damp(*linear);
  }
  const RandomBatch batch(made, unpadded({50, 130}));
  Runner ours(make(), weights, {batch.ids.size(), 2, 2});
  const auto a = run_all(*ours.backend, *ours.lane, made, batch.batch());
  const auto& b = judge().run(made, weights, batch, made_by);
  const char* key = precision() == Precision::fp32     ? "ops/fp32/relative_rms"
                    : precision() == Precision::fp32x3 ? "ops/fp32x3/relative_rms"
                    : precision() == Precision::bf16   ? "ops/bf16/relative_rms"
                                                       : "ops/int8/outliers_relative_rms";
  for (std::size_t i = 0; i + 1 < b.size(); ++i) {
    EXPECT_LE(testing::difference(a[i].values, b[i].values).relative_rms, limit(key)) << b[i].name;
  }
}

// Padding is computed, but nothing of it reaches a real row.
TEST_P(CpuBackend, PaddingChangesNothing) {
  const EncoderShape made = shape(64, 2, 128);
  const RandomEncoder encoder(made);
  const RandomBatch padded(made, {{20, 90}, {90, 90}, {1, 90}});
  RandomBatch packed(made, unpadded({20, 90, 1}));
  packed.ids.clear();
  for (std::size_t s = 0; s < 3; ++s) {
    const auto begin = padded.ids.begin() + padded.cu_seqlens[s];
    packed.ids.insert(packed.ids.end(), begin, begin + padded.valid_len[s]);
  }
  Runner a(make(), encoder.weights, {270, 3, 2});
  Runner b(make(), encoder.weights, {270, 3, 2});
  const auto with = run_all(*a.backend, *a.lane, made, padded.batch());
  const auto without = run_all(*b.backend, *b.lane, made, packed.batch());
  const auto d = testing::difference(with.back().values, without.back().values);
  EXPECT_LE(d.abs_max, limits_for(GetParam()).logit);
}

// A lane that has seen a large group must not leave anything behind for a small one.
TEST_P(CpuBackend, GroupsDoNotTouchEachOther) {
  const EncoderShape made = shape(64, 2, 128);
  const RandomEncoder encoder(made);
  const RandomBatch large(made, unpadded({300, 40, 77}), 5);
  const RandomBatch small(made, unpadded({9}), 6);
  const ops::LaneLimits limits{large.ids.size(), 3, 2};
  Runner used(make(), encoder.weights, limits);
  Runner fresh(make(), encoder.weights, limits);
  run_all(*used.backend, *used.lane, made, large.batch());
  const auto after = run_all(*used.backend, *used.lane, made, small.batch());
  const auto first = run_all(*fresh.backend, *fresh.lane, made, small.batch());
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(after[i].values, first[i].values) << first[i].name;
  }
}

TEST_P(CpuBackend, TellsItsMemoryBeforeItTakesIt) {
  const EncoderShape made = shape(64, 2, 128);
  const RandomEncoder encoder(made);
  const auto backend = make();
  const auto model = backend->pack(encoder.weights).value();
  const ops::LaneLimits limits{1000, 20, 2};
  const std::size_t told = backend->lane_bytes(*model, limits);
  const auto lane = backend->make_lane(model, limits).value();
  EXPECT_EQ(lane->activation_bytes(), told);
  EXPECT_GT(told, 1000U * 64 * 4);
  EXPECT_GT(model->weight_bytes(), 2U * 64 * 64);
}

// ModernBERT's 8,192 tokens: scores of all pairs would be 256 MiB for each head.
TEST_P(CpuBackend, NoSequenceNeedsTheSquareOfItsLength) {
  EncoderShape made = shape(64, 2, 128);
  made.form = kModern;
  made.window = 64;
  made.positions = 8192;
  const RandomEncoder encoder(made);
  const auto backend = make();
  const auto model = backend->pack(encoder.weights).value();
  const auto bytes = [&](std::size_t rows) { return backend->lane_bytes(*model, {rows, 1, 2}); };
  EXPECT_LT(bytes(8192), 32U << 20U);
  EXPECT_LT(bytes(8192), 2 * bytes(4096) + (1U << 20U));
  compare(made, encoder.weights, unpadded({1500}), 2, "1,500 tokens");
}

TEST_P(CpuBackend, MemoryThatIsNotThereIsAnError) {
  const EncoderShape made = shape(64, 2, 128);
  const RandomEncoder encoder(made);
  const auto backend = make();
  const auto model = backend->pack(encoder.weights).value();
  // 2^47 bytes are more than an address space has.
  const auto lane = backend->make_lane(model, {std::size_t{1} << 40, 1, 1});
  ASSERT_FALSE(lane);
  EXPECT_EQ(lane.error().code, "ops/memory");
}

TEST_P(CpuBackend, RefusesModelsThatItCannotRun) {
  const EncoderShape huge_heads = shape(264, 2, 64);  // heads of 132
  const auto refused = make()->pack(RandomEncoder(huge_heads).weights);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "ops/unsupported");
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("132"));

  EncoderShape none = shape(64, 2, 128);
  none.layers = 0;
  const auto empty = make()->pack(RandomEncoder(none).weights);
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, "ops/unsupported");
}

std::vector<Kind> kinds() {
  std::vector<Kind> all;
  for (const InstructionSet set : all_instruction_sets()) {
    all.push_back({set, Precision::fp32});
    if (has_amx(set)) all.push_back({set, Precision::fp32x3});
    if (has_bf16(set)) all.push_back({set, Precision::bf16});
    all.push_back({set, Precision::int8});
  }
  for (const Precision precision : {Precision::fp32x3, Precision::bf16, Precision::int8}) {
    all.push_back({InstructionSet::avx512_core_amx, precision, true});
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(Kinds, CpuBackend, ::testing::ValuesIn(kinds()), [](const auto& of) {
  return std::string(to_string(of.param.set)) + "_" + std::string(to_string(of.param.precision)) +
         (of.param.emulated ? "_emulated" : "");
});

// The whole pass on the CPU's tiles and on the stand-in: the same bits, activation by activation.
TEST(EmulatedTiles, GiveTheBitsOfTheCpusTiles) {
  const std::string reason = testing::missing(InstructionSet::avx512_core_amx);
  if (!reason.empty()) GTEST_SKIP() << reason;
  EncoderShape shape;
  shape.hidden = 128;
  shape.intermediate = 256;
  shape.positions = 80;
  const RandomEncoder encoder(shape);
  const RandomBatch batch(shape, unpadded({70, 33, 1}));
  const ops::LaneLimits limits{batch.ids.size(), 3, 2};
  for (const Precision precision : {Precision::fp32x3, Precision::bf16, Precision::int8}) {
    Runner hardware(ops::make_cpu_backend({precision, "avx512_core_amx"}).value(), encoder.weights,
                    limits);
    Runner stand_in(emulated(precision), encoder.weights, limits);
    const auto a = run_all(*hardware.backend, *hardware.lane, shape, batch.batch());
    const auto b = run_all(*stand_in.backend, *stand_in.lane, shape, batch.batch());
    for (std::size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].values, b[i].values) << to_string(precision) << " " << a[i].name;
    }
  }
}
}  // namespace
}  // namespace breakeven

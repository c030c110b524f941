// The CPU backend against the reference: every op of a whole pass, for every precision, over shapes
// at and around tile, bucket and chunk edges. ctest runs this program once for each instruction
// set.
#include "ops/cpu/cpu_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>

#include "base/limits.h"
#include "harness.h"
#include "ops/cpu/packed_model.h"
#include "ops/reference/reference.h"

namespace breakeven {
namespace {

using ops::Precision;
using testing::EncoderShape;
using testing::RandomBatch;
using testing::RandomEncoder;
using testing::Runner;
using Sequences = std::vector<RandomBatch::Sequence>;

bool has_vnni(const std::string& set) {
  return set != "avx2" && set != "avx512_core";
}

// The limits of a precision, from docs/parity.md.
struct Limits {
  double relative_rms, logit;
};
Limits limits_for(Precision precision, const std::string& set) {
  switch (precision) {
    case Precision::fp32:
      return {limit("ops/fp32/relative_rms"), limit("ops/fp32/logit_abs_max")};
    case Precision::fp32x3:
      return {limit("ops/fp32x3/relative_rms"), limit("ops/fp32x3/logit_abs_max")};
    case Precision::bf16:
      return {limit("ops/bf16/relative_rms"), limit("ops/bf16/logit_abs_max")};
    default:
      if (has_vnni(set)) {
        return {limit("ops/int8/relative_rms"), limit("ops/int8/logit_abs_max")};
      }
      return {limit("ops/int7/relative_rms"), limit("ops/int7/logit_abs_max")};
  }
}

Sequences unpadded(std::initializer_list<std::size_t> lengths) {
  Sequences sequences;
  for (const std::size_t length : lengths) sequences.push_back({length, length});
  return sequences;
}

// A precision, and whose GEMMs run: "" is the default, own kernels.
struct Kind {
  Precision precision;
  const char* gemm;
};

class CpuBackend : public ::testing::TestWithParam<Kind> {
 protected:
  static Precision precision() { return GetParam().precision; }
  static void SetUpTestSuite() {
    const std::string forced = testing::forced_set();
    const std::vector<std::string> here = ops::cpu_instruction_sets();
    if (here.empty()) GTEST_SKIP() << "SKIPPED: this CPU has no AVX2";
    if (!forced.empty() && std::find(here.begin(), here.end(), forced) == here.end()) {
      GTEST_SKIP() << "SKIPPED: this CPU cannot run " << forced;
    }
  }
  void SetUp() override {
    auto made = ops::make_cpu_backend({precision(), testing::forced_set(), GetParam().gemm});
    if (!made && made.error().code == "ops/unsupported") {
      GTEST_SKIP() << "SKIPPED: " << made.error().to_string();
    }
    ASSERT_TRUE(made) << made.error().to_string();
  }
  static std::unique_ptr<ops::Backend> make() {
    return ops::make_cpu_backend({precision(), testing::forced_set(), GetParam().gemm}).value();
  }

  static void expect_near(const std::vector<testing::Tapped>& ours,
                          const std::vector<testing::Tapped>& judge, const std::string& set,
                          const std::string& what) {
    const Limits limits = limits_for(precision(), set);
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
    const ops::LaneLimits limits{batch.ids.size(), sequences.size(), threads};
    Runner ours(make(), weights, limits);
    Runner judge(ops::make_reference_backend(), weights, limits);
    expect_near(run_all(*ours.backend, *ours.lane, shape, batch.batch()),
                run_all(*judge.backend, *judge.lane, shape, batch.batch()),
                ours.backend->info().instruction_set, what);
  }

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

TEST_P(CpuBackend, TheForcedInstructionSetRan) {
  const auto backend = make();
  const std::string set = backend->info().instruction_set;
  if (!testing::forced_set().empty()) {
    EXPECT_EQ(set, testing::forced_set());
  }
  EXPECT_EQ(set, ops::cpu_instruction_set());
  EXPECT_EQ(backend->info().gemm, GetParam().gemm == std::string() ? "own" : "onednn");
  const EncoderShape small = shape(64, 2, 128);
  const RandomEncoder encoder(small);
  compare(small, encoder.weights, unpadded({20}), 1, "forced");
  if (precision() == Precision::fp32x3) return;  // which oneDNN does not have
  // oneDNN names what it generated code for.
  namespace cpu = ops::cpu;
  const EncoderShape model = shape(128, 2, 256);
  const RandomEncoder sample(model);
  const auto packed = cpu::CpuModel::pack(
      sample.weights, cpu::formats_for(precision(), cpu::current_set().value(), false));
  ASSERT_TRUE(packed) << packed.error().to_string();
  const std::string made = (*packed)->gemms().plain->implementation();
  const bool tiles = set == "avx512_core_amx" && precision() != Precision::fp32;
  EXPECT_EQ(made.find("amx") != std::string::npos, tiles) << made;
  if (set == "avx2" || set == "avx2_vnni") {
    EXPECT_EQ(made.find("avx512"), std::string::npos) << made;
  } else if (precision() == Precision::fp32) {
    EXPECT_NE(made.find("avx512_core"), std::string::npos) << made;
  }
  EXPECT_EQ((*packed)->layer(0).panels.project.data, nullptr);
}

// A model that is packed for the own GEMM has no primitive of oneDNN, so nothing else can run it.
TEST_P(CpuBackend, AModelIsPackedForOneKindOfGemm) {
  namespace cpu = ops::cpu;
  const cpu::InstructionSet set = cpu::current_set().value();
  const RandomEncoder sample(shape(128, 2, 256));
  const auto own = cpu::CpuModel::pack(sample.weights, cpu::formats_for(precision(), set, true));
  ASSERT_TRUE(own) << own.error().to_string();
  EXPECT_EQ((*own)->gemms().plain, nullptr);
  EXPECT_EQ((*own)->layer(0).query.data, nullptr);
  EXPECT_NE((*own)->layer(0).panels.qkv.data, nullptr);
  EXPECT_EQ((*own)->layer(0).panels.qkv.weights().format,
            precision() == Precision::fp32     ? cpu::WeightFormat::f32
            : precision() == Precision::fp32x3 ? cpu::WeightFormat::split
            : precision() == Precision::bf16   ? cpu::WeightFormat::bf16
                                               : cpu::WeightFormat::s8);
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
  const EncoderShape made = shape(384, 6, 768);
  const RandomEncoder encoder(made);
  ops::EncoderWeights weights = encoder.weights;
  std::vector<float> gamma(weights.embedding.norm.gamma.begin(),
                           weights.embedding.norm.gamma.end());
  for (const std::size_t channel : {3U, 77U, 140U, 201U, 255U, 383U}) gamma[channel] *= 40.0F;
  weights.embedding.norm.gamma = gamma;
  for (auto& layer : weights.layers) {
    layer.attention_norm.gamma = gamma;
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
  const ops::LaneLimits limits{batch.ids.size(), 2, 2};
  Runner ours(make(), weights, limits);
  Runner judge(ops::make_reference_backend(), weights, limits);
  const auto a = run_all(*ours.backend, *ours.lane, made, batch.batch());
  const auto b = run_all(*judge.backend, *judge.lane, made, batch.batch());
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
  EXPECT_LE(d.abs_max, limits_for(precision(), a.backend->info().instruction_set).logit);
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

// The extremes that a precision's formats allow: sums that do not saturate and do not round.
TEST_P(CpuBackend, IntegerProductsAreExact) {
  if (precision() == Precision::fp32x3) GTEST_SKIP() << "oneDNN has no GEMM for it";
  namespace cpu = ops::cpu;
  const cpu::Formats formats = cpu::formats_for(precision(), cpu::current_set().value(), false);
  constexpr std::size_t kDepth = 192;
  constexpr std::size_t kColumns = 64;
  const bool int8 = precision() == Precision::int8;
  const bool bf16 = precision() == Precision::bf16;
  cpu::GemmSpec spec;
  spec.depth = kDepth;
  spec.columns = kColumns;
  spec.in = int8 ? cpu::DataType::u8 : bf16 ? cpu::DataType::bf16 : cpu::DataType::f32;
  spec.weights = int8 ? cpu::DataType::s8 : spec.in;
  spec.out = int8 ? cpu::DataType::s32 : cpu::DataType::f32;
  const auto gemm = cpu::Gemm::make(spec, cpu::kBuckets).value();
  // int8: the largest products of one sign, then of the other, then small ones. Otherwise integers
  // whose sums fit the mantissa.
  const int largest = int8 ? formats.weight_limit : 7;
  std::vector<float> weights(kDepth * kColumns);
  std::vector<std::int8_t> small(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::size_t column = i / kDepth;
    const int value = column % 3 == 0   ? largest
                      : column % 3 == 1 ? -largest
                                        : static_cast<int>(i % 5) - 2;
    weights[i] = static_cast<float>(value);
    small[i] = static_cast<std::int8_t>(value);
  }
  const std::size_t bytes = gemm->weight_bytes() + gemm->scratch_bytes() + 4096;
  auto arena = cpu::Arena::allocate(bytes).value();
  const void* plain = int8 ? static_cast<const void*>(small.data()) : weights.data();
  const auto packed = gemm->pack(plain, arena.take<std::byte>(gemm->weight_bytes()));
  auto* scratch = arena.take<std::byte>(gemm->scratch_bytes());
  cpu::GemmCaller caller(gemm);
  for (std::size_t bucket = 0; bucket < cpu::kBuckets.size(); ++bucket) {
    const std::size_t rows = cpu::kBuckets[bucket];
    std::vector<float> wide(rows * kDepth);
    std::vector<std::uint8_t> bytes_in(wide.size());
    std::vector<cpu::Bf16> halves(wide.size());
    for (std::size_t i = 0; i < wide.size(); ++i) {
      const std::size_t row = i / kDepth;
      const int value =
          int8 ? (row % 2 == 0 ? 255 : static_cast<int>(i % 256)) : static_cast<int>(i % 11) - 5;
      wide[i] = static_cast<float>(value);
      bytes_in[i] = static_cast<std::uint8_t>(value);
      halves[i] = static_cast<cpu::Bf16>(std::bit_cast<std::uint32_t>(wide[i]) >> 16);
    }
    const void* in = int8   ? static_cast<const void*>(bytes_in.data())
                     : bf16 ? static_cast<const void*>(halves.data())
                            : wide.data();
    std::vector<float> out(rows * kColumns);
    caller.run(bucket, in, packed, out.data(), nullptr, scratch);
    for (std::size_t i = 0; i < out.size(); ++i) {
      double sum = 0;
      for (std::size_t k = 0; k < kDepth; ++k) {
        sum += static_cast<double>(wide[i / kColumns * kDepth + k]) *
               weights[i % kColumns * kDepth + k];
      }
      const double ours = int8 ? static_cast<double>(std::bit_cast<std::int32_t>(out[i]))
                               : static_cast<double>(out[i]);
      ASSERT_EQ(ours, sum) << rows << " rows, at " << i << ", " << gemm->implementation();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, CpuBackend,
                         ::testing::Values(Kind{Precision::fp32, ""}, Kind{Precision::fp32x3, ""},
                                           Kind{Precision::bf16, ""}, Kind{Precision::int8, ""},
                                           Kind{Precision::fp32, "onednn"},
                                           Kind{Precision::bf16, "onednn"},
                                           Kind{Precision::int8, "onednn"}),
                         [](const auto& of) {
                           return std::string(to_string(of.param.precision)) + of.param.gemm;
                         });

TEST(CpuOptions, TheEnvironmentChoosesTheGemm) {
  if (ops::cpu_instruction_sets().empty()) GTEST_SKIP() << "SKIPPED: this CPU has no AVX2";
  const auto chosen = [](const char* variable, const std::string& option) {
    ::setenv("BREAKEVEN_CPU_GEMM", variable, 1);
    auto made = ops::make_cpu_backend({Precision::int8, testing::forced_set(), option});
    ::unsetenv("BREAKEVEN_CPU_GEMM");
    return made ? (*made)->info().gemm : made.error().code;
  };
  EXPECT_EQ(chosen("onednn", ""), "onednn");
  EXPECT_EQ(chosen("own", ""), "own");
  EXPECT_EQ(chosen("own", "onednn"), "onednn");
  EXPECT_EQ(chosen("mkl", ""), "ops/gemm");
  EXPECT_EQ(chosen("onednn", "mkl"), "ops/gemm");
}

TEST(CpuOptions, RefusesUnknownAndSecondInstructionSets) {
  const auto unknown = ops::make_cpu_backend({Precision::fp32, "avx1024"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "ops/instruction-set");
  EXPECT_THAT(unknown.error().message, ::testing::HasSubstr("avx1024"));

  ASSERT_TRUE(ops::make_cpu_backend({Precision::fp32, testing::forced_set()}));
  const std::string mine = ops::cpu_instruction_set();
  for (const std::string& set : ops::cpu_instruction_sets()) {
    const auto again = ops::make_cpu_backend({Precision::fp32, set});
    EXPECT_EQ(again.has_value(), set == mine) << set;
    if (!again) {
      EXPECT_EQ(again.error().code, "ops/instruction-set");
    }
  }
}

TEST(CpuOptions, RefusesPrecisionsThatWouldBeEmulated) {
  const auto fp16 = ops::make_cpu_backend({Precision::fp16, testing::forced_set()});
  ASSERT_FALSE(fp16);
  EXPECT_EQ(fp16.error().code, "ops/unsupported");
  EXPECT_THAT(ops::cpu_precisions(), ::testing::Contains(Precision::fp32));
  const auto three = ops::make_cpu_backend({Precision::fp32x3, testing::forced_set()});
  EXPECT_EQ(three.has_value(), ops::cpu_instruction_set() == "avx512_core_amx");
  if (three) {
    const auto library =
        ops::make_cpu_backend({Precision::fp32x3, testing::forced_set(), "onednn"});
    ASSERT_FALSE(library);
    EXPECT_EQ(library.error().code, "ops/gemm");
  } else {
    EXPECT_EQ(three.error().code, "ops/unsupported");
    EXPECT_THAT(three.error().message, ::testing::HasSubstr("AMX"));
  }
  const std::string set = ops::cpu_instruction_set();
  const bool bf16 = set == "avx512_core_bf16" || set == "avx512_core_amx";
  EXPECT_EQ(ops::make_cpu_backend({Precision::bf16, testing::forced_set()}).has_value(), bf16);
}

}  // namespace
}  // namespace breakeven

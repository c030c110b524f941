#include "model/widen.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "base/cpus.h"
#include "base/limits.h"
#include "model/safetensors_write.h"
#include "model_testing.h"
#include "testing/paths.h"

namespace breakeven::model {
namespace {

using breakeven::testing::shared_file;
using breakeven::testing::TempDir;

Checkpoint load(const std::filesystem::path& folder) {
  auto loaded = load_checkpoint(folder);
  BREAKEVEN_CHECK(loaded.has_value(), "{}", loaded.error().message);
  return *std::move(loaded);
}

const Checkpoint& builtin() {
  static const Checkpoint kLoaded = load(testing::builtin_folder());
  return kLoaded;
}

const Checkpoint& wide_builtin() {
  static const Checkpoint kWide = [] {
    auto widened = widen(builtin(), {}, 1);
    BREAKEVEN_CHECK(widened.has_value(), "{}", widened.error().message);
    return *std::move(widened);
  }();
  return kWide;
}

// Sequences of random words between [CLS] and [SEP].
testing::Tokens random_texts(const Checkpoint& checkpoint,
                             const std::vector<std::size_t>& lengths) {
  std::mt19937 random(7);
  testing::Tokens tokens;
  for (const std::size_t length : lengths) {
    std::vector<std::int32_t> ids;
    for (std::size_t i = 0; i < length; ++i) {
      // Frequent words come first in a trained vocabulary; all of it is drawn from.
      const double where = std::pow(static_cast<double>(random()) / 4294967296.0, 2.0);
      ids.push_back(5 + static_cast<std::int32_t>(
                            where * static_cast<double>(checkpoint.plan.vocabulary - 5)));
    }
    ids.front() = 2;
    ids.back() = 3;
    tokens.add(ids);
  }
  return tokens;
}

double logit_difference(const Checkpoint& narrow, const Checkpoint& wide,
                        const testing::Tokens& tokens) {
  const std::vector<float> expected = testing::reference_logits(narrow, tokens);
  const std::vector<float> actual = testing::reference_logits(wide, tokens);
  double most = 0;
  double spread = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    most = std::fmax(most, std::abs(static_cast<double>(expected[i]) - actual[i]));
    spread = std::fmax(spread, std::abs(static_cast<double>(expected[i])));
  }
  EXPECT_GT(spread, 0.1) << "logits that are all zero prove nothing";
  return most;
}

TEST(Widen, KeepsTheFunctionOfTheBuiltInModel) {
  // Few tokens where the code is not optimised: a debug build needs a second for each.
  const std::vector<std::size_t> lengths = testing::kOptimised
                                               ? std::vector<std::size_t>{3, 17, 60, 120}
                                               : std::vector<std::size_t>{3, 9};
  const double difference =
      logit_difference(builtin(), wide_builtin(), random_texts(builtin(), lengths));
  RecordProperty("logit_abs_max", std::to_string(difference));
  EXPECT_LE(difference, limit("widen/logit_abs_max"));
}

TEST(Widen, TakesDistilbertsExactShape) {
  const Checkpoint& wide = wide_builtin();
  EXPECT_EQ(wide.plan.hidden, 768U);
  EXPECT_EQ(wide.plan.heads, 12U);
  EXPECT_EQ(wide.plan.intermediate, 3072U);
  EXPECT_EQ(wide.plan.layers, 6U);
  EXPECT_EQ(wide.plan.labels, builtin().plan.labels);
  std::size_t parameters = 0;
  for (const TensorSpec& spec : wide.weights.table()) {
    parameters += wide.weights.tensor(spec.name).size();
  }
  EXPECT_EQ(parameters, 66955010U);  // distilbert-base-uncased-finetuned-sst-2-english
}

TEST(Widen, GrowsHeadsToo) {
  const auto wide = widen(builtin(), {256, 2, 512}, 3);  // 2 heads of 64 -> 2 of 128
  ASSERT_TRUE(wide.has_value());
  EXPECT_LE(logit_difference(builtin(), *wide, random_texts(builtin(), {3, 17})),
            limit("widen/logit_abs_max"));
}

TEST(Widen, ToTheSameSizeIsOnlyAnotherBasis) {
  const auto wide = widen(builtin(), {128, 2, 512}, 4);
  ASSERT_TRUE(wide.has_value());
  EXPECT_LE(logit_difference(builtin(), *wide, random_texts(builtin(), {3, 17})),
            limit("widen/logit_abs_max"));
}

// The bits of all weights in one number (FNV-1a over 32-bit words).
std::uint64_t fingerprint(const Checkpoint& checkpoint) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const TensorSpec& spec : checkpoint.weights.table()) {
    for (const float value : checkpoint.weights.tensor(spec.name)) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof bits);
      hash = (hash ^ bits) * 0x100000001B3ULL;
    }
  }
  return hash;
}

// A record of the bits: another machine, compiler or thread count must come to the same ones. When
// the algorithm is changed on purpose, kAlgorithm in widen.cc and this number change together.
TEST(Widen, SameSeedSameBitsOnEveryMachine) {
  const WideShape small{256, 4, 1024};
  const auto first = widen(builtin(), small, 1);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(fingerprint(*first), 4940807054726810046ULL);
}

TEST(Widen, AnotherSeedGivesOtherWeightsAndAnotherHash) {
  const WideShape small{256, 4, 1024};
  const auto first = widen(builtin(), small, 1);
  const auto second = widen(builtin(), small, 2);
  const auto other_shape = widen(builtin(), {256, 4, 512}, 1);
  ASSERT_TRUE(first && second && other_shape);
  EXPECT_NE(fingerprint(*first), fingerprint(*second));
  const std::set<std::string> hashes{builtin().content_hash(), first->content_hash(),
                                     second->content_hash(), other_shape->content_hash()};
  EXPECT_EQ(hashes.size(), 4U);
  for (const std::string& hash : hashes) EXPECT_EQ(hash.size(), 64U);
}

// Swapped heads, rows or columns must show in the logits: no two of them are alike, not even up to
// a factor.
double most_alike(std::vector<std::vector<double>> vectors) {
  for (std::vector<double>& vector : vectors) {
    double square = 0;
    for (const double value : vector) square += value * value;
    for (double& value : vector) value /= std::sqrt(square);
  }
  double most = 0;
  for (std::size_t a = 0; a < vectors.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      double dot = 0;
      for (std::size_t i = 0; i < vectors[a].size(); ++i) dot += vectors[a][i] * vectors[b][i];
      most = std::fmax(most, std::abs(dot));
    }
  }
  return most;
}

// Rows (or columns), `group` of them taken as one vector; at most 768, all pairs of which are a
// second's work.
std::vector<std::vector<double>> rows_of(const ops::LinearWeights& linear, bool columns,
                                         std::size_t group = 1) {
  const std::size_t count = std::min<std::size_t>(768, columns ? linear.in : linear.out);
  const std::size_t length = columns ? linear.out : linear.in;
  std::vector<std::vector<double>> vectors(count / group);
  for (std::size_t v = 0; v < count; ++v) {
    for (std::size_t i = 0; i < length; ++i) {
      vectors[v / group].push_back(columns ? linear.weight[i * linear.in + v]
                                           : linear.weight[v * linear.in + i]);
    }
  }
  return vectors;
}

TEST(Widen, NoTwoHeadsRowsOrColumnsAreAlike) {
  if (!testing::kOptimised) GTEST_SKIP() << "SKIPPED: needs an optimised build";
  {
    const std::size_t l = 5;
    const ops::LayerWeights& layer = wide_builtin().weights.view().layers[l];
    const std::size_t size = 64;
    EXPECT_LT(most_alike(rows_of(layer.query, false, size)), 0.9) << "heads of query";
    EXPECT_LT(most_alike(rows_of(layer.key, false, size)), 0.9) << "heads of key";
    EXPECT_LT(most_alike(rows_of(layer.value, false, size)), 0.9) << "heads of value";
    EXPECT_LT(most_alike(rows_of(layer.project, true, size)), 0.9) << "heads of project";
    for (const ops::LinearWeights* linear :
         {&layer.query, &layer.key, &layer.value, &layer.project, &layer.up, &layer.down}) {
      EXPECT_LT(most_alike(rows_of(*linear, false)), 0.995) << "rows of layer " << l;
      EXPECT_LT(most_alike(rows_of(*linear, true)), 0.995) << "columns of layer " << l;
    }
  }
}

struct Refusal {
  WideShape shape;
  const char* message;
};
class WidenRefuses : public ::testing::TestWithParam<Refusal> {};

TEST_P(WidenRefuses, SizesThatAreNoMultiples) {
  const auto wide = widen(builtin(), GetParam().shape, 1);
  ASSERT_FALSE(wide.has_value());
  EXPECT_EQ(wide.error().code, "widen/shape");
  EXPECT_EQ(wide.error().message, GetParam().message);
  EXPECT_FALSE(wide.error().hint.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, WidenRefuses,
    ::testing::Values(Refusal{{700, 12, 3072}, "hidden size 700 is not a multiple of 128"},
                      Refusal{{64, 2, 512}, "hidden size 64 is not a multiple of 128"},
                      Refusal{{0, 2, 512}, "hidden size 0 is not a multiple of 128"},
                      Refusal{{768, 3, 3072}, "number of heads 3 is not a multiple of 2"},
                      Refusal{{768, 0, 3072}, "number of heads 0 is not a multiple of 2"},
                      Refusal{{768, 12, 3000}, "intermediate size 3000 is not a multiple of 512"},
                      Refusal{{256, 6, 512}, "hidden size 256 is not a multiple of 6"},
                      Refusal{{768, 16, 512}, "head size 48 is not a multiple of 64"}));

TEST(Widen, RefusesBert) {
  Checkpoint bert;
  bert.plan = builtin().plan;
  bert.plan.architecture = &architecture_named("bert");
  const auto wide = widen(bert, {}, 1);
  ASSERT_FALSE(wide.has_value());
  EXPECT_EQ(wide.error().code, "widen/architecture");
}

TEST(Widen, RefusesWhatMemoryCannotHold) {
  const auto wide = widen(builtin(), {128 << 20, 2 << 20, 512}, 1);
  ASSERT_FALSE(wide.has_value());
  EXPECT_EQ(wide.error().code, "widen/memory");
}

TEST(WriteCheckpoint, CanBeLoadedAgain) {
  const auto wide = widen(builtin(), {256, 4, 512}, 5);
  ASSERT_TRUE(wide.has_value());
  const TempDir folder;
  const auto written = write_checkpoint(*wide, testing::builtin_folder(), folder / "wide");
  ASSERT_TRUE(written.has_value()) << written.error().message;
  const Checkpoint again = load(folder / "wide");
  EXPECT_EQ(again.plan.hidden, 256U);
  EXPECT_EQ(again.plan.heads, 4U);
  EXPECT_EQ(again.plan.intermediate, 512U);
  EXPECT_EQ(again.plan.vocabulary, builtin().plan.vocabulary);
  EXPECT_EQ(again.plan.labels, builtin().plan.labels);
  EXPECT_EQ(fingerprint(again), fingerprint(*wide));
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "vocab.txt"}) {
    EXPECT_EQ(*read_file(folder / "wide" / name), *read_file(testing::builtin_folder() / name));
  }
  // Over itself: replaced, not added to.
  ASSERT_TRUE(write_checkpoint(*wide, testing::builtin_folder(), folder / "wide"));
  EXPECT_EQ(fingerprint(load(folder / "wide")), fingerprint(*wide));
}

TEST(WriteCheckpoint, SaysWhatItCannotWriteOrRead) {
  const TempDir folder;
  ASSERT_TRUE(write_file_atomic(folder / "file", "x"));
  const auto below_a_file = write_checkpoint(builtin(), testing::builtin_folder(), folder / "file");
  ASSERT_FALSE(below_a_file.has_value());
  EXPECT_EQ(below_a_file.error().code, "file/unwritable");

  const auto no_source = write_checkpoint(builtin(), folder / "nowhere", folder / "out");
  ASSERT_FALSE(no_source.has_value());
  EXPECT_EQ(no_source.error().code, "file/missing");

  ASSERT_TRUE(write_file_atomic(folder / "config.json", "[1, 2]"));
  const auto no_object = write_checkpoint(builtin(), folder.path(), folder / "out");
  ASSERT_FALSE(no_object.has_value());
  EXPECT_EQ(no_object.error().code, "config/json");
}

TEST(Widen, KeepsTheFunctionOfAReallyTrainedCheckpoint) {
  const auto folder = shared_file("models/imdb-minilm");
  if (!folder) GTEST_SKIP() << "SKIPPED: no models/imdb-minilm below $BREAKEVEN_SHARED";
  if (!testing::kOptimised) GTEST_SKIP() << "SKIPPED: needs an optimised build";
  const Checkpoint narrow = load(*folder);
  const auto wide = widen(narrow, {}, 1);
  ASSERT_TRUE(wide.has_value());
  const double difference = logit_difference(narrow, *wide, random_texts(narrow, {3, 17, 60, 120}));
  RecordProperty("logit_abs_max", std::to_string(difference));
  EXPECT_LE(difference, limit("widen/logit_abs_max"));
}

}  // namespace
}  // namespace breakeven::model

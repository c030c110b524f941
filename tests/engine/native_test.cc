// The native classifier on the built-in model: every way through the engine gives the same answers.
#include "engine/native.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/limits.h"
#include "measure/memory.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/cuda/device_list.h"
#include "testing/paths.h"

namespace breakeven::engine {
namespace {

std::shared_ptr<const LoadedModel> narrow() {
  static const std::shared_ptr<const LoadedModel> model = *load_model({.model = "builtin-narrow"});
  return model;
}

// Texts of very different lengths, some over any limit, one empty.
std::vector<std::string> texts_of(std::size_t count, unsigned seed) {
  static const std::vector<std::string> words = {
      "a",    "great", "film", "terrible",    "plot", "the",  "actors",
      "were", "not",   "bad",  "unwatchable", "!",    "10/10"};
  std::mt19937 random(seed);
  std::vector<std::string> texts(count);
  for (std::size_t i = 1; i < count; ++i) {
    const std::size_t length = random() % (i % 7 == 0 ? 700 : 60);
    for (std::size_t word = 0; word < length; ++word)
      texts[i] += words[random() % words.size()] + " ";
  }
  return texts;
}

std::vector<Text> views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

std::unique_ptr<Classifier> make(NativeOptions options) {
  auto classifier = make_native(narrow(), options);
  EXPECT_TRUE(classifier.has_value()) << (classifier ? "" : classifier.error().to_string());
  return *std::move(classifier);
}

// All texts, batch after batch.
struct Answers {
  std::vector<float> logits;
  std::vector<std::uint32_t> labels, tokens;
  std::size_t computed_tokens = 0;
};
Answers one_by_one(Classifier& classifier, std::span<const Text> texts, std::size_t batch) {
  Answers all;
  BatchResult out;
  for (std::size_t first = 0; first < texts.size(); first += batch) {
    const auto some = texts.subspan(first, std::min(batch, texts.size() - first));
    EXPECT_TRUE(classifier.run_batch(some, out).has_value());
    all.logits.insert(all.logits.end(), out.logits.begin(), out.logits.end());
    all.labels.insert(all.labels.end(), out.labels.begin(), out.labels.end());
    all.tokens.insert(all.tokens.end(), out.tokens.begin(), out.tokens.end());
    all.computed_tokens += out.computed_tokens;
  }
  return all;
}

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

// What the reference says of each text alone.
std::vector<float> judged_one_by_one(const std::vector<Text>& texts, std::size_t max_length) {
  const auto judge = make({.setup = {.max_length = max_length}, .reference = true});
  std::vector<float> logits;
  BatchResult out;
  for (const Text& text : texts) {
    EXPECT_TRUE(judge->run_batch(std::span(&text, 1), out).has_value());
    logits.insert(logits.end(), out.logits.begin(), out.logits.end());
  }
  return logits;
}

class NativeWays : public ::testing::TestWithParam<std::tuple<unsigned, std::size_t, Padding>> {
 protected:
  static constexpr std::size_t kMaxLength = 128;
};

TEST_P(NativeWays, AgreesWithTheReferenceOnSingleTexts) {
  const auto [threads, batch, padding] = GetParam();
  const auto owned = texts_of(40, 3);
  const auto texts = views(owned);
  static const std::vector<float> judge = judged_one_by_one(texts, kMaxLength);
  const auto classifier =
      make({.setup = {
                .threads = threads, .max_length = kMaxLength, .batch = batch, .padding = padding}});
  const Answers serial = one_by_one(*classifier, texts, batch);
  EXPECT_LE(largest_difference(serial.logits, judge), limit("model/fp32/logit_abs_max"));
  StreamResult stream;
  ASSERT_TRUE(classifier->run_stream(texts, batch, stream).has_value());
  EXPECT_EQ(stream.logits, serial.logits);
  EXPECT_EQ(stream.labels, serial.labels);
  EXPECT_EQ(stream.tokens, serial.tokens);
  EXPECT_EQ(stream.computed_tokens, serial.computed_tokens);
  EXPECT_EQ(stream.batches_in_flight, (texts.size() + batch - 1) / batch);
  if (padding == Padding::max_length) {
    EXPECT_EQ(serial.computed_tokens, texts.size() * kMaxLength);
  }
  EXPECT_EQ(serial.tokens[0], 2U);  // the empty text: [CLS] [SEP]
  EXPECT_THAT(serial.tokens, ::testing::Each(::testing::Le(kMaxLength)));
}

INSTANTIATE_TEST_SUITE_P(
    All, NativeWays,
    ::testing::Combine(::testing::Values(1U, 2U, 3U), ::testing::Values(1U, 3U, 40U),
                       ::testing::Values(Padding::none, Padding::longest, Padding::max_length)));

class NativeBits : public ::testing::TestWithParam<std::string> {};

// Whoever computes a text, beside whichever others: the same bits.
TEST_P(NativeBits, ATextsLogitsKnowNoBatchNoScheduleAndNoThreadCount) {
  const std::string set = GetParam();
  const auto runnable = ops::cpu_instruction_set(set);
  if (!runnable) GTEST_SKIP() << "SKIPPED: this CPU has no " << set;
  const auto owned = texts_of(24, 9);
  const auto texts = views(owned);
  for (const ops::Precision precision : ops::cpu_precisions(set)) {
    for (const Padding padding : {Padding::none, Padding::max_length}) {
      const bool every_way = padding == Padding::none;
      const auto options = [&](unsigned threads, std::size_t batch) {
        return NativeOptions{.setup = {.precision = precision,
                                       .threads = threads,
                                       .max_length = 200,
                                       .batch = batch,
                                       .padding = padding},
                             .instruction_set = set};
      };
      const Answers alone = one_by_one(*make(options(1, 1)), texts, 1);
      for (const unsigned threads : {1U, 2U, 5U}) {
        for (const std::size_t batch : {1U, 7U, 30U}) {
          if (!every_way && (threads != 5 || batch != 7)) continue;
          const auto classifier = make(options(threads, batch));
          const std::string how =
              fmt::format("{} {} {}, {} threads, batch {}", set, ops::to_string(precision),
                          to_string(padding), threads, batch);
          EXPECT_EQ(one_by_one(*classifier, texts, batch).logits, alone.logits) << how;
          StreamResult stream;
          ASSERT_TRUE(classifier->run_stream(texts, batch, stream).has_value());
          EXPECT_EQ(stream.logits, alone.logits) << how;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, NativeBits,
                         ::testing::Values("avx2", "avx2_vnni", "avx512_core", "avx512_core_vnni",
                                           "avx512_core_bf16", "avx512_core_amx"));

// With a batch for padding to the longest, the longest decides how many rows are computed, and
// attention looks at none of them.
TEST(Native, PaddingToTheLongestChangesNoBitWhateverTheThreads) {
  const auto owned = texts_of(30, 10);
  const auto texts = views(owned);
  const auto with = [&](unsigned threads) {
    return one_by_one(
        *make({.setup = {.threads = threads, .batch = 6, .padding = Padding::longest}}), texts, 6);
  };
  const Answers alone = with(1);
  EXPECT_EQ(with(2).logits, alone.logits);
  EXPECT_EQ(with(5).logits, alone.logits);
}

// Every reading is a second after the one before it.
class CountingClock final : public Clock {
 public:
  double now_s() const override { return static_cast<double>(readings_++); }
  void sleep_until(double /*time_s*/) const override {}
  double readings() const { return static_cast<double>(readings_.load()); }

 private:
  mutable std::atomic<int> readings_{0};
};

// What passes between the first reading of a batch and the last belongs to exactly one stage.
TEST(Native, StagesAddUpToTheBatch) {
  const auto owned = texts_of(24, 4);
  const auto texts = views(owned);
  for (const unsigned threads : {1U, 2U}) {
    const CountingClock clock;
    const auto classifier = make({.setup = {.threads = threads, .batch = 24}, .clock = &clock});
    for (const std::size_t count : {1U, 24U}) {
      const double before = clock.readings();
      BatchResult out;
      ASSERT_TRUE(classifier->run_batch(std::span(texts).first(count), out).has_value());
      EXPECT_EQ(out.stages.sum(), clock.readings() - before - 1);
      for (const double stage :
           {out.stages.tokenize, out.stages.pack, out.stages.compute, out.stages.decode}) {
        EXPECT_GT(stage, 0);
      }
    }
  }
}

// Bookkeeping of a pass (seen: 80 bytes a batch, 4 kB a stream). The smallest buffer of a lane in
// this test would be 12 kB.
constexpr std::uint64_t kBookkeepingBytes = 8192;

TEST(Native, AWarmPassAllocatesNoBuffer) {
  if (!measure::start_counting_allocations()) {
    GTEST_SKIP() << "SKIPPED: a sanitizer brings its own malloc; the release build counts";
  }
  const auto owned = texts_of(24, 5);
  const auto texts = views(owned);
  for (const ops::Precision precision : native_precisions({})) {
    const auto classifier = make({.setup = {.precision = precision, .threads = 2, .batch = 24}});
    BatchResult out;
    StreamResult stream;
    for (int warm = 0; warm < 2; ++warm) {
      ASSERT_TRUE(classifier->run_batch(texts, out).has_value());
      ASSERT_TRUE(classifier->run_batch(std::span(texts).first(1), out).has_value());
      ASSERT_TRUE(classifier->run_stream(texts, 8, stream).has_value());
    }
    measure::reset_peak_allocated();
    const std::uint64_t before = measure::allocated_bytes();
    ASSERT_TRUE(classifier->run_batch(std::span(texts).first(1), out).has_value());
    ASSERT_TRUE(classifier->run_batch(texts, out).has_value());
    EXPECT_LE(measure::peak_allocated_bytes() - before, kBookkeepingBytes)
        << ops::to_string(precision);
    ASSERT_TRUE(classifier->run_stream(texts, 8, stream).has_value());
    EXPECT_LE(measure::peak_allocated_bytes() - before, kBookkeepingBytes)
        << ops::to_string(precision);
  }
}

TEST(Native, ClassifiersOfOnePrecisionShareTheirPackedWeights) {
  // Without the hooks (a sanitizer's build) both counts are 0 and only the sizes are compared.
  measure::start_counting_allocations();
  const auto first = make({.setup = {.batch = 1}});
  const std::uint64_t weights = first->info().weight_bytes;
  const std::uint64_t before = measure::allocated_bytes();
  const auto second = make({.setup = {.batch = 32}});
  // What it has of its own: the tokenizer's cache of words, 2 MB, and little else.
  EXPECT_LT(measure::allocated_bytes(), before + weights / 5);
  EXPECT_EQ(second->info().weight_bytes, weights);
}

TEST(Native, AModelThatLiesWhereAnotherOneLayHasItsOwnWeights) {
  alignas(LoadedModel) std::byte place[sizeof(LoadedModel)];
  const auto open = [&](const char* name) {
    const auto folder = testing::source_dir() / "tests" / "golden" / "pairs" / name;
    auto loaded = load_model({.model = folder.string()});
    EXPECT_TRUE(loaded.has_value());
    auto* there = new (place) LoadedModel(std::move(const_cast<LoadedModel&>(**loaded)));
    const std::shared_ptr<const LoadedModel> model(
        there, [](const LoadedModel* gone) { gone->~LoadedModel(); });
    return *make_native(model, {.setup = {.max_length = 32, .batch = 1}});  // the model goes
  };
  const std::vector<Text> text = {"a good film"};
  const auto logits_of = [&](Classifier& classifier) {
    BatchResult out;
    EXPECT_TRUE(classifier.run_batch(text, out).has_value());
    return out.logits;
  };
  const std::vector<float> alone = logits_of(*open("bert_nli"));
  const auto other = open("distilbert_reranker");
  EXPECT_EQ(logits_of(*open("bert_nli")), alone);
}

// Sets `stop` when it has been read so many times: somewhere in the middle of a run.
class StoppingClock final : public Clock {
 public:
  double now_s() const override {
    if (left_.fetch_sub(1) == 1) stop_ = true;
    return 0;
  }
  void sleep_until(double /*time_s*/) const override {}
  void stop_after(int readings) { left_ = readings; }
  std::atomic<bool>& stop() { return stop_; }

 private:
  mutable std::atomic<int> left_{0};
  mutable std::atomic<bool> stop_{false};
};

TEST(Native, AStoppedRunIsAnErrorAndTheNextOneIsWhole) {
  const auto texts = texts_of(3000, 9);
  const auto all = views(texts);
  for (const unsigned threads : {1U, 3U}) {
    StoppingClock clock;
    const auto classifier = make({.setup = {.threads = threads, .max_length = 64, .batch = 32},
                                  .clock = &clock,
                                  .stop = &clock.stop()});
    StreamResult whole, out;
    ASSERT_TRUE(classifier->run_stream(all, 32, whole).has_value());
    for (const int readings : {1, 2, 5, 20}) {
      clock.stop_after(readings);
      const auto stopped = classifier->run_stream(all, 32, out);
      ASSERT_FALSE(stopped.has_value()) << readings;
      EXPECT_EQ(stopped.error().code, "engine/stopped");
      clock.stop() = false;
    }
    ASSERT_TRUE(classifier->run_stream(all, 32, out).has_value());
    EXPECT_EQ(out.labels, whole.labels);
    EXPECT_EQ(largest_difference(out.logits, whole.logits), 0);
  }
}

TEST(Native, InfoSaysWhatRuns) {
  const auto classifier = make({.setup = {.threads = 2, .max_length = 64, .batch = 4}});
  const ClassifierInfo info = classifier->info();
  EXPECT_EQ(info.device, Device{});
  EXPECT_EQ(info.precision, Precision::fp32);
  EXPECT_EQ(info.threads, 2U);
  EXPECT_THAT(info.labels, ::testing::ElementsAre("NEGATIVE", "POSITIVE"));
  EXPECT_FALSE(info.instruction_set.empty());
  EXPECT_GT(info.weight_bytes, 1000000U);
}

std::string code_of(const NativeOptions& options) {
  const auto classifier = make_native(narrow(), options);
  return classifier ? "none" : classifier.error().code;
}

TEST(Native, OptionsThatCannotRunAreRefusedByName) {
  if (!ops::cuda_engine_built()) {
    EXPECT_EQ(code_of({.setup = {.device = Device{{0}}}}), "engine/device");
  }
  EXPECT_EQ(code_of({.setup = {.threads = 0}}), "engine/threads");
  EXPECT_EQ(code_of({.setup = {.max_length = 513}}), "engine/max-length");
  EXPECT_EQ(code_of({.setup = {.max_length = 1}}), "engine/max-length");
  EXPECT_EQ(code_of({.setup = {.batch = 0}}), "engine/batch");
}

TEST(Load, ATokenizerOfAnotherModelIsRefused) {
  const testing::TempDir folder;
  const auto builtin = testing::source_dir() / "models" / "builtin";
  for (const char* file :
       {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"}) {
    std::filesystem::copy(builtin / file, folder / file);
  }
  std::ofstream(folder / "vocab.txt", std::ios::app) << "onewordtoomany\n";
  const auto loaded = load_model({.model = folder.path().string()});
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().code, "model/vocabulary");
  EXPECT_THAT(loaded.error().message, ::testing::HasSubstr("30522"));
}

TEST(Load, WithoutTheRealModelTheBuiltInOneIsTakenAndSaid) {
  const testing::TempDir empty;
  ::setenv("HF_HUB_CACHE", empty.path().c_str(), 1);
  const auto loaded = load_model({});
  ::unsetenv("HF_HUB_CACHE");
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ((*loaded)->name, "builtin (6 x 768)");
  EXPECT_THAT((*loaded)->note, ::testing::HasSubstr("breakeven fetch distilbert-base-uncased"));
  EXPECT_EQ((*loaded)->checkpoint.plan.hidden, 768U);
}

}  // namespace
}  // namespace breakeven::engine

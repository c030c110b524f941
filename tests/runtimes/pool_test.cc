#include <gmock/gmock.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/clock.h"
#include "fake_runtimes.h"

namespace breakeven::runtimes {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using PoolTest = FakeRuntimes;

char state_of(int pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  const auto end = line.rfind(") ");
  return end == std::string::npos ? '-' : line[end + 2];
}

int pid_of(const Classifier& classifier) {
  return classifier.info().processes.at(0);
}

TEST_F(PoolTest, KnownRuntimesHaveNames) {
  EXPECT_THAT(std::vector(known_runtimes().begin(), known_runtimes().end()),
              ElementsAre("pytorch", "onnxruntime", "openvino", "ctranslate2"));
}

TEST_F(PoolTest, CapabilitiesAreAskedOnce) {
  const auto known = capabilities(fake("good"));
  ASSERT_TRUE(known) << known.error().to_string();
  EXPECT_EQ(known->runtime, "good");
  EXPECT_EQ(known->version, "1.2.3");
  EXPECT_EQ(known->tokenizer, "letters 1");
  ASSERT_EQ(known->abilities.size(), 3U);
  EXPECT_EQ(known->abilities[0].variant, "seed");
  EXPECT_THAT(known->abilities[0].paddings, ElementsAre(Padding::longest, Padding::max_length));
  EXPECT_EQ(known->abilities[2].device, Device{{0}});
  std::filesystem::remove(folder_ / "good.py");
  EXPECT_TRUE(capabilities("good"));
}

TEST_F(PoolTest, BatchesAreClassifiedByIndex) {
  auto made = make(spec_of("good"));
  ASSERT_TRUE(made) << made.error().to_string();
  const std::vector<Text> texts = {"abc", "", "abc", "\xff\xfe!", "gr\xc3\xb6\xc3\x9f"};
  BatchResult batch;
  const double before_s = monotonic_clock().now_s();
  ASSERT_TRUE((*made)->run_batch(texts, batch));
  const double took_s = monotonic_clock().now_s() - before_s;
  // Each invalid byte is one U+FFFD.
  EXPECT_THAT(batch.logits, ElementsAre(3, -1, 0, -1, 3, -1, 3, -1, 4, -1));
  EXPECT_THAT(batch.labels, ElementsAre(0, 1, 0, 0, 0));
  EXPECT_THAT(batch.tokens, ElementsAre(5, 2, 5, 5, 6));
  EXPECT_THAT(batch.scores, ::testing::Each(0.75F));
  EXPECT_EQ(batch.computed_tokens, 23U);
  EXPECT_GT(batch.seconds, 0);
  EXPECT_LT(batch.seconds, took_s);
  EXPECT_LE(batch.stages.sum(), batch.seconds * 1.01 + 1e-6);
  // The same memory with other content is another text.
  std::string reused = "12345";
  ASSERT_TRUE((*made)->run_batch(std::vector<Text>{reused}, batch));
  EXPECT_THAT(batch.logits, ElementsAre(5, -1));
  reused.assign("");
  ASSERT_TRUE((*made)->run_batch(std::vector<Text>{reused, "abc"}, batch));
  EXPECT_THAT(batch.logits, ElementsAre(0, -1, 3, -1));
  StreamResult stream;
  ASSERT_TRUE((*made)->run_stream(texts, 2, stream));
  EXPECT_THAT(stream.labels, ElementsAre(0, 1, 0, 0, 0));
  EXPECT_EQ(stream.batches_in_flight, 1U);
  EXPECT_GT(stream.seconds, 0);
}

TEST_F(PoolTest, InfoSaysWhatRan) {
  const auto made = make(spec_of("good"));
  ASSERT_TRUE(made) << made.error().to_string();
  const ClassifierInfo info = (*made)->info();
  EXPECT_EQ(info.runtime.name, "good");
  EXPECT_EQ(info.runtime.variant, "seed") << "the first that can do it";
  EXPECT_EQ(info.device, Device{});
  EXPECT_EQ(info.padding, Padding::longest);
  EXPECT_EQ(info.threads, 2U);
  EXPECT_EQ(info.weight_bytes, 1000U);
  EXPECT_EQ(info.tokenizer, "letters 1");
  EXPECT_THAT(info.labels, ElementsAre("some", "none"));
  EXPECT_EQ(info.settings.at("version"), "1.2.3");
  EXPECT_EQ(info.settings.at("threads"), "2");
  EXPECT_EQ(info.settings.at("model"), "/models/some");
}

// fake_worker's hash of a text's ids is its length.
TEST_F(PoolTest, InfoSaysHowManyTextsHaveOtherIds) {
  options_.ids = [](const Text& text, std::uint64_t max_length) {
    EXPECT_EQ(max_length, 512U);
    return std::optional(text.first == "other" ? 7U : static_cast<std::uint32_t>(text.bytes()));
  };
  const auto classifier = make(spec_of("texts-ids"));
  ASSERT_TRUE(classifier) << classifier.error().message;
  BatchResult out;
  const std::vector<Text> same = {"a", "bcd"}, more = {"other", "a", "efgh"};
  ASSERT_TRUE((*classifier)->run_batch(same, out));
  EXPECT_EQ((*classifier)->info().other_ids, 0);
  ASSERT_TRUE((*classifier)->run_batch(more, out));
  EXPECT_EQ((*classifier)->info().other_ids, 0.25) << "of the four that it has";
}

TEST_F(PoolTest, WhatIsLeftOpenTakesTheFirstThatFits) {
  WorkerSpec spec = spec_of("good");
  spec.device = Device{{0}};
  const auto made = make(spec);
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ((*made)->info().runtime.variant, "tuned");
  EXPECT_EQ((*made)->info().padding, Padding::longest);
}

TEST_F(PoolTest, WhatIsNotANumberIsNaN) {
  const auto made = make(spec_of("run-nan"));
  ASSERT_TRUE(made) << made.error().to_string();
  BatchResult batch;
  ASSERT_TRUE((*made)->run_batch(std::vector<Text>{"a"}, batch));
  EXPECT_TRUE(std::isnan(batch.logits.at(0)));
  EXPECT_TRUE(std::isnan(batch.logits.at(1))) << "1e300 is no float";
  EXPECT_TRUE(std::isnan(batch.scores.at(0)));
}

TEST_F(PoolTest, LongAndManyTextsGoOver) {
  const auto made = make(spec_of("good"));
  ASSERT_TRUE(made) << made.error().to_string();
  const std::string huge(10000000, 'x');
  const std::string quotes(10000000, '"');
  BatchResult batch;
  ASSERT_TRUE((*made)->run_batch(std::vector<Text>{huge, quotes}, batch));
  EXPECT_THAT(batch.logits, ElementsAre(1e7F, -1, 1e7F, -1));
  EXPECT_THAT(batch.tokens, ElementsAre(512, 512));
  std::vector<std::string> many(10000);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = std::to_string(i) + " " + many[i / 2];
  const std::vector<Text> texts(many.begin(), many.end());
  StreamResult stream;
  ASSERT_TRUE((*made)->run_stream(texts, 32, stream));
  ASSERT_EQ(stream.logits.size(), 20000U);
  for (std::size_t i = 0; i < many.size(); ++i) {
    ASSERT_EQ(stream.logits[2 * i], static_cast<float>(many[i].size())) << i;
  }
}

TEST_F(PoolTest, UnsupportedSpecsNameWhatThereIs) {
  WorkerSpec spec = spec_of("good");
  spec.precision = Precision::bf16;
  const auto precision = make(spec);
  ASSERT_FALSE(precision);
  EXPECT_EQ(precision.error().code, "runtime/unsupported");
  EXPECT_THAT(precision.error().message, HasSubstr("any variant cpu bf16 (longest)"));
  EXPECT_THAT(precision.error().hint, HasSubstr("seed cpu fp32 (longest, max_length)"));
  spec = spec_of("good");
  spec.runtime.variant = "other";
  EXPECT_FALSE(make(spec));
  spec = spec_of("good");
  spec.padding = Padding::none;
  EXPECT_FALSE(make(spec));
}

TEST_F(PoolTest, AnIdleWorkerStandsStill) {
  auto first = make(spec_of("good"));
  ASSERT_TRUE(first) << first.error().to_string();
  const auto busy = make(spec_of("good"));
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, "runtime/busy");
  WorkerSpec other = spec_of("good");
  other.runtime.variant = "tuned";
  auto second = make(other);
  ASSERT_TRUE(second) << second.error().to_string();
  const int pid = pid_of(**first);
  EXPECT_NE(pid, pid_of(**second));
  first->reset();
  EXPECT_EQ(state_of(pid), 'T');
  first = make(spec_of("good"));
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(pid_of(**first), pid) << "it is woken, not started again";
  BatchResult batch;
  ASSERT_TRUE((*first)->run_batch(std::vector<Text>{"abc"}, batch));
  EXPECT_EQ(batch.logits.at(0), 3);
  first->reset();
  second->reset();
  pool_.reset();
  EXPECT_EQ(state_of(pid), '-');
}

TEST_F(PoolTest, OneThatDiedWhileStoppedIsStartedAgain) {
  auto made = make(spec_of("good"));
  ASSERT_TRUE(made) << made.error().to_string();
  const int pid = pid_of(**made);
  made->reset();
  ::kill(pid, SIGKILL);
  while (state_of(pid) != 'Z') std::this_thread::sleep_for(std::chrono::milliseconds(1));
  made = make(spec_of("good"));
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_NE(pid_of(**made), pid);
}

TEST_F(PoolTest, AGpuWorkerEndsWithItsClassifier) {
  WorkerSpec spec = spec_of("good");
  spec.device = Device{{0}};
  auto made = make(spec);
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ((*made)->info().runtime.variant, "tuned") << "the only one that can";
  const int pid = pid_of(**made);
  const auto will = folder_ / "will";
  ::setenv("LAST_WILL", will.c_str(), 1);
  auto second = make(spec_of("good"));  // inherits the variable; the first one has not
  made->reset();
  EXPECT_EQ(state_of(pid), '-');
  EXPECT_FALSE(std::filesystem::exists(will));
  second->reset();
  pool_.reset();
  ::unsetenv("LAST_WILL");
  EXPECT_TRUE(std::filesystem::exists(will)) << "it is asked to end, not killed";
}

TEST_F(PoolTest, TheOldestEndWhenMemoryGetsShort) {
  WorkerSpec spec = spec_of("good");
  auto first = make(spec);
  spec.runtime.variant = "tuned";
  auto second = make(spec);
  ASSERT_TRUE(first && second);
  const int first_pid = pid_of(**first);
  const int second_pid = pid_of(**second);
  first->reset();
  EXPECT_EQ(state_of(first_pid), 'T');
  put_memory(100, 14);  // less than 15 %
  second->reset();
  EXPECT_EQ(state_of(first_pid), '-');
  EXPECT_EQ(state_of(second_pid), '-') << "still short";
  put_memory(100, 16);
  second = make(spec);
  ASSERT_TRUE(second);
  const int third_pid = pid_of(**second);
  second->reset();
  EXPECT_EQ(state_of(third_pid), 'T');
}

// It would have tokenized its texts before its first label is timed.
TEST_F(PoolTest, AFreshOneIsNotAskedForIds) {
  options_.ids = [](const Text&, std::uint64_t) { return std::optional(7U); };
  const auto fresh = measure_fresh(spec_of("texts-unasked"), {"a"}, false);
  EXPECT_TRUE(fresh) << fresh.error().to_string();
  const auto asked = make(spec_of("texts-unasked"));
  ASSERT_TRUE(asked) << asked.error().to_string();
  BatchResult out;
  EXPECT_FALSE((*asked)->run_batch(std::vector<Text>{"a"}, out));
}

TEST_F(PoolTest, AFreshOneMeasuresMemoryAndColdStart) {
  fake("run-die");
  std::vector<std::string> made(100);
  for (std::size_t i = 0; i < made.size(); ++i) made[i] = std::to_string(i);
  const std::vector<Text> texts(made.begin(), made.end());
  for (const bool stream : {false, true}) {
    const double before_s = monotonic_clock().now_s();
    const auto fresh = measure_fresh(spec_of("good"), texts, stream);
    ASSERT_TRUE(fresh) << fresh.error().to_string();
    EXPECT_GE(fresh->started_s, before_s);
    EXPECT_GT(fresh->loaded_s, fresh->started_s);
    EXPECT_GT(fresh->first_label_s, fresh->loaded_s);
    EXPECT_LT(fresh->first_label_s, monotonic_clock().now_s());
    EXPECT_EQ(fresh->weight_bytes, 1000U);
    EXPECT_GT(fresh->loading_peak_rss_bytes, 1U << 20);
    EXPECT_GT(fresh->peak_rss_bytes, 1U << 20);
    EXPECT_FALSE(fresh->device_peak_bytes);
  }
  WorkerSpec spec = spec_of("good");
  spec.device = Device{{0}};
  const auto fresh = measure_fresh(spec, texts, false);
  ASSERT_TRUE(fresh) << fresh.error().to_string();
  EXPECT_EQ(fresh->device_peak_bytes, 5U);
  const auto failed = measure_fresh(spec_of("run-die"), texts, false);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, "runtime/died");
}

// The real adapters' shared part, without a library behind it.
TEST_F(PoolTest, TheNullRuntimeSpeaksTheProtocol) {
  options_.scripts.clear();
  WorkerSpec spec;
  spec.runtime.name = "null";
  spec.padding = Padding::longest;
  spec.model_folder = (testing::source_dir() / "models/builtin").string();
  spec.batch = 4;
  const auto made = make(spec);
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ((*made)->info().tokenizer, "none");
  const std::vector<Text> texts = {"a", "b", "c", "d", "e"};
  BatchResult batch;
  const auto done = (*made)->run_batch(std::span(texts).first(3), batch);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_THAT(batch.logits, ElementsAre(0, 1, 0, 1, 0, 1));
  EXPECT_THAT(batch.labels, ElementsAre(1, 1, 1));
  EXPECT_EQ(batch.computed_tokens, 3U * 128);
  StreamResult stream;
  const auto streamed = (*made)->run_stream(texts, 4, stream);
  ASSERT_TRUE(streamed) << streamed.error().to_string();
  EXPECT_EQ(stream.labels.size(), 5U);
  const auto fresh = measure_fresh(spec, texts, false);
  ASSERT_TRUE(fresh) << fresh.error().to_string();
  EXPECT_GT(fresh->peak_rss_bytes, 1U << 20);
}

}  // namespace
}  // namespace breakeven::runtimes

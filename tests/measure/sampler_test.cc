#include "measure/sampler.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include "measure/statistics.h"
#include "measure/thresholds.h"
#include "record/json.h"
#include "testing/fake_classifier.h"

namespace breakeven::measure {
namespace {

using ::testing::ElementsAre;
using testing::FakeClassifier;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Clock, RunsForwardAndSleeps) {
  const Clock& clock = monotonic_clock();
  const double before = clock.now_s();
  clock.sleep_until(before + 0.002);
  EXPECT_GE(clock.now_s(), before + 0.002);
  clock.sleep_until(before);  // has passed
  ManualClock manual;
  manual.advance(2);
  manual.sleep_until(1);
  EXPECT_EQ(manual.now_s(), 2);
  manual.sleep_until(5);
  EXPECT_EQ(manual.now_s(), 5);
}

TEST(Steadiness, TellsTrendsAndShiftsFromNoise) {
  EXPECT_FALSE(steadiness(std::vector<double>{1, 1, 1}).steady) << "three are fewer than four";
  EXPECT_TRUE(steadiness(std::vector<double>{9, 5, 1, 1, 1, 1}).steady) << "only the last count";
  EXPECT_TRUE(steadiness(std::vector<double>{1, 1.02, 0.99, 1.01}).steady);
  const auto falling = steadiness(std::vector<double>{1.12, 1.08, 1.04, 1.0});
  EXPECT_FALSE(falling.steady);
  EXPECT_NEAR(falling.trend, -0.12 / 1.06, 1e-12);
  const auto shifted = steadiness(std::vector<double>{1, 1, 1.1, 1.1});
  EXPECT_FALSE(shifted.steady);
  EXPECT_NEAR(shifted.level_shift, 0.1, 1e-12);
  EXPECT_TRUE(steadiness(std::vector<double>{1, 1, 1.1, 1.1}, {4, 0.15}).steady);
}

// Ten texts of 1 to 10 letters.
class SamplerTest : public ::testing::Test {
 protected:
  SamplerTest() {
    for (std::size_t letters = 1; letters <= 10; ++letters) words_.emplace_back(letters, 'x');
    texts_.assign(words_.begin(), words_.end());
  }
  static double per_letter(std::size_t /*call*/, std::size_t /*texts*/, std::size_t letters) {
    return 0.001 * static_cast<double>(letters);
  }
  std::vector<std::string> words_;
  std::vector<std::string_view> texts_;
  ManualClock clock_;
};

TEST_F(SamplerTest, SerialSamplesAreBatchesInTimeOrder) {
  FakeClassifier fake(clock_, per_letter);
  Sampler sampler(fake, texts_, {Mode::serial, 4, {}, {0.01, 3, 3}}, clock_);
  ASSERT_TRUE(sampler.measure(10));
  const Samples& samples = sampler.samples();
  EXPECT_EQ(samples.batches_per_pass, 3U);
  EXPECT_EQ(samples.passes(), 3U);
  EXPECT_THAT(samples.positions, ElementsAre(0, 1, 2, 0, 1, 2, 0, 1, 2));
  ASSERT_THAT(samples.seconds, SizeIs(9));
  EXPECT_NEAR(samples.seconds[0], 0.010, 1e-12);  // 1 + 2 + 3 + 4 letters
  EXPECT_NEAR(samples.seconds[1], 0.026, 1e-12);
  EXPECT_NEAR(samples.seconds[2], 0.019, 1e-12);  // the last batch has two texts
  EXPECT_NEAR(samples.pass_seconds[2], 0.055, 1e-12);
  EXPECT_EQ(samples.judged, 10U);
  EXPECT_THAT(samples.logits, SizeIs(20));
  EXPECT_THAT(samples.tokens, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  EXPECT_EQ(samples.computed_tokens, 55U);
  EXPECT_NEAR(samples.stages[0].sum(), samples.seconds[0], 1e-12);
}

TEST_F(SamplerTest, WarmUpEndsWhenSteadyAndIsNotTimed) {
  // Passes of 3 batches: the first two passes are slow.
  FakeClassifier fake(
      clock_, [](std::size_t call, std::size_t, std::size_t) { return call < 6 ? 0.5 : 0.1; });
  Sampler sampler(fake, texts_, {Mode::serial, 4, {}, {}}, clock_);
  ASSERT_TRUE(sampler.warm_up(100));
  EXPECT_TRUE(sampler.samples().steady);
  EXPECT_EQ(sampler.samples().warmup_passes, 6U);  // two slow ones and four equal ones
  EXPECT_NEAR(sampler.samples().warmup_s, 6 * 0.5 + 12 * 0.1, 1e-9);
  EXPECT_THAT(sampler.samples().seconds, IsEmpty());
  EXPECT_EQ(sampler.samples().judged, 0U);
}

TEST_F(SamplerTest, WarmUpThatIsNeverSteadyEndsWithItsBudget) {
  FakeClassifier fake(clock_, [](std::size_t call, std::size_t, std::size_t) {
    return 0.1 * static_cast<double>(call + 1);
  });
  Sampler sampler(fake, texts_, {Mode::stream, 4, {}, {}}, clock_);
  ASSERT_TRUE(sampler.warm_up(3));
  EXPECT_FALSE(sampler.samples().steady);
  ASSERT_TRUE(sampler.measure(20));
  EXPECT_GE(sampler.samples().passes(), 1U);
}

TEST_F(SamplerTest, WarmUpLooksAtItsBudgetBetweenBatches) {
  FakeClassifier fake(clock_, [](std::size_t, std::size_t, std::size_t) { return 8.0; });
  Sampler sampler(fake, texts_, {Mode::serial, 1, {}, {}}, clock_);
  ASSERT_TRUE(sampler.warm_up(10));
  EXPECT_EQ(fake.calls(), 2U);
  EXPECT_EQ(sampler.samples().warmup_passes, 0U);
  EXPECT_FALSE(sampler.samples().steady);
  EXPECT_NEAR(sampler.expected_pass_s(), 80, 1e-9);
}

TEST_F(SamplerTest, RewarmingEndsAtTheLevelOfTheTimedPasses) {
  FakeClassifier fake(clock_, [](std::size_t call, std::size_t, std::size_t) {
    return call == 3 || call == 4 ? 0.5 : 0.1;  // cold again after another cell
  });
  Sampler sampler(fake, texts_, {Mode::stream, 4, {}, {0.01, 3, 3}}, clock_);
  ASSERT_TRUE(sampler.measure(10));  // calls 0 to 2
  ASSERT_TRUE(sampler.warm_up(10));  // calls 3 to 5
  EXPECT_TRUE(sampler.samples().steady);
  EXPECT_EQ(sampler.samples().warmup_passes, 3U);
}

TEST_F(SamplerTest, StopsWhenTheIntervalIsNarrow) {
  FakeClassifier fake(clock_, [](std::size_t call, std::size_t, std::size_t) {
    return call % 2 == 0 ? 0.1 : 0.1001;
  });
  Sampler sampler(fake, texts_, {Mode::stream, 4, {}, {0.01, 6, 1000}}, clock_);
  ASSERT_TRUE(sampler.measure(1000));
  EXPECT_TRUE(sampler.enough());
  EXPECT_EQ(sampler.samples().passes(), 6U);
}

TEST_F(SamplerTest, ANoisyCellUsesItsBudgetAndNoMore) {
  FakeClassifier fake(
      clock_, [](std::size_t call, std::size_t, std::size_t) { return call % 2 == 0 ? 0.5 : 1.5; });
  Sampler sampler(fake, texts_, {Mode::stream, 4, {}, {0.001, 6, 1000}}, clock_);
  ASSERT_TRUE(sampler.measure(20));
  EXPECT_FALSE(sampler.enough());
  EXPECT_LE(clock_.now_s(), 21);
  EXPECT_GT(sampler.samples().passes(), 15U);
}

TEST_F(SamplerTest, WithoutOneFullPassWhatWasDoneCounts) {
  FakeClassifier fake(clock_, [](std::size_t, std::size_t, std::size_t) { return 8.0; });
  Sampler sampler(fake, texts_, {Mode::serial, 1, {}, {}}, clock_);
  ASSERT_TRUE(sampler.measure(30));
  EXPECT_EQ(sampler.samples().passes(), 0U);
  EXPECT_EQ(sampler.samples().judged, 4U);
  record::Record record;
  summarise(sampler.samples(), texts_.size(), record);
  EXPECT_THAT(record.latency_s, IsEmpty()) << "four samples carry no percentile";
  EXPECT_EQ(record.latency_note, "4 of the 10 batches of one pass");
  EXPECT_NEAR(record.reviews_per_s.value, 1 / 8.0, 1e-12);
  ASSERT_TRUE(to_json_line(record));
  // The next block goes on where this one stopped.
  ASSERT_TRUE(sampler.measure(48));
  EXPECT_EQ(sampler.samples().passes(), 1U);
  EXPECT_NEAR(sampler.samples().pass_seconds[0], 80, 1e-9);
  EXPECT_THAT(sampler.samples().positions, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
}

TEST_F(SamplerTest, TheStopFlagEndsItBetweenBatches) {
  std::atomic<bool> stop = false;
  FakeClassifier fake(clock_, per_letter);
  fake.after_call = [&](std::size_t calls) { stop = calls >= 5; };
  Sampler sampler(fake, texts_, {Mode::serial, 2, {}, {}}, clock_, &stop);
  ASSERT_TRUE(sampler.measure(100));
  EXPECT_EQ(fake.calls(), 5U);
  EXPECT_TRUE(sampler.samples().interrupted);
}

TEST_F(SamplerTest, ErrorsAreHandedOn) {
  FakeClassifier fake(clock_, per_letter);
  fake.fail_at = 1;
  Sampler sampler(fake, texts_, {Mode::serial, 4, {}, {}}, clock_);
  EXPECT_EQ(sampler.warm_up(10).error().code, "fake/broken");
  FakeClassifier liar(clock_, per_letter);
  liar.short_answer = true;
  Sampler second(liar, texts_, {Mode::serial, 4, {}, {}}, clock_);
  EXPECT_EQ(second.measure(10).error().code, "measure/output");
  Sampler third(fake, {}, {Mode::serial, 4, {}, {}}, clock_);
  EXPECT_EQ(third.measure(10).error().code, "measure/no-texts");
}

TEST_F(SamplerTest, OutputsThatChangeBetweenPassesAreSeen) {
  FakeClassifier fake(clock_, per_letter);
  fake.wobble_from = 4;  // the second pass's second batch
  Sampler sampler(fake, texts_, {Mode::serial, 4, {}, {0.01, 3, 3}}, clock_);
  ASSERT_TRUE(sampler.measure(10));
  EXPECT_FLOAT_EQ(static_cast<float>(sampler.samples().repeat_abs_max), 0.25F);
  EXPECT_EQ(sampler.samples().repeat_flips, 0U);
  EXPECT_FLOAT_EQ(sampler.samples().logits[0], -1.5F) << "the first timed pass is kept";
}

TEST_F(SamplerTest, SummaryHoldsOnlyPercentilesThatTheSamplesCarry) {
  FakeClassifier fake(clock_, per_letter);
  fake.cut_above = 9;
  Sampler sampler(fake, texts_, {Mode::serial, 1, {}, {0.0, 7, 7}}, clock_);
  ASSERT_TRUE(sampler.measure(10));
  record::Record record;
  record.cell.max_length = 9;
  summarise(sampler.samples(), texts_.size(), record);
  ASSERT_EQ(sampler.samples().seconds.size(), 70U);
  EXPECT_THAT(record.latency_s, SizeIs(2));  // 70: p50 and p90
  EXPECT_NEAR(record.latency_s["p50"].value, 0.0055, 1e-9);
  EXPECT_EQ(record.latency_s["p50"].samples, 70U);
  EXPECT_TRUE(record.latency_s["p50"].interval);
  EXPECT_THAT(record.latency_note, HasSubstr("mix of lengths: 10 batches, 7 times"));
  EXPECT_NEAR(record.reviews_per_s.value, 10 / 0.055, 1e-6);
  EXPECT_NEAR(record.tokens_per_s.value, 1000, 1e-6);
  EXPECT_EQ(record.texts.truncated, 1U);  // 9 letters fit, 10 are cut; all passes count once
  EXPECT_NEAR(record.texts.mean_tokens, 5.5, 1e-12);
  EXPECT_THAT(record.texts.token_counts, SizeIs(10));
  EXPECT_EQ(std::accumulate(record.texts.token_counts.begin(), record.texts.token_counts.end(), 0U),
            55U);
  ASSERT_TRUE(record.stages);
  EXPECT_NEAR(record.stages->compute_s, 0.0055 * 3 / 4, 1e-9);
  EXPECT_NEAR(*record.spread, 0, 1e-9);
}

TEST_F(SamplerTest, LengthsOfAPassThatWasCutShortAreNotKept) {
  FakeClassifier fake(clock_, per_letter);
  Sampler sampler(fake, texts_, {Mode::serial, 1, {}, {0.0, 7, 7}}, clock_);
  ASSERT_TRUE(sampler.measure(0.01));
  ASSERT_LT(sampler.samples().judged, texts_.size());
  record::Record record;
  summarise(sampler.samples(), texts_.size(), record);
  EXPECT_THAT(record.texts.token_counts, IsEmpty());
}

TEST_F(SamplerTest, AStreamHasThroughputAndNoLatency) {
  FakeClassifier fake(
      clock_, [](std::size_t call, std::size_t, std::size_t) { return call % 2 == 0 ? 0.9 : 1.1; });
  Sampler sampler(fake, texts_, {Mode::stream, 4, {}, {0.0, 12, 12}}, clock_);
  ASSERT_TRUE(sampler.measure(100));
  record::Record record;
  record.cell.mode = Mode::stream;
  summarise(sampler.samples(), texts_.size(), record);
  EXPECT_THAT(record.latency_s, IsEmpty());
  EXPECT_THAT(record.sample_positions, IsEmpty());
  EXPECT_FALSE(record.stages);
  EXPECT_NEAR(record.reviews_per_s.value, 10, 1e-9);
  ASSERT_TRUE(record.reviews_per_s.interval);
  EXPECT_LT(record.reviews_per_s.interval->low, 10);
  EXPECT_GT(record.reviews_per_s.interval->high, 10);
  EXPECT_EQ(record.batches_in_flight, 2U);
}

TEST(BoundBy, NamesTheLargestStage) {
  EXPECT_EQ(bound_by({5, 1, 0, 5, 0, 0}, {}), "tokenizer");
  EXPECT_EQ(bound_by({1, 1, 4, 5, 2, 0}, {}), "transfer");
  EXPECT_EQ(bound_by({1, 1, 0, 5, 0, 0}, {}), "compute");
  record::Gpu gpu;
  gpu.event_stages = record::Stages{0, 0, 0, 1, 0, 0};
  EXPECT_EQ(bound_by({1, 1, 0, 5, 0, 0}, gpu), "launch");
  gpu.event_stages->compute_s = 4;
  EXPECT_EQ(bound_by({1, 1, 0, 5, 0, 0}, gpu), "compute");
}

TEST(Judge, UsesTheTable) {
  record::Record record;
  check_threshold(record, "steal", 0.01, "at the limit");
  EXPECT_THAT(record.reasons, IsEmpty());
  check_threshold(record, "steal", 0.011, "over it");
  EXPECT_FALSE(is_invalid(record));
  EXPECT_EQ(record.reasons.back().threshold, 0.01);
  check_threshold(record, "steal", 0.2, "far over it");
  EXPECT_EQ(why_invalid(record), &record.reasons.back());
  EXPECT_EQ(record.reasons.back().threshold, 0.10);
  EXPECT_EQ(record.reasons.back().message, "far over it: 0.200 (allowed: 0.100)");
  check_threshold(record, "steal", 0.05, "a milder reason does not heal");
  EXPECT_TRUE(is_invalid(record));
}

TEST(Judge, EveryRowOfARecordCounts) {
  record::Record record;
  record.conditions.emplace();
  record.conditions->steal_share = 0.02;
  record.conditions->foreign_cpu_share = 0.04;
  record.conditions->throttle_events = 1;
  record.schedule_late_s = {0, 0, 0.002, 0};
  record.gpu.emplace();
  record.gpu->foreign_processes = 1;
  record.parity.emplace();
  record.parity->outcome = record::Agreement::failed;
  record.parity->limits_broken = {"model/bf16/flips_share"};
  record.samples_s = {1};
  Samples samples;
  samples.seconds = {1};
  samples.repeat_flips = 1;
  check_thresholds(samples, record);
  std::vector<std::string> codes;
  for (const auto& reason : record.reasons) codes.push_back(reason.code);
  EXPECT_THAT(codes,
              ::testing::UnorderedElementsAre("steal", "foreign-cpu", "throttled", "schedule-late",
                                              "foreign-gpu", "parity", "repeat", "cold"));
}

}  // namespace
}  // namespace breakeven::measure

#include "measure/sampler.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include "measure/statistics.h"
#include "measure/summary.h"
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
  std::vector<Text> texts_;
  ManualClock clock_;
};

TEST_F(SamplerTest, SerialSamplesAreBatchesInTimeOrder) {
  FakeClassifier fake(clock_, per_letter);
  clock_.advance(100);
  Sampler sampler(fake, texts_, {Mode::serial, 4, {}, 90}, clock_);
  ASSERT_TRUE(sampler.measure({7, 0.166, 0.005}));  // three passes of 0.055 s
  const Samples& samples = sampler.samples();
  EXPECT_EQ(samples.batches_per_pass, 3U);
  EXPECT_EQ(samples.passes(), 3U);
  EXPECT_THAT(samples.positions, ElementsAre(0, 1, 2, 0, 1, 2, 0, 1, 2));
  ASSERT_THAT(samples.seconds, SizeIs(9));
  EXPECT_NEAR(samples.seconds[0], 0.010, 1e-12);  // 1 + 2 + 3 + 4 letters
  EXPECT_NEAR(samples.seconds[1], 0.026, 1e-12);
  EXPECT_NEAR(samples.seconds[2], 0.019, 1e-12);  // the last batch has two texts
  EXPECT_NEAR(samples.pass_seconds[2], 0.055, 1e-12);
  EXPECT_THAT(samples.rounds, ::testing::Each(7U));
  EXPECT_NEAR(samples.start_s[0], 10, 1e-9);
  EXPECT_NEAR(samples.start_s[4], 10.065, 1e-9);
  ASSERT_THAT(samples.visits, SizeIs(1));
  EXPECT_EQ(samples.visits[0].index, 7U);
  EXPECT_EQ(samples.visits[0].passes, 3U);
  EXPECT_NEAR(samples.visits[0].start_s, 10, 1e-9);
  EXPECT_NEAR(samples.visits[0].pass_s, 0.055, 1e-12);
  EXPECT_EQ(samples.visits[0].reference_s, 0.005);
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
  Sampler sampler(fake, texts_, {Mode::serial, 4}, clock_);
  ASSERT_TRUE(sampler.warm_up(100));
  EXPECT_EQ(sampler.samples().warmup_passes, 6U);  // two slow ones and four equal ones
  EXPECT_NEAR(sampler.samples().warmup_s, 6 * 0.5 + 12 * 0.1, 1e-9);
  EXPECT_THAT(sampler.samples().seconds, IsEmpty());
  EXPECT_EQ(sampler.samples().judged, 0U);
}

TEST_F(SamplerTest, WarmUpThatIsNeverSteadyEndsWithItsBudget) {
  FakeClassifier fake(clock_, [](std::size_t call, std::size_t, std::size_t) {
    return 0.1 * static_cast<double>(call + 1);
  });
  Sampler sampler(fake, texts_, {Mode::stream, 4}, clock_);
  ASSERT_TRUE(sampler.warm_up(3));
  EXPECT_EQ(sampler.samples().warmup_passes, 7U);  // 2.8 s; the next one is as long as the last
  EXPECT_LE(clock_.now_s(), 3);
}

TEST_F(SamplerTest, WarmUpSeesEveryShapeWhateverItsBudget) {
  FakeClassifier fake(clock_, [](std::size_t, std::size_t, std::size_t) { return 8.0; });
  Sampler sampler(fake, texts_, {Mode::serial, 1}, clock_);
  ASSERT_TRUE(sampler.warm_up(1e-3));
  EXPECT_EQ(fake.calls(), texts_.size());
  EXPECT_EQ(sampler.samples().warmup_passes, 1U);
  EXPECT_NEAR(sampler.expected_pass_s(), 80, 1e-9);
}

TEST_F(SamplerTest, AVisitHoldsOnePassAtLeastAndNoneThatWouldEndLate) {
  FakeClassifier fake(clock_, [](std::size_t, std::size_t, std::size_t) { return 8.0; });
  Sampler sampler(fake, texts_, {Mode::stream, 4}, clock_);
  ASSERT_TRUE(sampler.measure({0, 1}));
  EXPECT_EQ(sampler.samples().passes(), 1U);
  ASSERT_TRUE(sampler.measure({1, 23.9}));
  EXPECT_EQ(sampler.samples().passes(), 3U);
  ASSERT_THAT(sampler.samples().visits, SizeIs(2));
  EXPECT_EQ(sampler.samples().visits[1].passes, 2U);
  EXPECT_THAT(sampler.samples().rounds, ElementsAre(0, 1, 1));
}

TEST_F(SamplerTest, AVisitOfQuickPassesEndsWhenMoreWouldTellNothing) {
  FakeClassifier fake(clock_, [](std::size_t, std::size_t, std::size_t) { return 1e-6; });
  Sampler sampler(fake, texts_, {Mode::serial, 1}, clock_);
  ASSERT_TRUE(sampler.measure({0, 1000}));
  EXPECT_EQ(sampler.samples().seconds.size(), kMostSamplesOfAVisit);
}

TEST_F(SamplerTest, TheStopFlagEndsItBetweenBatchesAndHalfAPassDoesNotCount) {
  std::atomic<bool> stop = false;
  FakeClassifier fake(clock_, per_letter);
  fake.after_call = [&](std::size_t calls) { stop = calls >= 8; };
  Sampler sampler(fake, texts_, {Mode::serial, 2}, clock_, &stop);
  ASSERT_TRUE(sampler.measure({0, 100}));  // passes of five batches
  EXPECT_EQ(fake.calls(), 8U);
  EXPECT_TRUE(sampler.samples().interrupted);
  EXPECT_EQ(sampler.samples().passes(), 1U);
  EXPECT_THAT(sampler.samples().seconds, SizeIs(5));
  EXPECT_THAT(sampler.samples().positions, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(sampler.samples().visits.at(0).passes, 1U);
}

TEST_F(SamplerTest, ErrorsAreHandedOn) {
  FakeClassifier fake(clock_, per_letter);
  fake.fail_at = 1;
  Sampler sampler(fake, texts_, {Mode::serial, 4}, clock_);
  EXPECT_EQ(sampler.warm_up(10).error().code, "fake/broken");
  FakeClassifier liar(clock_, per_letter);
  liar.short_answer = true;
  Sampler second(liar, texts_, {Mode::serial, 4}, clock_);
  EXPECT_EQ(second.measure({0, 10}).error().code, "measure/output");
  Sampler third(fake, {}, {Mode::serial, 4}, clock_);
  EXPECT_EQ(third.measure({0, 10}).error().code, "measure/no-texts");
}

TEST_F(SamplerTest, OutputsThatChangeBetweenPassesAreSeen) {
  FakeClassifier fake(clock_, per_letter);
  fake.wobble_from = 4;  // the second pass's second batch
  Sampler sampler(fake, texts_, {Mode::serial, 4}, clock_);
  ASSERT_TRUE(sampler.measure({0, 0.166}));
  EXPECT_FLOAT_EQ(static_cast<float>(sampler.samples().repeat_abs_max), 0.25F);
  EXPECT_EQ(sampler.samples().repeat_flips, 0U);
  EXPECT_FLOAT_EQ(sampler.samples().logits[0], -1.5F) << "the first timed pass is kept";
}

// One row of its own, as a run of one cell has it.
record::Record only_row(const Samples& samples, std::size_t texts, Mode mode) {
  record::Record record;
  record.cell.mode = mode;
  summarise(samples, texts, record);
  record::Record* const row = &record;
  estimate_from_rounds({&row, 1});
  return record;
}

TEST_F(SamplerTest, ARowHoldsOnlyPercentilesThatTheSamplesCarry) {
  FakeClassifier fake(clock_, per_letter);
  fake.cut_above = 9;
  Sampler sampler(fake, texts_, {Mode::serial, 1}, clock_);
  for (std::uint64_t round = 0; round < 7; ++round) {
    ASSERT_TRUE(sampler.measure({round, 1e-3}));
  }
  record::Record record = only_row(sampler.samples(), texts_.size(), Mode::serial);
  ASSERT_EQ(record.samples_s.size(), 70U);
  EXPECT_THAT(record.rounds, SizeIs(7));
  EXPECT_THAT(record.latency_s, SizeIs(2));  // 70: p50 and p90
  EXPECT_NEAR(record.latency_s["p50"].value, 0.0055, 1e-9);
  EXPECT_EQ(record.latency_s["p50"].samples, 70U);
  EXPECT_TRUE(record.latency_s["p50"].interval);
  EXPECT_THAT(record.latency_note, HasSubstr("mix of lengths: 10 batches, 7 times"));
  EXPECT_NEAR(record.reviews_per_s.value, 10 / 0.055, 1e-6);
  EXPECT_EQ(record.reviews_per_s.samples, 7U);
  EXPECT_NEAR(record.tokens_per_s.value, 1000, 1e-6);
  EXPECT_EQ(record.texts.truncated, 1U);  // 9 letters fit, 10 are cut; all passes count once
  EXPECT_NEAR(record.texts.mean_tokens, 5.5, 1e-12);
  EXPECT_THAT(record.texts.token_counts, SizeIs(10));
  EXPECT_EQ(std::accumulate(record.texts.token_counts.begin(), record.texts.token_counts.end(), 0U),
            55U);
  ASSERT_TRUE(record.stages);
  EXPECT_NEAR(record.stages->compute_s, 0.0055 * 3 / 4, 1e-9);
  EXPECT_NEAR(*record.spread, 0, 1e-9);
  ASSERT_TRUE(to_json_line(record));
}

TEST_F(SamplerTest, ThreeRoundsGiveAMedianOfOneBatchAndTwoGiveNoInterval) {
  FakeClassifier fake(clock_, per_letter);
  Sampler sampler(fake, texts_, {Mode::serial, 10}, clock_);
  ASSERT_TRUE(sampler.measure({0, 1e-3}));
  ASSERT_TRUE(sampler.measure({1, 1e-3}));
  record::Record record = only_row(sampler.samples(), texts_.size(), Mode::serial);
  EXPECT_THAT(record.latency_s, IsEmpty()) << "two samples";
  EXPECT_NEAR(record.reviews_per_s.value, 10 / 0.055, 1e-6);
  EXPECT_FALSE(record.reviews_per_s.interval);
  ASSERT_TRUE(sampler.measure({2, 1e-3}));
  record = only_row(sampler.samples(), texts_.size(), Mode::serial);
  EXPECT_NEAR(record.latency_s["p50"].value, 0.055, 1e-9);
  EXPECT_TRUE(record.latency_s["p50"].interval);
  EXPECT_TRUE(record.reviews_per_s.interval);
}

TEST_F(SamplerTest, AStreamHasThroughputAndNoLatency) {
  FakeClassifier fake(
      clock_, [](std::size_t call, std::size_t, std::size_t) { return call % 2 == 0 ? 0.9 : 1.1; });
  Sampler sampler(fake, texts_, {Mode::stream, 4}, clock_);
  for (std::uint64_t round = 0; round < 12; ++round) {
    ASSERT_TRUE(sampler.measure({round, 1e-3}));
  }
  const record::Record record = only_row(sampler.samples(), texts_.size(), Mode::stream);
  EXPECT_THAT(record.latency_s, IsEmpty());
  EXPECT_THAT(record.sample_positions, IsEmpty());
  EXPECT_FALSE(record.stages);
  // The geometric mean of 0.9 and 1.1.
  EXPECT_NEAR(record.reviews_per_s.value, 10 / std::sqrt(0.99), 1e-9);
  ASSERT_TRUE(record.reviews_per_s.interval);
  EXPECT_LT(record.reviews_per_s.interval->low, 9.9);
  EXPECT_GT(record.reviews_per_s.interval->high, 10.1);
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
  record.samples_s = {1, 1, 1, 9};
  record.passes = 4;
  record.sample_rounds = {0, 0, 0, 0};
  Samples samples;
  samples.seconds = {1};
  samples.repeat_flips = 1;
  check_thresholds(samples, record);
  std::vector<std::string> codes;
  for (const auto& reason : record.reasons) codes.push_back(reason.code);
  EXPECT_THAT(codes,
              ::testing::UnorderedElementsAre("steal", "foreign-cpu", "throttled", "schedule-late",
                                              "foreign-gpu", "parity", "repeat", "cold", "stalls"));
}

}  // namespace
}  // namespace breakeven::measure

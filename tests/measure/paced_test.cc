#include "measure/paced.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "measure/statistics.h"
#include "measure/thresholds.h"
#include "testing/fake_classifier.h"

namespace breakeven::measure {
namespace {

using breakeven::testing::FakeClassifier;
using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Always wakes a bit after the time that was asked for.
class OversleepingClock final : public Clock {
 public:
  OversleepingClock(ManualClock& inner, double late_s) : inner_(inner), late_s_(late_s) {}
  double now_s() const override { return inner_.now_s(); }
  void sleep_until(double time_s) const override { inner_.sleep_until(time_s + late_s_); }

 private:
  ManualClock& inner_;
  double late_s_;
};

// Times itself, as another process does, and takes longer to hand its answer over.
class DistantClassifier final : public Classifier {
 public:
  DistantClassifier(ManualClock& clock, double batch_s, double pipe_s)
      : clock_(clock),
        batch_s_(batch_s),
        pipe_s_(pipe_s),
        inner_(clock, [batch_s](std::size_t, std::size_t, std::size_t) { return batch_s; }) {}
  ClassifierInfo info() const override { return inner_.info(); }
  Result<void> run_batch(std::span<const Text> texts, BatchResult& out) override {
    auto result = inner_.run_batch(texts, out);
    out.seconds = batch_s_;
    clock_.advance(pipe_s_);
    return result;
  }
  Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                          StreamResult& out) override {
    return inner_.run_stream(texts, batch, out);
  }

 private:
  ManualClock& clock_;
  double batch_s_, pipe_s_;
  FakeClassifier inner_;
};

class PacedTest : public ::testing::Test {
 protected:
  PacedTest() {
    for (std::size_t i = 0; i < 10; ++i) texts_.emplace_back(20 + 7 * i, 'a');
    views_.assign(texts_.begin(), texts_.end());
    options_.arrivals = Arrivals::constant;
    options_.rate_per_s = 10;
    options_.window_s = 20;
  }

  static FakeClassifier::Cost takes(double batch_s) {
    return [batch_s](std::size_t, std::size_t, std::size_t) { return batch_s; };
  }
  static FakeClassifier::Cost takes_a_text(double text_s) {
    return [text_s](std::size_t, std::size_t texts, std::size_t) {
      return text_s * static_cast<double>(texts);
    };
  }
  // Answers that took no time.
  Samples all_answered() {
    FakeClassifier fake(clock_, takes(0));
    return *answer_all(fake, views_, options_.max_batch);
  }
  PacedSamples play(Classifier& classifier) {
    auto samples = run_paced(classifier, views_, options_, all_answered(), clock_, &stop_);
    EXPECT_TRUE(samples) << samples.error().message;
    return samples ? *samples : PacedSamples{};
  }
  PacedSamples play(const FakeClassifier::Cost& cost) {
    FakeClassifier fake(clock_, cost);
    return play(fake);
  }
  static record::Record summary(const PacedSamples& samples, double rate) {
    record::Record record;
    record.cell.mode = Mode::paced;
    record.cell.rate_per_s = rate;
    summarise_paced(samples, 10, record);
    return record;
  }

  ManualClock clock_;
  double start_s_ = 0;
  std::vector<std::string> texts_;
  std::vector<Text> views_;
  PacedOptions options_;
  std::atomic<bool> stop_{false};
};

TEST_F(PacedTest, ConstantArrivalsAreEvenlySpaced) {
  const auto due = due_times(Arrivals::constant, 4, 5, 1);
  EXPECT_THAT(due, ElementsAre(0, 0.25, 0.5, 0.75, 1));
}

TEST_F(PacedTest, PoissonArrivalsHaveTheRateAndIndependentGaps) {
  constexpr std::size_t kCount = 50'000;
  const auto due = due_times(Arrivals::poisson, 100, kCount, 7);
  EXPECT_EQ(due, due_times(Arrivals::poisson, 100, kCount, 7));
  EXPECT_NE(due, due_times(Arrivals::poisson, 100, kCount, 8));
  EXPECT_TRUE(std::is_sorted(due.begin(), due.end()));
  EXPECT_GT(due.front(), 0);
  EXPECT_LT(due.back(), kCount / 100.0);
  // Exponential gaps: a share of 1/e is longer than the mean, and e^-3 than three of it.
  for (const double means : {1.0, 3.0}) {
    std::size_t longer = 0;
    for (std::size_t i = 1; i < due.size(); ++i)
      longer += due[i] - due[i - 1] > means / 100 ? 1U : 0U;
    EXPECT_NEAR(static_cast<double>(longer) / kCount, std::exp(-means), 0.006) << means;
  }
  // Counts in windows of 1 s vary as much as their mean says.
  std::vector<double> counts(kCount / 100, 0.0);
  for (const double time : due) counts[static_cast<std::size_t>(time)] += 1;
  double variance = 0;
  for (const double count : counts) variance += (count - 100) * (count - 100);
  EXPECT_NEAR(variance / static_cast<double>(counts.size()), 100, 20);
}

TEST_F(PacedTest, ALoneRequestTakesWhatItsBatchTakes) {
  options_.max_batch = 8;
  const PacedSamples samples = play(takes(0.03));
  EXPECT_EQ(samples.requests, 180U);  // 200 less the tenth that warms up
  EXPECT_THAT(samples.seconds, Each(DoubleNear(0.03, 1e-9)));
  EXPECT_THAT(samples.wait_s, Each(DoubleNear(0, 1e-9)));
  EXPECT_THAT(samples.batch_texts, Each(1U));
  EXPECT_NEAR(samples.window_s, 18, 1e-9);
  EXPECT_NEAR(samples.busy_s / samples.window_s, 0.3, 0.01);
  EXPECT_FALSE(samples.saturated);
  EXPECT_NEAR(samples.answered_per_s, 10, 1e-9);
  EXPECT_NEAR(samples.due_s[1] - samples.due_s[0], 0.1, 1e-9);
}

TEST_F(PacedTest, TextsAreDrawnAtRandomWithTheSeed) {
  options_.rate_per_s = 1000;
  const PacedSamples samples = play(takes(1e-4));
  ASSERT_EQ(samples.positions.size(), 18'000U);
  std::vector<double> drawn(texts_.size(), 0.0);
  double repeated = 0;
  for (std::size_t i = 0; i < samples.positions.size(); ++i) {
    drawn[samples.positions[i]] += 1;
    repeated += i > 0 && samples.positions[i] == samples.positions[i - 1] ? 1 : 0;
  }
  // With replacement: each text a tenth of the time, whatever came before it. The standard
  // deviation of both counts is 40.
  EXPECT_THAT(drawn, Each(DoubleNear(1800, 200)));
  EXPECT_NEAR(repeated, 1800, 200);
  EXPECT_EQ(play(takes(1e-4)).positions, samples.positions);
  options_.seed = 2;
  EXPECT_NE(play(takes(1e-4)).positions, samples.positions);
}

TEST_F(PacedTest, ABatchWaitsForOthersButNotLonger) {
  options_.max_batch = 8;
  options_.max_wait_s = 0.25;
  const PacedSamples samples = play(takes(0.01));
  // Due at 0, 0.1 and 0.2; sent at 0.25; the next batch begins with the one of 0.3.
  EXPECT_THAT(samples.batch_texts, ::testing::Contains(3U));
  const std::size_t first = samples.seconds[0] > 0.2 ? 0 : samples.seconds[1] > 0.2 ? 1 : 2;
  EXPECT_NEAR(samples.seconds[first], 0.26, 1e-9);
  EXPECT_NEAR(samples.seconds[first + 1], 0.16, 1e-9);
  EXPECT_NEAR(samples.seconds[first + 2], 0.06, 1e-9);
  EXPECT_NEAR(samples.wait_s[first], 0.25, 1e-9);
}

TEST_F(PacedTest, AFullBatchGoesAtOnce) {
  options_.max_batch = 2;
  options_.max_wait_s = 10;
  const PacedSamples samples = play(takes(0.01));
  EXPECT_THAT(samples.batch_texts, Each(2U));
  for (std::size_t i = 0; i + 1 < samples.seconds.size(); i += 2) {
    EXPECT_NEAR(samples.seconds[i] + samples.seconds[i + 1], 0.11 + 0.01, 1e-9);
  }
}

TEST_F(PacedTest, WhatIsDueWhileABatchRunsWaitsAndIsCountedFromItsTime) {
  // One stall of two seconds. In a closed loop it would be one slow batch; here everybody who came
  // meanwhile has waited.
  options_.max_batch = 1;
  FakeClassifier fake(
      clock_, [](std::size_t call, std::size_t, std::size_t) { return call == 100 ? 2.0 : 0.01; });
  const PacedSamples samples = play(fake);
  const auto slow = std::count_if(samples.seconds.begin(), samples.seconds.end(),
                                  [](double seconds) { return seconds > 0.5; });
  EXPECT_GE(slow, 15);
  EXPECT_NEAR(*std::max_element(samples.seconds.begin(), samples.seconds.end()), 2.0, 1e-6);
  EXPECT_FALSE(samples.saturated);
}

TEST_F(PacedTest, QueueingAgreesWithTheory) {
  // One server, constant service time, Poisson arrivals: mean wait ρ·D ÷ 2(1 - ρ).
  options_.arrivals = Arrivals::poisson;
  options_.rate_per_s = 70;
  options_.window_s = 100;
  double sum = 0;
  double count = 0;
  for (options_.seed = 1; options_.seed <= 8; ++options_.seed) {
    const PacedSamples samples = play(takes(0.01));
    EXPECT_FALSE(samples.saturated);
    EXPECT_NEAR(samples.busy_s / samples.window_s, 0.7, 0.03);
    sum += std::accumulate(samples.wait_s.begin(), samples.wait_s.end(), 0.0);
    count += static_cast<double>(samples.wait_s.size());
  }
  EXPECT_NEAR(sum / count, 0.7 * 0.01 / (2 * 0.3), 0.001);
}

TEST_F(PacedTest, SaturationIsSeenAndTheRunIsBounded) {
  options_.max_batch = 4;
  options_.rate_per_s = 100;
  const double start = clock_.now_s();
  const PacedSamples samples = play(takes_a_text(0.02));  // 50 a second at most
  EXPECT_LE(clock_.now_s() - start, 20 * (1 + kDrainShare) + 4 * 0.02 + 1e-6);
  EXPECT_TRUE(samples.saturated);
  EXPECT_LT(samples.seconds.size(), samples.requests);
  EXPECT_NEAR(samples.answered_per_s, 50, 1);
  EXPECT_NEAR(samples.busy_s / samples.window_s, 1, 1e-6);
  const record::Record record = summary(samples, 100);
  EXPECT_TRUE(record.latency_s.empty());
  EXPECT_THAT(record.latency_note, HasSubstr("at its limit"));
  EXPECT_TRUE(record.paced->saturated);
  EXPECT_NEAR(record.reviews_per_s.value, 50, 1);
  EXPECT_EQ(record.samples_s.size(), record.paced->answered);
}

TEST_F(PacedTest, ALittleTooMuchIsTooMuchAndALittleLessIsNot) {
  // Rates in shares of what the machine can do, one text at a time and in batches.
  options_.arrivals = Arrivals::poisson;
  const auto saturated_of_100 = [&](double share, std::size_t max_batch, double requests) {
    const double batch_s = 0.02;
    options_.max_batch = max_batch;
    options_.rate_per_s = share * static_cast<double>(max_batch) / batch_s;
    options_.window_s = requests / options_.rate_per_s;
    int count = 0;
    for (options_.seed = 1; options_.seed <= 100; ++options_.seed) {
      count += play(takes(batch_s)).saturated ? 1 : 0;
    }
    return count;
  };
  for (const std::size_t max_batch : {std::size_t{1}, std::size_t{32}}) {
    for (const double requests : {740.0, 2800.0}) {
      EXPECT_GE(saturated_of_100(1.02, max_batch, requests), 95) << max_batch << " " << requests;
      EXPECT_EQ(saturated_of_100(0.95, max_batch, requests), 0) << max_batch << " " << requests;
    }
  }
  // A batch that takes long is no queue that grows.
  options_.rate_per_s = 10;
  options_.window_s = 20;
  options_.max_batch = 64;
  EXPECT_FALSE(play(takes(1.5)).saturated);
}

TEST_F(PacedTest, APauseOfAnIdleMachineIsAStall) {
  // A second's pause right before the window ends, and one that is longer than the time to drain.
  options_.arrivals = Arrivals::poisson;
  options_.rate_per_s = 50;
  options_.window_s = 4.5;
  for (const std::size_t max_batch : {std::size_t{1}, std::size_t{8}}) {
    for (const double pause_s : {1.0, 4.0}) {
      options_.max_batch = max_batch;
      FakeClassifier fake(clock_, [&](std::size_t call, std::size_t, std::size_t) {
        const bool at_end = clock_.now_s() - start_s_ > 3.9 && clock_.now_s() - start_s_ < 4.5;
        return at_end ? pause_s : 4e-5 + 1e-8 * static_cast<double>(call % 97);
      });
      start_s_ = clock_.now_s();
      const PacedSamples samples = play(fake);
      EXPECT_FALSE(samples.saturated) << max_batch << " " << pause_s;
      EXPECT_EQ(samples.seconds.size(), samples.requests);
      const record::Record record = summary(samples, 50);
      EXPECT_EQ(record.paced->tail_episodes, 1U);
      EXPECT_EQ(record.latency_s.count("p99"), 0U);
    }
  }
}

TEST_F(PacedTest, OurOwnLatenessIsInTheLatencyAndSpoilsTheRow) {
  const OversleepingClock late(clock_, 0.004);
  FakeClassifier fake(clock_, takes(0.01));
  const auto samples = run_paced(fake, views_, options_, all_answered(), late);
  ASSERT_TRUE(samples);
  EXPECT_THAT(samples->late_s, Each(DoubleNear(0.004, 1e-9)));
  EXPECT_THAT(samples->seconds, Each(DoubleNear(0.014, 1e-9)));
  record::Record record = summary(*samples, 10);
  Samples outputs = samples->outputs;
  outputs.warmup_passes = 1;
  check_thresholds(outputs, record);
  EXPECT_TRUE(is_invalid(record));
  ASSERT_EQ(record.reasons.size(), 1U);
  EXPECT_EQ(record.reasons[0].code, "schedule-late");
  EXPECT_NEAR(record.paced->late_s_max, 0.004, 1e-9);
}

TEST_F(PacedTest, QueueingBehindOthersIsNotOurLateness) {
  options_.rate_per_s = 90;
  const PacedSamples samples = play(takes(0.011));
  EXPECT_THAT(samples.late_s, Each(DoubleNear(0, 1e-9)));
}

TEST_F(PacedTest, AnotherProcessCountsByItsOwnClockAndItsPipeIsLateness) {
  DistantClassifier distant(clock_, 0.05, 0.003);
  options_.rate_per_s = 10;
  const PacedSamples samples = play(distant);
  EXPECT_THAT(samples.seconds, Each(DoubleNear(0.05, 1e-9)));
  EXPECT_THAT(samples.late_s, Each(DoubleNear(0, 1e-9)));
  // Without a pause between batches the pipe holds the next one up.
  options_.rate_per_s = 25;
  DistantClassifier busy(clock_, 0.05, 0.003);
  const std::vector<double> late = play(busy).late_s;
  for (std::size_t i = 1; i < late.size(); ++i) EXPECT_NEAR(late[i], 0.003, 1e-9);
}

TEST_F(PacedTest, PercentilesOnlyAsFarAsTheSamplesCarry) {
  options_.rate_per_s = 100;
  options_.window_s = 8;
  record::Record record = summary(play(takes(0.001)), 100);
  EXPECT_EQ(record.samples_s.size(), 720U);
  EXPECT_EQ(record.latency_s.count("p99"), 1U);
  EXPECT_EQ(record.latency_s.count("p99.9"), 0U);
  EXPECT_NEAR(record.latency_s["p99"].value, 0.001, 1e-9);
  options_.rate_per_s = 1;
  record = summary(play(takes(0.001)), 1);
  EXPECT_TRUE(record.latency_s.empty());
  EXPECT_EQ(record.samples_s.size(), 8U);
}

TEST_F(PacedTest, NoMoreRequestsThanAJournalBears) {
  options_.rate_per_s = 100'000;
  const PacedSamples samples = play(takes(1e-7));
  EXPECT_EQ(samples.requests, kEnoughAnswers);
  EXPECT_EQ(samples.seconds.size(), kEnoughAnswers);
  EXPECT_NEAR(samples.window_s, kEnoughAnswers / 100'000.0, 1e-4);
  EXPECT_NEAR(samples.answered_per_s, 100'000, 100);
  EXPECT_TRUE(carries(samples.seconds.size(), 0.999));
  // Twice what can be answered: it ends as early, and is still seen.
  const PacedSamples over = play(takes(2e-5));
  EXPECT_TRUE(over.saturated);
  EXPECT_NEAR(over.answered_per_s, 50'000, 500);
}

// The busier a server, the more requests a p99 needs, up to what a record holds.
TEST_F(PacedTest, AsManyRequestsAsAP99NeedsAtThisLoad) {
  options_.arrivals = Arrivals::poisson;
  options_.max_batch = 1;
  options_.rate_per_s = 1000;
  options_.window_s = 200;
  // Those who wait when the window closes are answered, too.
  EXPECT_NEAR(static_cast<double>(play(takes(5e-4)).requests), kEnoughAnswers, 50);
  record::Record busy = summary(play(takes(8e-4)), 1000);
  EXPECT_GT(busy.samples_s.size(), 3 * kEnoughAnswers / 2);
  EXPECT_LT(busy.samples_s.size(), kMostAnswers);
  EXPECT_EQ(busy.latency_s.count("p99"), 1U);
  EXPECT_NEAR(static_cast<double>(play(takes(9.5e-4)).requests), kMostAnswers, 100);
  EXPECT_EQ(play(takes(11e-4)).seconds.size() / kEnoughAnswers, 1U) << "saturated: ends early";
}

// Through the player and the batcher: the interval of a p99 holds the truth, whether a batch takes
// as long as its texts (a CPU) or mostly a fixed time (a GPU). docs/paced.md shows the table.
TEST_F(PacedTest, CoverageOfAP99BehindABatcher) {
  struct Case {
    const char* name;
    double fixed_s, text_s, rate_per_s, window_s;
  };
  options_.arrivals = Arrivals::poisson;
  options_.max_batch = 8;
  for (const auto& [name, fixed_s, text_s, rate_per_s, window_s] :
       {Case{"by the text", 0, 0.001, 500, 14}, Case{"by the text", 0, 0.001, 700, 34},
        Case{"mostly fixed", 0.004, 0.0005, 500, 8},
        Case{"mostly fixed", 0.004, 0.0005, 800, 50}}) {
    const auto cost = [&](std::size_t, std::size_t texts, std::size_t) {
      return fixed_s + text_s * static_cast<double>(texts);
    };
    options_.rate_per_s = rate_per_s;
    options_.window_s = 500'000 / rate_per_s;
    std::vector<double> all;
    for (std::uint64_t seed = 1000; seed < 1020; ++seed) {
      options_.seed = seed;
      const PacedSamples samples = play(cost);
      all.insert(all.end(), samples.seconds.begin(), samples.seconds.end());
    }
    const double truth = percentile(all, 0.99);
    options_.window_s = window_s;
    constexpr int kRuns = 300;
    int given = 0;
    int held = 0;
    for (int run = 0; run < kRuns; ++run) {
      options_.seed = static_cast<std::uint64_t>(run);
      record::Record record;
      record.cell.mode = Mode::paced;
      record.cell.arrivals = Arrivals::poisson;
      record.cell.rate_per_s = rate_per_s;
      record.cell.batch = options_.max_batch;
      summarise_paced(play(cost), 10, record);
      const auto p99 = record.latency_s.find("p99");
      if (p99 == record.latency_s.end()) continue;
      ++given;
      held += p99->second.interval->low <= truth && truth <= p99->second.interval->high ? 1 : 0;
    }
    const double share = held / std::max(1.0, static_cast<double>(given));
    std::printf("%s, %g/s, %.0f requests: p99 in %.1f %% of runs, interval holds it in %.1f %%\n",
                name, rate_per_s, rate_per_s * window_s, 100.0 * given / kRuns, 100 * share);
    EXPECT_GT(given, 0.7 * kRuns) << name << rate_per_s;
    EXPECT_GE(share, 0.92) << name << rate_per_s;
    EXPECT_LE(share, 0.995) << name << rate_per_s;
  }
}

TEST_F(PacedTest, HopelesslyTooMuchIsSaturatedAndNotEmpty) {
  options_.rate_per_s = 1e6;
  options_.window_s = 3;
  const PacedSamples samples = play(takes(0.05));
  EXPECT_TRUE(samples.saturated);
  EXPECT_GT(samples.seconds.size(), 10U);
  EXPECT_NEAR(samples.answered_per_s, 20, 2);
}

TEST_F(PacedTest, OutputsAreKeptOnceAndComparedAfterwards) {
  options_.max_batch = 3;
  const PacedSamples samples = play(takes(0.25));
  EXPECT_EQ(samples.outputs.judged, 10U);
  EXPECT_EQ(samples.outputs.labels.size(), 10U);
  EXPECT_EQ(samples.outputs.logits.size(), 20U);
  EXPECT_EQ(samples.outputs.tokens[4], 48U);
  EXPECT_EQ(samples.outputs.repeat_abs_max, 0);
  FakeClassifier wobbling(clock_, takes(0.25));
  wobbling.wobble_from = 30;
  EXPECT_NEAR(play(wobbling).outputs.repeat_abs_max, 0.25, 1e-6);
}

TEST_F(PacedTest, ErrorsOfTheClassifierAndWrongAnswersEndIt) {
  FakeClassifier broken(clock_, takes(0.01));
  broken.fail_at = 5;
  EXPECT_EQ(run_paced(broken, views_, options_, all_answered(), clock_).error().code,
            "fake/broken");
  FakeClassifier lying(clock_, takes(0.01));
  lying.short_answer = true;
  EXPECT_EQ(run_paced(lying, views_, options_, all_answered(), clock_).error().code,
            "measure/output");
  EXPECT_EQ(answer_all(lying, views_, 4).error().code, "measure/output");
  EXPECT_EQ(run_paced(lying, {}, options_, {}, clock_).error().code, "measure/no-texts");
  EXPECT_EQ(answer_all(lying, {}, 4).error().code, "measure/no-texts");
}

TEST_F(PacedTest, AnInterruptEndsItAndIsNoSaturation) {
  FakeClassifier fake(clock_, takes(0.01));
  fake.after_call = [&](std::size_t calls) { stop_ = calls >= 60; };
  const PacedSamples samples = play(fake);
  EXPECT_TRUE(samples.outputs.interrupted);
  EXPECT_FALSE(samples.saturated);
  EXPECT_EQ(samples.seconds.size(), 40U);
  EXPECT_NEAR(samples.window_s, 4, 0.1);
}

}  // namespace
}  // namespace breakeven::measure

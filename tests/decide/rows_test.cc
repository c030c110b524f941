#include "decide/rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "decide/made_up_records.h"
#include "decide/verdict.h"

namespace breakeven::decide {
namespace {

using breakeven::testing::cpu_engine;
using breakeven::testing::gpu_engine;
using breakeven::testing::made_up;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Records = std::vector<record::Record>;

// A stream row whose pass takes `seconds` in each round; its own interval is ± 1 % of the mean.
record::Record stream_row(const testing::Engine& engine, Precision precision, std::uint64_t batch,
                          std::vector<double> seconds) {
  record::Record row = made_up(engine, precision, batch, Mode::stream);
  double sum = 0;
  for (const double pass : seconds) sum += pass;
  row.passes = seconds.size();
  row.reviews_per_s = {static_cast<double>(row.texts.count * row.passes) / sum, std::nullopt};
  row.samples_s = std::move(seconds);
  return row;
}

TEST(RowSet, FewerThanThreeRoundsAreNoInterval) {
  const Records records = {stream_row(cpu_engine(), Precision::int8, 1, {1.28}),
                           stream_row(cpu_engine(), Precision::bf16, 1, {1.28, 1.3})};
  const RowSet rows(records);
  for (const Row& row : rows.rows()) {
    EXPECT_FALSE(row.per_s.interval);
    EXPECT_EQ(row.why_unsure(), "fewer than 3 rounds");
  }
  EXPECT_FALSE(rows.speed_ratio(rows.rows()[0], rows.rows()[1]).interval);
}

// The noise of a run is that of all its rows: a row whose three rounds agree by chance is no surer.
TEST(RowSet, NoiseIsPooledOverARunAndDevice) {
  Records records = {stream_row(cpu_engine(), Precision::int8, 1, {1, 1, 1})};
  const auto width = [](const Row& row) {
    return row.per_s.interval ? row.per_s.interval->high / row.per_s.interval->low : 0.0;
  };
  EXPECT_NEAR(width(RowSet(records).rows()[0]), 1, 1e-9);
  records.push_back(stream_row(cpu_engine(), Precision::bf16, 1, {1, 1.2, 0.8}));
  EXPECT_GT(width(RowSet(records).rows()[0]), 1.15);
  records.back().run_id = "another run";
  EXPECT_NEAR(width(RowSet(records).rows()[0]), 1, 1e-9);
}

TEST(RowSet, TheWiderOfTheRecordsIntervalAndThatOfItsRoundsCounts) {
  Records records = {stream_row(cpu_engine(), Precision::int8, 1, {1, 1, 1})};
  records[0].reviews_per_s.interval = record::Interval{40, 90};
  const RowSet rows(records);
  ASSERT_TRUE(rows.rows()[0].per_s.interval);
  EXPECT_EQ(rows.rows()[0].per_s.interval->low, 40);
  EXPECT_EQ(rows.rows()[0].per_s.interval->high, 90);
}

TEST(RowSet, AnIntervalThatReachesZeroIsNone) {
  Records records = {stream_row(cpu_engine(), Precision::int8, 1, {1, 1, 1})};
  for (const double low : {0.0, -5.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_FALSE(interval_of({50, record::Interval{low, 90}, 3})) << low;
  }
  EXPECT_FALSE(interval_of({50, record::Interval{40, 1e300}, 3}));
}

TEST(RowSet, AReversedIntervalIsRefusedByName) {
  Records records = {stream_row(cpu_engine(), Precision::int8, 1, {1, 1, 1})};
  records[0].reviews_per_s.interval = record::Interval{90, 40};
  const RowSet rows(records);
  EXPECT_FALSE(rows.rows()[0].may_win());
  EXPECT_EQ(rows.rows()[0].unusable, "its interval is reversed: [90.0, 40.0] reviews/s");
}

TEST(RowSet, WhatMayNotWinSaysWhy) {
  Records records = breakeven::testing::cpu_run();
  records[0].parity->outcome = record::Agreement::failed;
  records[0].parity->flips = 12;
  records[2].cell.batch = 0;
  const RowSet rows(records);
  EXPECT_EQ(rows.rows()[0].unusable, "outputs break parity (12 of 1000 labels differ)");
  EXPECT_EQ(rows.rows()[2].unusable, "a batch of 0 texts is none");
  EXPECT_TRUE(rows.rows()[1].may_win());
}

TEST(RowSet, DoubtsAreSaidInWords) {
  Records records = {stream_row(cpu_engine(), Precision::int8, 1, {1, 1, 1})};
  records[0].parity->outcome = record::Agreement::unproven;
  records[0].parity->texts = 64;
  records[0].reasons = {{"few-passes", "", 1, 0, {}}, {"steal", "", 0.2, 0.01, {}}};
  EXPECT_THAT(RowSet(records).rows()[0].doubts,
              ::testing::ElementsAre("disturbed: steal", "parity unproven on 64 texts"));
  EXPECT_THAT(RowSet(records).doubts(), IsEmpty());
  records[0].schema_version = 1;
  EXPECT_THAT(RowSet(records).doubts(), Contains(HasSubstr("passes stand in")));
}

TEST(RowSet, NamesTellWhatVaries) {
  const Records records = breakeven::testing::both_runs();
  const RowSet rows(records);
  EXPECT_EQ(rows.name_of(records.front()), "cpu fp32, batch 1");
  EXPECT_EQ(rows.name_of(records.back()), "cuda:0 fp16, batch 32");
  Records more = records;
  more[0].cell.threads = 2;
  EXPECT_EQ(RowSet(more).name_of(more[0]), "cpu fp32, batch 1, 2 threads");
  EXPECT_EQ(RowSet(more).name_of(more.back()), "cuda:0 fp16, batch 32");
}

TEST(RowSet, TheLaterRecordOfACellCounts) {
  Records records = {stream_row(cpu_engine(), Precision::int8, 1, {1, 1, 1}),
                     stream_row(cpu_engine(), Precision::int8, 1, {2, 2, 2})};
  const RowSet rows(records);
  ASSERT_EQ(rows.rows().size(), 1U);
  EXPECT_EQ(rows.rows()[0].record, &records[1]);
  EXPECT_EQ(rows.replaced(), 1U);
}

TEST(RatioOf, JoinsIntervalsOnTheLogScale) {
  const record::Estimate a{10, record::Interval{9, 11, 0.95}, 5};
  const record::Estimate b{5, record::Interval{4, 6, 0.95}, 7};
  const record::Estimate ratio = measure::ratio_of(a, b);
  EXPECT_EQ(ratio.value, 2);
  EXPECT_NEAR(std::log(2 / ratio.interval->low), std::hypot(std::log(10.0 / 9), std::log(6.0 / 5)),
              1e-12);
  EXPECT_FALSE(measure::ratio_of(a, {5, std::nullopt, 7}).interval);
}

// Verdicts.

TEST(Verdict, RowsOfOnePassAreNotToldApartWhateverTheirValues) {
  const Records records = {stream_row(cpu_engine(), Precision::int8, 32, {1.28}),
                           stream_row(gpu_engine(), Precision::int8, 32, {0.128})};
  const RowSet rows(records);
  const Verdict verdict = verdict_of(rows);
  ASSERT_TRUE(verdict.throughput);
  EXPECT_EQ(verdict.throughput->sign(), 0);
  EXPECT_NEAR(verdict.throughput->ratio.value, 10, 1e-9);
  EXPECT_EQ(verdict.throughput->why, "cuda:0 int8, batch 32: fewer than 3 rounds");
  ASSERT_EQ(verdict.same_precision.size(), 1U);
  EXPECT_EQ(verdict.same_precision[0].gpu_over_cpu.sign(), 0);
}

TEST(Verdict, ALeadIsSureWhenItsIntervalIsBeyondOne) {
  const Records records = {stream_row(cpu_engine(), Precision::int8, 32, {1.28, 1.4, 1.2}),
                           stream_row(gpu_engine(), Precision::int8, 32, {0.128, 0.129, 0.127})};
  const RowSet rows(records);
  const Lead lead = verdict_of(rows).throughput.value();
  EXPECT_EQ(lead.sign(), 1);
  EXPECT_EQ(lead.first->side, Side::gpu);
  EXPECT_EQ(lead.why, "");
  EXPECT_GT(lead.ratio.interval->low, 5);
  EXPECT_LT(lead.ratio.interval->high, 20);
}

// One row with one lucky pass does not become the best of its side.
TEST(Verdict, TheBestRowIsTheOneThatIsSurelyFast) {
  Records records = {stream_row(cpu_engine(), Precision::fp32, 1, {1, 1.01, 0.99}),
                     stream_row(cpu_engine(), Precision::int8, 1, {0.5}),
                     stream_row(cpu_engine(), Precision::bf16, 1, {0.2, 1.8, 0.9})};
  records[2].run_id = "a run on a worse day";
  const RowSet rows(records);
  EXPECT_EQ(verdict_of(rows).best_cpu->cell().precision, Precision::fp32);
}

TEST(Verdict, ARowThatCutsTextsIsAnotherClassifier) {
  Records records = {made_up(cpu_engine(), Precision::int8, 1, Mode::serial),
                     made_up(cpu_engine(), Precision::int8, 1, Mode::serial)};
  for (record::Record& record : records) {
    record.latency_s["p50"] = {0.01, record::Interval{0.0099, 0.0101}, 320};
  }
  records[1].cell.max_length = 128;
  records[1].texts.truncated = 60;
  records[1].latency_s["p50"] = {0.004, record::Interval{0.0039, 0.0041}, 320};
  const RowSet rows(records);
  const Verdict verdict = verdict_of(rows);
  EXPECT_EQ(verdict.soonest_cpu->cell().max_length, 512U);
  EXPECT_EQ(verdict.best_cpu->cell().max_length, 512U);
  EXPECT_EQ(rows.rows()[1].cut->text, "60 of 64 texts cut at 128 tokens");
  records[1].texts.truncated = 0;  // no text is that long: the same classifier
  EXPECT_EQ(verdict_of(RowSet(records)).soonest_cpu->cell().max_length, 128U);
}

TEST(Verdict, LatencyIsOfOneTextAtATime) {
  Records records = {made_up(cpu_engine(), Precision::int8, 1, Mode::serial),
                     made_up(gpu_engine(), Precision::fp16, 1, Mode::serial)};
  records[0].latency_s["p50"] = {0.01, record::Interval{0.009, 0.011}, 320};
  records[1].latency_s["p50"] = {0.001, record::Interval{0.0009, 0.0011}, 320};
  const RowSet rows(records);
  const Lead lead = verdict_of(rows).latency.value();
  EXPECT_NEAR(lead.ratio.value, 10, 1e-9);
  EXPECT_EQ(lead.sign(), 1);
  records[0].latency_s.clear();
  EXPECT_FALSE(verdict_of(RowSet(records)).latency);
}

TEST(Verdict, ALowerPrecisionStandsBesideFp32) {
  const Records records = {stream_row(cpu_engine(), Precision::fp32, 1, {2, 2.1, 1.9}),
                           stream_row(cpu_engine(), Precision::int8, 32, {0.5, 0.52, 0.48}),
                           stream_row(gpu_engine(), Precision::fp16, 1, {0.1, 0.1, 0.1})};
  const RowSet rows(records);
  const Verdict verdict = verdict_of(rows);
  ASSERT_EQ(verdict.over_fp32.size(), 1U);  // the GPU has no fp32
  EXPECT_EQ(verdict.over_fp32[0].first->cell().precision, Precision::int8);
  EXPECT_NEAR(verdict.over_fp32[0].ratio.value, 4, 0.1);
}

TEST(Verdict, APeerStandsBesideTheNativeRowOfItsCell) {
  Records records = {stream_row(cpu_engine(), Precision::int8, 32, {1, 1, 1}),
                     stream_row(cpu_engine(), Precision::int8, 32, {2, 2.1, 1.9}),
                     stream_row(cpu_engine(), Precision::int8, 8, {2, 2, 2})};
  records[1].cell.runtime = {"pytorch", "seed"};
  records[1].cell.padding = Padding::max_length;
  records[2].cell.runtime = {"pytorch", "seed"};
  const RowSet rows(records);
  const Verdict verdict = verdict_of(rows);
  ASSERT_EQ(verdict.peers.size(), 1U);
  EXPECT_EQ(verdict.peers[0].native_over_peer.first->record, &records[0]);
  EXPECT_NEAR(verdict.peers[0].native_over_peer.ratio.value, 2, 0.01);
}

}  // namespace
}  // namespace breakeven::decide

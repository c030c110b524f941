// The first screen on made-up records: what it says when all is there, and in each case in which
// something is missing.
#include "report/first_screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <vector>

#include "report/report.h"
#include "report/sample_records.h"
#include "report/snapshot.h"

namespace breakeven::report {
namespace {

using breakeven::testing::expect_snapshot;
using breakeven::testing::sample_record;
using breakeven::testing::sample_run;
using breakeven::testing::sample_run_of_runtimes;
using ::testing::HasSubstr;
using ::testing::Not;
using Records = std::vector<record::Record>;

// As a run of rounds measures them: the machine's speed moved alike for all rows of a round, and
// each row a little by itself.
Records in_rounds(Records records, const std::vector<double>& factors) {
  std::size_t at = 0;
  for (record::Record& record : records) {
    record.schema_version = 2;
    record.samples_s.clear();
    record.passes = factors.size();
    const double pass_s = static_cast<double>(record.texts.count) / record.reviews_per_s.value;
    const std::uint64_t batches =
        record.cell.mode == Mode::serial ? record.texts.count / record.cell.batch : 1;
    for (std::uint32_t i = 0; i < factors.size(); ++i) {
      const double own = 1 + 0.01 * static_cast<double>((at * 7 + i * 5UL) % 5);
      const double seconds = pass_s * factors[i] * own;
      record.rounds.push_back({i, 10.0 * i, 1, seconds, {}});
      for (std::uint32_t batch = 0; batch < batches; ++batch) {
        record.samples_s.push_back(seconds / static_cast<double>(batches));
        record.sample_rounds.push_back(i);
        record.sample_start_s.push_back(10.0 * i);
        if (record.cell.mode == Mode::serial) record.sample_positions.push_back(batch);
      }
    }
    ++at;
  }
  return records;
}

Records on_gpu() {
  Records records;
  for (const std::uint64_t batch : {1U, 32U}) {
    for (const Mode mode : {Mode::serial, Mode::stream}) {
      for (const auto& [precision, seconds] :
           {std::pair{Precision::fp32, 0.008}, std::pair{Precision::fp16, 0.0004}}) {
        const double faster = (batch == 32 ? 6.0 : 1.0) * (mode == Mode::stream ? 1.2 : 1.0);
        record::Record record = sample_record(precision, batch, mode, seconds / faster);
        record.cell.device.gpus = {0};
        record.gpu = record::Gpu{};
        record.gpu->name = "NVIDIA H100 80GB HBM3";
        record.memory->device_peak_allocated_bytes = 170'000'000 + 5'000'000 * batch;
        record.parity->texts = 1000;
        record.parity->outcome = record::Agreement::passed;
        records.push_back(std::move(record));
      }
    }
  }
  return records;
}

Records both() {
  Records records = sample_run();
  for (record::Record& record : on_gpu()) records.push_back(std::move(record));
  return records;
}

const std::vector<double> kFiveRounds = {1, 1.04, 0.97, 1.02, 1.05};

std::string screen(const Records& records, const FirstScreen& first = {}) {
  return first_screen(records, first).to_text(100, false);
}

FirstScreen priced() {
  FirstScreen first;
  first.cpu_price = 0.19;
  first.gpu_price = 2.5;
  first.time_s = 300;
  first.journal = "run.jsonl";
  return first;
}

TEST(FirstScreen, OfBothDevices) {
  expect_snapshot("first_both.txt", screen(in_rounds(both(), kFiveRounds), priced()));
}

TEST(FirstScreen, SaysWhatTheBestRowsTookOfEnergy) {
  Records records = in_rounds(both(), kFiveRounds);
  for (record::Record& record : records) {
    record.energy = {};
    record.energy.texts = 2000;
    record.energy.gpu_joules_gross = 30;
  }
  EXPECT_THAT(screen(records), HasSubstr("not on all sides"));
  for (record::Record& record : records) record.energy.host_joules_gross = 10;
  const std::string text = screen(records);
  EXPECT_THAT(text, HasSubstr("for 1,000 texts at full load: CPU int8 5.00 J, GPU fp16 20.0 J"));
}

TEST(FirstScreen, WithoutPricesTheBreakEvenIsARatioOfPrices) {
  const std::string text = screen(in_rounds(both(), kFiveRounds));
  EXPECT_THAT(text, HasSubstr("an hour of it costs less than"));
  for (const char* left_out : {"/h", "take", "a million"}) {
    EXPECT_THAT(text, Not(HasSubstr(left_out)));
  }
}

TEST(FirstScreen, OfACpuAlone) {
  expect_snapshot("first_cpu.txt", screen(in_rounds(sample_run(), kFiveRounds)));
  FirstScreen first;
  first.no_known = "No GPU was measured: no record of this shape.";
  EXPECT_THAT(screen(in_rounds(sample_run(), kFiveRounds), first),
              HasSubstr("no record of this shape"));
}

TEST(FirstScreen, OfACpuBesideAGpuThatShips) {
  FirstScreen first = priced();
  first.known = in_rounds(on_gpu(), kFiveRounds);
  const std::string text = screen(in_rounds(sample_run(), kFiveRounds), first);
  EXPECT_THAT(text, HasSubstr("Against the H100 record of 2026-01-01"));
  EXPECT_THAT(text, HasSubstr("T4, L4 or A100 none"));
}

// Seen on a machine that was busy: "One H100 does 16,300 reviews/s", and it had no GPU.
TEST(FirstScreen, AGpuThatShipsIsNotShownWithoutACpuToCompareWith) {
  FirstScreen first;
  first.known = in_rounds(on_gpu(), kFiveRounds);
  Records records = in_rounds(sample_run(), kFiveRounds);
  for (record::Record& record : records) {
    record.reasons.push_back({"foreign-cpu", "", 0.5, 0.25, record::Severity::invalid});
  }
  const std::string text = screen(records, first);
  EXPECT_THAT(text, HasSubstr("No row can be used, so nothing is decided."));
  EXPECT_THAT(text, Not(HasSubstr("H100")));
}

TEST(FirstScreen, OfAGpuAlone) {
  expect_snapshot("first_gpu.txt", screen(in_rounds(on_gpu(), kFiveRounds)));
}

// Less data never makes the answer surer.
TEST(FirstScreen, FewerThanThreeRoundsAreNoRange) {
  const std::string text = screen(in_rounds(both(), {1, 1.05}), priced());
  expect_snapshot("first_few.txt", text);
  EXPECT_THAT(text, HasSubstr("cannot be told"));
  EXPECT_THAT(text, Not(HasSubstr("pays from")));
}

TEST(FirstScreen, OfSchema1SaysWhatStandsInForRounds) {
  Records records = both();
  double step = 0;
  for (record::Record& record : records) {
    record.schema_version = 1;
    for (double& seconds : record.samples_s) seconds *= 1 + 0.01 * (step = step < 4 ? step + 1 : 0);
  }
  EXPECT_THAT(screen(records), HasSubstr("(schema 1)"));
}

TEST(FirstScreen, OfNothingUsable) {
  Records records = in_rounds(both(), kFiveRounds);
  for (record::Record& record : records) {
    record.parity->outcome = record::Agreement::failed;
    record.parity->flips = 40;
  }
  expect_snapshot("first_invalid.txt", screen(records, priced()));
  EXPECT_THAT(screen({}), HasSubstr("Nothing was measured"));
}

TEST(FirstScreen, NamesTheBestPeer) {
  EXPECT_THAT(screen(in_rounds(sample_run_of_runtimes(), kFiveRounds)),
              HasSubstr("openvino:plain bf16 on the same CPU"));
}

TEST(FirstScreen, IsNarrowAndKnowsNoMarksOfTrust) {
  for (const Records& records : {both(), sample_run(), on_gpu(), sample_run_of_runtimes()}) {
    for (const auto& rounds : {kFiveRounds, std::vector<double>{1, 1}}) {
      std::istringstream lines(screen(in_rounds(records, rounds), priced()));
      for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(display_width(line), 110U) << line;
        EXPECT_THAT(line, Not(HasSubstr("NOISY")));
        EXPECT_THAT(line, Not(HasSubstr("VALID")));
      }
    }
  }
}

}  // namespace
}  // namespace breakeven::report

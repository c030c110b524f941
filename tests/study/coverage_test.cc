// Do the intervals hold the truth as often as they say? Whole runs on simulated machines, by a
// made-up clock, with fixed seeds. docs/measuring.md shows the table that these tests hold.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <regex>
#include <sstream>

#include "measure/rounds.h"
#include "measure/statistics.h"
#include "study/simulated_speed.h"
#include "testing/paths.h"

namespace breakeven::study {
namespace {

using breakeven::testing::SimulatedSpeed;
using breakeven::testing::Speed;
using measure::Noise;
using measure::RoundValues;
using record::Record;

#ifndef COVERAGE_RUNS  // the slow tier has more
#define COVERAGE_RUNS 200
#endif
constexpr std::uint64_t kRuns = COVERAGE_RUNS;
constexpr std::size_t kCells = 12;
constexpr std::size_t kBatches = 16;
constexpr double kVisit_s = 4;
constexpr double kSwitch_s = 0.3;  // from one cell to the next

// Seconds of a pass at speed 1, from 0.25 to 3; neighbours (0 and 1, 2 and 3 ...) are equal.
double pass_work(std::size_t cell) {
  const std::size_t pair = cell / 2;
  return 0.25 * std::pow(12, static_cast<double>(pair) / 5);
}

// Of a pass, that each batch takes: texts of many lengths.
std::vector<double> batch_shares() {
  std::vector<double> shares(kBatches);
  for (std::size_t i = 0; i < kBatches; ++i) {
    shares[i] = 0.2 + 0.1 * static_cast<double>((7 * i) % kBatches);
  }
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= sum;
  return shares;
}

// One run: its records, and how long it took.
struct Run {
  std::vector<Record> records;
  double end_s = 0;
};

// Every second cell takes `factor` times as long.
Run play(SimulatedSpeed& speed, std::size_t rounds, std::uint64_t seed, double factor = 1) {
  Run run{std::vector<Record>(kCells), 0};
  std::mt19937_64 random(seed);
  std::vector<std::size_t> order(kCells);
  std::iota(order.begin(), order.end(), 0);
  const std::vector<double> shares = batch_shares();
  for (std::uint32_t index = 0; index < rounds; ++index) {
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t cell : order) {
      run.end_s += kSwitch_s;
      Record& record = run.records[cell];
      record::Round round{index, run.end_s, 0, 0, std::nullopt};
      const double work = pass_work(cell) * (cell % 2 == 1 ? factor : 1);
      while (round.passes == 0 || run.end_s + round.pass_s / 2 < round.start_s + kVisit_s) {
        for (std::uint32_t batch = 0; batch < kBatches; ++batch) {
          record.samples_s.push_back(speed.seconds(run.end_s, work * shares[batch]));
          record.sample_positions.push_back(batch);
          record.sample_rounds.push_back(index);
          run.end_s += record.samples_s.back();
        }
        ++round.passes;
        round.pass_s = (run.end_s - round.start_s) / static_cast<double>(round.passes);
      }
      record.passes += round.passes;
      record.rounds.push_back(round);
    }
  }
  return run;
}

// The intervals of one kind of number.
struct Intervals {
  std::size_t all = 0, hits = 0;
  std::vector<double> half_widths;  // relative

  void add(const record::Estimate& estimate, double truth) {
    ++all;
    if (!estimate.interval) return;
    const auto& [low, high, confidence] = *estimate.interval;
    hits += low <= truth && truth <= high ? 1 : 0;
    half_widths.push_back((high - low) / 2 / estimate.value);
  }
  double coverage() const { return static_cast<double>(hits) / static_cast<double>(all); }
  double half_width() const { return measure::median(half_widths); }
};

struct Found {
  Intervals throughput, medians, ratios;
  std::vector<double> pair_sds;
  std::uint64_t stalls = 0;
};

// A median of a batch's seconds ÷ what it is at speed 1, in the long run.
double median_factor(Speed kind) {
  SimulatedSpeed speed(kind, 1, 0);
  const double at_speed_1 = measure::median(batch_shares());
  double logs = 0;
  const Run run = play(speed, 400, 1);
  for (std::size_t cell = 0; cell < kCells; ++cell) {
    const RoundValues medians = measure::percentile_by_round(run.records[cell], 0.5);
    logs += std::log(measure::over_rounds(medians, {}).value / (pass_work(cell) * at_speed_1));
  }
  return std::exp(logs / kCells);
}

Found runs_of(Speed kind, std::size_t rounds, double factor = 1, double noise = 0.1) {
  // The truth: of stationary kinds the long-run mean, of a drift the mean over the run, of a
  // machine that stalls its speed without stalls.
  const bool around_ar1 = kind == Speed::drift || kind == Speed::stalls;
  const Speed stationary = around_ar1 ? Speed::ar1_05 : kind;
  const double long_run = SimulatedSpeed::long_run_speed(stationary, noise);
  const double median_work = measure::median(batch_shares()) * median_factor(stationary);
  Found found;
  for (std::uint64_t seed = 0; seed < kRuns; ++seed) {
    SimulatedSpeed speed(kind, 1000 + seed, 5.0 * kCells * static_cast<double>(rounds), noise);
    const Run run = play(speed, rounds, seed, factor);
    const double mean_speed = kind == Speed::drift ? speed.mean_speed(run.end_s) : long_run;
    std::vector<RoundValues> passes;
    std::vector<RoundValues> medians;
    for (const Record& record : run.records) {
      passes.push_back(measure::pass_seconds_by_round(record));
      medians.push_back(measure::percentile_by_round(record, 0.5));
      found.stalls += measure::stalls_of(record).count;
    }
    const Noise of_passes = measure::pooled_noise(passes);
    const Noise of_medians = measure::pooled_noise(medians);
    found.pair_sds.push_back(of_passes.pair_sd);
    for (std::size_t cell = 0; cell < kCells; ++cell) {
      const double work = pass_work(cell) * (cell % 2 == 1 ? factor : 1);
      found.throughput.add(measure::over_rounds(passes[cell], of_passes), work / mean_speed);
      found.medians.add(measure::over_rounds(medians[cell], of_medians),
                        work * median_work * long_run / mean_speed);
      if (cell % 2 == 1) continue;
      found.ratios.add(measure::ratio_by_round(passes[cell + 1], passes[cell], of_passes), 1);
    }
  }
  return found;
}

std::string document() {
  std::ifstream file(breakeven::testing::source_dir() / "docs/measuring.md");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The figures of the row of docs/measuring.md that starts with `name`, and what they should be.
void expect_row(const std::string& name, const std::vector<double>& found) {
  std::string should = "| " + name + " |";
  for (const double value : found) should += fmt::format(" {:.0f} |", value);
  const std::string text = document();
  const std::size_t at = text.find("| " + name + " |");
  ASSERT_NE(at, std::string::npos) << should;
  std::istringstream row(text.substr(at + name.size() + 4, text.find('\n', at) - at));
  for (const double value : found) {
    double shown = -1;
    char bar = 0;
    row >> shown >> bar;
    EXPECT_NEAR(shown, value, 2.0) << should;  // points; the default tier has fewer runs
  }
}

class RunCoverage : public ::testing::TestWithParam<Speed> {};

TEST_P(RunCoverage, IsWhatTheIntervalsSay) {
  const Speed kind = GetParam();
  std::vector<double> row;
  std::vector<double> widths;
  std::vector<Found> found;
  for (const std::size_t rounds : {3UL, 5UL, 12UL}) {
    const Found& now = found.emplace_back(runs_of(kind, rounds));
    for (const Intervals* each : {&now.throughput, &now.medians, &now.ratios}) {
      EXPECT_GE(each->coverage(), 0.92) << rounds << " rounds";
      EXPECT_LE(each->coverage(), rounds > 3 ? 0.98 : 1.0) << rounds << " rounds";
    }
    widths.push_back(100 * now.throughput.half_width());
    EXPECT_EQ(now.stalls > 0, kind == Speed::stalls);
  }
  for (Intervals Found::*each : {&Found::throughput, &Found::medians, &Found::ratios}) {
    for (const Found& now : found) row.push_back(100 * (now.*each).coverage());
  }
  row.insert(row.end(), widths.begin(), widths.end());
  if (kind == Speed::two_speed) {
    EXPECT_LE(widths[0], 25);
    EXPECT_LE(widths[1], 17);
  }
  expect_row(to_string(kind), row);
}

INSTANTIATE_TEST_SUITE_P(Machines, RunCoverage,
                         ::testing::Values(Speed::independent, Speed::ar1_05, Speed::ar1_08,
                                           Speed::two_speed, Speed::drift, Speed::stalls),
                         [](const auto& each) {
                           return "kind" + std::to_string(static_cast<int>(each.param));
                         });

// Cells that are equal are told apart in at most 5 % of cases, over all kinds of machines; cells
// that differ by 10 % in at least 85 % where the noise of a pair is 5 %.
TEST(RunCoverage, EqualCellsAreNotToldApart) {
  std::size_t alarms = 0;
  std::size_t all = 0;
  for (const Speed kind : {Speed::independent, Speed::ar1_08, Speed::two_speed, Speed::drift}) {
    const Intervals ratios = runs_of(kind, 5).ratios;
    alarms += ratios.all - ratios.hits;
    all += ratios.all;
  }
  EXPECT_LE(static_cast<double>(alarms), 0.05 * static_cast<double>(all)) << all;
}

TEST(RunCoverage, APlantedTenthIsFound) {
  const Found found = runs_of(Speed::independent, 5, 1.1, 0.072);
  EXPECT_NEAR(measure::median(found.pair_sds), 0.05, 0.002);
  EXPECT_LE(found.ratios.coverage(), 0.15) << "the interval holds 1";
}

}  // namespace
}  // namespace breakeven::study

// Do the intervals hold the truth as often as they say? Whole runs on simulated machines, by a
// made-up clock, with fixed seeds. docs/measuring.md shows the table that these tests hold.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <sstream>

#include "base/check.h"
#include "measure/rounds.h"
#include "measure/statistics.h"
#include "study/simulated_speed.h"
#include "study/sweep.h"
#include "testing/fake_classifier.h"
#include "testing/paths.h"

namespace breakeven::study {
namespace {

using breakeven::testing::FakeClassifier;
using breakeven::testing::SimulatedSpeed;
using breakeven::testing::Speed;
using measure::Noise;
using measure::RoundValues;
using record::Record;

#ifndef COVERAGE_RUNS  // the slow tier has more
#define COVERAGE_RUNS 80
#endif
constexpr std::uint64_t kRuns = COVERAGE_RUNS;
// A share of so few runs is off by chance.
constexpr double kChance = kRuns < 1000 ? 0.015 : 0;

// A run that has time for so many rounds: as many as fit, each of 30 s at least where they are more
// than five. `pass_s`: the quickest cell's pass at speed 1.
struct Plan {
  std::size_t rounds;
  double pass_s, time_s;
};
constexpr Plan kPlans[] = {{3, 1, 205}, {5, 0.25, 175}, {12, 0.25, 385}};

// Twelve cells: two runtimes, three precisions, serial and stream; eight texts of many lengths.
// At speed 1 a pass takes 1, 2 or 4 times `pass_s`, in the second runtime `factor` times that.
class Machine {
 public:
  explicit Machine(double pass_s, double factor = 1) : pass_s_(pass_s), factor_(factor) {
    for (std::size_t i = 0; i < 8; ++i) texts_.emplace_back(20 + 20 * ((3 * i) % 8), 'a');
    for (const std::string& text : texts_) lengths_.push_back(static_cast<double>(text.size()));
    Axes axes;
    axes.precisions = {Precision::fp32, Precision::bf16, Precision::int8};
    const auto abilities = [&](Padding padding) {
      std::vector<Ability> all;
      for (const Precision precision : axes.precisions)
        all.push_back({"", {}, precision, {padding}});
      return all;
    };
    axes.runtimes = {{Runtime{}, abilities(Padding::none)},
                     {{"other"}, abilities(Padding::longest)}};
    axes.batches = {1};
    input_.cells = plan_cells(axes);
    input_.texts.assign(texts_.begin(), texts_.end());
    input_.timed = texts_.size();
    input_.prototype.model_hash = "model";
    input_.work = {1e6, 0};
  }

  // Seconds of a pass at speed 1, and of its median batch.
  double pass_work(const Setup& cell) const {
    const double times = cell.precision == Precision::fp32   ? 4
                         : cell.precision == Precision::bf16 ? 2
                                                             : 1;
    return pass_s_ * times * (cell.runtime.is_native() ? 1 : factor_);
  }
  double median_work(const Setup& cell) const {
    return pass_work(cell) * measure::median(lengths_) / letters();
  }

  // The records of one run, and how long it took.
  struct Run {
    std::vector<Record> records;
    double end_s = 0;
  };
  Run run(SimulatedSpeed& speed, double time_s, std::uint64_t seed) {
    ManualClock clock;
    Tools tools;
    tools.clock = &clock;
    tools.root = root_.path().string() + "/";  // no counters of this machine
    tools.make = [&](const Spec& spec) -> Result<std::unique_ptr<Classifier>> {
      const double letter_s = pass_work(spec) / letters();
      return std::unique_ptr<Classifier>(new FakeClassifier(
          clock, [&clock, &speed, letter_s](std::size_t, std::size_t, std::size_t letters) {
            return speed.seconds(clock.now_s(), letter_s * static_cast<double>(letters));
          }));
    };
    input_.seed = seed;
    input_.time_s = time_s;
    auto outcome = run_sweep(input_, tools);
    BREAKEVEN_CHECK(outcome && outcome->records.size() == input_.cells.size());
    return {std::move(outcome->records), clock.now_s()};
  }

 private:
  double letters() const { return std::accumulate(lengths_.begin(), lengths_.end(), 0.0); }

  double pass_s_, factor_;
  std::vector<std::string> texts_;
  std::vector<double> lengths_;
  breakeven::testing::TempDir root_;
  Input input_;
};

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
  std::uint64_t runs = 0, stalls = 0;
};

// A median of a batch's seconds ÷ what it is at speed 1, in the long run.
double median_factor(Speed kind, double noise) {
  SimulatedSpeed speed(kind, 1, 0, noise);
  Machine machine(0.25);
  double logs = 0;
  double count = 0;
  for (const Record& record : machine.run(speed, 12000, 1).records) {
    if (record.cell.mode != Mode::serial) continue;
    logs += std::log(record.latency_s.at("p50").value / machine.median_work(record.cell));
    ++count;
  }
  return std::exp(logs / count);
}

Found runs_of(Speed kind, const Plan& plan, double factor = 1, double noise = 0.1) {
  // The truth: of stationary kinds the long-run mean, of a drift the mean over the run, of a
  // machine that stalls its speed without stalls.
  const bool around_ar1 = kind == Speed::drift || kind == Speed::stalls;
  const Speed stationary = around_ar1 ? Speed::ar1_05 : kind;
  const double long_run = SimulatedSpeed::long_run_speed(stationary, noise);
  const double medians = median_factor(stationary, noise);
  Machine machine(plan.pass_s * long_run, factor);  // so that as many rounds fit
  Found found;
  for (std::uint64_t seed = 0; seed < kRuns; ++seed) {
    SimulatedSpeed speed(kind, 1000 + seed, plan.time_s, noise);
    const Machine::Run run = machine.run(speed, plan.time_s, seed);
    if (run.records.front().rounds.size() != plan.rounds) continue;
    ++found.runs;
    const double mean_speed = kind == Speed::drift ? speed.mean_speed(run.end_s) : long_run;
    std::vector<RoundValues> passes;
    std::vector<const Record*> records;
    for (const Record& record : run.records) {
      const double texts = static_cast<double>(record.texts.count);
      found.throughput.add(record.reviews_per_s,
                           texts * mean_speed / machine.pass_work(record.cell));
      if (record.cell.mode == Mode::serial) {
        found.medians.add(record.latency_s.at("p50"),
                          machine.median_work(record.cell) * medians * long_run / mean_speed);
      }
      records.push_back(&record);
      passes.push_back(measure::pass_seconds_by_round(record));
      found.stalls += measure::stalls_of(record).count;
    }
    const Noise of_passes = measure::pooled_noise(passes, measure::visited_together(records));
    found.pair_sds.push_back(of_passes.pair_sd);
    const std::size_t half = passes.size() / 2;  // the other runtime's cells stand behind ours
    for (std::size_t cell = 0; cell < half; ++cell) {
      found.ratios.add(measure::ratio_by_round(passes[cell + half], passes[cell], of_passes), 1);
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
    EXPECT_NEAR(shown, value, 1.5 + 200 * kChance) << should;  // points
  }
}

class RunCoverage : public ::testing::TestWithParam<Speed> {};

TEST_P(RunCoverage, IsWhatTheIntervalsSay) {
  const Speed kind = GetParam();
  std::vector<double> row;
  std::vector<double> widths;
  std::vector<Found> found;
  for (const Plan& plan : kPlans) {
    const std::size_t rounds = plan.rounds;
    const Found& now = found.emplace_back(runs_of(kind, plan));
    EXPECT_GE(now.runs, kRuns * 9 / 10) << "some got time for another number of rounds";
    for (const Intervals* each : {&now.throughput, &now.medians, &now.ratios}) {
      EXPECT_GE(each->coverage(), 0.92 - kChance) << rounds << " rounds";
      EXPECT_LE(each->coverage(), rounds > 3 ? 0.98 + kChance : 1.0) << rounds << " rounds";
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
    const Intervals ratios = runs_of(kind, kPlans[1]).ratios;
    alarms += ratios.all - ratios.hits;
    all += ratios.all;
  }
  EXPECT_LE(static_cast<double>(alarms), 0.05 * static_cast<double>(all)) << all;
}

TEST(RunCoverage, APlantedTenthIsFound) {
  const Found found = runs_of(Speed::independent, kPlans[1], 1.1, 0.0525);
  EXPECT_NEAR(measure::median(found.pair_sds), 0.05, 0.003);
  EXPECT_LE(found.ratios.coverage(), 0.15) << "the interval holds 1";
}

}  // namespace
}  // namespace breakeven::study

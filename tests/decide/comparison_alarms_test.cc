// How often compare() cries wolf, and how often it misses: 400 made-up pairs of runs for each kind
// of noise, fixed seeds. A/A pairs may raise an alarm (faster or slower, anywhere in the file) in
// at most 5 %; a planted 10 % slow-down must be found in at least 90 %.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "decide/comparison.h"

namespace breakeven::decide {
namespace {

constexpr int kPairs = 400;
constexpr std::size_t kCells = 6;

// Noise of the log of a cell's seconds in a round, as standard deviations.
struct Noise {
  const char* name;
  std::size_t rounds;
  double own;     // of each cell and round
  double shared;  // of what all cells of a side share in a round
  double turn;    // of what both sides share in a turn
  bool turns = false;
};

struct Pair {
  std::vector<record::Record> before, after;
};

// Three serial and three stream cells on each side; `factors` of the second side, by cell.
Pair draw_pair(std::mt19937_64& random, const Noise& noise, const std::vector<double>& factors) {
  std::normal_distribution<double> normal;
  std::vector<double> turn(noise.rounds);
  for (double& log : turn) log = noise.turn * normal(random);
  Pair pair;
  for (const bool first : {true, false}) {
    std::vector<double> shared = turn;
    for (double& log : shared) log += noise.shared * normal(random);
    for (std::size_t cell = 0; cell < kCells; ++cell) {
      record::Record record;
      record.cell.batch = cell + 1;
      record.cell.mode = cell < kCells / 2 ? Mode::serial : Mode::stream;
      record.texts.count = 32;
      record.passes = noise.rounds;
      if (noise.turns) record.runtime_settings[std::string(kTurnsSetting)] = "one run";
      for (std::size_t i = 0; i < noise.rounds; ++i) {
        const double log = shared[i] + noise.own * normal(random);
        const double pass_s =
            (first ? 1 : factors[cell]) * std::pow(2, static_cast<double>(cell)) * std::exp(log);
        record.rounds.push_back({i, 0, 1, pass_s, std::nullopt});
        record.samples_s.push_back(pass_s);
        record.sample_rounds.push_back(static_cast<std::uint32_t>(i));
      }
      (first ? pair.before : pair.after).push_back(std::move(record));
    }
  }
  return pair;
}

// Share of pairs whose comparison has the wanted property.
template <class Wanted>
double share_of_pairs(const Noise& noise, double factor, Wanted wanted) {
  std::mt19937_64 random(20261122);
  int hits = 0;
  for (int pair = 0; pair < kPairs; ++pair) {
    const Pair runs = draw_pair(random, noise, std::vector<double>(kCells, factor));
    const auto comparison = compare(runs.before, runs.after, {});
    hits += comparison && wanted(*comparison) ? 1 : 0;
  }
  return static_cast<double>(hits) / kPairs;
}

bool any(const Comparison& comparison, Change change) {
  for (const CellChange& cell : comparison.cells) {
    if (cell.change == change) return true;
  }
  return false;
}

class Alarms : public ::testing::TestWithParam<Noise> {};

TEST_P(Alarms, AtMostOneInTwentyWithoutAChange) {
  const double alarms = share_of_pairs(GetParam(), 1, [](const Comparison& comparison) {
    return any(comparison, Change::slower) || any(comparison, Change::faster);
  });
  EXPECT_LE(alarms, 0.05);
  RecordProperty("alarms", std::to_string(alarms));
}

TEST_P(Alarms, ASlowDownOfTenPercentIsFound) {
  const double found = share_of_pairs(GetParam(), 1.1, [](const Comparison& comparison) {
    return comparison.outcome == Change::slower;
  });
  EXPECT_GE(found, 0.9);
  RecordProperty("found", std::to_string(found));
}

INSTANTIATE_TEST_SUITE_P(
    Noises, Alarms,
    ::testing::Values(Noise{"three_rounds", 3, 0.01, 0, 0}, Noise{"five_rounds", 5, 0.02, 0, 0},
                      Noise{"twelve_rounds", 12, 0.02, 0, 0},
                      Noise{"five_rounds_that_differ", 5, 0.01, 0.01, 0},
                      Noise{"twelve_rounds_that_differ", 12, 0.01, 0.015, 0},
                      Noise{"four_turns", 4, 0.02, 0, 0, true},
                      Noise{"four_turns_of_a_noisy_vm", 4, 0.02, 0.005, 0.2, true},
                      Noise{"twelve_turns_of_a_noisy_vm", 12, 0.04, 0.02, 0.2, true}),
    [](const auto& each) { return std::string(each.param.name); });

// Not by calling everything slower: one slow cell of six is found, the others stay unaccused.
TEST(Alarms, OneSlowCellIsFoundAndNamed) {
  const Noise noise{"rounds", 10, 0.01, 0.01, 0};
  std::mt19937_64 random(5);
  int found = 0;
  int accused = 0;
  for (int pair = 0; pair < kPairs; ++pair) {
    const Pair runs = draw_pair(random, noise, {1, 1, 1, 1, 1.1, 1});
    const auto comparison = compare(runs.before, runs.after, {});
    ASSERT_TRUE(comparison);
    for (std::size_t i = 0; i < kCells; ++i) {
      const bool slower = comparison->cells[i].change == Change::slower;
      (i == 4 ? found : accused) += slower ? 1 : 0;
    }
  }
  EXPECT_GE(found, 0.9 * kPairs);
  EXPECT_LE(accused, 0.05 * kPairs);
}

}  // namespace
}  // namespace breakeven::decide

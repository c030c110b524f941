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

// Noise of the log of a time, in time order.
struct Noise {
  const char* name;
  std::size_t passes;
  double independent;  // standard deviation of each sample's own part
  double correlated;   // of the part that the next sample inherits
  double phi;          // how much of it
  double block;        // of a part that all samples of one visit to the cell share
  std::size_t visits;
};

std::vector<double> draw_noise(std::mt19937_64& random, const Noise& noise, std::size_t samples) {
  std::normal_distribution<double> normal;
  std::vector<double> series(samples);
  double state = normal(random);
  double level = 0;
  const std::size_t visit = (samples + noise.visits - 1) / noise.visits;
  for (std::size_t i = 0; i < samples; ++i) {
    if (i % visit == 0) level = noise.block * normal(random);
    series[i] = noise.independent * normal(random) + noise.correlated * state + level;
    state = noise.phi * state + std::sqrt(1 - noise.phi * noise.phi) * normal(random);
  }
  return series;
}

// Three serial cells of 1, 8 and 32 batches a pass and three stream cells, each with its own noise.
std::vector<record::Record> draw_run(std::mt19937_64& random, const Noise& noise, double factor) {
  std::vector<record::Record> records;
  for (std::size_t i = 0; i < kCells; ++i) {
    record::Record record;
    const bool serial = i < kCells / 2;
    const std::uint32_t batches = !serial ? 1 : (i == 0 ? 32 : i == 1 ? 8 : 1);
    record.cell.batch = i + 1;
    record.cell.mode = serial ? Mode::serial : Mode::stream;
    record.texts.count = 32;
    record.passes = noise.passes;
    const std::vector<double> series = draw_noise(random, noise, noise.passes * batches);
    for (std::size_t k = 0; k < series.size(); ++k) {
      const auto at = static_cast<std::uint32_t>(k % batches);
      // Pieces of a mix differ by a factor of 10, as short and long reviews do.
      const double piece = 0.01 * std::pow(10.0, static_cast<double>(at * 7 % 32) / 32.0);
      record.samples_s.push_back(factor * piece * std::exp(series[k]));
      if (serial) record.sample_positions.push_back(at);
    }
    records.push_back(record);
  }
  return records;
}

// Share of pairs whose comparison has the wanted property.
template <class Wanted>
double share_of_pairs(const Noise& noise, double factor, Wanted wanted) {
  std::mt19937_64 random(20261122);
  int hits = 0;
  for (int pair = 0; pair < kPairs; ++pair) {
    const auto before = draw_run(random, noise, 1);
    const auto comparison = compare(before, draw_run(random, noise, factor), {});
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
    ::testing::Values(Noise{"independent_6_passes", 6, 0.02, 0, 0, 0, 1},
                      Noise{"independent_20_passes", 20, 0.04, 0, 0, 0, 1},
                      Noise{"ar1_phi5_12_passes", 12, 0.01, 0.02, 0.5, 0, 1},
                      Noise{"ar1_phi8_30_passes", 30, 0.005, 0.03, 0.8, 0, 1},
                      Noise{"ar1_phi9_60_passes", 60, 0, 0.04, 0.9, 0, 1},
                      Noise{"blocks_of_a_noisy_vm_12_passes", 12, 0.01, 0, 0, 0.02, 4},
                      Noise{"blocks_of_a_noisy_vm_24_passes", 24, 0.01, 0.01, 0.5, 0.03, 6}),
    [](const auto& each) { return std::string(each.param.name); });

// Not by calling everything slower: one slow cell of six is found, the others stay unaccused.
TEST(Alarms, OneSlowCellIsFoundAndNamed) {
  const Noise noise{"independent", 10, 0.02, 0, 0, 0, 1};
  std::mt19937_64 random(5);
  int found = 0;
  int accused = 0;
  for (int pair = 0; pair < kPairs; ++pair) {
    const auto before = draw_run(random, noise, 1);
    auto after = draw_run(random, noise, 1);
    for (double& seconds : after[4].samples_s) seconds *= 1.1;
    const auto comparison = compare(before, after, {});
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

// The rounds of a sweep: who is visited when, how time is spent, what an interrupt leaves.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <set>

#include "measure/thresholds.h"
#include "study/sweep_fixture.h"

namespace breakeven::study {
namespace {

using ::testing::HasSubstr;

// What a runtime with dynamic shapes does: OpenVINO makes primitives for each new length.
TEST_F(SweepTest, AClassifierThatIsSlowAtTheFirstSightOfALengthGetsItsPlantedCosts) {
  std::set<std::size_t> seen;
  machine_.cost = [&](std::size_t letters, std::size_t call) {
    if (call == 0) seen.clear();  // another classifier
    return 1e-5 * static_cast<double>(letters) * (seen.insert(letters).second ? 10 : 1);
  };
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  for (const record::Record& record : outcome->records) {
    EXPECT_NEAR(record.reviews_per_s.value, 64 / (1e-5 * letters()), 1e-6);
    EXPECT_GE(record.warmup_passes, record.rounds.size());
    EXPECT_FALSE(measure::is_invalid(record));
  }
}

TEST_F(SweepTest, EveryRoundVisitsEveryCellOnce) {
  double loop_s = 0;
  tools_.reference = [&] { return loop_s += 0.001; };
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  std::map<std::uint64_t, std::vector<double>> starts;  // of each round
  for (const record::Record& record : outcome->records) {
    ASSERT_EQ(record.rounds.size(), kRoundsAimedAt);
    for (std::size_t i = 0; i < record.rounds.size(); ++i) {
      const record::Round& round = record.rounds[i];
      EXPECT_EQ(round.index, i);
      EXPECT_GE(round.passes, 1U);
      EXPECT_TRUE(round.reference_s);
      starts[round.index].push_back(round.start_s);
    }
    EXPECT_TRUE(record.reviews_per_s.interval);
    EXPECT_EQ(record.sample_rounds.size(), record.samples_s.size());
    EXPECT_TRUE(std::is_sorted(record.sample_start_s.begin(), record.sample_start_s.end()));
  }
  for (std::size_t i = 1; i < starts.size(); ++i) {
    EXPECT_LT(std::ranges::max(starts[i - 1]), std::ranges::min(starts[i]));
  }
  EXPECT_NEAR(loop_s, 0.001 * 8 * kRoundsAimedAt, 1e-9);
  // Quick as these cells are, the last round is not over before the machine may have changed.
  EXPECT_GT(std::ranges::min(starts[kRoundsAimedAt - 1]), 0.7 * input_.time_s);
}

TEST_F(SweepTest, BlocksOfARunShareNoRound) {
  Axes axes;
  axes.batches = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};  // two blocks
  input_.cells = plan_cells(axes);
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  const auto& first = outcome->records.front().rounds;
  const auto& last = outcome->records.back().rounds;
  EXPECT_EQ(last.front().index, first.back().index + 1);
  EXPECT_TRUE(outcome->records.back().reviews_per_s.interval);
}

TEST_F(SweepTest, OnePackedModelAtATime) {
  ASSERT_TRUE(run());
  EXPECT_EQ(machine_.most_alive, 1U);
}

TEST_F(SweepTest, CellsInterleave) {
  // Times vary, so that nobody has enough early.
  machine_.cost = [](std::size_t letters, std::size_t call) {
    return 1e-4 * static_cast<double>(letters) * (call % 7 == 0 ? 1.5 : 1.0);
  };
  ASSERT_TRUE(run());
  std::vector<Precision> order;
  for (const Spec& spec : machine_.made) {
    if (!spec.reference && spec.max_length == 512) order.push_back(spec.precision);
  }
  std::size_t switches = 0;
  for (std::size_t i = 1; i < order.size(); ++i) switches += order[i] != order[i - 1] ? 1U : 0U;
  EXPECT_GE(switches, 3U);
}

TEST_F(SweepTest, TheSeedDecidesTheOrder) {
  const auto order = [&](std::uint64_t seed) {
    input_.seed = seed;
    const auto outcome = run();
    EXPECT_TRUE(outcome);
    std::map<double, std::size_t> by_start;
    for (std::size_t i = 0; i < outcome->records.size(); ++i) {
      by_start[outcome->records[i].rounds.at(0).start_s] = i;
    }
    std::vector<std::size_t> cells;
    for (const auto& [start_s, cell] : by_start) cells.push_back(cell);
    return cells;
  };
  EXPECT_EQ(order(1), order(1));
  std::set<std::vector<std::size_t>> orders;
  for (std::uint64_t seed = 1; seed < 8; ++seed) orders.insert(order(seed));
  EXPECT_GT(orders.size(), 1U);
}

TEST_F(SweepTest, ASlowCellGetsAsManyRoundsAsAQuickOne) {
  // A pass of fp32 takes 1 s, one of bf16 60 ms.
  machine_.seconds_per_letter = [&](const Spec& spec) {
    return (spec.precision == Precision::bf16 ? 0.06 : 1) / letters();
  };
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  const auto& slow = find(*outcome, Precision::fp32, 8, Mode::serial);
  const auto& quick = find(*outcome, Precision::bf16, 8, Mode::serial);
  EXPECT_EQ(slow.rounds.size(), quick.rounds.size());
  EXPECT_GE(slow.rounds.size(), 5U);
  EXPECT_GT(quick.passes, slow.passes);
  EXPECT_TRUE(slow.reviews_per_s.interval);
}

TEST_F(SweepTest, FewerThanThreeRoundsAreSaidWithTheTimeThatTheyTake) {
  machine_.seconds_per_letter = [&](const Spec&) { return 3 / letters(); };
  const auto outcome = run();  // a round takes 48 s of the minute
  ASSERT_TRUE(outcome);
  for (const record::Record& record : outcome->records) {
    EXPECT_EQ(record.rounds.size(), 1U);
    EXPECT_GT(record.reviews_per_s.value, 0);
    EXPECT_FALSE(record.reviews_per_s.interval);
  }
  ASSERT_THAT(outcome->notes, ::testing::Contains(HasSubstr("8 of 8 cells have fewer than 3")));
  // What it says is enough.
  const std::string& note = outcome->notes.back();
  input_.time_s = std::stod(note.substr(note.find("--time ") + 7));
  const auto again = run();
  ASSERT_TRUE(again);
  for (const record::Record& record : again->records) EXPECT_GE(record.rounds.size(), 3U);
  EXPECT_LT(input_.time_s, 250);
}

// Starting processes and judging belong to the first round alone: they cost no other one, and the
// time that is told holds them.
TEST_F(SweepTest, WhatIsDoneOnceCostsNoRound) {
  add_runtime();
  add_texts(64);
  machine_.process_start_s = 10;
  machine_.seconds_per_letter = [&](const Spec&) { return 0.8 / letters(); };
  for (const double time_s : {45.0, 25.0}) {
    machine_.made.clear();
    input_.time_s = time_s;
    const auto outcome = run();
    ASSERT_TRUE(outcome);
    std::size_t rounds = outcome->records.back().rounds.size();
    if (rounds < 3) {
      const std::string& note = outcome->notes.back();
      ASSERT_THAT(note, HasSubstr("12 of 12 cells have fewer than 3"));
      const double told_s = std::stod(note.substr(note.find("--time ") + 7));
      EXPECT_GT(told_s, time_s) << note;
      EXPECT_LT(told_s, 2 * time_s) << note;
      machine_.made.clear();
      input_.time_s = told_s;
      rounds = run()->records.back().rounds.size();
    } else {
      EXPECT_EQ(time_s, 45.0);
    }
    EXPECT_GE(rounds, 3U) << time_s;
  }
}

TEST_F(SweepTest, TimeIsThatOfEverything) {
  tools_.fresh = [&](const record::Cell&) -> Result<Fresh> {
    machine_.clock.advance(2);
    return Fresh{};
  };
  std::size_t state = 1;
  machine_.cost = [&](std::size_t letters, std::size_t) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return 1e-5 * static_cast<double>(letters) * (1 + static_cast<double>(state >> 60U) / 2);
  };
  ASSERT_TRUE(run());
  EXPECT_GT(machine_.clock.now_s(), 0.8 * input_.time_s);
  EXPECT_LE(machine_.clock.now_s(), 1.05 * input_.time_s);
}

TEST_F(SweepTest, ALongRunHasMoreRoundsAndNotOnlyMorePasses) {
  input_.time_s = 1200;
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->records.front().rounds.size(),
            static_cast<std::size_t>(input_.time_s / kRoundSpacing_s) - 1);  // judging took some
}

TEST_F(SweepTest, AnInterruptKeepsCellsOfThreeRounds) {
  for (const std::size_t last_round : {1U, 2U, 3U}) {
    stop_ = false;
    std::size_t visits = 0;
    tools_.reference = [&] {  // before each visit
      if (++visits > 8 * last_round + 4) stop_ = true;
      return 0.001;
    };
    const auto outcome = run();
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(outcome->interrupted);
    // In the round that was cut four cells were visited, and a stream pass that had begun ended.
    const std::size_t kept = outcome->records.size();
    if (last_round == 1) {
      EXPECT_EQ(kept, 0U);
    } else if (last_round == 2) {
      EXPECT_THAT(kept, ::testing::AnyOf(4U, 5U));
    } else {
      EXPECT_EQ(kept, 8U);
    }
    for (const record::Record& record : outcome->records) {
      EXPECT_GE(record.rounds.size(), 3U);
      EXPECT_FALSE(measure::is_invalid(record));
    }
  }
}

TEST_F(SweepTest, AnInterruptBeforeAnythingIsNoError) {
  stop_ = true;
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_TRUE(outcome->interrupted);
  EXPECT_TRUE(outcome->records.empty());
}

}  // namespace
}  // namespace breakeven::study

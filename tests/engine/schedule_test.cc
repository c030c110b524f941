// The schedule by its own model: no thread, no clock, no backend.
#include "engine/schedule.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "testing/schedule_model.h"

namespace breakeven::engine {
namespace {

using Lengths = std::vector<std::uint32_t>;

struct Distribution {
  const char* name;
  Lengths (*draw)(std::size_t count);
};

// As of IMDB: log-normal, median 230 tokens, a fifth cut at 512.
Lengths reviews(std::size_t count) {
  std::mt19937 random(7);
  Lengths lengths(count);
  for (std::uint32_t& length : lengths) {
    const auto uniform = [&] { return (static_cast<double>(random()) + 0.5) * 0x1p-32; };
    const double radius = std::sqrt(-2 * std::log(uniform()));
    const double normal = radius * std::cos(2 * M_PI * uniform());
    length = static_cast<std::uint32_t>(std::clamp(std::exp(5.44 + 0.65 * normal), 10.0, 512.0));
  }
  return lengths;
}

Lengths equal(std::size_t count) {
  return Lengths(count, 128);
}

Lengths long_ones(std::size_t count) {
  return Lengths(count, 512);
}

Lengths one_huge(std::size_t count) {
  Lengths lengths(count, 20);
  lengths[count / 2] = 512;
  return lengths;
}

Lengths anything(std::size_t count) {
  std::mt19937 random(8);
  Lengths lengths(count);
  for (std::uint32_t& length : lengths) length = static_cast<std::uint32_t>(2 + random() % 511);
  return lengths;
}

// Groups of batches that are planned together may have less even sizes: half a percent is allowed.
constexpr double kNoSlower = 1.005;

// Batches over within 72 rows of time on 48 threads and more, mostly of texts of 20 tokens: two of
// them or three make a thread's work, and looking for the best of all plans would take longer than
// it saves.
double least_share(double batch_end) {
  return batch_end < 72 ? 0.8 : 0.9;
}

class Schedule : public ::testing::TestWithParam<Distribution> {};

// max(total cost / threads, longest piece that cannot be cut) / modelled end, and a stream against
// the same batches one after the other.
TEST_P(Schedule, EveryThreadIsBusyAndAStreamIsNeverSlower) {
  for (const unsigned count : {1U, 2U, 3U, 4U, 6U, 8U, 16U, 24U, 32U, 48U, 64U, 96U, 128U}) {
    const std::vector<unsigned> threads(count, 0);
    for (const std::size_t texts : {1U, 2U, 3U, 5U, 8U, 13U, 33U, 64U, 100U, 257U, 1000U, 10000U}) {
      // What this many texts show needs no more than a few counts of threads.
      if (texts == 10000 && count != 1 && count != 2 && count != 16 && count != 128) continue;
      const Lengths lengths = GetParam().draw(texts);
      for (const std::size_t batch : {1U, 2U, 7U, 8U, 32U, 100U, 512U}) {
        const Work work{lengths, batch};
        const ModelledPass stream = model_stream(work, threads, {});
        const ModelledPass serial = model_serial(work, threads, {});
        const double batches = std::ceil(double(texts) / double(batch));
        const std::string cell = fmt::format("{} threads, {} texts, batch {}", count, texts, batch);
        EXPECT_GE(stream.busy_share(), least_share(stream.end)) << cell;
        EXPECT_GE(serial.busy_share(), least_share(serial.end / batches)) << cell;
        EXPECT_LE(stream.end, kNoSlower * serial.end) << cell;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Lengths, Schedule,
                         ::testing::Values(Distribution{"reviews", reviews},
                                           Distribution{"equal", equal},
                                           Distribution{"long", long_ones},
                                           Distribution{"one_huge", one_huge},
                                           Distribution{"anything", anything}),
                         [](const auto& each) { return std::string(each.param.name); });

// A group of 100 rows and, on as many lanes, the threads that a test gives.
struct Desk {
  Plan plan;
  std::vector<unsigned> lane_nodes;
  CostModel model{.group = 0, .member = 1, .token = 0, .most_members = 16};
  Dispatcher dispatcher;
  Desk(std::vector<double> costs, std::vector<unsigned> members, std::vector<unsigned> nodes)
      : lane_nodes(std::move(nodes)) {
    plan.costs = std::move(costs);
    plan.members = std::move(members);
    for (std::uint32_t i = 0; i < plan.costs.size(); ++i) plan.order.push_back(i);
    dispatcher.start(plan, lane_nodes, model);
  }
};
using Do = Dispatcher::Step::Do;

TEST(DispatcherTest, GroupsFirstThenHelpForTheLaneThatIsBusyLongest) {
  Desk desk({100, 60}, {1, 1}, {0, 0, 0});
  EXPECT_EQ(desk.dispatcher.next(0, 0).what, Do::compute);
  EXPECT_EQ(desk.dispatcher.next(0, 0).what, Do::compute);
  const Dispatcher::Step third = desk.dispatcher.next(0, 0);
  EXPECT_EQ(third.what, Do::help);
  EXPECT_EQ(third.lane, 0U);
  EXPECT_DOUBLE_EQ(*desk.dispatcher.end_of(0), 51);  // 100 / 2 + 1
  const Dispatcher::Step fourth = desk.dispatcher.next(0, 0);
  EXPECT_EQ(fourth.lane, 1U);
  // At 31 the second lane is done; both of its threads go to the first, which has 20 of 51 left.
  EXPECT_DOUBLE_EQ(*desk.dispatcher.end_of(1), 31);
  EXPECT_DOUBLE_EQ(desk.dispatcher.finished(1), 31);
  EXPECT_EQ(desk.dispatcher.next(0, 31).lane, 0U);
  EXPECT_DOUBLE_EQ(*desk.dispatcher.end_of(0), 31 + 20.0 / 51 * (100.0 / 3 + 2));
}

TEST(DispatcherTest, AGroupThatNeedsATeamGetsItBeforeOthersStart) {
  Desk desk({500, 20, 20}, {3, 1, 1}, {0, 0, 0});
  EXPECT_EQ(desk.dispatcher.next(0, 0).group, 0U);
  EXPECT_EQ(desk.dispatcher.next(0, 0).what, Do::help);
  EXPECT_EQ(desk.dispatcher.next(0, 0).what, Do::help);
  EXPECT_EQ(desk.dispatcher.next(0, 0).what, Do::compute);
}

TEST(DispatcherTest, AThreadThatWouldSaveNothingLeaves) {
  Desk desk({2}, {1}, {0});
  EXPECT_EQ(desk.dispatcher.next(0, 0).what, Do::compute);
  EXPECT_EQ(desk.dispatcher.next(0, 0).what, Do::leave);
  for (const auto& [now, what] : {std::pair{99.9, Do::leave}, std::pair{150.0, Do::help}}) {
    Desk late({100}, {1}, {0});
    EXPECT_EQ(late.dispatcher.next(0, 0).what, Do::compute);
    EXPECT_EQ(late.dispatcher.next(0, now).what, what) << "a lane behind its time is helped";
  }
}

TEST(DispatcherTest, NobodyWorksInAnotherNodesMemory) {
  Desk desk({100, 90}, {1, 1}, {0, 1});
  EXPECT_EQ(desk.dispatcher.next(1, 0).lane, 1U);
  const Dispatcher::Step helps = desk.dispatcher.next(1, 0);  // lane 0 is idle, but of node 0
  EXPECT_EQ(helps.what, Do::help);
  EXPECT_EQ(helps.lane, 1U);
}

TEST(SpreadLanes, NodesTakeTurns) {
  const std::vector<unsigned> threads = {0, 0, 0, 1};
  std::vector<unsigned> lanes;
  spread_lanes(threads, 3, lanes);
  EXPECT_THAT(lanes, ::testing::ElementsAre(0, 1, 0));
  spread_lanes(threads, 9, lanes);
  EXPECT_THAT(lanes, ::testing::ElementsAre(0, 1, 0, 0));
}

TEST(PlannerTest, EveryTextIsInOneGroupOfItsOwnBatch) {
  const Lengths lengths = reviews(200);
  const std::vector<unsigned> threads(7, 0);
  Planner planner;
  Groups groups;
  planner.plan({lengths, 32}, threads, {}, groups);
  std::vector<int> seen(lengths.size(), 0);
  for (std::size_t group = 0; group < groups.count(); ++group) {
    for (const std::uint32_t text : groups.members(group)) {
      ++seen[text];
      EXPECT_EQ(text / 32, groups.members(group).front() / 32);
    }
    EXPECT_LE(groups.rows[group], kGroupRows);
  }
  EXPECT_THAT(seen, ::testing::Each(1));
  EXPECT_THAT(planner.last().order, ::testing::SizeIs(groups.count()));
}

}  // namespace
}  // namespace breakeven::engine

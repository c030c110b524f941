// Millions of steps of serve::Core against made-up clients and devices (simulation.h).
#include <gtest/gtest.h>

#include <cstdio>

#include "base/random.h"
#include "serve/simulation.h"

namespace breakeven {
namespace {

using testing::FakeDevice;
using testing::play;
using testing::Seen;
using testing::World;

World one_gpu(double load, std::uint64_t seed) {
  World world;
  world.seed = seed;
  world.devices = {{.a_s = 0.3e-3, .b_s = 0.25e-6, .c_s = 0.1e-9, .noise = 0.05}};
  world.limit_s = 0.05;
  world.rate_per_s = load * capacity_per_s(world);
  return world;
}

World one_cpu(double load, std::uint64_t seed) {
  World world;
  world.seed = seed;
  world.devices = {{.a_s = 0.4e-3, .b_s = 48e-6, .c_s = 10e-9, .noise = 0.1}};
  world.limits.batch.tokens = 2048;
  world.limit_s = 0.3;
  world.rate_per_s = load * capacity_per_s(world);
  return world;
}

constexpr double kLoads[] = {0.5, 0.9, 1.0, 1.2, 2, 10};

// All that can go wrong at once, in many mixes.
TEST(CoreSimulation, KeepsItsRulesWhateverHappens) {
  std::uint64_t steps = 0, answered = 0, expired = 0, failed = 0, left = 0, refused = 0,
                drained = 0, ahead = 0, repaired = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed, {7});
    World world = random.below(2) == 0 ? one_gpu(1, seed) : one_cpu(1, seed);
    world.requests = 20'000;
    world.rate_per_s *= kLoads[random.below(std::size(kLoads))];
    world.limit_s = random.uniform(0.02, 0.5);
    world.patient_share = random.below(3) == 0 ? 0.05 : 0;
    world.leave_share = random.below(2) == 0 ? 0.05 : 0;
    world.most_texts = random.below(2) == 0 ? 1 : 20;
    world.limits.batch.texts = 1 + random.below(64);
    world.limits.texts = 500 + random.below(2000);
    FakeDevice& device = world.devices.front();
    device.stall_share = random.below(2) == 0 ? 0.002 : 0;
    device.stall_s = 0.2;
    device.failure_share = random.below(3) == 0 ? random.uniform(0.1, 0.5) : 0;
    world.repair_s = random.below(2) == 0 ? 0.5 : -1;
    world.repaired_share = random.below(2) == 0 ? 0.7 : 1;
    if (random.below(2) == 0) world.devices.push_back(one_cpu(1, 1).devices.front());
    if (random.below(4) == 0) world.devices.push_back(FakeDevice{world.devices.front()});
    world.drain_s = random.below(2) == 0 ? random.uniform(0, 0.1) : -1;
    world.tokenizes_ahead = random.below(2) == 0;
    world.tokenize_token_s = random.below(2) == 0 ? 0.1 * world.devices.front().b_s : 0;
    world.estimate_error = random.below(2) == 0 ? 0.3 : 0;
    Seen seen;
    ASSERT_NO_THROW(seen = play(world)) << "seed " << seed;
    steps += seen.steps;
    answered += seen.in_time + seen.late;
    expired += seen.expired;
    failed += seen.failed;
    left += seen.left;
    refused += seen.refused;
    drained += seen.drained;
    ahead += seen.ahead;
    repaired += seen.repaired;
  }
  EXPECT_GT(steps, 1'000'000U);
  // Each of them was met.
  for (const std::uint64_t count : {answered, expired, failed, left, refused, drained, ahead}) {
    EXPECT_GT(count, 50U);
  }
  EXPECT_GT(repaired, 10U);
}

TEST(CoreSimulation, SameSeedSameRun) {
  World world = one_cpu(1.2, 5);
  world.leave_share = 0.1;
  const Seen a = play(world), b = play(world);
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.in_time, b.in_time);
  world.seed = 6;
  EXPECT_NE(play(world).in_time, a.in_time);
}

// At every load at least what a batcher without admission does; at overload as much as at its peak.
TEST(CoreSimulation, GoodputIsThatOfAGreedyBatcherOrBetter) {
  for (const auto make : {one_gpu, one_cpu}) {
    double peak = 0, at_ten = 0;
    for (const double load : kLoads) {
      World world = make(load, 11);
      world.requests = 100'000;
      const Seen ours = play(world), greedy = play_greedy(world);
      EXPECT_GE(ours.goodput_per_s(), 0.99 * greedy.goodput_per_s()) << "load " << load;
      EXPECT_LE(double(ours.late), 0.01 * double(ours.accepted)) << "load " << load;
      peak = std::max(peak, ours.goodput_per_s());
      at_ten = ours.goodput_per_s();
    }
    EXPECT_GE(at_ten, 0.95 * peak);
  }
}

// A device that is twice as slow as when it was measured: after some batches promises are kept
// again.
TEST(CoreSimulation, FollowsADeviceThatBecameSlower) {
  World world = one_cpu(1.0, 3);
  FakeDevice slow = world.devices.front();
  const double shape_s = slow.seconds({8, 2048, 8 * 256.0 * 256.0});
  serve::BatchTime time({{{1, 8, 64}, slow.seconds({1, 8, 64})},
                         {{8, 2048, 524288}, shape_s},
                         {{32, 8192, 2097152}, slow.seconds({32, 8192, 2097152})}});
  for (int i = 0; i < 160; ++i) time.observe({8, 2048, 524288}, 2 * shape_s);
  EXPECT_NEAR(time.seconds({8, 2048, 524288}), 2 * shape_s, 0.02 * shape_s);
  // Of a size that was not seen since: the anchors say it, twice as slow.
  EXPECT_NEAR(time.seconds({32, 8192, 2097152}), 2 * slow.seconds({32, 8192, 2097152}),
              0.1 * slow.seconds({32, 8192, 2097152}));
}

// A batch that is tokenised while another one is computed costs its lane no time for that: at
// overload as many more are answered.
TEST(CoreSimulation, ABatchAheadTakesTokenisingOffTheDevice) {
  World world = one_gpu(1.5, 9);
  world.requests = 100'000;
  world.tokenize_token_s = 0.1 * world.devices.front().b_s;
  const Seen on_its_lane = play(world);
  world.tokenizes_ahead = true;
  const Seen ahead = play(world);
  EXPECT_EQ(on_its_lane.ahead, 0U);
  EXPECT_GT(double(ahead.ahead), 0.9 * double(ahead.in_time));
  EXPECT_GT(ahead.goodput_per_s(), 1.06 * on_its_lane.goodput_per_s());
  EXPECT_LE(double(ahead.late), 0.01 * double(ahead.accepted));
  std::printf("answered in time: %.0f/s, a batch ahead %.0f/s\n", on_its_lane.goodput_per_s(),
              ahead.goodput_per_s());
}

// A slow device beside a fast one answers more, and nobody later.
TEST(CoreSimulation, TwoDevicesAnswerMoreThanOne) {
  World world = one_gpu(1.5, 4);
  world.requests = 50'000;
  const Seen alone = play(world);
  FakeDevice half = world.devices.front();
  half.b_s *= 2;
  half.c_s *= 2;
  world.devices.push_back(half);
  const Seen both = play(world);
  EXPECT_GT(both.goodput_per_s(), 1.3 * alone.goodput_per_s());
  EXPECT_LE(double(both.late), 0.01 * double(both.accepted));
}

}  // namespace
}  // namespace breakeven

// The live break-even: what is seen of the load, and what the models make of it.
#include "serve/live.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "serve/fake_service.h"

namespace breakeven::serve {
namespace {

using Json = nlohmann::json;

decide::LatencyModel model_of(double a_s, double token_s) {
  decide::LatencyModel model;
  model.a_s.value = a_s;
  model.b_s_per_token.value = token_s;
  return model;
}

TEST(Traffic, ForgetsWhatIsOlderThanItsWindow) {
  Traffic traffic(1, 100);
  EXPECT_EQ(traffic.seen().window_s, 0);
  // 100 s of one request of two texts a second, half of the time busy; then silence.
  for (int second = 1; second <= 100; ++second) {
    traffic.came(2);
    traffic.computed(second <= 50 ? 10 : 20);
    traffic.tick(100 + second, {0.5 * second});
  }
  Observed seen = traffic.seen();
  EXPECT_NEAR(seen.window_s, Traffic::kWindow_s, 1);
  EXPECT_NEAR(seen.requests_per_s, 1, 0.05);
  EXPECT_NEAR(seen.texts_per_s, 2, 0.1);
  EXPECT_NEAR(seen.use[0], 0.5, 0.02);
  EXPECT_EQ(seen.lengths.size(), 100U);
  for (int second = 101; second <= 200; ++second) traffic.tick(100 + second, {50});
  seen = traffic.seen();
  EXPECT_EQ(seen.texts_per_s, 0);
  EXPECT_EQ(seen.use[0], 0);
  for (std::size_t i = 0; i < 3 * Traffic::kLengths; ++i) traffic.computed(7);
  EXPECT_EQ(traffic.seen().lengths, std::vector<std::uint32_t>(Traffic::kLengths, 7));
}

Observed busy() {
  Observed observed;
  observed.window_s = 60;
  observed.requests_per_s = observed.texts_per_s = 50;
  observed.use = {0.5};
  observed.lengths.assign(100, 10);
  return observed;
}

// A CPU of 1 ms a token without a fixed cost, so 100 texts of 10 tokens a second; a GPU ten times
// as fast.
const std::vector<Machine> kMachines = {{"cpu", false, true, "fitted", model_of(0, 1e-3)},
                                        {"GPU", true, false, "a record", model_of(0, 1e-4)}};

TEST(Live, ModelsWhatEachAloneWouldDo) {
  const Live live = live_of(busy(), kMachines, {2048, 64}, 1);
  ASSERT_EQ(live.alone.size(), 2U);
  EXPECT_NEAR(live.alone[0].full_per_s, 100, 1);
  EXPECT_NEAR(live.alone[1].full_per_s, 1000, 10);
  EXPECT_EQ(live.alone[0].use, 0.5);
  EXPECT_FALSE(live.alone[1].use);
  // 50 a second are half of the CPU's: a text waits some of the 10 ms that the one before takes.
  ASSERT_TRUE(live.alone[0].now);
  EXPECT_GT(live.alone[0].now->p99_s, 0.01);
  EXPECT_LT(live.alone[0].now->p99_s, 0.2);
  EXPECT_LE(live.alone[0].highest.per_s, 100);
  EXPECT_GT(live.alone[0].highest.per_s, 50);
}

TEST(Live, SaysFromWhichLoadTheGpuIsCheaper) {
  const Live live = live_of(busy(), kMachines, {2048, 64}, 1);
  const Json dear = Json::parse(to_json(live, {0.1, 0.25}));
  // Three CPUs cost more than the GPU: it is cheaper where two no longer carry the load.
  const double one = dear["alone"][0]["highest_low"];
  EXPECT_NEAR(dear["changes"]["gpu_cheaper_from"]["texts_per_s"], 2 * 0.7 * one, 0.02 * one);
  EXPECT_NEAR(dear["alone"][0]["cost_per_million"], 0.1 / 3600 / 50 * 1e6, 1e-4);
  EXPECT_TRUE(dear["changes"]["why"].is_null());
  const Json never = Json::parse(to_json(live, {0.01, 100}));
  EXPECT_TRUE(never["changes"]["gpu_cheaper_from"].is_null());
  EXPECT_TRUE(never["changes"]["why"].is_string());
  const Json unpriced = Json::parse(to_json(live, {}));
  EXPECT_TRUE(unpriced["alone"][0]["cost_per_million"].is_null());
  EXPECT_GT(unpriced["changes"]["one_cpu_carries_up_to_texts_per_s"], 50);
}

TEST(Live, SaysNothingBeforeATextCame) {
  const Json live = Json::parse(to_json(live_of({}, kMachines, {2048, 64}, 1), {1, 2}));
  EXPECT_TRUE(live["alone"].empty());
  EXPECT_TRUE(live["observed"]["tokens"].is_null());
  EXPECT_TRUE(live["changes"]["why"].is_string());
}

}  // namespace
}  // namespace breakeven::serve

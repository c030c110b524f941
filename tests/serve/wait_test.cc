// Why the server has no wait for a batch to fill: in the model of a queue (decide/queue_model.h) no
// wait makes answers sooner by 3 %, whatever a batch costs besides its tokens; most make them
// later. While a lane works, those who come collect for nothing.
#include <gtest/gtest.h>

#include "decide/queue_model.h"

namespace breakeven {
namespace {

TEST(DerivedWait, NoWaitGainsThreePercent) {
  const std::vector<std::uint32_t> lengths = {20, 60, 130, 250, 400};
  for (const double fixed : {0.1, 1.0, 10.0, 50.0}) {  // of a batch, in means of one text
    constexpr double kText_s = 1e-3, kMean = 172;
    const double a_s = fixed * kText_s;
    const auto queue = [&](double wait_s) {
      return decide::Queue({lengths,
                            [=](std::span<const std::uint32_t> batch) {
                              double seconds = a_s;
                              for (const std::uint32_t s : batch) seconds += kText_s * s / kMean;
                              return seconds;
                            },
                            32, wait_s});
    };
    const decide::Queue at_once = queue(0);
    for (const double load : {0.1, 0.5, 0.8, 0.9}) {
      const double rate_per_s = load * at_once.full_rate();
      const auto none = at_once.respond(rate_per_s);
      ASSERT_TRUE(none);
      for (const double wait_s : {0.1 * a_s, 0.25 * a_s, 0.5 * a_s, a_s, 2 * a_s}) {
        const auto waits = queue(wait_s).respond(rate_per_s);
        ASSERT_TRUE(waits);
        EXPECT_LE(none->p99_s, 1.03 * waits->p99_s)
            << "fixed " << fixed << " load " << load << " wait " << wait_s;
        EXPECT_LE(none->p50_s, 1.03 * waits->p50_s)
            << "fixed " << fixed << " load " << load << " wait " << wait_s;
      }
    }
  }
}

}  // namespace
}  // namespace breakeven

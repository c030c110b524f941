// What a lane measures before the door opens.
#include <gtest/gtest.h>

#include <string>

#include "base/clock.h"
#include "serve/batch_time.h"
#include "serve/lane.h"
#include "testing/fake_classifier.h"

namespace breakeven::serve {
namespace {

// On a classifier that takes so long for a letter: where every batch is slow, the first client must
// not wait for long ones.
TEST(Anchors, ASlowLaneMeasuresShortBatchesOnly) {
  const std::string sample(4096, 'a');
  for (const auto& [letter_s, sizes] : {std::pair(1e-6, 5U), std::pair(1e-3, 3U)}) {
    ManualClock clock;
    const double cost_s = letter_s;
    testing::FakeClassifier classifier(clock,
                                       [cost_s](std::size_t, std::size_t, std::size_t letters) {
                                         return 0.001 + cost_s * static_cast<double>(letters);
                                       });
    const auto anchors = measure_anchors(classifier, sample, 32, clock);
    ASSERT_TRUE(anchors) << anchors.error().message;
    EXPECT_EQ(anchors->size(), sizes);
    // Both know what a batch takes that was not measured.
    const decide::Shape other{16, 512, 16 * 32 * 32};
    EXPECT_NEAR(BatchTime(*anchors).seconds(other), 0.001 + 512 * cost_s, 1e-6);
  }
}

}  // namespace
}  // namespace breakeven::serve

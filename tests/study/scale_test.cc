#include "study/scale.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <set>

#include "study/fake_machine.h"
#include "testing/paths.h"

namespace breakeven::study {
namespace {

using breakeven::testing::FakeMachine;
using ::testing::ElementsAre;

TEST(LengthMatchedOrder, EveryPrefixHasTheMeanOfTheWhole) {
  std::mt19937 random(3);
  std::lognormal_distribution<double> length(5.5, 0.6);
  std::vector<std::uint32_t> lengths;
  for (int i = 0; i < 1000; ++i) {
    lengths.push_back(static_cast<std::uint32_t>(std::min(512.0, length(random))));
  }
  const auto order = length_matched_order(lengths);
  EXPECT_EQ(std::set<std::size_t>(order.begin(), order.end()).size(), 1000U);
  const auto mean_of = [&](std::size_t count) {
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += lengths[order[i]];
    return sum / static_cast<double>(count);
  };
  for (const std::size_t count : {16U, 32U, 64U, 100U, 128U, 256U, 512U}) {
    EXPECT_NEAR(mean_of(count) / mean_of(1000), 1, 0.003 + 0.8 / static_cast<double>(count))
        << count;
  }
}

TEST(LengthMatchedOrder, SmallSets) {
  EXPECT_TRUE(length_matched_order({}).empty());
  const std::vector<std::uint32_t> one = {7};
  EXPECT_THAT(length_matched_order(one), ElementsAre(0U));
}

TEST(SpreadSizes, AreMultiplesAndIncrease) {
  const auto sizes = spread_sizes(32, 1024, 32);
  ASSERT_EQ(sizes.size(), 8U);
  EXPECT_EQ(sizes.front(), 32U);
  EXPECT_EQ(sizes.back(), 1024U);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_EQ(sizes[i] % 32, 0U);
    if (i > 0) {
      EXPECT_GT(sizes[i], sizes[i - 1]);
    }
  }
  EXPECT_THAT(spread_sizes(10, 10, 1), ElementsAre(10U));
  EXPECT_TRUE(spread_sizes(10, 9, 1).empty());
  EXPECT_THAT(spread_sizes(1, 8, 1), ElementsAre(1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U));
}

record::Scaling curve(const std::function<double(double)>& seconds) {
  record::Scaling scaling;
  for (const std::uint64_t texts : spread_sizes(10, 1000, 1)) {
    record::ScalingPoint point;
    point.texts = texts;
    point.seconds.value = seconds(static_cast<double>(texts));
    scaling.points.push_back(point);
  }
  fit_scaling(scaling);
  return scaling;
}

TEST(FitScaling, ALineIsLinear) {
  const auto scaling = curve([](double n) { return 1e-3 * n; });
  EXPECT_EQ(scaling.outcome, record::Linearity::linear);
  EXPECT_NEAR(scaling.log_log_slope.value, 1, 1e-9);
  EXPECT_NEAR(scaling.slope_s_per_text.value, 1e-3, 1e-9);
  EXPECT_LT(scaling.residual_relative_max, 1e-6);
}

TEST(FitScaling, ASquareIsNot) {
  const auto scaling = curve([](double n) { return 1e-6 * n * n; });
  EXPECT_EQ(scaling.outcome, record::Linearity::not_linear);
  EXPECT_NEAR(scaling.log_log_slope.value, 2, 1e-6);
}

TEST(FitScaling, NLogNIsNot) {
  EXPECT_EQ(curve([](double n) { return 1e-6 * n * std::log2(n); }).outcome,
            record::Linearity::not_linear);
}

TEST(FitScaling, AConstantIsNot) {
  EXPECT_EQ(curve([](double) { return 0.5; }).outcome, record::Linearity::not_linear);
}

TEST(FitScaling, NoiseCannotBeTold) {
  std::mt19937 random(5);
  std::lognormal_distribution<double> noise(0, 1.0);
  EXPECT_EQ(curve([&](double n) { return 1e-3 * n * noise(random); }).outcome,
            record::Linearity::cannot_tell);
}

class ScaleTest : public ::testing::Test {
 protected:
  ScaleTest() {
    for (std::size_t i = 0; i < 512; ++i) texts_.emplace_back(100, 'a');
    input_.base.texts.assign(texts_.begin(), texts_.end());
    input_.tokens.assign(512, 100);
    input_.base.timed = 16;
    input_.base.time_s = 60;
    input_.sizes = spread_sizes(8, 512, 8);
    input_.max_rounds = 20;
    Axes axes;
    axes.modes = {Mode::serial};
    axes.batches = {1, 8};
    input_.cells = plan_cells(axes);
    tools_.make = [this](const Spec& spec) { return machine_.make(spec); };
    tools_.clock = &machine_.clock;
    tools_.root = root_.path().string() + "/";
  }

  breakeven::testing::TempDir root_;
  FakeMachine machine_;
  std::vector<std::string> texts_;
  ScaleInput input_;
  Tools tools_;
};

TEST_F(ScaleTest, APlantedLineIsLinear) {
  machine_.cost = [](std::size_t letters, std::size_t) {
    return 1e-4 * static_cast<double>(letters);
  };
  const auto outcome = run_scale(input_, tools_);
  ASSERT_TRUE(outcome) << outcome.error().message;
  ASSERT_EQ(outcome->records.size(), 2U);
  for (const record::Record& record : outcome->records) {
    EXPECT_EQ(record.kind, record::Kind::scaling);
    ASSERT_TRUE(record.scaling);
    EXPECT_EQ(record.scaling->outcome, record::Linearity::linear);
    EXPECT_NEAR(record.scaling->slope_s_per_text.value, 1e-2, 1e-6);
    EXPECT_NEAR(record.scaling->intercept_s.value, 0, 1e-6);
    ASSERT_EQ(record.scaling->points.size(), 8U);
    EXPECT_EQ(record.scaling->points.back().tokens, 51200U);
    EXPECT_GE(record.passes, 3U);
  }
  // Both batches were visited in the same rounds.
  const auto& rounds = outcome->records[0].rounds;
  ASSERT_EQ(rounds.size(), outcome->records[0].passes);
  ASSERT_EQ(outcome->records[1].rounds.size(), rounds.size());
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    EXPECT_EQ(rounds[i].index, outcome->records[1].rounds[i].index);
    EXPECT_NEAR(rounds[i].pass_s, outcome->records[0].scaling->points.back().seconds.value, 1e-9);
  }
  EXPECT_EQ(outcome->records[0].scaling->points[0].batches, 8U);
  EXPECT_EQ(outcome->records[1].scaling->points[0].batches, 1U);
}

// Keeps every text of a pass and looks through them again at each batch: time over n is n².
class SquareClassifier final : public Classifier {
 public:
  SquareClassifier(ManualClock& clock, const char* first)
      : inner_(clock,
               [this](std::size_t, std::size_t texts, std::size_t) {
                 seen_ += texts;
                 return 1e-5 * static_cast<double>(seen_ * texts);
               }),
        first_(first) {}
  ClassifierInfo info() const override { return inner_.info(); }
  Result<void> run_batch(std::span<const Text> texts, BatchResult& out) override {
    if (texts.front().first.data() == first_) seen_ = 0;  // a pass begins
    return inner_.run_batch(texts, out);
  }
  Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                          StreamResult& out) override {
    return inner_.run_stream(texts, batch, out);
  }

 private:
  std::size_t seen_ = 0;
  breakeven::testing::FakeClassifier inner_;
  const char* first_;
};

TEST_F(ScaleTest, AClassifierThatTakesTimeSquaredIsFound) {
  tools_.make = [this](const Spec&) -> Result<std::unique_ptr<Classifier>> {
    return std::unique_ptr<Classifier>(
        new SquareClassifier(machine_.clock, input_.base.texts.front().first.data()));
  };
  const auto outcome = run_scale(input_, tools_);
  ASSERT_TRUE(outcome) << outcome.error().message;
  ASSERT_EQ(outcome->records.size(), 2U);
  for (const record::Record& record : outcome->records) {
    EXPECT_EQ(record.scaling->outcome, record::Linearity::not_linear);
    EXPECT_GT(record.scaling->log_log_slope.value, 1.5);
  }
}

// What a GPU does: a batch of a new shape has its products measured and its graph captured. The
// last batch of each size is cut where the size ends, so that no other size has it.
TEST_F(ScaleTest, EveryShapeOfEverySizeIsWarm) {
  texts_.clear();
  for (std::size_t i = 0; i < 512; ++i) texts_.emplace_back(50 + i * 37 % 101, 'a');
  input_.base.texts.assign(texts_.begin(), texts_.end());
  input_.sizes = {10, 27, 72, 193, 512};
  for (record::Cell& cell : input_.cells) cell.batch = cell.batch == 1 ? 1 : 32;
  std::set<std::size_t> seen;
  machine_.cost = [&](std::size_t letters, std::size_t) {
    return 1e-5 * static_cast<double>(letters) * (seen.insert(letters).second ? 10 : 1);
  };
  const auto outcome = run_scale(input_, tools_);
  ASSERT_TRUE(outcome) << outcome.error().message;
  for (const record::Record& record : outcome->records) {
    for (const record::ScalingPoint& point : record.scaling->points) {
      double letters = 0;
      for (std::size_t i = 0; i < point.texts; ++i)
        letters += static_cast<double>(texts_[i].size());
      EXPECT_NEAR(point.seconds.value, 1e-5 * letters, 1e-9)
          << point.texts << " texts, batch " << record.cell.batch;
    }
  }
}

TEST_F(ScaleTest, AnInterruptGivesNoHalfRecord) {
  std::atomic<bool> stop{false};
  tools_.stop = &stop;
  std::size_t calls = 0;
  machine_.cost = [&](std::size_t letters, std::size_t) {
    if (++calls > 700) stop = true;
    return 1e-4 * static_cast<double>(letters);
  };
  const auto outcome = run_scale(input_, tools_);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->interrupted);
  EXPECT_TRUE(outcome->records.empty());
}

}  // namespace
}  // namespace breakeven::study

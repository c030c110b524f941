#include "study/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakeven::study {
namespace {

using ::testing::ElementsAre;

Axes native_axes() {
  Axes axes;
  axes.runtimes = {{{}, {}}};
  for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
    axes.runtimes[0].abilities.push_back({"", {}, precision, all_of<Padding>()});
  }
  return axes;
}

TEST(Plan, EveryListMultiplies) {
  Axes axes = native_axes();
  axes.precisions = {Precision::fp32, Precision::bf16, Precision::int8};
  axes.threads = {1, 2};
  const auto cells = plan_cells(axes);
  EXPECT_EQ(cells.size(), 3U * 2 * 2 * 2);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    for (std::size_t j = i + 1; j < cells.size(); ++j) EXPECT_FALSE(cells[i] == cells[j]);
  }
}

TEST(Plan, AValueGivenTwiceCountsOnce) {
  Axes axes = native_axes();
  axes.batches = {1, 32, 1};
  axes.modes = {Mode::serial};
  EXPECT_EQ(plan_cells(axes).size(), 2U);
}

TEST(Plan, CellsThatDifferInBatchAndModeShareAClassifier) {
  Axes axes = native_axes();
  axes.precisions = {Precision::fp32, Precision::int8};
  const auto cells = plan_cells(axes);
  const auto groups = group_cells(cells);
  ASSERT_EQ(groups.size(), 2U);
  for (const Group& group : groups) {
    EXPECT_EQ(group.cells.size(), 4U);
    EXPECT_EQ(group.spec.batch, 32U);
    for (const std::size_t i : group.cells) EXPECT_EQ(cells[i].precision, group.spec.precision);
  }
}

TEST(Plan, ARuntimeHasTheCellsThatItCanDoWithItsOwnPadding) {
  Axes axes = native_axes();
  axes.runtimes.push_back({{"pytorch", "seed"},
                           {{"", {}, Precision::fp32, {Padding::max_length, Padding::longest}},
                            {"", Device{{0}}, Precision::fp32, {}}}});
  axes.runtimes.push_back({{"ctranslate2", ""}, {{"", {}, Precision::int8, {Padding::none}}}});
  axes.precisions = {Precision::fp32, Precision::int8};
  axes.batches = {1};
  axes.modes = {Mode::serial};
  std::vector<std::string> names;
  for (const record::Cell& cell : plan_cells(axes)) {
    names.push_back(cell.runtime.name + " " + cell.runtime.variant + " " +
                    to_string(cell.precision) + " " + to_string(cell.padding));
  }
  EXPECT_THAT(names, ElementsAre("native  fp32 none", "native  int8 none",
                                 "pytorch seed fp32 max_length", "ctranslate2  int8 none"));
  axes.paddings = {Padding::longest};
  names.clear();
  for (const record::Cell& cell : plan_cells(axes))
    names.push_back(cell.runtime.name + to_string(cell.padding));
  EXPECT_THAT(names, ElementsAre("nativelongest", "nativelongest", "pytorchlongest"));
}

TEST(Plan, VariantsOfARuntimeDoNotShareAClassifier) {
  Axes axes = native_axes();
  axes.runtimes.push_back({{"pytorch", "seed"}, {{"", {}, Precision::fp32, {Padding::longest}}}});
  axes.runtimes.push_back({{"pytorch", "tuned"}, {{"", {}, Precision::fp32, {Padding::longest}}}});
  const auto cells = plan_cells(axes);
  const auto groups = group_cells(cells);
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[1].spec.runtime.variant, "seed");
  EXPECT_EQ(groups[2].spec.runtime.variant, "tuned");
  for (const Group& group : groups) {
    for (const std::size_t i : group.cells)
      EXPECT_EQ(cells[i].runtime.variant, group.spec.runtime.variant);
  }
  // One family a batch size, whatever runs it and pads it: compared rows stay in one block.
  EXPECT_THAT(block_sizes(cells, 6), ElementsAre(6U, 6U));
}

TEST(Plan, BlocksKeepComparedCellsTogether) {
  Axes axes = native_axes();
  axes.precisions = {Precision::fp32, Precision::bf16, Precision::int8};
  axes.batches = {1, 2, 4, 8, 16};
  const auto cells = plan_cells(axes);  // five families of six
  EXPECT_THAT(block_sizes(cells, 14), ElementsAre(12U, 12U, 6U));
  EXPECT_THAT(block_sizes(cells, 1), ElementsAre(6U, 6U, 6U, 6U, 6U));
  EXPECT_TRUE(block_sizes(std::vector<record::Cell>{}).empty());
}

TEST(Plan, PacedCellsMultiplyRatesAndTheirOwnBatches) {
  Axes axes;
  axes.batches = {1, 8};
  axes.modes = {Mode::serial, Mode::paced};
  axes.rates = {10, 100, 10};
  axes.paced_batches = {4};
  axes.arrivals = Arrivals::constant;
  axes.max_wait_s = 0.005;
  const auto cells = plan_cells(axes);
  ASSERT_EQ(cells.size(), 4U);
  EXPECT_EQ(cells[1].mode, Mode::serial);
  EXPECT_EQ(cells[1].batch, 8U);
  EXPECT_EQ(cells[1].rate_per_s, 0);
  EXPECT_EQ(cells[1].arrivals, Arrivals::none);
  for (const std::size_t i : {2U, 3U}) {
    EXPECT_EQ(cells[i].mode, Mode::paced);
    EXPECT_EQ(cells[i].batch, 4U);
    EXPECT_EQ(cells[i].arrivals, Arrivals::constant);
    EXPECT_EQ(cells[i].max_wait_s, 0.005);
  }
  EXPECT_EQ(cells[2].rate_per_s, 10);
  EXPECT_EQ(cells[3].rate_per_s, 100);
}

}  // namespace
}  // namespace breakeven::study

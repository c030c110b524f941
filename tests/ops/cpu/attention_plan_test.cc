// Blocks of attention: every head of every sequence once, in memory of its own, within the L2 that
// they are meant for, and enough of them for a team.
#include "ops/cpu/attention_plan.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "ops/cpu/panels.h"

namespace breakeven::ops::cpu {
namespace {

constexpr AttentionShape kDistilBert{12, 64, 768, 2, 1};

std::vector<std::int32_t> starts(const std::vector<std::int32_t>& lengths) {
  std::vector<std::int32_t> first(lengths.size() + 1, 0);
  std::partial_sum(lengths.begin(), lengths.end(), first.begin() + 1);
  return first;
}

std::vector<AttentionBlock> planned(const AttentionShape& shape,
                                    const std::vector<std::int32_t>& lengths) {
  std::vector<AttentionBlock> blocks;
  plan_attention(shape, starts(lengths), blocks);
  return blocks;
}

std::size_t rows_of(const AttentionBlock& block, const std::vector<std::int32_t>& first) {
  return static_cast<std::size_t>(first[block.sequence_end] - first[block.sequence_begin]);
}

// What each element of the planes and each head of each sequence belongs to.
void expect_sound(const AttentionShape& shape, const std::vector<std::int32_t>& lengths,
                  const std::string& what) {
  SCOPED_TRACE(what);
  const std::vector<std::int32_t> first = starts(lengths);
  const auto total = static_cast<std::size_t>(first.back());
  const std::vector<AttentionBlock> blocks = planned(shape, lengths);
  if (blocks.empty()) {
    EXPECT_GT(shape.threads, 1U);
    return;
  }
  EXPECT_LE(blocks.size(), most_attention_blocks(shape, lengths.size()));
  std::vector<int> heads(lengths.size() * shape.heads, 0);
  std::vector<int> elements(total * shape.hidden_padded, 0);
  const std::size_t largest = largest_attention_block(shape, total);
  for (const AttentionBlock& block : blocks) {
    for (std::uint32_t s = block.sequence_begin; s < block.sequence_end; ++s) {
      for (std::uint32_t h = block.head_begin; h < block.head_end; ++h)
        ++heads[s * shape.heads + h];
    }
    EXPECT_EQ(block.head_begin * shape.head_size % kPanel, 0U);
    EXPECT_EQ(block.columns % kPanel, 0U);
    EXPECT_GE(block.columns, (block.head_end - block.head_begin) * shape.head_size);
    const std::size_t taken = rows_of(block, first) * block.columns;
    ASSERT_LE(block.offset + taken, elements.size());
    EXPECT_LE(block.offset + taken, largest);
    for (std::size_t i = 0; i < taken && shape.threads > 1; ++i) ++elements[block.offset + i];
  }
  EXPECT_EQ(heads, std::vector<int>(heads.size(), 1));
  if (shape.threads > 1) {
    EXPECT_EQ(elements, std::vector<int>(elements.size(), 1));
  }
}

TEST(AttentionPlan, EveryHeadOnceInMemoryOfItsOwn) {
  const std::vector<AttentionShape> shapes = {
      kDistilBert,        {12, 32, 384, 2, 1},  {2, 128, 256, 4, 1},
      {4, 8, 64, 2, 1},   {5, 8, 64, 4, 1},     {1, 16, 64, 2, 1},
      {2, 48, 128, 2, 1}, {13, 80, 1088, 2, 1}, {16, 64, 1024, 4, 1}};
  const std::vector<std::vector<std::int32_t>> groups = {
      {1},          {512}, {300, 300, 300, 124}, {511, 1, 512}, std::vector<std::int32_t>(70, 3),
      {17, 2000, 5}};
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    for (std::size_t j = 0; j < groups.size(); ++j) {
      for (const unsigned threads : {1U, 2U, 3U, 8U}) {
        AttentionShape shape = shapes[i];
        shape.threads = threads;
        expect_sound(shape, groups[j],
                     "shape " + std::to_string(i) + ", group " + std::to_string(j) + ", " +
                         std::to_string(threads) + " threads");
      }
    }
  }
}

// 3 planes of 512 rows and 4 heads of 64 in bf16 are 768 KiB; 2 heads in fp32.
TEST(AttentionPlan, BlocksFillTheirShareOfL2) {
  EXPECT_EQ(planned(kDistilBert, {256, 256}).size(), 3U);
  EXPECT_EQ(planned(kDistilBert, {256}).size(), 2U);
  EXPECT_EQ(planned(kDistilBert, {128}).size(), 1U);
  AttentionShape wide = kDistilBert;
  wide.value_bytes = 4;
  EXPECT_EQ(planned(wide, {256, 256}).size(), 6U);
  EXPECT_EQ(planned(kDistilBert, {300, 300}).size(), 4U) << "two blocks of rows";
}

TEST(AttentionPlan, TeamsGetSeveralBlocksEachOrNone) {
  AttentionShape team = kDistilBert;
  team.threads = 2;
  EXPECT_EQ(planned(team, {120}).size(), 4U);
  team.threads = 6;
  EXPECT_EQ(planned(team, {120}).size(), 12U);
  team.threads = 8;  // 12 blocks would leave 4 of 8 members idle for half of the time
  EXPECT_TRUE(planned(team, {120}).empty());
  EXPECT_EQ(planned(team, {500, 500}).size(), 24U);
}

// A lane of one thread needs less memory than all rows of all planes.
TEST(AttentionPlan, OneThreadNeedsOneBlockOfMemory) {
  EXPECT_EQ(largest_attention_block(kDistilBert, 1024), std::size_t{128} << 10);
  EXPECT_EQ(largest_attention_block(kDistilBert, 100), 100U * 768);
  AttentionShape team = kDistilBert;
  team.threads = 2;
  EXPECT_EQ(largest_attention_block(team, 1024), 1024U * 768);
}

}  // namespace
}  // namespace breakeven::ops::cpu

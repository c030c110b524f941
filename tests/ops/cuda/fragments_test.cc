// The maps of emulator/fragments.h against tables written out from the PTX manual's figures for
// mma.m16n8k16 (.f16, .bf16) and ldmatrix. A row of a table is what each lane holds: lanes 0 .. 31.
#include "ops/cuda/emulator/fragments.h"

#include <gtest/gtest.h>

#include <array>

namespace breakeven::emulator {
namespace {

using Table = std::array<std::array<unsigned, 4>, 8>;  // [lane / 4][lane % 4]

// Rows and first columns of the registers a0 .. a3 of A; the second column is the next one.
constexpr Table kRow = {{{0, 0, 0, 0},
                         {1, 1, 1, 1},
                         {2, 2, 2, 2},
                         {3, 3, 3, 3},
                         {4, 4, 4, 4},
                         {5, 5, 5, 5},
                         {6, 6, 6, 6},
                         {7, 7, 7, 7}}};
constexpr Table kRowBelow = {{{8, 8, 8, 8},
                              {9, 9, 9, 9},
                              {10, 10, 10, 10},
                              {11, 11, 11, 11},
                              {12, 12, 12, 12},
                              {13, 13, 13, 13},
                              {14, 14, 14, 14},
                              {15, 15, 15, 15}}};
constexpr std::array<unsigned, 4> kColumn = {0, 2, 4, 6};
constexpr std::array<unsigned, 4> kColumnRight = {8, 10, 12, 14};

TEST(Fragments, FirstOperand) {
  for (unsigned lane = 0; lane < 32; ++lane) {
    const unsigned row = kRow[lane / 4][lane % 4];
    const unsigned below = kRowBelow[lane / 4][lane % 4];
    const unsigned column = kColumn[lane % 4];
    const unsigned right = kColumnRight[lane % 4];
    for (unsigned half = 0; half < 2; ++half) {
      EXPECT_EQ(element_of_a(lane, 0, half), (Element{row, column + half})) << lane;
      EXPECT_EQ(element_of_a(lane, 1, half), (Element{below, column + half})) << lane;
      EXPECT_EQ(element_of_a(lane, 2, half), (Element{row, right + half})) << lane;
      EXPECT_EQ(element_of_a(lane, 3, half), (Element{below, right + half})) << lane;
    }
  }
}

// B is k by n: a lane holds neighbours along k of one column.
TEST(Fragments, SecondOperand) {
  for (unsigned lane = 0; lane < 32; ++lane) {
    const unsigned column = kRow[lane / 4][lane % 4];
    for (unsigned half = 0; half < 2; ++half) {
      EXPECT_EQ(element_of_b(lane, 0, half), (Element{kColumn[lane % 4] + half, column})) << lane;
      EXPECT_EQ(element_of_b(lane, 1, half), (Element{kColumnRight[lane % 4] + half, column}))
          << lane;
    }
  }
}

TEST(Fragments, Sums) {
  for (unsigned lane = 0; lane < 32; ++lane) {
    const unsigned row = kRow[lane / 4][lane % 4];
    const unsigned below = kRowBelow[lane / 4][lane % 4];
    const unsigned column = kColumn[lane % 4];
    EXPECT_EQ(element_of_c(lane, 0), (Element{row, column})) << lane;
    EXPECT_EQ(element_of_c(lane, 1), (Element{row, column + 1})) << lane;
    EXPECT_EQ(element_of_c(lane, 2), (Element{below, column})) << lane;
    EXPECT_EQ(element_of_c(lane, 3), (Element{below, column + 1})) << lane;
  }
}

TEST(Fragments, MatrixLoads) {
  for (unsigned lane = 0; lane < 32; ++lane) {
    const unsigned row = kRow[lane / 4][lane % 4];
    const unsigned column = kColumn[lane % 4];
    for (unsigned half = 0; half < 2; ++half) {
      EXPECT_EQ(element_of_matrix(lane, half, false), (Element{row, column + half})) << lane;
      EXPECT_EQ(element_of_matrix(lane, half, true), (Element{column + half, row})) << lane;
    }
  }
}

// sm_75 multiplies 16 x 8 by 8 x 8; its operands are the left half of A and the upper half of B of
// the product above, then the other halves: what DeviceThread::multiply relies on.
TEST(Fragments, DepthEightIsHalfOfSixteen) {
  for (unsigned lane = 0; lane < 32; ++lane) {
    for (unsigned half = 0; half < 2; ++half) {
      for (unsigned reg = 0; reg < 2; ++reg) {
        EXPECT_LT(element_of_a(lane, reg, half).column, 8U);
        const Element left = element_of_a(lane, reg, half);
        EXPECT_EQ(element_of_a(lane, reg + 2, half), (Element{left.row, left.column + 8}));
      }
      const Element upper = element_of_b(lane, 0, half);
      EXPECT_LT(upper.row, 8U);
      EXPECT_EQ(element_of_b(lane, 1, half), (Element{upper.row + 8, upper.column}));
    }
  }
}

}  // namespace
}  // namespace breakeven::emulator

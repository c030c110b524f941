// Which element of a matrix which lane holds, as the PTX manual defines it for mma.m16n8k16 and
// ldmatrix on 16-bit numbers. fragments_test.cc holds these against a written-out table.
#pragma once

namespace breakeven::emulator {

struct Element {
  unsigned row = 0;
  unsigned column = 0;
  friend bool operator==(const Element&, const Element&) = default;
};

// A is [16, 16]: four registers of two values.
constexpr Element element_of_a(unsigned lane, unsigned reg, unsigned half) {
  return {lane / 4 + 8 * (reg % 2), 2 * (lane % 4) + half + 8 * (reg / 2)};
}
// B is [16, 8]: two registers of two values.
constexpr Element element_of_b(unsigned lane, unsigned reg, unsigned half) {
  return {2 * (lane % 4) + half + 8 * reg, lane / 4};
}
// C and D are [16, 8] in fp32: four registers.
constexpr Element element_of_c(unsigned lane, unsigned reg) {
  return {lane / 4 + 8 * (reg / 2), 2 * (lane % 4) + reg % 2};
}
// ldmatrix .x4: register i comes from the 8 x 8 matrix whose rows lanes 8 i .. 8 i + 7 point to.
constexpr Element element_of_matrix(unsigned lane, unsigned half, bool transposed) {
  const Element plain{lane / 4, 2 * (lane % 4) + half};
  return transposed ? Element{plain.column, plain.row} : plain;
}

}  // namespace breakeven::emulator

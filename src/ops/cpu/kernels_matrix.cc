// fp32 products of any shape, and the softmax, for the [CLS] attention of the last layer and the
// head.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/kernels_matrix.cc"
#include <hwy/foreach_target.h>
// foreach_target.h must come first.
#include <hwy/highway.h>

#include "ops/cpu/kernels_math.inc"

HWY_BEFORE_NAMESPACE();
namespace breakeven::ops::cpu::HWY_NAMESPACE {
namespace {

// 6 rows by 4 (AVX-512) or 2 (AVX2) vectors of accumulators leave registers for one row of b and a
// broadcast.
constexpr std::size_t kTileRows = 6;
constexpr std::size_t kTileVectors = HWY_TARGET == HWY_AVX2 ? 2 : 4;

template <std::size_t RowCount, std::size_t VectorCount>
HWY_INLINE void multiply_tile(const float* HWY_RESTRICT a, std::size_t a_stride,
                              const float* HWY_RESTRICT b, std::size_t b_stride,
                              float* HWY_RESTRICT c, std::size_t c_stride, std::size_t depth) {
  const DF d;
  VF sums[RowCount][VectorCount];
  for (std::size_t r = 0; r < RowCount; ++r) {
    for (std::size_t v = 0; v < VectorCount; ++v) sums[r][v] = hn::Zero(d);
  }
  for (std::size_t k = 0; k < depth; ++k) {
    VF line[VectorCount];
    for (std::size_t v = 0; v < VectorCount; ++v) {
      line[v] = hn::LoadU(d, b + k * b_stride + v * lanes());
    }
    for (std::size_t r = 0; r < RowCount; ++r) {
      const VF factor = hn::Set(d, a[r * a_stride + k]);
      for (std::size_t v = 0; v < VectorCount; ++v) {
        sums[r][v] = hn::MulAdd(factor, line[v], sums[r][v]);
      }
    }
  }
  for (std::size_t r = 0; r < RowCount; ++r) {
    for (std::size_t v = 0; v < VectorCount; ++v) {
      hn::StoreU(sums[r][v], d, c + r * c_stride + v * lanes());
    }
  }
}

// The last rows, fewer than a tile has.
template <std::size_t VectorCount, std::size_t RowCount = kTileRows - 1>
HWY_INLINE void multiply_rest(std::size_t rows, const float* a, std::size_t a_stride,
                              const float* b, std::size_t b_stride, float* c, std::size_t c_stride,
                              std::size_t depth) {
  if constexpr (RowCount > 0) {
    if (rows == RowCount) {
      multiply_tile<RowCount, VectorCount>(a, a_stride, b, b_stride, c, c_stride, depth);
    } else {
      multiply_rest<VectorCount, RowCount - 1>(rows, a, a_stride, b, b_stride, c, c_stride, depth);
    }
  }
}

template <std::size_t VectorCount>
HWY_INLINE void multiply_rows(const float* a, std::size_t a_stride, const float* b,
                              std::size_t b_stride, float* c, std::size_t c_stride,
                              std::size_t rows, std::size_t depth) {
  std::size_t r = 0;
  for (; r + kTileRows <= rows; r += kTileRows) {
    multiply_tile<kTileRows, VectorCount>(a + r * a_stride, a_stride, b, b_stride, c + r * c_stride,
                                          c_stride, depth);
  }
  multiply_rest<VectorCount>(rows - r, a + r * a_stride, a_stride, b, b_stride, c + r * c_stride,
                             c_stride, depth);
}

void multiply(const float* a, std::size_t a_stride, const float* b, std::size_t b_stride, float* c,
              std::size_t c_stride, std::size_t rows, std::size_t columns, std::size_t depth) {
  std::size_t n = 0;
  for (; n + kTileVectors * lanes() <= columns; n += kTileVectors * lanes()) {
    multiply_rows<kTileVectors>(a, a_stride, b + n, b_stride, c + n, c_stride, rows, depth);
  }
  for (; n < columns; n += lanes()) {
    multiply_rows<1>(a, a_stride, b + n, b_stride, c + n, c_stride, rows, depth);
  }
}

void softmax(float* scores, std::size_t count, float scale) {
  const DF d;
  const std::size_t columns = padded(count);
  for (std::size_t c = count; c < columns; ++c) scores[c] = -3.0e38F;
  VF most = hn::Set(d, -3.0e38F);
  for (std::size_t c = 0; c < columns; c += lanes()) most = hn::Max(most, hn::LoadU(d, scores + c));
  const VF factor = hn::Set(d, scale * 1.4426950408889634F);
  const VF shift = hn::Mul(hn::MaxOfLanes(d, most), factor);
  VF total = hn::Zero(d);
  for (std::size_t c = 0; c < columns; c += lanes()) {
    const VF e = exp2(hn::MulSub(hn::LoadU(d, scores + c), factor, shift));
    hn::StoreU(e, d, scores + c);
    total = hn::Add(total, e);
  }
  for (std::size_t c = count; c < columns; ++c) scores[c] = 0;
  const VF inverse = hn::Set(d, 1.0F / hn::GetLane(hn::SumOfLanes(d, total)));
  for (std::size_t c = 0; c < columns; c += lanes()) {
    hn::StoreU(hn::Mul(hn::LoadU(d, scores + c), inverse), d, scores + c);
  }
}

}  // namespace

void fill_matrix_kernels(Kernels& table) {
  table.multiply = multiply;
  table.softmax = softmax;
}

}  // namespace breakeven::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

// fp32 matrix kernels for what is too small or too oddly shaped for a library GEMM: attention, the
// [CLS] attention of the last layer, the head.
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

template <std::size_t VectorCount>
HWY_INLINE void multiply_rows(const float* a, std::size_t a_stride, const float* b,
                              std::size_t b_stride, float* c, std::size_t c_stride,
                              std::size_t rows, std::size_t depth) {
  std::size_t r = 0;
  for (; r + kTileRows <= rows; r += kTileRows) {
    multiply_tile<kTileRows, VectorCount>(a + r * a_stride, a_stride, b, b_stride, c + r * c_stride,
                                          c_stride, depth);
  }
  const float* rest = a + r * a_stride;
  float* to = c + r * c_stride;
  switch (rows - r) {
    case 1:
      multiply_tile<1, VectorCount>(rest, a_stride, b, b_stride, to, c_stride, depth);
      break;
    case 2:
      multiply_tile<2, VectorCount>(rest, a_stride, b, b_stride, to, c_stride, depth);
      break;
    case 3:
      multiply_tile<3, VectorCount>(rest, a_stride, b, b_stride, to, c_stride, depth);
      break;
    case 4:
      multiply_tile<4, VectorCount>(rest, a_stride, b, b_stride, to, c_stride, depth);
      break;
    case 5:
      multiply_tile<5, VectorCount>(rest, a_stride, b, b_stride, to, c_stride, depth);
      break;
    default:
      break;
  }
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

// Returns 1 / sum and leaves the scores unnormalised, so that the caller scales D results instead
// of S scores.
HWY_INLINE float exponentials(float* scores, std::size_t count, float scale) {
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
  return 1.0F / hn::GetLane(hn::SumOfLanes(d, total));
}

void softmax(float* scores, std::size_t count, float scale) {
  const DF d;
  const VF inverse = hn::Set(d, exponentials(scores, count, scale));
  for (std::size_t c = 0; c < padded(count); c += lanes()) {
    hn::StoreU(hn::Mul(hn::LoadU(d, scores + c), inverse), d, scores + c);
  }
}

static_assert(kQueryRows % kTileRows == 0);

HWY_INLINE void store_context(const AttentionTask& task, const float* row, float inverse,
                              std::size_t query) {
  if (task.ctx_f32 != nullptr) {
    float* to = task.ctx_f32 + query * task.stride;
    for (std::size_t i = 0; i < task.head_size; ++i) to[i] = row[i] * inverse;
    return;
  }
  const DF d;
  Bf16* to = task.ctx_bf16 + query * task.stride;
  const VF factor = hn::Set(d, inverse);
  std::size_t i = 0;
  for (; i + lanes() <= task.head_size; i += lanes()) {
    store_bf16(hn::Mul(hn::LoadU(d, row + i), factor), to + i);
  }
  if (i < task.head_size) {
    HWY_ALIGN Bf16 rest[16];
    store_bf16(hn::Mul(hn::LoadU(d, row + i), factor), rest);
    for (std::size_t j = 0; i + j < task.head_size; ++j) to[i + j] = rest[j];
  }
}

// K transposed to [D, keys] and V copied to [keys, padded D]: the tile kernel then reads both
// along rows, and the copies are small beside S^2 work.
HWY_INLINE void pack_keys(const AttentionTask& task, float* transposed, std::size_t key_stride,
                          float* values, std::size_t value_stride) {
  const std::size_t depth = task.head_size;
  for (std::size_t j = 0; j < task.keys; ++j) {
    const float* from = task.k + j * task.stride;
    for (std::size_t i = 0; i < depth; ++i) transposed[i * key_stride + j] = from[i];
  }
  for (std::size_t i = 0; i < depth; ++i) {
    for (std::size_t j = task.keys; j < key_stride; ++j) transposed[i * key_stride + j] = 0;
  }
  for (std::size_t j = 0; j < task.keys; ++j) {
    const float* from = task.v + j * task.stride;
    float* to = values + j * value_stride;
    for (std::size_t i = 0; i < depth; ++i) to[i] = from[i];
    for (std::size_t i = depth; i < value_stride; ++i) to[i] = 0;
  }
}

void attention(const AttentionTask& task) {
  const std::size_t key_stride = padded(task.keys);
  const std::size_t value_stride = padded(task.head_size);
  float* transposed = task.scratch;
  float* values = transposed + task.head_size * key_stride;
  float* scores = values + task.keys * value_stride;
  float* context = scores + kQueryRows * key_stride;
  pack_keys(task, transposed, key_stride, values, value_stride);
  for (std::size_t q = task.query_begin; q < task.query_end; q += kQueryRows) {
    const std::size_t left = task.query_end - q;
    const std::size_t rows = left < kQueryRows ? left : kQueryRows;
    multiply(task.q + q * task.stride, task.stride, transposed, key_stride, scores, key_stride,
             rows, key_stride, task.head_size);
    float inverse[kQueryRows];
    for (std::size_t r = 0; r < rows; ++r) {
      inverse[r] = exponentials(scores + r * key_stride, task.keys, task.scale);
    }
    multiply(scores, key_stride, values, value_stride, context, value_stride, rows, value_stride,
             task.keys);
    for (std::size_t r = 0; r < rows; ++r) {
      store_context(task, context + r * value_stride, inverse[r], q + r);
    }
  }
}

}  // namespace

void fill_matrix_kernels(Kernels& table) {
  table.multiply = multiply;
  table.softmax = softmax;
  table.attention = attention;
}

}  // namespace breakeven::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

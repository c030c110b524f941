// fp32 matrix kernels: attention, and products of any shape for the [CLS] attention of the last
// layer and the head.
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

HWY_INLINE void store_context(const AttentionTask& task, const float* row, float inverse,
                              std::size_t query) {
  if (task.ctx_f32 != nullptr) {
    float* to = task.ctx_f32 + query * task.ctx_stride;
    for (std::size_t i = 0; i < task.head_size; ++i) to[i] = row[i] * inverse;
    return;
  }
  const DF d;
  Bf16* to = task.ctx_bf16 + query * task.ctx_stride;
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

// One task's scratch memory. K and V lie in it as weights of the fp32 GEMM, zeros behind them: the
// copies are small beside S^2 work.
struct Room {
  std::size_t keys, depth;      // K as [keys, depth]: whole panels, whole steps
  std::size_t summed, columns;  // V as [columns, summed], likewise
  float *key_panels, *value_panels;
  float* queries;  // [kQueryRows, depth]
  float* scores;   // [kQueryRows, keys]
  float* context;  // [kQueryRows, columns]
  float* gemm;
  explicit Room(const AttentionTask& task)
      : keys(padded(task.keys, kPanel)),
        depth(padded(task.head_size, 8)),
        summed(padded(task.keys, 8)),
        columns(padded(task.head_size, kPanel)),
        key_panels(task.scratch),
        value_panels(key_panels + keys * depth),
        queries(value_panels + summed * columns),
        scores(queries + padded(kQueryRows * depth)),
        context(scores + kQueryRows * keys),
        gemm(context + kQueryRows * columns) {}
};

HWY_INLINE void pack_keys(const AttentionTask& task, const Room& room) {
  float* to = room.key_panels;
  for (std::size_t panel = 0; panel < room.keys; panel += kPanel) {
    const std::size_t left = task.keys - panel;
    const std::size_t keys = left < kPanel ? left : kPanel;
    const float* from = task.k + panel * task.stride;
    for (std::size_t d = 0; d < room.depth; ++d, to += kPanel) {
      const bool real = d < task.head_size;
      std::size_t j = 0;
      for (; real && j < keys; ++j) to[j] = from[j * task.stride + d];
      for (; j < kPanel; ++j) to[j] = 0;
    }
  }
}

HWY_INLINE void pack_values(const AttentionTask& task, const Room& room) {
  float* to = room.value_panels;
  for (std::size_t panel = 0; panel < room.columns; panel += kPanel) {
    const std::size_t left = task.head_size - panel;
    const std::size_t columns = left < kPanel ? left : kPanel;
    for (std::size_t j = 0; j < room.summed; ++j, to += kPanel) {
      const float* from = task.v + j * task.stride + panel;
      std::size_t c = 0;
      for (; j < task.keys && c < columns; ++c) to[c] = from[c];
      for (; c < kPanel; ++c) to[c] = 0;
    }
  }
}

// Rows of queries whose width is whole steps of the GEMM.
HWY_INLINE GemmRows query_rows(const AttentionTask& task, const Room& room, std::size_t query,
                               std::size_t rows) {
  const float* from = task.q + query * task.stride;
  if (room.depth == task.head_size) return {from, task.stride, nullptr, nullptr};
  for (std::size_t r = 0; r < rows; ++r) {
    float* to = room.queries + r * room.depth;
    for (std::size_t d = 0; d < room.depth; ++d) {
      to[d] = d < task.head_size ? from[r * task.stride + d] : 0;
    }
  }
  return {room.queries, room.depth, nullptr, nullptr};
}

// out[rows, columns] = in[rows, depth] * panels
HWY_INLINE void multiply_by(const float* panels, std::size_t depth, std::size_t columns,
                            const GemmRows& in, std::size_t rows, float* out, float* scratch) {
  PanelWeights weights;
  weights.data = reinterpret_cast<const std::byte*>(panels);
  weights.depth = depth;
  weights.columns = columns;
  weights.format = WeightFormat::f32;
  GemmOutput to;
  to.full = out;
  to.stride = columns;
  multiply_f32(in, rows, weights, 0, columns / kPanel, to, reinterpret_cast<std::byte*>(scratch),
               nullptr);
}

void attention(const AttentionTask& task) {
  const Room room(task);
  pack_keys(task, room);
  pack_values(task, room);
  for (std::size_t q = task.query_begin; q < task.query_end; q += kQueryRows) {
    const std::size_t left = task.query_end - q;
    const std::size_t rows = left < kQueryRows ? left : kQueryRows;
    multiply_by(room.key_panels, room.depth, room.keys, query_rows(task, room, q, rows), rows,
                room.scores, room.gemm);
    float inverse[kQueryRows];
    for (std::size_t r = 0; r < rows; ++r) {
      inverse[r] = exponentials(room.scores + r * room.keys, task.keys, task.scale);
    }
    multiply_by(room.value_panels, room.summed, room.columns,
                {room.scores, room.keys, nullptr, nullptr}, rows, room.context, room.gemm);
    for (std::size_t r = 0; r < rows; ++r) {
      store_context(task, room.context + r * room.columns, inverse[r], q + r);
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

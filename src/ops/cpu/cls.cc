// The end of a pass, in fp32 for every precision: attention of row 0 of each sequence with K and V
// absorbed, and the classifier's head. Both are small, and both decide the label.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "ops/cpu/backend.h"

namespace breakeven::ops::cpu {
namespace {

constexpr std::size_t kHeadColumns = 64;
constexpr std::size_t kHeadRows = 16;

}  // namespace

// Wk_h^T q_h for one head: [sequences, padded H].
void CpuBackend::cls_keys(CpuLane& lane, unsigned member, std::size_t head, std::size_t begin,
                          std::size_t end) const {
  const ModelShape& shape = lane.model().shape();
  const ClsAttention& weights = lane.model().cls();
  const std::size_t hidden = shape.hidden_padded;
  const std::size_t depth = shape.head_padded;
  const std::size_t count = end - begin;
  const std::size_t block = std::min(kClsBlock, lane.sequence_limit());
  float* q = lane.cls.query + member * kClsBlock * depth;
  kernels_.multiply(lane.acts.x_cls.f32 + begin * hidden, hidden,
                    weights.query + head * hidden * depth, depth, q, depth, count, depth,
                    shape.hidden);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t d = 0; d < shape.head_size; ++d) {
      q[i * depth + d] += weights.query_bias[head * depth + d];
    }
  }
  kernels_.multiply(q, depth, weights.key + head * shape.head_size * hidden, hidden,
                    lane.cls.keys + head * block * hidden, hidden, count, hidden, shape.head_size);
  if (shape.distances == 0) return;
  const std::size_t rows = shape.cls_distances();
  float* by_query = lane.cls.distances + head * block * rows;
  kernels_.multiply(q, depth, weights.distance_keys + head * depth * rows, rows, by_query, rows,
                    count, rows, depth);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t r = 0; r < rows; ++r) {
      by_query[i * rows + r] += weights.distance_bias[head * rows + r];
    }
  }
}

// What distances add to the scores of all heads of one sequence, [keys, padded N]; `scratch` is as
// large.
void CpuBackend::cls_add_distances(const CpuLane& lane, const float* x, std::size_t keys,
                                   std::size_t slot, float* scores, float* scratch) const {
  const ModelShape& shape = lane.model().shape();
  const std::size_t hidden = shape.hidden_padded;
  const std::size_t heads_padded = shape.heads_padded;
  const std::size_t block = std::min(kClsBlock, lane.sequence_limit());
  const std::int32_t* rows = lane.model().distance_rows();
  for (std::size_t begin = 0; begin < keys;) {
    std::size_t end = begin + 1;
    while (end < keys && rows[end] == rows[begin]) ++end;
    const auto row = static_cast<std::size_t>(rows[begin]);
    kernels_.multiply(x + begin * hidden, hidden,
                      lane.model().cls().distance_queries + row * hidden * heads_padded,
                      heads_padded, scratch, heads_padded, end - begin, heads_padded, hidden);
    for (std::size_t j = begin; j < end; ++j) {
      for (std::size_t h = 0; h < shape.heads; ++h) {
        scores[j * heads_padded + h] +=
            scratch[(j - begin) * heads_padded + h] +
            lane.cls.distances[(h * block + slot) * shape.cls_distances() + row];
      }
    }
    begin = end;
  }
}

// Scores, softmax and the mixture sum_j p_j x_j of all heads of one sequence.
void CpuBackend::cls_mix(CpuLane& lane, unsigned member, std::size_t sequence,
                         std::size_t begin) const {
  const ModelShape& shape = lane.model().shape();
  const std::size_t hidden = shape.hidden_padded;
  const std::size_t heads = shape.heads;
  const std::size_t heads_padded = shape.heads_padded;
  const std::size_t block = std::min(kClsBlock, lane.sequence_limit());
  const auto valid = static_cast<std::size_t>(lane.group.valid_len[sequence]);
  const std::size_t window = lane.model().layer(shape.layers - 1).window;
  const std::size_t keys = window == 0 ? valid : std::min(valid, window + 1);
  const float* x = lane.acts.x.f32 + lane.group.first_row(sequence) * hidden;
  float* transposed = lane.cls.scores + member * lane.cls.scores_stride;  // [padded H, padded N]
  float* scores = transposed + hidden * heads_padded;                     // [keys, padded N]
  float* shares = scores + keys * heads_padded;                           // [N, padded keys]
  float* scratch = shares + heads * padded(keys);                         // [keys, padded N]
  const std::size_t slot = sequence - begin;
  for (std::size_t h = 0; h < heads; ++h) {
    const float* row = lane.cls.keys + (h * block + slot) * hidden;
    for (std::size_t i = 0; i < hidden; ++i) transposed[i * heads_padded + h] = row[i];
  }
  kernels_.multiply(x, hidden, transposed, heads_padded, scores, heads_padded, keys, heads_padded,
                    hidden);
  if (shape.distances > 0) cls_add_distances(lane, x, keys, slot, scores, scratch);
  const std::size_t stride = padded(keys);
  for (std::size_t h = 0; h < heads; ++h) {
    for (std::size_t j = 0; j < keys; ++j) shares[h * stride + j] = scores[j * heads_padded + h];
    kernels_.softmax(shares + h * stride, keys, shape.score_scale());
  }
  kernels_.multiply(shares, stride, x, hidden, lane.cls.context + slot * hidden, block * hidden,
                    heads, hidden, keys);
}

// Wv_h (sum_j p_j x_j) + bv_h: one head's columns of ctx_cls.
void CpuBackend::cls_values(CpuLane& lane, unsigned member, std::size_t head, std::size_t begin,
                            std::size_t end) const {
  const ModelShape& shape = lane.model().shape();
  const ClsAttention& weights = lane.model().cls();
  const std::size_t hidden = shape.hidden_padded;
  const std::size_t depth = shape.head_padded;
  const std::size_t count = end - begin;
  const std::size_t block = std::min(kClsBlock, lane.sequence_limit());
  float* out = lane.cls.query + member * kClsBlock * depth;
  kernels_.multiply(lane.cls.context + head * block * hidden, hidden,
                    weights.value + head * hidden * depth, depth, out, depth, count, depth, hidden);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = (begin + i) * hidden + head * shape.head_size;
    for (std::size_t d = 0; d < shape.head_size; ++d) {
      const float v = out[i * depth + d] + weights.value_bias[head * depth + d];
      if (formats_.bf16_attention) {
        static_cast<Bf16*>(lane.acts.ctx_cls)[at + d] = to_bf16(v);
      } else {
        static_cast<float*>(lane.acts.ctx_cls)[at + d] = v;
      }
    }
  }
}

void CpuBackend::cls_attention(Lane& lane, std::size_t layer) {
  CpuLane& l = begin_op(lane);
  const ModelShape& shape = l.model().shape();
  BREAKEVEN_CHECK(layer + 1 == shape.layers && !shape.takes_mean(),
                  "layer {} is packed for attention", layer);
  const std::size_t hidden = shape.hidden_padded;
  for (std::size_t s = 0; s < l.group.sequences; ++s) {
    const std::size_t from = l.group.first_row(s) * hidden;
    std::copy_n(l.acts.x.stream + from, hidden, l.acts.x_cls.stream + s * hidden);
    std::copy_n(l.acts.x.f32 + from, hidden, l.acts.x_cls.f32 + s * hidden);
  }
  if (!shape.absorbs()) return attend_all(l, l.model().layer(layer), Act::x_cls);
  for (std::size_t begin = 0; begin < l.group.sequences; begin += kClsBlock) {
    const std::size_t end = std::min(begin + kClsBlock, l.group.sequences);
    l.parallel(shape.heads,
               [&](unsigned member, std::size_t head) { cls_keys(l, member, head, begin, end); });
    l.parallel(end - begin, [&](unsigned member, std::size_t index) {
      cls_mix(l, member, begin + index, begin);
    });
    l.parallel(shape.heads,
               [&](unsigned member, std::size_t head) { cls_values(l, member, head, begin, end); });
  }
}

// x_cls = the mean of the valid rows of x, which the head reads.
void CpuBackend::take_means(CpuLane& lane) const {
  const std::size_t hidden = lane.model().shape().hidden_padded;
  const std::size_t parts = (hidden + kHeadColumns - 1) / kHeadColumns;
  lane.parallel(lane.group.sequences * parts, [&](unsigned, std::size_t index) {
    const std::size_t sequence = index / parts;
    const std::size_t first = index % parts * kHeadColumns;
    const std::size_t columns = std::min(kHeadColumns, hidden - first);
    const auto valid = static_cast<std::size_t>(lane.group.valid_len[sequence]);
    const float* row = lane.acts.x.f32 + lane.group.first_row(sequence) * hidden + first;
    std::array<double, kHeadColumns> sums{};
    for (std::size_t r = 0; r < valid; ++r, row += hidden) {
      for (std::size_t c = 0; c < columns; ++c) sums[c] += static_cast<double>(row[c]);
    }
    float* to = lane.acts.x_cls.f32 + sequence * hidden + first;
    for (std::size_t c = 0; c < columns; ++c) {
      to[c] = static_cast<float>(sums[c] / static_cast<double>(valid));
    }
  });
}

void CpuBackend::head(Lane& lane) {
  CpuLane& l = begin_op(lane);
  const ModelShape& shape = l.model().shape();
  if (shape.takes_mean()) take_means(l);
  const HeadPack& weights = l.model().head();
  const std::size_t hidden = shape.hidden_padded;
  l.parallel((hidden + kHeadColumns - 1) / kHeadColumns, [&](unsigned, std::size_t index) {
    const std::size_t first = index * kHeadColumns;
    const std::size_t columns = std::min(kHeadColumns, hidden - first);
    float* to = l.cls.head_hidden + first;
    kernels_.multiply(l.acts.x_cls.f32, hidden, weights.dense + first, hidden, to, hidden,
                      l.group.sequences, columns, shape.hidden);
    kernels_.activate(shape.head_activation, weights.dense_bias + first, l.group.sequences, columns,
                      to, hidden);
  });
  const std::size_t labels = shape.labels;
  l.parallel((l.group.sequences + kHeadRows - 1) / kHeadRows, [&](unsigned, std::size_t index) {
    const std::size_t first = index * kHeadRows;
    const std::size_t rows = std::min(kHeadRows, l.group.sequences - first);
    if (weights.norm.gamma != nullptr) {
      kernels_.norm(weights.norm.parameters(shape.hidden), rows, l.cls.head_hidden + first * hidden,
                    hidden, {});
    }
    float* out = l.cls.head_out + first * shape.labels_padded;
    kernels_.multiply(l.cls.head_hidden + first * hidden, hidden, weights.classifier,
                      shape.labels_padded, out, shape.labels_padded, rows, shape.labels_padded,
                      shape.hidden);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < labels; ++c) {
        l.acts.logits[(first + r) * labels + c] =
            out[r * shape.labels_padded + c] + weights.classifier_bias[c];
      }
    }
  });
}

}  // namespace breakeven::ops::cpu

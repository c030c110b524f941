// The block ops over all rows: embeddings, attention, projection, FFN. Rows go through in chunks so
// that what a GEMM leaves behind is still in L2 when the kernel after it reads it.
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/cpu/backend.h"

namespace breakeven::ops::cpu {
namespace {

CpuLane& own(Lane& lane) {
  return static_cast<CpuLane&>(lane);
}

// What the kernels after a LayerNorm must write besides x itself: nothing when GEMMs read x.
Narrow second_copy(const Narrow& in) {
  return in.format == Narrow::Format::f32 ? Narrow{} : in;
}

constexpr std::size_t kEmbedRows = 64;

// The unit's head in the first row of its sequence, in a plane of [rows, padded H].
std::size_t context_at(const CpuLane& lane, const AttentionUnit& unit) {
  const ModelShape& shape = lane.model().shape();
  return lane.first_row(unit.sequence) * shape.hidden_padded +
         static_cast<std::size_t>(unit.head) * shape.head_size;
}

// All of a task but where its result goes. Task: AttentionTask or TileAttentionTask.
template <class Task, class Element>
Task attention_task(const CpuLane& lane, const AttentionUnit& unit, const HeadRows& from) {
  const ModelShape& shape = lane.model().shape();
  Task task;
  task.stride = from.stride;
  task.ctx_stride = shape.hidden_padded;
  task.query_begin = unit.query_begin;
  task.query_end = unit.query_end;
  task.keys = static_cast<std::size_t>(lane.valid_len[unit.sequence]);
  task.head_size = shape.head_size;
  task.scale = 1.0F / std::sqrt(static_cast<float>(shape.head_size));
  task.q = static_cast<const Element*>(lane.query) + from.at;
  task.k = static_cast<const Element*>(lane.key) + from.at;
  task.v = static_cast<const Element*>(lane.value) + from.at;
  return task;
}

}  // namespace

Narrow CpuBackend::narrow(const CpuLane& lane, const Rows& x, std::size_t first) const {
  const std::size_t hidden = lane.model().shape().hidden_padded;
  Narrow rows{formats_.gemm_in, offset(x.narrow, first * hidden, formats_.gemm_in), hidden, nullptr,
              nullptr};
  if (formats_.gemm_in == Narrow::Format::u8) {
    rows.row_scale = x.row_scale + first;
    rows.row_zero = x.row_zero + first;
  }
  return rows;
}

Accumulated CpuBackend::multiply(CpuLane& lane, unsigned member, GemmCaller& gemm,
                                 std::size_t bucket, const Narrow& in, const Linear& linear) const {
  const Scratch& s = lane.scratch[member];
  gemm.run(bucket, in.data, linear.matrix, s.accumulated, nullptr, s.gemm);
  Accumulated out;
  out.stride = gemm.columns();
  out.bias = linear.bias;
  if (formats_.gemm_in == Narrow::Format::u8) {
    out.s32 = static_cast<const std::int32_t*>(s.accumulated);
    out.column_scale = linear.column_scale;
    out.column_sum = linear.column_sum;
    out.row_scale = in.row_scale;
    out.row_zero = in.row_zero;
  } else {
    out.f32 = static_cast<const float*>(s.accumulated);
  }
  return out;
}

void CpuBackend::embed_ln(Lane& lane) {
  CpuLane& l = own(lane);
  const ModelShape& shape = l.model().shape();
  const EmbeddingPack& pack = l.model().embedding();
  const EmbedTables tables{pack.word_f32, pack.word_bf16, pack.position, pack.token_type,
                           pack.norm.parameters(shape.hidden)};
  l.parallel((l.rows() + kEmbedRows - 1) / kEmbedRows, [&](unsigned, std::size_t index) {
    const std::size_t first = index * kEmbedRows;
    const std::size_t rows = std::min(kEmbedRows, l.rows() - first);
    kernels_.embed_norm(tables, l.ids + first, l.positions + first,
                        l.has_types ? l.types + first : nullptr, rows,
                        l.x.f32 + first * shape.hidden_padded, shape.hidden_padded,
                        second_copy(narrow(l, l.x, first)));
  });
}

void CpuBackend::project_qkv(CpuLane& lane, const Layer& layer, unsigned member,
                             const Chunk& chunk) const {
  const std::size_t hidden = lane.model().shape().hidden_padded;
  const Narrow::Format format = formats_.plane();
  const Narrow in = narrow(lane, lane.x, chunk.first);
  Callers& callers = lane.callers[member];
  const Scratch& s = lane.scratch[member];
  const std::pair<const Linear*, void*> planes[] = {
      {&layer.query, lane.query}, {&layer.key, lane.key}, {&layer.value, lane.value}};
  for (const auto& [linear, plane] : planes) {
    void* to = offset(plane, chunk.first * hidden, format);
    if (formats_.gemm_in == Narrow::Format::u8) {
      const Accumulated out = multiply(lane, member, callers.plain, chunk.bucket, in, *linear);
      kernels_.finish(out, nullptr, chunk.rows, hidden, {format, to, hidden, nullptr, nullptr},
                      s.row);
    } else {
      callers.qkv.run(chunk.bucket, in.data, linear->matrix, to, linear->bias, s.gemm);
    }
  }
}

void CpuBackend::attend(CpuLane& lane, unsigned member, const AttentionUnit& unit,
                        const HeadRows& from) const {
  if (formats_.bf16_attention) {
    auto task = attention_task<TileAttentionTask, Bf16>(lane, unit, from);
    task.ctx = static_cast<Bf16*>(lane.ctx) + context_at(lane, unit);
    task.scratch = static_cast<std::byte*>(lane.scratch[member].attention);
    return tile_attention(task);
  }
  auto task = attention_task<AttentionTask, float>(lane, unit, from);
  if (formats_.bf16_context) {
    task.ctx_bf16 = static_cast<Bf16*>(lane.ctx) + context_at(lane, unit);
  } else {
    task.ctx_f32 = static_cast<float*>(lane.ctx) + context_at(lane, unit);
  }
  task.scratch = static_cast<float*>(lane.scratch[member].attention);
  kernels_.attention(task);
}

void CpuBackend::attention(Lane& lane, std::size_t layer) {
  CpuLane& l = own(lane);
  BREAKEVEN_CHECK(layer + 1 < l.model().shape().layers, "layer {} is packed for cls_attention",
                  layer);
  const Layer& weights = l.model().layer(layer);
  if (!l.attention_blocks.empty()) return attend_by_blocks(l, weights.panels);
  if (formats_.own_gemm) {
    own_qkv(l, weights.panels);
  } else {
    l.parallel(l.chunks.size(), [&](unsigned member, std::size_t index) {
      project_qkv(l, weights, member, l.chunks[index]);
    });
  }
  l.parallel(l.units.size(), [&](unsigned member, std::size_t index) {
    const AttentionUnit& unit = l.units[index];
    attend(l, member, unit, {context_at(l, unit), l.model().shape().hidden_padded});
  });
}

void CpuBackend::project_chunk(CpuLane& lane, const Layer& layer, unsigned member,
                               const Chunk& chunk, const Rows& x, const void* ctx) const {
  const ModelShape& shape = lane.model().shape();
  const std::size_t hidden = shape.hidden_padded;
  const Scratch& s = lane.scratch[member];
  const Narrow::Format format = formats_.context();
  Narrow in{format, offset(const_cast<void*>(ctx), chunk.first * hidden, format), hidden, nullptr,
            nullptr};
  if (formats_.gemm_in == Narrow::Format::u8) {
    const Narrow quantised{Narrow::Format::u8, s.narrow, hidden, s.narrow_scale, s.narrow_zero};
    if (formats_.bf16_context) {
      kernels_.quantise_bf16(static_cast<const Bf16*>(in.data), hidden, chunk.rows, hidden,
                             quantised);
    } else {
      kernels_.quantise_f32(static_cast<const float*>(in.data), hidden, chunk.rows, hidden,
                            quantised);
    }
    in = quantised;
  }
  const Accumulated out =
      multiply(lane, member, lane.callers[member].plain, chunk.bucket, in, layer.project);
  kernels_.residual_norm(out, layer.attention_norm.parameters(shape.hidden), chunk.rows,
                         x.f32 + chunk.first * hidden, hidden,
                         second_copy(narrow(lane, x, chunk.first)));
}

void CpuBackend::project_ln(Lane& lane, std::size_t layer, Act x) {
  CpuLane& l = own(lane);
  const Layer& weights = l.model().layer(layer);
  const bool cls = x == Act::x_cls;
  if (formats_.own_gemm) {
    return cls ? own_project(l, weights, l.x_cls, l.ctx_cls, l.sequences())
               : own_project(l, weights, l.x, l.ctx, l.rows());
  }
  const std::vector<Chunk>& chunks = cls ? l.cls_chunks : l.chunks;
  l.parallel(chunks.size(), [&](unsigned member, std::size_t index) {
    project_chunk(l, weights, member, chunks[index], cls ? l.x_cls : l.x, cls ? l.ctx_cls : l.ctx);
  });
}

void CpuBackend::ffn_chunk(CpuLane& lane, const Layer& layer, unsigned member, const Chunk& chunk,
                           const Rows& x) const {
  const ModelShape& shape = lane.model().shape();
  const std::size_t hidden = shape.hidden_padded;
  const Narrow in = narrow(lane, x, chunk.first);
  Callers& callers = lane.callers[member];
  const Scratch& s = lane.scratch[member];
  const bool int8 = formats_.gemm_in == Narrow::Format::u8;
  const Narrow inner{formats_.gemm_in, s.hidden, shape.block, s.hidden_scale, s.hidden_zero};
  for (std::size_t b = 0; b < shape.blocks; ++b) {
    const Accumulated up = multiply(lane, member, callers.up, chunk.bucket, in, layer.up[b]);
    kernels_.finish(up, &shape.activation, chunk.rows, shape.block, inner, s.row);
    if (int8) {
      const Accumulated out =
          multiply(lane, member, callers.down_first, chunk.bucket, inner, layer.down[b]);
      kernels_.add_scaled(out, b == 0, chunk.rows, hidden, s.down, hidden);
    } else {
      GemmCaller& down = b == 0 ? callers.down_first : *callers.down_next;
      down.run(chunk.bucket, inner.data, layer.down[b].matrix, s.down, nullptr, s.gemm);
    }
  }
  Accumulated sum;
  sum.f32 = s.down;
  sum.stride = hidden;
  sum.bias = layer.down.front().bias;
  kernels_.residual_norm(sum, layer.ffn_norm.parameters(shape.hidden), chunk.rows,
                         x.f32 + chunk.first * hidden, hidden,
                         second_copy(narrow(lane, x, chunk.first)));
}

void CpuBackend::ffn_ln(Lane& lane, std::size_t layer, Act x) {
  CpuLane& l = own(lane);
  const Layer& weights = l.model().layer(layer);
  const bool cls = x == Act::x_cls;
  if (formats_.own_gemm) {
    return cls ? own_ffn(l, weights, l.x_cls, l.sequences()) : own_ffn(l, weights, l.x, l.rows());
  }
  const std::vector<Chunk>& chunks = cls ? l.cls_chunks : l.chunks;
  l.parallel(chunks.size(), [&](unsigned member, std::size_t index) {
    ffn_chunk(l, weights, member, chunks[index], cls ? l.x_cls : l.x);
  });
}

}  // namespace breakeven::ops::cpu

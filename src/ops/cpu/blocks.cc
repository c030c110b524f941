// The block ops over rows: embeddings, projection and FFN, each with its LayerNorm.
#include <algorithm>
#include <cstring>

#include "ops/cpu/backend.h"

namespace breakeven::ops::cpu {
namespace {

constexpr std::size_t kEmbedRows = 64;
// Rows that row kernels take at once.
constexpr std::size_t kRowStep = 32;

}  // namespace

GemmInput CpuBackend::gemm_input(const CpuLane& lane, const HiddenStates& x,
                                 std::size_t first) const {
  const std::size_t hidden = lane.model().shape().hidden_padded;
  GemmInput rows{formats_.gemm_in, offset(x.gemm_input, first * hidden, formats_.gemm_in), hidden,
                 nullptr, nullptr};
  if (formats_.gemm_in == NumberFormat::u8) {
    rows.row_scale = x.row_scale + first;
    rows.row_zero = x.row_zero + first;
  }
  return rows;
}

void CpuBackend::multiply(CpuLane& lane, unsigned member, const GemmRows& in,
                          const PanelWeights& weights, const GemmOutput& out, const GemmPart& part,
                          const std::byte* next) const {
  multiply_panels_(from_row(in, part.row, bytes_of(formats_.gemm_in)), part.rows, weights,
                   part.panel_begin, part.panel_end, from_row(out, part.row, weights.format),
                   lane.workspaces[member].gemm, next);
}

void CpuBackend::embed_ln(Lane& lane) {
  CpuLane& l = begin_op(lane);
  const Group& group = l.group;
  const ModelShape& shape = l.model().shape();
  const EmbeddingPack& pack = l.model().embedding();
  const EmbedTables tables{pack.word_f32, pack.word_bf16, pack.position, pack.token_type,
                           pack.norm.parameters(shape.embedding)};
  const std::size_t stride = shape.embedding_padded;
  float* const to = shape.projects ? l.acts.embedded : l.acts.x.stream;
  const bool read_as_it_is = !shape.projects && !shape.pre_norm();
  l.parallel((group.rows + kEmbedRows - 1) / kEmbedRows, [&](unsigned, std::size_t index) {
    const std::size_t first = index * kEmbedRows;
    const std::size_t count = std::min(kEmbedRows, group.rows - first);
    kernels_.embed_norm(tables, group.ids + first, group.positions + first,
                        group.has_types ? group.types + first : nullptr, count, to + first * stride,
                        stride, read_as_it_is ? gemm_input(l, l.acts.x, first) : GemmInput{});
    if (shape.projects) project_embedding(l, first, count);
    if (!read_as_it_is) {
      norm_rows(l, shape.pre_norm() ? l.model().first_norm() : Norm{}, l.acts.x, first, count);
    }
  });
}

// The stream = project(embedded) in fp32, which is a hundredth of a layer's work.
void CpuBackend::project_embedding(const CpuLane& lane, std::size_t first,
                                   std::size_t count) const {
  const ModelShape& shape = lane.model().shape();
  const EmbeddingPack& pack = lane.model().embedding();
  const std::size_t hidden = shape.hidden_padded;
  float* const x = lane.acts.x.stream + first * hidden;
  kernels_.multiply(lane.acts.embedded + first * shape.embedding_padded, shape.embedding_padded,
                    pack.project, hidden, x, hidden, count, hidden, shape.embedding);
  for (std::size_t r = 0; r < count; ++r) {
    for (std::size_t c = 0; c < hidden; ++c) x[r * hidden + c] += pack.project_bias[c];
  }
}

// What is read of rows of the stream, in fp32 and as GEMMs do: their norm, or without one the rows.
void CpuBackend::norm_rows(const CpuLane& lane, const Norm& norm, const HiddenStates& rows,
                           std::size_t first, std::size_t count) const {
  const ModelShape& shape = lane.model().shape();
  const std::size_t hidden = shape.hidden_padded;
  float* const x = rows.f32 + first * hidden;
  const float* const stream = rows.stream + first * hidden;
  if (x != stream) std::copy_n(stream, count * hidden, x);
  const GemmInput out = gemm_input(lane, rows, first);
  if (norm.gamma != nullptr) {
    return kernels_.norm(norm.parameters(shape.hidden), count, x, hidden, out);
  }
  switch (out.format) {
    case NumberFormat::u8:
      return kernels_.quantise_f32(x, hidden, count, hidden, out);
    case NumberFormat::split:
      return kernels_.split_f32(x, hidden, count, hidden, out);
    case NumberFormat::bf16:
      std::transform(x, x + count * hidden, static_cast<Bf16*>(out.data), to_bf16);
      return;
    case NumberFormat::none:
    case NumberFormat::f32:
      return;
  }
}

// `blocks` blocks of [rows, columns] of `from`, `step` elements apart, to lane.between.quantised.
void CpuBackend::quantise(CpuLane& lane, void* from, NumberFormat format, std::size_t columns,
                          std::size_t blocks, std::size_t step, std::size_t rows) const {
  const BetweenGemms& b = lane.between;
  const std::size_t steps = (rows + kRowStep - 1) / kRowStep;
  lane.parallel(blocks * steps, [&](unsigned, std::size_t index) {
    const std::size_t block = index / steps;
    const std::size_t first = index % steps * kRowStep;
    const std::size_t at = block * b.stride + first;
    const std::size_t count = std::min(kRowStep, rows - first);
    const void* in = offset(from, block * step + first * columns, format);
    const GemmInput out{NumberFormat::u8, b.quantised + at * columns, columns, b.row_scale + at,
                        b.row_zero + at};
    if (format == NumberFormat::bf16) {
      kernels_.quantise_bf16(static_cast<const Bf16*>(in), columns, count, columns, out);
    } else {
      kernels_.quantise_f32(static_cast<const float*>(in), columns, count, columns, out);
    }
  });
}

// [rows, columns] of `from` to lane.between.split.
void CpuBackend::split(CpuLane& lane, const float* from, std::size_t columns,
                       std::size_t rows) const {
  void* to = lane.between.split;
  lane.parallel((rows + kRowStep - 1) / kRowStep, [&](unsigned, std::size_t index) {
    const std::size_t first = index * kRowStep;
    kernels_.split_f32(from + first * columns, columns, std::min(kRowStep, rows - first), columns,
                       {NumberFormat::split, offset(to, first * columns, NumberFormat::split),
                        columns, nullptr, nullptr});
  });
}

void CpuBackend::layer_norm(CpuLane& lane, const Norm& norm, const HiddenStates& x,
                            std::size_t first, std::size_t rows) const {
  lane.parallel((rows + kRowStep - 1) / kRowStep, [&](unsigned, std::size_t index) {
    const std::size_t row = first + index * kRowStep;
    norm_rows(lane, norm, x, row, std::min(kRowStep, first + rows - row));
  });
}

void CpuBackend::project(CpuLane& lane, const Layer& layer, const HiddenStates& x, const void* ctx,
                         std::size_t rows) const {
  const std::size_t hidden = lane.model().shape().hidden_padded;
  const BetweenGemms& b = lane.between;
  const PanelWeights weights = layer.project.weights();
  const NumberFormat context = formats_.plane();
  for (std::size_t first = 0; first < rows; first += b.rows) {
    const std::size_t count = std::min(b.rows, rows - first);
    void* from = offset(const_cast<void*>(ctx), first * hidden, context);
    GemmRows in{from, hidden, nullptr, nullptr};
    if (weights.format == WeightFormat::s8) {
      quantise(lane, from, context, hidden, 1, 0, count);
      in = {b.quantised, hidden, b.row_scale, b.row_zero};
    }
    if (weights.format == WeightFormat::split) {
      split(lane, static_cast<const float*>(from), hidden, count);
      in = {b.split, hidden, nullptr, nullptr};
    }
    const GemmOutput out =
        gemm_output(GemmOutput::Kind::add, x.stream + first * hidden, NumberFormat::f32, hidden);
    const GemmCut cut(lane, count, weights.panels());
    lane.parallel_by_owner(cut.count(), [&](unsigned member, std::size_t index) {
      const std::byte* next = first_panel(lane, &layer.up.front(), index, cut.count());
      multiply(lane, member, in, weights, out, cut.part(index), next);
    });
    layer_norm(lane, *layer.after_attention, x, first, count);
  }
}

void CpuBackend::project_ln(Lane& lane, std::size_t layer, Act x) {
  CpuLane& l = begin_op(lane);
  const Layer& weights = l.model().layer(layer);
  if (x == Act::x_cls) {
    project(l, weights, l.acts.x_cls, l.acts.ctx_cls, l.group.sequences);
  } else {
    project(l, weights, l.acts.x, l.acts.ctx, l.group.rows);
  }
}

// x += down(activation(up(x))) for some blocks of the FFN's intermediate columns.
void CpuBackend::ffn_blocks(CpuLane& lane, const Layer& layer, const GemmRows& in,
                            const HiddenStates& x, std::size_t first, std::size_t rows,
                            std::size_t block_begin, std::size_t block_end,
                            const Linear* following) const {
  const ModelShape& shape = lane.model().shape();
  const std::size_t hidden = shape.hidden_padded;
  const BetweenGemms& b = lane.between;
  const bool int8 = formats_.gemm_in == NumberFormat::u8;
  const std::size_t blocks = block_end - block_begin;
  const auto inner = [&](std::size_t block) {
    return offset(b.inner, block * b.stride * shape.block, formats_.inner());
  };

  const bool gated = shape.up_columns() == 2;
  const GemmCut up(lane, rows, shape.up_columns() * shape.block / kPanel);
  const std::size_t ups = blocks * up.count();
  lane.parallel_by_owner(ups, [&](unsigned member, std::size_t index) {
    const std::size_t block = index % blocks;
    GemmOutput out = gemm_output(gated ? GemmOutput::Kind::gate : GemmOutput::Kind::activate,
                                 inner(block), formats_.inner(), shape.block);
    out.activation = shape.activation;
    const bool last = index + 1 == lane.share_of(ups, index / lane.share_of(ups, 0).end).end;
    const std::byte* next = last ? first_panel(lane, &layer.down[block_begin], index, ups)
                                 : layer.up[block_begin + (index + 1) % blocks].weights().panel(
                                       up.part((index + 1) / blocks).panel_begin);
    multiply(lane, member, in, layer.up[block_begin + block].weights(), out,
             up.part(index / blocks), next);
  });
  if (int8) {
    quantise(lane, b.inner, formats_.inner(), shape.block, blocks, b.stride * shape.block, rows);
  }
  const GemmOutput out =
      gemm_output(GemmOutput::Kind::add, x.stream + first * hidden, NumberFormat::f32, hidden);
  const GemmCut down(lane, rows, hidden / kPanel);
  lane.parallel_by_owner(down.count(), [&](unsigned member, std::size_t index) {
    const GemmPart part = down.part(index);
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t base = block * b.stride;
      const GemmRows from = int8 ? GemmRows{b.quantised + base * shape.block, shape.block,
                                            b.row_scale + base, b.row_zero + base}
                                 : GemmRows{inner(block), shape.block, nullptr, nullptr};
      // The bias belongs to the first block only.
      const PanelWeights weights =
          layer.down[block_begin + block].weights(block_begin + block == 0);
      const bool last = block + 1 == blocks;
      const std::byte* next =
          last ? first_panel(lane, following, index, down.count())
               : layer.down[block_begin + block + 1].weights().panel(part.panel_begin);
      multiply(lane, member, from, weights, out, part, next);
    }
  });
}

void CpuBackend::ffn(CpuLane& lane, const Layer& layer, const HiddenStates& x,
                     std::size_t rows) const {
  const std::size_t blocks = lane.model().shape().blocks;
  const BetweenGemms& b = lane.between;
  for (std::size_t first = 0; first < rows; first += b.rows) {
    const std::size_t count = std::min(b.rows, rows - first);
    const Linear* after = first + count < rows ? &layer.up.front() : layer.following;
    GemmRows in = as_read(gemm_input(lane, x, first));
    // GEMMs read the stream: the first blocks' results must not reach the inputs of the others.
    const bool reads_stream = formats_.gemm_in == NumberFormat::f32 && x.f32 == x.stream;
    if (reads_stream && b.blocks < blocks) {
      in.data = std::memcpy(b.x, in.data, count * in.stride * sizeof(float));
    }
    for (std::size_t block = 0; block < blocks; block += b.blocks) {
      const std::size_t end = std::min(block + b.blocks, blocks);
      ffn_blocks(lane, layer, in, x, first, count, block, end,
                 end < blocks ? &layer.up[end] : after);
    }
    layer_norm(lane, *layer.after_ffn, x, first, count);
  }
}

void CpuBackend::ffn_ln(Lane& lane, std::size_t layer, Act x) {
  CpuLane& l = begin_op(lane);
  const Layer& weights = l.model().layer(layer);
  if (x == Act::x_cls) {
    ffn(l, weights, l.acts.x_cls, l.group.sequences);
  } else {
    ffn(l, weights, l.acts.x, l.group.rows);
  }
}

}  // namespace breakeven::ops::cpu

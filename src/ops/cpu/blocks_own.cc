// The block ops on the own GEMM. A lane with one thread takes a chunk of rows through projection or
// FFN with all weights, so that what lies between the GEMMs stays in its L2. A team shares a chunk
// and splits each GEMM over its columns, so that each member streams its own part of the weights
// and none reads them all.
#include <algorithm>
#include <cstring>

#include "ops/cpu/backend.h"

namespace breakeven::ops::cpu {
namespace {

// Rows that row kernels take at once.
constexpr std::size_t kRowStep = 32;

// How a GEMM is cut: all columns for a chunk of rows, or ranges of columns for each member (two, so
// that a member which was held up leaves one to the other). Parts that follow each other have the
// same columns, as long as there are rows.
class Cut {
 public:
  Cut(const CpuLane& lane, std::size_t rows, std::size_t panels) : rows_(rows), panels_(panels) {
    const std::size_t wanted = lane.threads() == 1 ? 1 : std::size_t{2} * lane.threads();
    const std::size_t column_parts = std::min(panels, wanted);
    panel_step_ = (panels + column_parts - 1) / column_parts;
    column_parts_ = (panels + panel_step_ - 1) / panel_step_;
    // More members than panels: rows are cut, too.
    const std::size_t chunks = (rows + lane.between.rows - 1) / lane.between.rows;
    const std::size_t row_parts = std::max(chunks, (wanted + column_parts_ - 1) / column_parts_);
    row_step_ = padded((rows + row_parts - 1) / row_parts, kRowsAtOnce);
    row_parts_ = (rows + row_step_ - 1) / row_step_;
  }
  std::size_t count() const { return row_parts_ * column_parts_; }
  GemmPart part(std::size_t index) const {
    const std::size_t row = index % row_parts_ * row_step_;
    const std::size_t panel = index / row_parts_ * panel_step_;
    return {row, std::min(row_step_, rows_ - row), panel, std::min(panel + panel_step_, panels_)};
  }

 private:
  std::size_t rows_, panels_, panel_step_ = 0, column_parts_ = 0, row_step_ = 0, row_parts_ = 0;
};

// Where the columns start that the owner of part `index` of `count` multiplies by first in another
// GEMM; null without one.
const std::byte* first_panel(const CpuLane& lane, const PanelLinear* linear, std::size_t index,
                             std::size_t count) {
  if (linear == nullptr) return nullptr;
  const PanelWeights weights = linear->weights();
  const Cut cut(lane, 1, weights.panels());
  const std::size_t owner = index / lane.share_of(count, 0).end;
  const std::size_t first = lane.share_of(cut.count(), owner).begin;
  return first < cut.count() ? weights.panel(cut.part(first).panel_begin) : nullptr;
}

GemmRows from_row(const GemmRows& rows, std::size_t first, std::size_t element) {
  GemmRows cut = rows;
  cut.data = static_cast<const std::byte*>(rows.data) + first * rows.stride * element;
  if (rows.row_scale != nullptr) cut.row_scale += first;
  if (rows.row_zero != nullptr) cut.row_zero += first;
  return cut;
}

GemmOutput from_row(const GemmOutput& out, std::size_t first, WeightFormat format) {
  GemmOutput cut = out;
  const std::size_t planes = format == WeightFormat::split ? 2 : 1;
  if (out.half != nullptr) cut.half += first * out.stride * planes;
  if (out.full != nullptr) cut.full += first * out.stride;
  return cut;
}

// Results to rows of bf16 or fp32.
GemmOutput output(GemmOutput::Kind kind, void* rows, Narrow::Format format, std::size_t stride) {
  GemmOutput out;
  out.kind = kind;
  if (format == Narrow::Format::f32) {
    out.full = static_cast<float*>(rows);
  } else {
    out.half = static_cast<Bf16*>(rows);
  }
  out.stride = stride;
  return out;
}

// Rows of x, or of what lies between two GEMMs, as the next GEMM reads them.
GemmRows gemm_rows(const Narrow& narrow) {
  return {narrow.data, narrow.stride, narrow.row_scale, narrow.row_zero};
}

}  // namespace

MultiplyPanels* own_gemm(const Formats& formats) {
  if (formats.on_tiles()) return tile_multiply;
  const Kernels& kernels = kernels_for(has_avx512(formats.set));
  switch (formats.weights()) {
    case WeightFormat::bf16:
      return kernels.multiply_bf16;
    case WeightFormat::s8:
      return has_vnni(formats.set) ? kernels.multiply_s8 : kernels.multiply_small_s8;
    case WeightFormat::f32:
    case WeightFormat::split:  // on tiles only
      break;
  }
  return kernels.multiply_f32;
}

void CpuBackend::multiply_part(CpuLane& lane, unsigned member, const GemmRows& in,
                               const PanelWeights& weights, const GemmOutput& out,
                               const GemmPart& part, const std::byte* next) const {
  own_gemm_(from_row(in, part.row, bytes_of(formats_.gemm_in)), part.rows, weights,
            part.panel_begin, part.panel_end, from_row(out, part.row, weights.format),
            lane.scratch[member].gemm, next);
}

void CpuBackend::own_qkv(CpuLane& lane, const PanelLayer& layer) const {
  const std::size_t hidden = lane.model().shape().hidden_padded;
  const GemmRows in = gemm_rows(narrow(lane, lane.x, 0));
  const std::size_t panels = hidden / kPanel;
  const Cut cut(lane, lane.rows(), panels);
  const Narrow::Format plane = formats_.plane();
  void* const planes[] = {lane.query, lane.key, lane.value};
  const std::size_t count = 3 * cut.count();
  // A part's three planes one after the other: its rows are still in L2.
  const auto part_weights = [&](std::size_t index) {
    return layer.qkv.weights().part(index % 3 * hidden, hidden);
  };
  lane.parallel_by_owner(count, [&](unsigned member, std::size_t index) {
    const GemmOutput out = output(GemmOutput::Kind::store, planes[index % 3], plane, hidden);
    const std::byte* next =
        index + 1 < count ? part_weights(index + 1).panel(cut.part((index + 1) / 3).panel_begin)
                          : nullptr;
    multiply_part(lane, member, in, part_weights(index), out, cut.part(index / 3), next);
  });
}

void CpuBackend::attend_by_blocks(CpuLane& lane, const PanelLayer& layer) const {
  const ModelShape& shape = lane.model().shape();
  const GemmRows in = gemm_rows(narrow(lane, lane.x, 0));
  const Narrow::Format plane = formats_.plane();
  void* const planes[] = {lane.query, lane.key, lane.value};
  const PanelWeights weights = layer.qkv.weights();
  const auto part_weights = [&](const AttentionBlock& block, std::size_t which) {
    return weights.part(which * shape.hidden_padded + block.head_begin * shape.head_size,
                        block.columns);
  };
  const std::vector<AttentionBlock>& blocks = lane.attention_blocks;
  lane.parallel_by_owner(blocks.size(), [&](unsigned member, std::size_t index) {
    const AttentionBlock& block = blocks[index];
    const std::size_t first = lane.first_row(block.sequence_begin);
    const std::size_t rows = lane.first_row(block.sequence_end) - first;
    for (std::size_t which = 0; which < 3; ++which) {
      const GemmOutput out =
          output(GemmOutput::Kind::store, offset(planes[which], block.offset, plane), plane,
                 block.columns);
      const std::byte* next = which < 2                   ? part_weights(block, which + 1).data
                              : index + 1 < blocks.size() ? part_weights(blocks[index + 1], 0).data
                                                          : nullptr;
      multiply_part(lane, member, from_row(in, first, bytes_of(formats_.gemm_in)),
                    part_weights(block, which), out, {0, rows, 0, block.columns / kPanel}, next);
    }
    for (std::uint32_t s = block.sequence_begin; s < block.sequence_end; ++s) {
      const std::size_t row = lane.first_row(s);
      const auto queries = static_cast<std::uint32_t>(lane.first_row(s + 1) - row);
      for (std::uint32_t head = block.head_begin; head < block.head_end; ++head) {
        const std::size_t column = (head - block.head_begin) * shape.head_size;
        attend(lane, member, {s, head, 0, queries},
               {block.offset + (row - first) * block.columns + column, block.columns});
      }
    }
  });
}

// `blocks` blocks of [rows, columns] of `from`, `step` elements apart, to u8 in lane.between.
void CpuBackend::quantise_between(CpuLane& lane, void* from, Narrow::Format format,
                                  std::size_t columns, std::size_t blocks, std::size_t step,
                                  std::size_t rows) const {
  const Between& b = lane.between;
  const std::size_t steps = (rows + kRowStep - 1) / kRowStep;
  lane.parallel(blocks * steps, [&](unsigned, std::size_t index) {
    const std::size_t block = index / steps;
    const std::size_t first = index % steps * kRowStep;
    const std::size_t at = block * b.stride + first;
    const std::size_t count = std::min(kRowStep, rows - first);
    const void* in = offset(from, block * step + first * columns, format);
    const Narrow out{Narrow::Format::u8, b.narrow + at * columns, columns, b.scale + at,
                     b.zero + at};
    if (format == Narrow::Format::bf16) {
      kernels_.quantise_bf16(static_cast<const Bf16*>(in), columns, count, columns, out);
    } else {
      kernels_.quantise_f32(static_cast<const float*>(in), columns, count, columns, out);
    }
  });
}

// [rows, columns] of `from` to split rows in lane.between.
void CpuBackend::split_between(CpuLane& lane, const float* from, std::size_t columns,
                               std::size_t rows) const {
  std::byte* to = lane.between.narrow;
  lane.parallel((rows + kRowStep - 1) / kRowStep, [&](unsigned, std::size_t index) {
    const std::size_t first = index * kRowStep;
    kernels_.split_f32(from + first * columns, columns, std::min(kRowStep, rows - first), columns,
                       {Narrow::Format::split, offset(to, first * columns, Narrow::Format::split),
                        columns, nullptr, nullptr});
  });
}

void CpuBackend::own_norm(CpuLane& lane, const Norm& norm, const Rows& x, std::size_t first,
                          std::size_t rows) const {
  const ModelShape& shape = lane.model().shape();
  lane.parallel((rows + kRowStep - 1) / kRowStep, [&](unsigned, std::size_t index) {
    const std::size_t row = first + index * kRowStep;
    kernels_.norm(norm.parameters(shape.hidden), std::min(kRowStep, first + rows - row),
                  x.f32 + row * shape.hidden_padded, shape.hidden_padded, narrow(lane, x, row));
  });
}

void CpuBackend::own_project(CpuLane& lane, const Layer& layer, const Rows& x, const void* ctx,
                             std::size_t rows) const {
  const std::size_t hidden = lane.model().shape().hidden_padded;
  const Between& b = lane.between;
  const PanelWeights weights = layer.panels.project.weights();
  const Narrow::Format context = formats_.context();
  for (std::size_t first = 0; first < rows; first += b.rows) {
    const std::size_t count = std::min(b.rows, rows - first);
    void* from = offset(const_cast<void*>(ctx), first * hidden, context);
    GemmRows in{from, hidden, nullptr, nullptr};
    if (weights.format == WeightFormat::s8) {
      quantise_between(lane, from, context, hidden, 1, 0, count);
      in = {b.narrow, hidden, b.scale, b.zero};
    }
    if (weights.format == WeightFormat::split) {
      split_between(lane, static_cast<const float*>(from), hidden, count);
      in = {b.narrow, hidden, nullptr, nullptr};
    }
    const GemmOutput out =
        output(GemmOutput::Kind::add, x.f32 + first * hidden, Narrow::Format::f32, hidden);
    const Cut cut(lane, count, weights.panels());
    lane.parallel_by_owner(cut.count(), [&](unsigned member, std::size_t index) {
      const std::byte* next = first_panel(lane, &layer.panels.up.front(), index, cut.count());
      multiply_part(lane, member, in, weights, out, cut.part(index), next);
    });
    own_norm(lane, layer.attention_norm, x, first, count);
  }
}

// x += down(activation(up(x))) for some blocks of the FFN's intermediate columns.
void CpuBackend::own_ffn_blocks(CpuLane& lane, const PanelLayer& layer, const GemmRows& in,
                                const Rows& x, std::size_t first, std::size_t rows,
                                std::size_t block_begin, std::size_t block_end,
                                const PanelLinear* following) const {
  const ModelShape& shape = lane.model().shape();
  const std::size_t hidden = shape.hidden_padded;
  const Between& b = lane.between;
  const bool int8 = formats_.gemm_in == Narrow::Format::u8;
  const std::size_t blocks = block_end - block_begin;
  const auto inner = [&](std::size_t block) {
    return offset(b.inner, block * b.stride * shape.block, formats_.inner());
  };

  const Cut up(lane, rows, shape.block / kPanel);
  const std::size_t ups = blocks * up.count();
  lane.parallel_by_owner(ups, [&](unsigned member, std::size_t index) {
    const std::size_t block = index % blocks;
    GemmOutput out =
        output(GemmOutput::Kind::activate, inner(block), formats_.inner(), shape.block);
    out.activation = shape.activation;
    const bool last = index + 1 == lane.share_of(ups, index / lane.share_of(ups, 0).end).end;
    const std::byte* next = last ? first_panel(lane, &layer.down[block_begin], index, ups)
                                 : layer.up[block_begin + (index + 1) % blocks].weights().panel(
                                       up.part((index + 1) / blocks).panel_begin);
    multiply_part(lane, member, in, layer.up[block_begin + block].weights(), out,
                  up.part(index / blocks), next);
  });
  if (int8) {
    quantise_between(lane, b.inner, formats_.inner(), shape.block, blocks, b.stride * shape.block,
                     rows);
  }
  const GemmOutput out =
      output(GemmOutput::Kind::add, x.f32 + first * hidden, Narrow::Format::f32, hidden);
  const Cut down(lane, rows, hidden / kPanel);
  lane.parallel_by_owner(down.count(), [&](unsigned member, std::size_t index) {
    const GemmPart part = down.part(index);
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t base = block * b.stride;
      const GemmRows from =
          int8 ? GemmRows{b.narrow + base * shape.block, shape.block, b.scale + base, b.zero + base}
               : GemmRows{inner(block), shape.block, nullptr, nullptr};
      // The bias belongs to the first block only.
      const PanelWeights weights =
          layer.down[block_begin + block].weights(block_begin + block == 0);
      const bool last = block + 1 == blocks;
      const std::byte* next =
          last ? first_panel(lane, following, index, down.count())
               : layer.down[block_begin + block + 1].weights().panel(part.panel_begin);
      multiply_part(lane, member, from, weights, out, part, next);
    }
  });
}

void CpuBackend::own_ffn(CpuLane& lane, const Layer& layer, const Rows& x, std::size_t rows) const {
  const std::size_t blocks = lane.model().shape().blocks;
  const Between& b = lane.between;
  for (std::size_t first = 0; first < rows; first += b.rows) {
    const std::size_t count = std::min(b.rows, rows - first);
    const PanelLinear* after =
        first + count < rows ? &layer.panels.up.front() : layer.panels.following;
    GemmRows in = gemm_rows(narrow(lane, x, first));
    // GEMMs read x itself: the first blocks' results must not reach the inputs of the others.
    if (formats_.gemm_in == Narrow::Format::f32 && b.blocks < blocks) {
      in.data = std::memcpy(b.narrow, in.data, count * in.stride * sizeof(float));
    }
    for (std::size_t block = 0; block < blocks; block += b.blocks) {
      const std::size_t end = std::min(block + b.blocks, blocks);
      own_ffn_blocks(lane, layer.panels, in, x, first, count, block, end,
                     end < blocks ? &layer.panels.up[end] : after);
    }
    own_norm(lane, layer.ffn_norm, x, first, count);
  }
}

}  // namespace breakeven::ops::cpu

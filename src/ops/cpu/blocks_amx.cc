// The block ops on the own GEMM. A lane with one thread takes a chunk of rows through projection or
// FFN with all weights, so that what lies between the GEMMs stays in its L2. A team shares a chunk
// and splits each GEMM over its columns, so that each member streams its own part of the weights
// and none reads them all.
#include <algorithm>

#include "ops/cpu/backend.h"

namespace breakeven::ops::cpu {
namespace {

// Rows that row kernels take at once.
constexpr std::size_t kRowStep = 32;

// One member's part of a GEMM.
struct Part {
  std::size_t row, rows, panel_begin, panel_end;
};

// How a GEMM is cut: all columns for a chunk of rows, or a range of columns for each member (two,
// so that a member which was held up leaves one to the other).
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
    row_step_ = padded((rows + row_parts - 1) / row_parts, kTileRowsAtOnce);
  }
  std::size_t count() const { return (rows_ + row_step_ - 1) / row_step_ * column_parts_; }
  Part part(std::size_t index) const {
    const std::size_t row = index / column_parts_ * row_step_;
    const std::size_t panel = index % column_parts_ * panel_step_;
    return {row, std::min(row_step_, rows_ - row), panel, std::min(panel + panel_step_, panels_)};
  }

 private:
  std::size_t rows_, panels_, panel_step_ = 0, column_parts_ = 0, row_step_ = 0;
};

TileRows from_row(const TileRows& rows, std::size_t first, std::size_t element) {
  TileRows cut = rows;
  cut.data = static_cast<const std::byte*>(rows.data) + first * rows.stride * element;
  if (rows.row_scale != nullptr) cut.row_scale += first;
  if (rows.row_zero != nullptr) cut.row_zero += first;
  return cut;
}

TileOutput from_row(const TileOutput& out, std::size_t first) {
  TileOutput cut = out;
  if (out.half != nullptr) cut.half += first * out.stride;
  if (out.sum != nullptr) cut.sum += first * out.stride;
  return cut;
}

void multiply_part(CpuLane& lane, unsigned member, const TileRows& in, const TileWeights& weights,
                   const TileOutput& out, const Part& part) {
  const std::size_t element = weights.int8 ? 1 : 2;
  tile_multiply(from_row(in, part.row, element), part.rows, weights, part.panel_begin,
                part.panel_end, from_row(out, part.row), lane.scratch[member].tiles);
}

// Rows of x, or of what lies between two GEMMs, as the next GEMM reads them.
TileRows tile_rows(const Narrow& narrow) {
  return {narrow.data, narrow.stride, narrow.row_scale, narrow.row_zero};
}

}  // namespace

void CpuBackend::tile_qkv(CpuLane& lane, const TileLayer& layer) const {
  const std::size_t hidden = lane.model().shape().hidden_padded;
  const TileRows in = tile_rows(narrow(lane, lane.x, 0));
  const std::size_t panels = hidden / kPanel;
  const Cut cut(lane, lane.rows(), panels);
  void* const planes[] = {lane.query, lane.key, lane.value};
  // A chunk's three planes one after the other: its rows are still in L2.
  lane.parallel(3 * cut.count(), [&](unsigned member, std::size_t index) {
    const std::size_t plane = index % 3;
    TileOutput out;
    out.half = static_cast<Bf16*>(planes[plane]);
    out.stride = hidden;
    multiply_part(lane, member, in, layer.qkv.weights().part(plane * hidden, hidden), out,
                  cut.part(index / 3));
  });
}

// Rows [rows, columns] of `from` to u8 in lane.between, with scales at `block`.
void CpuBackend::quantise_between(CpuLane& lane, const Bf16* from, std::size_t columns,
                                  std::size_t block, std::size_t rows) const {
  const Between& b = lane.between;
  const std::size_t base = block * b.stride;
  lane.parallel((rows + kRowStep - 1) / kRowStep, [&](unsigned, std::size_t index) {
    const std::size_t first = index * kRowStep;
    kernels_.quantise_bf16(from + first * columns, columns, std::min(kRowStep, rows - first),
                           columns,
                           {Narrow::Format::u8, b.narrow + (base + first) * columns, columns,
                            b.scale + base + first, b.zero + base + first});
  });
}

void CpuBackend::tile_norm(CpuLane& lane, const Norm& norm, const Rows& x, std::size_t first,
                           std::size_t rows) const {
  const ModelShape& shape = lane.model().shape();
  lane.parallel((rows + kRowStep - 1) / kRowStep, [&](unsigned, std::size_t index) {
    const std::size_t row = first + index * kRowStep;
    kernels_.norm(norm.parameters(shape.hidden), std::min(kRowStep, first + rows - row),
                  x.f32 + row * shape.hidden_padded, shape.hidden_padded, narrow(lane, x, row));
  });
}

void CpuBackend::tile_project(CpuLane& lane, const Layer& layer, const Rows& x, const void* ctx,
                              std::size_t rows) const {
  const std::size_t hidden = lane.model().shape().hidden_padded;
  const Between& b = lane.between;
  const TileWeights weights = layer.tiles.project.weights();
  for (std::size_t first = 0; first < rows; first += b.rows) {
    const std::size_t count = std::min(b.rows, rows - first);
    const Bf16* from = static_cast<const Bf16*>(ctx) + first * hidden;
    TileRows in{from, hidden, nullptr, nullptr};
    if (weights.int8) {
      quantise_between(lane, from, hidden, 0, count);
      in = {b.narrow, hidden, b.scale, b.zero};
    }
    TileOutput out;
    out.kind = TileOutput::Kind::add;
    out.sum = x.f32 + first * hidden;
    out.stride = hidden;
    const Cut cut(lane, count, weights.panels());
    lane.parallel(cut.count(), [&](unsigned member, std::size_t index) {
      multiply_part(lane, member, in, weights, out, cut.part(index));
    });
    tile_norm(lane, layer.attention_norm, x, first, count);
  }
}

// x += down(activation(up(x))) for some blocks of the FFN's intermediate columns.
void CpuBackend::tile_ffn_blocks(CpuLane& lane, const TileLayer& layer, const Rows& x,
                                 std::size_t first, std::size_t rows, std::size_t block_begin,
                                 std::size_t block_end) const {
  const ModelShape& shape = lane.model().shape();
  const std::size_t hidden = shape.hidden_padded;
  const Between& b = lane.between;
  const TileRows in = tile_rows(narrow(lane, x, first));
  const bool int8 = formats_.gemm_in == Narrow::Format::u8;
  const std::size_t blocks = block_end - block_begin;
  const auto inner = [&](std::size_t block) { return b.inner + block * b.stride * shape.block; };

  const Cut up(lane, rows, shape.block / kPanel);
  lane.parallel(blocks * up.count(), [&](unsigned member, std::size_t index) {
    const std::size_t block = index % blocks;
    TileOutput out;
    out.kind = TileOutput::Kind::activate;
    out.activation = shape.activation;
    out.half = inner(block);
    out.stride = shape.block;
    multiply_part(lane, member, in, layer.up[block_begin + block].weights(), out,
                  up.part(index / blocks));
  });
  for (std::size_t block = 0; int8 && block < blocks; ++block) {
    quantise_between(lane, inner(block), shape.block, block, rows);
  }
  TileOutput out;
  out.kind = TileOutput::Kind::add;
  out.sum = x.f32 + first * hidden;
  out.stride = hidden;
  const Cut down(lane, rows, hidden / kPanel);
  lane.parallel(down.count(), [&](unsigned member, std::size_t index) {
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t base = block * b.stride;
      const TileRows from =
          int8 ? TileRows{b.narrow + base * shape.block, shape.block, b.scale + base, b.zero + base}
               : TileRows{inner(block), shape.block, nullptr, nullptr};
      // The bias belongs to the first block only.
      const TileWeights weights = layer.down[block_begin + block].weights(block_begin + block == 0);
      multiply_part(lane, member, from, weights, out, down.part(index));
    }
  });
}

void CpuBackend::tile_ffn(CpuLane& lane, const Layer& layer, const Rows& x,
                          std::size_t rows) const {
  const std::size_t blocks = lane.model().shape().blocks;
  const Between& b = lane.between;
  for (std::size_t first = 0; first < rows; first += b.rows) {
    const std::size_t count = std::min(b.rows, rows - first);
    for (std::size_t block = 0; block < blocks; block += b.blocks) {
      tile_ffn_blocks(lane, layer.tiles, x, first, count, block,
                      std::min(block + b.blocks, blocks));
    }
    tile_norm(lane, layer.ffn_norm, x, first, count);
  }
}

}  // namespace breakeven::ops::cpu

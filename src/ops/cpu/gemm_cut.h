// How a GEMM is cut for a lane's team, and the small steps from activations to GEMM arguments.
//
// A lane with one thread takes a chunk of rows through projection or FFN with all weights, so that
// what lies between the GEMMs stays in its L2. A team shares a chunk and splits each GEMM over its
// columns, so that each member streams its own part of the weights and none reads them all.
#pragma once

#include <algorithm>

#include "ops/cpu/lane.h"

namespace breakeven::ops::cpu {

// One member's part of a GEMM.
struct GemmPart {
  std::size_t row, rows, panel_begin, panel_end;
};

// All columns for a chunk of rows, or ranges of columns for each member (two, so that a member
// which was held up leaves one to the other). Parts that follow each other have the same columns,
// as long as there are rows.
class GemmCut {
 public:
  GemmCut(const CpuLane& lane, std::size_t rows, std::size_t panels)
      : rows_(rows), panels_(panels) {
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
inline const std::byte* first_panel(const CpuLane& lane, const Linear* linear, std::size_t index,
                                    std::size_t count) {
  if (linear == nullptr) return nullptr;
  const PanelWeights weights = linear->weights();
  const GemmCut cut(lane, 1, weights.panels());
  const std::size_t owner = index / lane.share_of(count, 0).end;
  const std::size_t first = lane.share_of(cut.count(), owner).begin;
  return first < cut.count() ? weights.panel(cut.part(first).panel_begin) : nullptr;
}

inline GemmRows from_row(const GemmRows& rows, std::size_t first, std::size_t element) {
  GemmRows cut = rows;
  cut.data = static_cast<const std::byte*>(rows.data) + first * rows.stride * element;
  if (rows.row_scale != nullptr) cut.row_scale += first;
  if (rows.row_zero != nullptr) cut.row_zero += first;
  return cut;
}

inline GemmOutput from_row(const GemmOutput& out, std::size_t first, WeightFormat format) {
  GemmOutput cut = out;
  const std::size_t planes = format == WeightFormat::split ? 2 : 1;
  if (out.half != nullptr) cut.half += first * out.stride * planes;
  if (out.full != nullptr) cut.full += first * out.stride;
  return cut;
}

// Results to rows of bf16 or fp32.
inline GemmOutput gemm_output(GemmOutput::Kind kind, void* rows, NumberFormat format,
                              std::size_t stride) {
  GemmOutput out;
  out.kind = kind;
  if (format == NumberFormat::f32) {
    out.full = static_cast<float*>(rows);
  } else {
    out.half = static_cast<Bf16*>(rows);
  }
  out.stride = stride;
  return out;
}

inline GemmRows as_read(const GemmInput& written) {
  return {written.data, written.stride, written.row_scale, written.row_zero};
}

inline CpuLane& cpu_lane(Lane& lane) {
  return static_cast<CpuLane&>(lane);
}

// At the start of each op: who has come to help takes part in it.
inline CpuLane& begin_op(Lane& lane) {
  CpuLane& l = cpu_lane(lane);
  l.admit();
  return l;
}

}  // namespace breakeven::ops::cpu

// Attention over all rows: q, k and v of a block of heads and then the block's contexts, or first
// q, k and v of all rows where blocks would leave members of the team idle (attention_plan.h). A
// layer with a window takes some queries at a time with the keys around them: its work and memory
// grow with the window, not with the sequence.
#include <algorithm>

#include "base/check.h"
#include "ops/cpu/backend.h"

namespace breakeven::ops::cpu {
namespace {

// Queries of a window at a time: whole blocks of 12, of 14 (vectors) and nearly of 32 (tiles), and
// few enough that of window 64 a third of the scores are of keys that the query does not see.
constexpr std::size_t kWindowQueries = 84;
// Rows that are turned by one member at a time.
constexpr std::size_t kTurnedRows = 64;

// Keys are cut at whole panels, so that a key has the same place in sums whatever is cut: a text's
// bits do not depend on the queries beside it.
template <class Element, class Kernel>
void attend_in_window(const AttentionTaskOf<Element>& task, const Kernel& kernel) {
  if (task.window == 0) return kernel(task);
  for (std::size_t query = task.query_begin; query < task.query_end; query += kWindowQueries) {
    const std::size_t end = std::min(query + kWindowQueries, task.query_end);
    const std::size_t first = task.seen(query).begin / kPanel * kPanel;
    const std::size_t last = task.seen(end - 1).end;
    if (last <= first) {  // rows of padding further than the window from the last token
      for (std::size_t row = query; row < end; ++row) {
        std::fill_n(task.ctx + row * task.ctx_stride, task.head_size, Element{0});
      }
      continue;
    }
    AttentionTaskOf<Element> part = task;
    part.q += first * task.stride;
    part.k += first * task.stride;
    part.v += first * task.stride;
    part.ctx += first * task.ctx_stride;
    part.query_begin = query - first;
    part.query_end = end - first;
    part.keys = last - first;
    kernel(part);
  }
}

// The unit's head in the first row of its sequence, in a plane of [rows, padded H].
std::size_t context_at(const CpuLane& lane, const AttentionUnit& unit) {
  const ModelShape& shape = lane.model().shape();
  return lane.group.first_row(unit.sequence) * shape.hidden_padded +
         static_cast<std::size_t>(unit.head) * shape.head_size;
}

// Where its context begins: of all rows, or of row 0 of each sequence.
void* context_of(const CpuLane& lane, const AttentionUnit& unit, Act x) {
  const ModelShape& shape = lane.model().shape();
  const NumberFormat plane = lane.model().formats().plane();
  if (x == Act::x) return offset(lane.acts.ctx, context_at(lane, unit), plane);
  return offset(lane.acts.ctx_cls,
                unit.sequence * shape.hidden_padded + unit.head * shape.head_size, plane);
}

template <class Element>
AttentionTaskOf<Element> attention_task(const CpuLane& lane, unsigned member, const Layer& layer,
                                        const AttentionUnit& unit, const HeadPosition& from,
                                        void* ctx) {
  const ModelShape& shape = lane.model().shape();
  AttentionTaskOf<Element> task;
  task.stride = from.stride;
  task.ctx_stride = shape.hidden_padded;
  task.query_begin = unit.query_begin;
  task.query_end = unit.query_end;
  task.keys = static_cast<std::size_t>(lane.group.valid_len[unit.sequence]);
  task.window = layer.window;
  task.head_size = shape.head_size;
  task.scale = shape.score_scale();
  task.q = static_cast<const Element*>(lane.acts.query) + from.at;
  task.k = static_cast<const Element*>(lane.acts.key) + from.at;
  task.v = static_cast<const Element*>(lane.acts.value) + from.at;
  task.ctx = static_cast<Element*>(ctx);
  task.scratch = lane.workspaces[member].attention;
  if (shape.distances > 0) {
    const std::size_t head = unit.head * shape.distance_bytes;
    task.distances = {layer.distance_keys + head, layer.distance_queries + head,
                      lane.model().distance_rows()};
  }
  return task;
}

}  // namespace

void CpuBackend::project_qkv(CpuLane& lane, const Layer& layer) const {
  const std::size_t hidden = lane.model().shape().hidden_padded;
  const GemmRows in = as_read(gemm_input(lane, lane.acts.x, 0));
  const std::size_t panels = hidden / kPanel;
  const GemmCut cut(lane, lane.group.rows, panels);
  const NumberFormat plane = formats_.plane();
  void* const planes[] = {lane.acts.query, lane.acts.key, lane.acts.value};
  const std::size_t count = 3 * cut.count();
  // A part's three planes one after the other: its rows are still in L2.
  const auto part_weights = [&](std::size_t index) {
    return layer.qkv.weights().part(index % 3 * hidden, hidden);
  };
  lane.parallel_by_owner(count, [&](unsigned member, std::size_t index) {
    const GemmOutput out = gemm_output(GemmOutput::Kind::store, planes[index % 3], plane, hidden);
    const std::byte* next =
        index + 1 < count ? part_weights(index + 1).panel(cut.part((index + 1) / 3).panel_begin)
                          : nullptr;
    multiply(lane, member, in, part_weights(index), out, cut.part(index / 3), next);
  });
}

void CpuBackend::attend(CpuLane& lane, unsigned member, const Layer& layer,
                        const AttentionUnit& unit, const HeadPosition& from, void* ctx) const {
  if (!formats_.bf16_attention) {
    return attend_in_window(attention_task<float>(lane, member, layer, unit, from, ctx),
                            *kernels_.attention);
  }
  const auto task = attention_task<Bf16>(lane, member, layer, unit, from, ctx);
  if (formats_.tile_attention()) return attend_in_window(task, *formats_.tiles->attention);
  attend_in_window(task, task.distances.rows != nullptr ? *kernels_.attention_widened
                                                        : *kernels_.attention_bf16);
}

// Heads of rows `first` .. of the group by their positions. `plane`: where those rows begin.
void CpuBackend::rotate(const CpuLane& lane, const Layer& layer, void* plane, std::size_t first,
                        std::size_t rows, std::size_t heads, std::size_t stride) const {
  if (layer.rotary == nullptr) return;
  const RotaryRows by{layer.rotary, lane.group.positions + first, heads,
                      lane.model().shape().head_size};
  if (formats_.bf16_attention) {
    kernels_.rotate_bf16(by, rows, static_cast<Bf16*>(plane), stride);
  } else {
    kernels_.rotate_f32(by, rows, static_cast<float*>(plane), stride);
  }
}

void CpuBackend::attend_by_blocks(CpuLane& lane, const Layer& layer, Act x) const {
  const ModelShape& shape = lane.model().shape();
  const GemmRows in = as_read(gemm_input(lane, lane.acts.x, 0));
  const NumberFormat plane = formats_.plane();
  void* const planes[] = {lane.acts.query, lane.acts.key, lane.acts.value};
  const PanelWeights weights = layer.qkv.weights();
  const auto part_weights = [&](const AttentionBlock& block, std::size_t which) {
    return weights.part(which * shape.hidden_padded + block.head_begin * shape.head_size,
                        block.columns);
  };
  const std::vector<AttentionBlock>& blocks = lane.plan.blocks;
  lane.parallel_by_owner(blocks.size(), [&](unsigned member, std::size_t index) {
    const AttentionBlock& block = blocks[index];
    const std::size_t first = lane.group.first_row(block.sequence_begin);
    const std::size_t rows = lane.group.first_row(block.sequence_end) - first;
    for (std::size_t which = 0; which < 3; ++which) {
      const GemmOutput out =
          gemm_output(GemmOutput::Kind::store, offset(planes[which], block.offset, plane), plane,
                      block.columns);
      const std::byte* next = which < 2                   ? part_weights(block, which + 1).data
                              : index + 1 < blocks.size() ? part_weights(blocks[index + 1], 0).data
                                                          : nullptr;
      multiply(lane, member, from_row(in, first, bytes_of(formats_.gemm_in)),
               part_weights(block, which), out, {0, rows, 0, block.columns / kPanel}, next);
      if (which < 2) {
        rotate(lane, layer, offset(planes[which], block.offset, plane), first, rows,
               block.head_end - block.head_begin, block.columns);
      }
    }
    for (std::uint32_t s = block.sequence_begin; s < block.sequence_end; ++s) {
      const std::size_t row = lane.group.first_row(s);
      const auto queries =
          x == Act::x ? static_cast<std::uint32_t>(lane.group.first_row(s + 1) - row) : 1U;
      for (std::uint32_t head = block.head_begin; head < block.head_end; ++head) {
        const std::size_t column = (head - block.head_begin) * shape.head_size;
        const AttentionUnit unit{s, head, 0, queries};
        attend(lane, member, layer, unit,
               {block.offset + (row - first) * block.columns + column, block.columns},
               context_of(lane, unit, x));
      }
    }
  });
}

void CpuBackend::attend_all(CpuLane& lane, const Layer& layer, Act x) const {
  if (!lane.plan.blocks.empty()) return attend_by_blocks(lane, layer, x);
  const ModelShape& shape = lane.model().shape();
  const std::size_t hidden = shape.hidden_padded;
  project_qkv(lane, layer);
  if (layer.rotary != nullptr) {
    const std::size_t rows = lane.group.rows;
    lane.parallel((rows + kTurnedRows - 1) / kTurnedRows, [&](unsigned, std::size_t index) {
      const std::size_t first = index * kTurnedRows;
      for (void* plane : {lane.acts.query, lane.acts.key}) {
        rotate(lane, layer, offset(plane, first * hidden, formats_.plane()), first,
               std::min(kTurnedRows, rows - first), shape.heads, hidden);
      }
    });
  }
  const bool first_rows = x == Act::x_cls;
  const std::size_t count =
      first_rows ? lane.group.sequences * shape.heads : lane.plan.units.size();
  lane.parallel(count, [&](unsigned member, std::size_t index) {
    AttentionUnit unit{static_cast<std::uint32_t>(index / shape.heads),
                       static_cast<std::uint32_t>(index % shape.heads), 0, 1};
    if (!first_rows) unit = lane.plan.units[index];
    attend(lane, member, layer, unit, {context_at(lane, unit), hidden}, context_of(lane, unit, x));
  });
}

void CpuBackend::attention(Lane& lane, std::size_t layer) {
  CpuLane& l = begin_op(lane);
  BREAKEVEN_CHECK(l.model().shape().has_qkv(layer), "layer {} is packed for cls_attention", layer);
  attend_all(l, l.model().layer(layer), Act::x);
}

}  // namespace breakeven::ops::cpu

// Attention over all rows: q, k and v of a block of heads and then the block's contexts, or first
// q, k and v of all rows where blocks would leave members of the team idle (attention_plan.h).
#include "base/check.h"
#include "ops/cpu/backend.h"

namespace breakeven::ops::cpu {
namespace {

// The unit's head in the first row of its sequence, in a plane of [rows, padded H].
std::size_t context_at(const CpuLane& lane, const AttentionUnit& unit) {
  const ModelShape& shape = lane.model().shape();
  return lane.group.first_row(unit.sequence) * shape.hidden_padded +
         static_cast<std::size_t>(unit.head) * shape.head_size;
}

template <class Element>
AttentionTaskOf<Element> attention_task(const CpuLane& lane, unsigned member, const Layer& layer,
                                        const AttentionUnit& unit, const HeadPosition& from) {
  const ModelShape& shape = lane.model().shape();
  AttentionTaskOf<Element> task;
  task.stride = from.stride;
  task.ctx_stride = shape.hidden_padded;
  task.query_begin = unit.query_begin;
  task.query_end = unit.query_end;
  task.keys = static_cast<std::size_t>(lane.group.valid_len[unit.sequence]);
  task.head_size = shape.head_size;
  task.scale = shape.score_scale();
  task.q = static_cast<const Element*>(lane.acts.query) + from.at;
  task.k = static_cast<const Element*>(lane.acts.key) + from.at;
  task.v = static_cast<const Element*>(lane.acts.value) + from.at;
  task.ctx = static_cast<Element*>(lane.acts.ctx) + context_at(lane, unit);
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
                        const AttentionUnit& unit, const HeadPosition& from) const {
  if (!formats_.bf16_attention) {
    return kernels_.attention(attention_task<float>(lane, member, layer, unit, from));
  }
  const auto task = attention_task<Bf16>(lane, member, layer, unit, from);
  if (formats_.tile_attention()) return formats_.tiles->attention(task);
  task.distances.rows != nullptr ? kernels_.attention_widened(task) : kernels_.attention_bf16(task);
}

void CpuBackend::attend_by_blocks(CpuLane& lane, const Layer& layer) const {
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
    }
    for (std::uint32_t s = block.sequence_begin; s < block.sequence_end; ++s) {
      const std::size_t row = lane.group.first_row(s);
      const auto queries = static_cast<std::uint32_t>(lane.group.first_row(s + 1) - row);
      for (std::uint32_t head = block.head_begin; head < block.head_end; ++head) {
        const std::size_t column = (head - block.head_begin) * shape.head_size;
        attend(lane, member, layer, {s, head, 0, queries},
               {block.offset + (row - first) * block.columns + column, block.columns});
      }
    }
  });
}

void CpuBackend::attention(Lane& lane, std::size_t layer) {
  CpuLane& l = begin_op(lane);
  BREAKEVEN_CHECK(layer + 1 < l.model().shape().layers, "layer {} is packed for cls_attention",
                  layer);
  const Layer& weights = l.model().layer(layer);
  if (!l.plan.blocks.empty()) return attend_by_blocks(l, weights);
  project_qkv(l, weights);
  l.parallel(l.plan.units.size(), [&](unsigned member, std::size_t index) {
    const AttentionUnit& unit = l.plan.units[index];
    attend(l, member, weights, unit, {context_at(l, unit), l.model().shape().hidden_padded});
  });
}

}  // namespace breakeven::ops::cpu

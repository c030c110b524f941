#include "engine/groups.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace breakeven::engine {

// A row takes 4 H^2 + 2 H F multiply-adds in the linear layers (3 H F of a gated FFN), and 2 H a
// key in attention.
TextCost text_cost_of(const model::EncoderPlan& plan) {
  const bool gated = plan.form.ffn == ops::EncoderForm::Ffn::gated;
  TextCost cost;
  cost.keys = 2.0 * double(plan.hidden) + (gated ? 1.5 : 1.0) * double(plan.intermediate);
  for (const model::LayerScope& scope : plan.scopes) {
    if (scope.window == 0) continue;
    cost.near += 1 / double(plan.layers);
    cost.seen = std::max(cost.seen, 2 * double(scope.window) + 1);
  }
  return cost;
}

void Groups::clear() {
  order.clear();
  first.assign(1, 0);
  rows.clear();
}

// Which of `count` groups each text goes to: the dearest text first, each to the least loaded group
// that still has room. False when a text found no room.
bool GroupPlanner::spread(std::span<const std::uint32_t> lengths, std::size_t row_budget,
                          std::size_t count, const TextCost& cost) {
  rows_.assign(count, 0);
  load_.assign(count, 0.0);
  for (const std::uint32_t text : by_cost_) {
    std::size_t best = rows_.size();
    for (std::size_t group = 0; group < rows_.size(); ++group) {
      const bool fits = rows_[group] == 0 || rows_[group] + lengths[text] <= row_budget;
      if (fits && (best == rows_.size() || load_[group] < load_[best])) best = group;
    }
    if (best == rows_.size()) return false;
    group_of_[text] = static_cast<std::uint32_t>(best);
    rows_[best] += lengths[text];
    load_[best] += cost(lengths[text]);
  }
  return true;
}

void GroupPlanner::cut(std::span<const std::uint32_t> lengths, std::uint32_t first_text,
                       std::size_t row_budget, std::size_t wanted, Groups& out,
                       const TextCost& cost) {
  BREAKEVEN_CHECK(!lengths.empty() && row_budget > 0 && wanted > 0);
  const std::size_t total = std::accumulate(lengths.begin(), lengths.end(), std::size_t{0});
  std::size_t count =
      std::min(std::max((total + row_budget - 1) / row_budget, wanted), lengths.size());
  group_of_.resize(lengths.size());
  by_cost_.resize(lengths.size());
  std::iota(by_cost_.begin(), by_cost_.end(), 0U);
  // Ties keep the given order, so that the same batch always gives the same groups
  // (std::stable_sort would allocate).
  std::sort(by_cost_.begin(), by_cost_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return lengths[a] != lengths[b] ? lengths[a] > lengths[b] : a < b;
  });
  while (count < lengths.size() && !spread(lengths, row_budget, count, cost)) ++count;
  if (count == lengths.size()) {  // each text alone
    std::iota(group_of_.begin(), group_of_.end(), 0U);
    rows_.assign(lengths.begin(), lengths.end());
  }

  // Texts by group: each group's place in `order` is counted, filled, and moved back.
  const std::size_t base = out.order.size();
  const std::size_t groups = out.rows.size();
  out.rows.insert(out.rows.end(), rows_.begin(), rows_.end());
  out.first.resize(groups + rows_.size() + 1, 0);
  std::fill(out.first.begin() + static_cast<std::ptrdiff_t>(groups) + 1, out.first.end(), 0);
  for (const std::uint32_t group : group_of_) ++out.first[groups + group + 1];
  out.first[groups] = base;
  for (std::size_t group = groups; group < out.rows.size(); ++group) {
    out.first[group + 1] += out.first[group];
  }
  out.order.resize(base + lengths.size());
  for (std::uint32_t text = 0; text < lengths.size(); ++text) {
    out.order[out.first[groups + group_of_[text]]++] = first_text + text;
  }
  for (std::size_t group = out.rows.size(); group > groups; --group) {
    out.first[group] = out.first[group - 1];
  }
  out.first[groups] = base;
}

}  // namespace breakeven::engine

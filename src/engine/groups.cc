#include "engine/groups.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace breakeven::engine {
namespace {

// Length S at which a sequence's attention costs as much as its linear layers: a row takes 12 H^2
// multiply-adds in the linear layers (4 of H x H, 2 of H x 4H) and 2 S H in attention, so S = 6 H.
// DistilBERT's H = 768 serves for all shapes: the number only balances groups.
constexpr double kAttentionRows = 4608;

double cost(std::uint32_t rows) {
  return rows + double(rows) * rows / kAttentionRows;
}

}  // namespace

void GroupPlanner::plan(std::span<const std::uint32_t> lengths, std::size_t row_budget,
                        std::size_t wanted, Groups& out) {
  BREAKEVEN_CHECK(!lengths.empty() && row_budget > 0 && wanted > 0);
  by_cost_.resize(lengths.size());
  std::iota(by_cost_.begin(), by_cost_.end(), 0U);
  // Ties keep the given order, so that the same batch always gives the same groups
  // (std::stable_sort would allocate).
  std::sort(by_cost_.begin(), by_cost_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return lengths[a] != lengths[b] ? lengths[a] > lengths[b] : a < b;
  });
  const std::size_t total = std::accumulate(lengths.begin(), lengths.end(), std::size_t{0});
  // A multiple of `wanted`, so that every worker gets the same number of groups.
  std::size_t count = (total + row_budget - 1) / row_budget;
  count = (count + wanted - 1) / wanted * wanted;
  count = std::min(std::max(count, wanted), lengths.size());

  out.rows.assign(count, 0);
  load_.assign(count, 0.0);
  group_of_.resize(lengths.size());
  for (const std::uint32_t sequence : by_cost_) {
    // The least loaded group that still has room; a new one when none has.
    std::size_t best = out.rows.size();
    for (std::size_t group = 0; group < out.rows.size(); ++group) {
      const bool fits = out.rows[group] == 0 || out.rows[group] + lengths[sequence] <= row_budget;
      if (fits && (best == out.rows.size() || load_[group] < load_[best])) best = group;
    }
    if (best == out.rows.size()) {
      out.rows.push_back(0);
      load_.push_back(0.0);
    }
    group_of_[sequence] = static_cast<std::uint32_t>(best);
    out.rows[best] += lengths[sequence];
    load_[best] += cost(lengths[sequence]);
  }

  out.first.assign(out.rows.size() + 1, 0);
  for (const std::uint32_t group : group_of_) ++out.first[group + 1];
  std::partial_sum(out.first.begin(), out.first.end(), out.first.begin());
  out.order.resize(lengths.size());
  for (std::uint32_t sequence = 0; sequence < lengths.size(); ++sequence) {
    out.order[out.first[group_of_[sequence]]++] = sequence;
  }
  // The fill moved every start to the next group's: move them back.
  std::rotate(out.first.begin(), out.first.end() - 1, out.first.end());
  out.first[0] = 0;
}

}  // namespace breakeven::engine

#include "decide/break_even.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace breakeven::decide {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

record::Estimate estimate_of(const Rate& rate) {
  return {rate.per_s, rate.interval, 0};
}

Threshold threshold(std::optional<double> at_values,
                    const std::vector<std::optional<double>>& at_corners) {
  Threshold result;
  result.load = at_values;
  result.low = at_values.value_or(kInfinity);
  result.high = result.low;
  for (const auto& corner : at_corners) {
    result.low = std::min(result.low, corner.value_or(kInfinity));
    result.high = std::max(result.high, corner.value_or(kInfinity));
  }
  return result;
}

using Ranges = std::vector<LoadRange>;

std::optional<double> first_of(const Ranges& ranges) {
  return ranges.empty() ? std::nullopt : std::optional(ranges.front().from);
}

std::optional<double> always_of(const Ranges& ranges) {
  const bool endless = !ranges.empty() && std::isinf(ranges.back().to);
  return endless ? std::optional(ranges.back().from) : std::nullopt;
}

Leads leads(const record::Estimate& gpu_over_cpu) {
  if (!gpu_over_cpu.interval) return Leads::cannot_tell;
  if (gpu_over_cpu.interval->low > 1) return Leads::gpu;
  return gpu_over_cpu.interval->high < 1 ? Leads::cpu : Leads::cannot_tell;
}

// The candidate of a side with the highest rate, of one batch or (0) of all.
std::optional<std::size_t> best_rate(const std::vector<Candidate>& candidates,
                                     const std::vector<std::size_t>& take_part, Side side,
                                     std::uint64_t batch) {
  std::optional<std::size_t> best;
  for (const std::size_t i : take_part) {
    const Candidate& candidate = candidates[i];
    if (candidate.configuration.side != side || candidate.rate.per_s <= 0) continue;
    if (batch != 0 && candidate.cell().batch != batch) continue;
    if (!best || candidate.rate.per_s > candidates[*best].rate.per_s) best = i;
  }
  return best;
}

// The shortest batch of a side among configurations of that batch.
std::optional<record::Estimate> best_time(const std::vector<Candidate>& candidates,
                                          const std::vector<std::size_t>& take_part, Side side,
                                          std::uint64_t batch) {
  std::optional<record::Estimate> best;
  for (const std::size_t i : take_part) {
    const Candidate& candidate = candidates[i];
    if (candidate.configuration.side != side || candidate.cell().batch != batch) continue;
    if (candidate.batch_s && (!best || candidate.batch_s->value < best->value)) {
      best = candidate.batch_s;
    }
  }
  return best;
}

std::optional<std::uint64_t> from_where(const std::vector<BatchRow>& rows, Leads BatchRow::*what) {
  std::optional<std::uint64_t> from;
  for (auto row = rows.rbegin(); row != rows.rend() && (*row).*what == Leads::gpu; ++row) {
    from = row->batch;
  }
  return from;
}

}  // namespace

std::optional<Ranges> cheaper_ranges(const Staircase& base, const Staircase& other) {
  Ranges ranges;
  double base_machines = 1;
  double other_machines = 1;
  double from = 0;
  const double base_slope = base.price / base.rate;
  const double other_slope = other.price / other.rate;
  // Beyond this load the steps no longer matter: one more machine of the cheaper kind is less than
  // what the slopes lie apart.
  const double last_price = other_slope < base_slope ? other.price : base.price;
  const double gap = std::abs(base_slope - other_slope);
  const double settled = gap > 0 ? last_price / gap : kInfinity;
  for (std::size_t step = 0; step < kMostSteps; ++step) {
    const bool cheaper = other_machines * other.price < base_machines * base.price;
    const bool last = from >= settled;
    const double to =
        last ? kInfinity : std::min(base_machines * base.rate, other_machines * other.rate);
    // On the last stretch the slopes decide, whatever this one step says.
    const bool counts = last ? other_slope < base_slope : cheaper;
    if (counts && !ranges.empty() && ranges.back().to == from) {
      ranges.back().to = to;
    } else if (counts) {
      ranges.push_back({from, to});
    }
    if (last) return ranges;
    // Equal steps of both are one.
    if (base_machines * base.rate <= to) ++base_machines;
    if (other_machines * other.rate <= to) ++other_machines;
    from = to;
  }
  return std::nullopt;
}

LoadBreakEven load_break_even(const Candidate& cpu, const Candidate& gpu) {
  LoadBreakEven result;
  const auto ends = [](const Rate& rate) {
    // Without an interval the value stands alone; `sure` is judged elsewhere.
    return rate.interval && rate.interval->low > 0
               ? std::vector<double>{rate.interval->low, rate.interval->high}
               : std::vector<double>{rate.per_s};
  };
  const auto ranges = cheaper_ranges({cpu.rate.per_s, cpu.price}, {gpu.rate.per_s, gpu.price});
  if (!ranges) {
    result.decided = false;
    return result;
  }
  result.cheaper = *ranges;
  std::vector<std::optional<double>> firsts;
  std::vector<std::optional<double>> always;
  for (const double cpu_rate : ends(cpu.rate)) {
    for (const double gpu_rate : ends(gpu.rate)) {
      const auto corner = cheaper_ranges({cpu_rate, cpu.price}, {gpu_rate, gpu.price});
      // Too alike at one end of the intervals: it may never be.
      firsts.push_back(corner ? first_of(*corner) : std::nullopt);
      always.push_back(corner ? always_of(*corner) : std::nullopt);
    }
  }
  result.first = threshold(first_of(*ranges), firsts);
  result.always = threshold(always_of(*ranges), always);
  return result;
}

BatchBreakEven batch_break_even(const std::vector<Candidate>& candidates,
                                const std::vector<std::size_t>& take_part) {
  BatchBreakEven result;
  std::map<std::uint64_t, int> batches;
  for (const std::size_t i : take_part) batches[candidates[i].cell().batch] = 0;
  const auto cpu_best = best_rate(candidates, take_part, Side::cpu, 0);
  for (const auto& [batch, unused] : batches) {
    const auto cpu = best_rate(candidates, take_part, Side::cpu, batch);
    const auto gpu = best_rate(candidates, take_part, Side::gpu, batch);
    if (!cpu || !gpu) continue;
    BatchRow row;
    row.batch = batch;
    row.cpu = *cpu;
    row.gpu = *gpu;
    const record::Estimate gpu_rate = estimate_of(candidates[*gpu].rate);
    row.throughput_ratio = ratio_of(gpu_rate, estimate_of(candidates[*cpu].rate));
    const auto cpu_time = best_time(candidates, take_part, Side::cpu, batch);
    const auto gpu_time = best_time(candidates, take_part, Side::gpu, batch);
    if (cpu_time && gpu_time) {
      row.time_ratio = ratio_of(*cpu_time, *gpu_time);
      row.faster = leads(*row.time_ratio);
    }
    const double price_ratio = candidates[*gpu].price / candidates[*cpu_best].price;
    row.cost_ratio = ratio_of(estimate_of(candidates[*cpu_best].rate), gpu_rate);
    row.cost_ratio.value *= price_ratio;
    if (row.cost_ratio.interval) {
      row.cost_ratio.interval->low *= price_ratio;
      row.cost_ratio.interval->high *= price_ratio;
    }
    if (plausible(row.cost_ratio.value)) row.cheaper = leads(inverse_of(row.cost_ratio));
    result.rows.push_back(row);
  }
  result.faster_from = from_where(result.rows, &BatchRow::faster);
  result.cheaper_from = from_where(result.rows, &BatchRow::cheaper);
  return result;
}

}  // namespace breakeven::decide

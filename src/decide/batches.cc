#include "decide/batches.h"

#include <set>

namespace breakeven::decide {
namespace {

record::Estimate estimate_of(const Rate& rate) {
  return {rate.per_s, rate.interval, 0};
}

Leads leads(const record::Estimate& gpu_over_cpu) {
  if (!gpu_over_cpu.interval) return Leads::cannot_tell;
  if (gpu_over_cpu.interval->low > 1) return Leads::gpu;
  return gpu_over_cpu.interval->high < 1 ? Leads::cpu : Leads::cannot_tell;
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

std::optional<std::size_t> best_rate(const std::vector<Candidate>& candidates,
                                     const std::vector<std::size_t>& take_part, Side side,
                                     std::uint64_t batch) {
  std::optional<std::size_t> best;
  for (const std::size_t i : take_part) {
    const Candidate& candidate = candidates[i];
    if (candidate.configuration.side != side || candidate.rate.per_s <= 0) continue;
    if (batch != 0 && candidate.cell().batch != batch) continue;
    if (!best || low_end(candidate.rate) > low_end(candidates[*best].rate)) best = i;
  }
  return best;
}

BatchBreakEven batch_break_even(const std::vector<Candidate>& candidates,
                                const std::vector<std::size_t>& take_part) {
  BatchBreakEven result;
  std::set<std::uint64_t> batches;
  for (const std::size_t i : take_part) batches.insert(candidates[i].cell().batch);
  const auto cpu_best = best_rate(candidates, take_part, Side::cpu, 0);
  for (const std::uint64_t batch : batches) {
    const auto cpu = best_rate(candidates, take_part, Side::cpu, batch);
    const auto gpu = best_rate(candidates, take_part, Side::gpu, batch);
    if (!cpu || !gpu) continue;
    BatchRow row;
    row.batch = batch;
    row.cpu = *cpu;
    row.gpu = *gpu;
    const record::Estimate gpu_rate = estimate_of(candidates[*gpu].rate);
    row.throughput_ratio = measure::ratio_of(gpu_rate, estimate_of(candidates[*cpu].rate));
    const auto cpu_time = best_time(candidates, take_part, Side::cpu, batch);
    const auto gpu_time = best_time(candidates, take_part, Side::gpu, batch);
    if (cpu_time && gpu_time) {
      row.time_ratio = measure::ratio_of(*cpu_time, *gpu_time);
      row.faster = leads(*row.time_ratio);
    }
    const double price_ratio = candidates[*gpu].price / candidates[*cpu_best].price;
    row.cost_ratio = measure::ratio_of(estimate_of(candidates[*cpu_best].rate), gpu_rate);
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

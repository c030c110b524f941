#include "decide/verdict.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace breakeven::decide {
namespace {

bool closed_loop(const Row& row) {
  return row.may_win() && row.cell().mode != Mode::paced;
}

const Row* soonest_of(const RowSet& rows, Side side) {
  const Row* soonest = nullptr;
  for (const Row& row : rows.rows()) {
    if (row.side != side || !closed_loop(row) || !row.batch_s || row.cell().batch != 1) continue;
    if (soonest == nullptr || row.batch_s->value < soonest->batch_s->value) soonest = &row;
  }
  return soonest;
}

std::string why_unsure(const RowSet& rows, const Row& first, const Row& second) {
  for (const Row* row : {&first, &second}) {
    const std::string why = row->why_unsure();
    if (!why.empty()) return rows.name_of(*row->record) + ": " + why;
  }
  return "";
}

Lead lead_in_speed(const RowSet& rows, const Row& first, const Row& second) {
  return {&first, &second, rows.speed_ratio(first, second), why_unsure(rows, first, second)};
}

Lead lead_in_latency(const RowSet& rows, const Row& first, const Row& second) {
  Lead lead{&first, &second, measure::ratio_of(*second.batch_s, *first.batch_s),
            why_unsure(rows, first, second)};
  if (!lead.ratio.interval && lead.why.empty()) lead.why = "too few samples for an interval";
  return lead;
}

// Of several rows of one key the one that plans best: threads, padding and machines may differ.
using Key = std::tuple<Precision, std::uint64_t, Mode>;

std::map<Key, const Row*> native_rows(const RowSet& rows, Side side) {
  std::map<Key, const Row*> best;
  for (const Row& row : rows.rows()) {
    if (row.side != side || !closed_loop(row) || !row.cell().runtime.is_native()) continue;
    const Row*& kept = best[{row.cell().precision, row.cell().batch, row.cell().mode}];
    if (kept == nullptr || low_end(row) > low_end(*kept)) kept = &row;
  }
  return best;
}

// The native row that answers the same question as `other`; without padding where there is one.
const Row* native_beside(const RowSet& rows, const Row& other) {
  const Row* found = nullptr;
  for (const Row& row : rows.rows()) {
    const record::Record& record = *row.record;
    if (!closed_loop(row) || !row.cell().runtime.is_native() ||
        record.model_name != other.record->model_name ||
        record.machine.hostname_hash != other.record->machine.hostname_hash) {
      continue;
    }
    record::Cell cell = other.cell();
    cell.runtime = {};
    cell.padding = row.cell().padding;
    if (!(cell == row.cell())) continue;
    if (found == nullptr || row.cell().padding == Padding::none) found = &row;
  }
  return found;
}

std::optional<double> compute_ratio(const Row& native, const Row& peer) {
  const auto& ours = native.record->stages;
  const auto& theirs = peer.record->stages;
  if (!ours || !theirs || ours->compute_s <= 0 || theirs->compute_s <= 0) return std::nullopt;
  return theirs->compute_s / ours->compute_s;
}

}  // namespace

int Lead::sign() const {
  if (!ratio.interval) return 0;
  return ratio.interval->low > 1 ? 1 : ratio.interval->high < 1 ? -1 : 0;
}

const Row* best_of(const RowSet& rows, Side side, const Keep& keep) {
  const Row* best = nullptr;
  for (const Row& row : rows.rows()) {
    if (row.side != side || !closed_loop(row) || !keep(row.cell())) continue;
    if (best == nullptr || low_end(row) > low_end(*best)) best = &row;
  }
  return best;
}

Verdict verdict_of(const RowSet& rows) {
  Verdict verdict;
  const auto any = [](const record::Cell&) { return true; };
  verdict.best_cpu = best_of(rows, Side::cpu, any);
  verdict.best_gpu = best_of(rows, Side::gpu, any);
  verdict.soonest_cpu = soonest_of(rows, Side::cpu);
  verdict.soonest_gpu = soonest_of(rows, Side::gpu);
  if (verdict.best_cpu != nullptr && verdict.best_gpu != nullptr) {
    verdict.throughput = lead_in_speed(rows, *verdict.best_gpu, *verdict.best_cpu);
  }
  if (verdict.soonest_cpu != nullptr && verdict.soonest_gpu != nullptr) {
    verdict.latency = lead_in_latency(rows, *verdict.soonest_gpu, *verdict.soonest_cpu);
  }
  const std::map<Key, const Row*> cpu = native_rows(rows, Side::cpu);
  for (const auto& [key, gpu_row] : native_rows(rows, Side::gpu)) {
    const auto cpu_row = cpu.find(key);
    if (cpu_row == cpu.end()) continue;
    const auto& [precision, batch, mode] = key;
    verdict.same_precision.push_back(
        {precision, batch, mode, lead_in_speed(rows, *gpu_row, *cpu_row->second)});
  }
  for (const Side side : {Side::cpu, Side::gpu}) {
    const auto native = [](bool fp32) {
      return [fp32](const record::Cell& cell) {
        return cell.runtime.is_native() && (cell.precision == Precision::fp32) == fp32;
      };
    };
    const Row* lower = best_of(rows, side, native(false));
    const Row* fp32 = best_of(rows, side, native(true));
    if (lower == nullptr || fp32 == nullptr) continue;
    verdict.over_fp32.push_back(lead_in_speed(rows, *lower, *fp32));
  }
  for (const Row& row : rows.rows()) {
    if (!closed_loop(row) || row.cell().runtime.is_native()) continue;
    const Row* native = native_beside(rows, row);
    if (native == nullptr) continue;
    verdict.peers.push_back({lead_in_speed(rows, *native, row), compute_ratio(*native, row)});
  }
  return verdict;
}

}  // namespace breakeven::decide

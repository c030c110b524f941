#include "study/turns.h"

#include <algorithm>
#include <random>

#include "measure/summary.h"
#include "measure/thresholds.h"

namespace breakeven::study {
namespace {

using record::Record;

// All visits of a turn as one round: the turn is what is repeated, and what the other program's
// turn beside it is compared with.
void make_one_round(std::uint64_t turn, Record& record) {
  record.sample_rounds.assign(record.samples_s.size(), static_cast<std::uint32_t>(turn));
  if (record.rounds.empty()) return;
  record::Round whole = record.rounds.front();
  whole.index = turn;
  whole.passes = 0;
  double seconds = 0;
  for (const record::Round& round : record.rounds) {
    whole.passes += round.passes;
    seconds += round.pass_s * static_cast<double>(round.passes);
  }
  whole.pass_s = seconds / static_cast<double>(std::max<std::uint64_t>(1, whole.passes));
  record.rounds = {whole};
}

void add_reasons(const Record& more, Record& sum) {
  for (const record::Reason& reason : more.reasons) {
    const auto known = std::find_if(sum.reasons.begin(), sum.reasons.end(),
                                    [&](const auto& each) { return each.code == reason.code; });
    if (known == sum.reasons.end()) {
      sum.reasons.push_back(reason);
    } else if (reason.value > known->value) {
      *known = reason;
    }
  }
}

void add_paced(const Record& more, Record& sum) {
  if (!more.paced || !sum.paced) return;
  sum.paced->requests += more.paced->requests;
  sum.paced->answered += more.paced->answered;
  sum.paced->window_s += more.paced->window_s;
  sum.paced->saturated |= more.paced->saturated;
}

void add(const Record& more, Record& sum) {
  const auto append = [](const auto& from, auto& to) {
    to.insert(to.end(), from.begin(), from.end());
  };
  append(more.rounds, sum.rounds);
  append(more.samples_s, sum.samples_s);
  append(more.sample_positions, sum.sample_positions);
  append(more.sample_rounds, sum.sample_rounds);
  append(more.sample_start_s, sum.sample_start_s);
  append(more.schedule_late_s, sum.schedule_late_s);
  sum.passes += more.passes;
  sum.warmup_passes += more.warmup_passes;
  sum.warmup_s += more.warmup_s;
  // Of one turn only, or of a single window: they do not add up.
  sum.latency_note.clear();
  sum.spread.reset();
  add_paced(more, sum);
  add_reasons(more, sum);
}

}  // namespace

std::vector<bool> turn_order(std::size_t turns, std::uint64_t seed) {
  std::vector<bool> order(turns);
  for (std::size_t i = 0; i < turns; ++i) order[i] = i % 2 == 0;
  std::mt19937_64 random(seed);
  // By hand: std::shuffle does not take a vector<bool> everywhere.
  for (std::size_t i = turns; i > 1; --i) {
    const std::size_t other = random() % i;
    const bool kept = order[i - 1];
    order[i - 1] = order[other];
    order[other] = kept;
  }
  return order;
}

std::vector<Record> merge_turns(std::span<const std::vector<Record>> blocks) {
  std::vector<Record> merged;
  for (std::size_t turn = 0; turn < blocks.size(); ++turn) {
    for (Record record : blocks[turn]) {
      if (record.kind != record::Kind::cell) continue;
      make_one_round(turn, record);
      record.latency_s.clear();
      const auto known = std::find_if(merged.begin(), merged.end(),
                                      [&](const Record& each) { return each.cell == record.cell; });
      if (known == merged.end()) {
        merged.push_back(std::move(record));
      } else if (measure::is_invalid(*known)) {
        *known = std::move(record);
      } else if (!measure::is_invalid(record)) {
        add(record, *known);
      }
    }
  }
  std::vector<Record*> all;
  all.reserve(merged.size());
  for (Record& record : merged) all.push_back(&record);
  measure::estimate_from_rounds(all);
  return merged;
}

}  // namespace breakeven::study

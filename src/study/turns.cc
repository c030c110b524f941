#include "study/turns.h"

#include <algorithm>
#include <random>

#include "measure/thresholds.h"

namespace breakeven::study {
namespace {

using record::Record;

// Seconds that a record's samples took in passes.
double timed_s(const Record& record) {
  const double rate = record.reviews_per_s.value;
  return rate > 0 ? static_cast<double>(record.passes * record.texts.count) / rate : 0;
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
  const double seconds = timed_s(sum) + timed_s(more);
  const auto append = [](const auto& from, auto& to) {
    to.insert(to.end(), from.begin(), from.end());
  };
  append(more.samples_s, sum.samples_s);
  append(more.sample_positions, sum.sample_positions);
  append(more.schedule_late_s, sum.schedule_late_s);
  sum.passes += more.passes;
  sum.warmup_passes += more.warmup_passes;
  sum.warmup_s += more.warmup_s;
  const double texts = static_cast<double>(sum.passes * sum.texts.count);
  if (seconds > 0) {
    sum.reviews_per_s = {texts / seconds, std::nullopt, sum.passes};
    sum.tokens_per_s = {texts / seconds * sum.texts.mean_tokens, std::nullopt, sum.passes};
  }
  // Of one turn only, or of a single window: they do not add up.
  sum.latency_s.clear();
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
  for (const std::vector<Record>& block : blocks) {
    for (const Record& record : block) {
      if (record.kind != record::Kind::cell) continue;
      const auto known = std::find_if(merged.begin(), merged.end(),
                                      [&](const Record& each) { return each.cell == record.cell; });
      if (known == merged.end()) {
        merged.push_back(record);
      } else if (measure::is_invalid(*known)) {
        *known = record;
      } else if (!measure::is_invalid(record)) {
        add(record, *known);
      }
    }
  }
  return merged;
}

}  // namespace breakeven::study

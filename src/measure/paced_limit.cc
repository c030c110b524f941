#include "measure/paced_limit.h"

#include <algorithm>
#include <map>

namespace breakeven::measure {

LimitKept p99_within(const record::Record& record, double limit_s) {
  if (record.paced && record.paced->saturated) return LimitKept::missed;
  for (const auto& [name, latency] : record.latency_s) {
    // Of a percentile above the 99th more is allowed.
    if (name != "p99.9" && latency.interval && latency.interval->low > limit_s) {
      return LimitKept::missed;
    }
  }
  const auto p99 = record.latency_s.find("p99");
  if (p99 == record.latency_s.end() || !p99->second.interval) return LimitKept::too_few;
  return p99->second.interval->high <= limit_s ? LimitKept::kept : LimitKept::cannot_tell;
}

Proven proven_rate(std::span<const record::Record* const> windows, double limit_s) {
  struct Seen {
    LimitKept worst = LimitKept::too_few;
    int kept = 0;
  };
  std::map<double, Seen> rates;
  for (const record::Record* window : windows) {
    Seen& seen = rates[window->cell.rate_per_s];
    const LimitKept kept = p99_within(*window, limit_s);
    seen.worst = std::max(seen.worst, kept);
    seen.kept += kept == LimitKept::kept ? 1 : 0;
  }
  Proven proven;
  for (const auto& [rate, seen] : rates) {
    if (seen.worst == LimitKept::missed) {
      proven.missed_per_s = rate;
      break;
    }
    if (seen.worst != LimitKept::kept) continue;
    proven.kept_per_s = rate;
    proven.times = seen.kept;
  }
  return proven;
}

Proven proven_rate(const std::vector<record::Record>& windows, double limit_s) {
  std::vector<const record::Record*> each;
  each.reserve(windows.size());
  for (const record::Record& window : windows) each.push_back(&window);
  return proven_rate(each, limit_s);
}

}  // namespace breakeven::measure

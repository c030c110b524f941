#include "measure/paced_limit.h"

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

}  // namespace breakeven::measure

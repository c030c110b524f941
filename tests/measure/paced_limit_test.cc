#include "measure/paced_limit.h"

#include <gtest/gtest.h>

#include <optional>

namespace breakeven::measure {
namespace {

record::Record paced_record(double rate, bool saturated, std::optional<record::Estimate> p99) {
  record::Record record;
  record.cell.mode = Mode::paced;
  record.cell.rate_per_s = rate;
  record.paced.emplace().saturated = saturated;
  if (p99) record.latency_s["p99"] = *p99;
  return record;
}

record::Estimate between(double low, double high) {
  return {(low + high) / 2, record::Interval{low, high, 0.95}, 1000};
}

TEST(PacedLimit, OnlyAnIntervalWithinTheLimitKeepsIt) {
  EXPECT_EQ(p99_within(paced_record(1, false, between(0.03, 0.05)), 0.05), LimitKept::kept);
  EXPECT_EQ(p99_within(paced_record(1, false, between(0.03, 0.051)), 0.05), LimitKept::cannot_tell);
  EXPECT_EQ(p99_within(paced_record(1, false, between(0.051, 0.06)), 0.05), LimitKept::missed);
  EXPECT_EQ(p99_within(paced_record(1, false, std::nullopt), 0.05), LimitKept::too_few);
  EXPECT_EQ(p99_within(paced_record(1, true, std::nullopt), 0.05), LimitKept::missed);
  // Every request within the limit, but too few independent ones for an interval.
  record::Record few = paced_record(1, false, record::Estimate{0.04, std::nullopt, 900});
  few.samples_s.assign(900, 0.04);
  EXPECT_EQ(p99_within(few, 0.05), LimitKept::too_few);
  // If the median takes too long, so does the p99; the p99.9 may.
  record::Record slow = paced_record(1, false, std::nullopt);
  slow.latency_s["p50"] = between(0.06, 0.07);
  EXPECT_EQ(p99_within(slow, 0.05), LimitKept::missed);
  record::Record tail = paced_record(1, false, between(0.03, 0.05));
  tail.latency_s["p99.9"] = between(0.06, 0.07);
  EXPECT_EQ(p99_within(tail, 0.05), LimitKept::kept);
}

}  // namespace
}  // namespace breakeven::measure

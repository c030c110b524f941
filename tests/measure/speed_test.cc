#include "measure/speed.h"

#include <gmock/gmock.h>

namespace breakeven::measure {
namespace {

using ::testing::HasSubstr;

record::Record row(const Device& device, std::vector<double> pass_s) {
  record::Record record;
  record.cell.device = device;
  record.machine.hypervisor = "KVM";
  for (std::size_t i = 0; i < pass_s.size(); ++i) {
    record.rounds.push_back({i, static_cast<double>(i), 1, pass_s[i], 0.01 * pass_s[i]});
    record.samples_s.push_back(pass_s[i]);
    record.sample_rounds.push_back(static_cast<std::uint32_t>(i));
  }
  return record;
}

TEST(SpeedChange, IsTheMedianCellsAndTheLoops) {
  const std::vector<record::Record> records = {row({}, {1, 1.4, 1.2}), row({}, {5, 7.5, 6}),
                                               row({}, {2, 2.2, 2})};
  const auto changes = speed_changes(records);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_NEAR(changes[0].cells, 1.4, 1e-9);
  EXPECT_NEAR(*changes[0].reference, 0.075 / 0.01, 1e-9);
  EXPECT_THAT(changes[0].cause, HasSubstr("no steal is to be seen"));
}

TEST(SpeedChange, NamesWhatWasSeen) {
  std::vector<record::Record> records = {row({}, {1, 2}), row(Device{{0}}, {1, 1.1})};
  records[0].conditions.emplace().foreign_cpu_share = 0.2;
  records[1].gpu.emplace().throttle_reasons = {"power cap"};
  records[1].gpu->sm_mhz_median = 1605;
  auto changes = speed_changes(records);
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_THAT(changes[0].cause, HasSubstr("other programs used 20.0 % of the CPUs"));
  EXPECT_EQ(changes[1].device, Device{{0}});
  EXPECT_EQ(changes[1].cause, "power cap (SM clock 1605 MHz)");
  records[1].gpu->sm_mhz_limit = 1980;
  EXPECT_EQ(speed_changes(records)[1].cause, "power cap (SM clock 1605 of 1980 MHz)");
  records[0].conditions->steal_share = 0.042;
  changes = speed_changes(records);
  EXPECT_THAT(changes[0].cause, HasSubstr("(steal: 4.20 %)"));
  EXPECT_THAT(changes[0].remedy, HasSubstr("dedicated machine"));
}

TEST(SpeedChange, OneRoundTellsNothing) {
  const std::vector<record::Record> records = {row({}, {1})};
  EXPECT_TRUE(speed_changes(records).empty());
}

TEST(ReferenceLoop, TakesTime) {
  EXPECT_GT(time_reference_loop(1), 0);
  EXPECT_GT(time_reference_loop(2), 0);
}

}  // namespace
}  // namespace breakeven::measure

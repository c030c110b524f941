// The journals that ship: readable, of the GPU they are named after, and fit for a latency model.
#include "record/known.h"

#include <gtest/gtest.h>

#include <cctype>
#include <map>
#include <string>

namespace breakeven::record {
namespace {

TEST(Known, EachJournalHoldsWhatALatencyModelNeeds) {
  const auto names = known_names();
  ASSERT_TRUE(names) << names.error().to_string();
  ASSERT_FALSE(names->empty());
  for (const std::string& name : *names) {
    SCOPED_TRACE(name);
    const auto records = known_records(name);
    ASSERT_TRUE(records) << records.error().to_string();
    std::map<Precision, int> serial;
    for (const Record& record : *records) {
      ASSERT_TRUE(record.model_shape && record.gpu);
      std::string gpu = record.gpu->name;
      for (char& c : gpu) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      EXPECT_NE(gpu.find(name), std::string::npos) << gpu;
      EXPECT_TRUE(record.cell.runtime.is_native() && !record.cell.device.is_cpu());
      EXPECT_GE(record.passes, 1U);
      EXPECT_EQ(record.texts.token_counts.size(), record.texts.count);
      if (record.cell.mode != Mode::serial) continue;
      ++serial[record.cell.precision];
      EXPECT_EQ(record.samples_s.size(), record.sample_positions.size());
    }
    for (const auto& [precision, rows] : serial) EXPECT_GE(rows, 2) << to_string(precision);
  }
}

TEST(Known, ANameThatDoesNotShipTellsWhichDo) {
  const auto records = known_records("../h100");
  ASSERT_FALSE(records);
  EXPECT_EQ(records.error().code, "known/name");
  EXPECT_NE(records.error().message.find("'../h100'"), std::string::npos);
  EXPECT_NE(records.error().hint.find("h100"), std::string::npos);
}

}  // namespace
}  // namespace breakeven::record

// The advice as a person reads it, from made-up records of a CPU and a GPU machine.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "decide/made_up_records.h"
#include "report/advice_document.h"
#include "report/advice_json.h"
#include "report/snapshot.h"

namespace breakeven::report {
namespace {

using breakeven::testing::both_runs;
using breakeven::testing::expect_snapshot;
using ::testing::HasSubstr;
using ::testing::Not;

decide::Question question_of(double load, std::optional<double> p99_s) {
  decide::Question question;
  question.cpu_price = 0.19;
  question.gpu_price = 0.53;
  question.load_per_s = load;
  question.p99_s = p99_s;
  return question;
}

Document document_of(const std::vector<record::Record>& records, const decide::Question& question) {
  const auto advice = decide::advise(records, question);
  EXPECT_TRUE(advice) << (advice ? "" : advice.error().to_string());
  return advice ? make_document(*advice, question) : Document{};
}

TEST(AdviceOutput, LittleLoad) {
  decide::Question question = question_of(2, std::nullopt);
  question.budget_per_month = 200;
  expect_snapshot("advice_little.txt", document_of(both_runs(), question).to_text(100, false));
}

TEST(AdviceOutput, MuchLoadWithinALatency) {
  expect_snapshot("advice_much.md",
                  document_of(both_runs(), question_of(20'000, 0.1)).to_markdown());
}

TEST(AdviceOutput, EnergyColumnsStandWhereThereAreCounters) {
  auto records = both_runs();
  const std::string without = document_of(records, question_of(2, std::nullopt)).to_markdown();
  EXPECT_THAT(without, Not(HasSubstr("J/1,000 texts")));
  EXPECT_THAT(without, HasSubstr("energy: not available"));
  records[1].energy.texts = 320;
  records[1].energy.host_joules_gross = 64;
  const std::string with = document_of(records, question_of(2, std::nullopt)).to_markdown();
  EXPECT_THAT(with, HasSubstr("J/1,000 texts"));
  EXPECT_THAT(with, HasSubstr("| 200 |"));
  EXPECT_THAT(with, HasSubstr("not available"));
}

TEST(AdviceOutput, FitsAHundredColumns) {
  const std::string text = document_of(both_runs(), question_of(20'000, 0.1)).to_text(100, false);
  std::size_t from = 0;
  for (std::size_t end = 0; (end = text.find('\n', from)) != std::string::npos; from = end + 1) {
    EXPECT_LE(report::display_width(text.substr(from, end - from)), 100U)
        << text.substr(from, end - from);
  }
}

TEST(AdviceOutput, JsonHoldsEveryPart) {
  const auto records = both_runs();
  const auto question = question_of(20'000, 0.1);
  const auto advice = decide::advise(records, question);
  ASSERT_TRUE(advice);
  const auto json = nlohmann::json::parse(to_json(*advice, question));
  EXPECT_EQ(json["outcome"], "advice");
  EXPECT_EQ(json["candidates"].size(), 12U);
  EXPECT_EQ(json["candidates"][*advice->winner]["side"], "gpu");
  EXPECT_EQ(json["choices"].size(), 2U);
  EXPECT_EQ(json["break_even_batch"]["rows"].size(), 3U);
  EXPECT_TRUE(json["break_even_load"]["gpu_always_cheaper_above"]["texts_per_s"].is_number());
  EXPECT_EQ(json["engines"].size(), 4U);
  EXPECT_TRUE(json["engines"][0]["model"]["b_s_per_token"]["value"].is_number());
}

}  // namespace
}  // namespace breakeven::report

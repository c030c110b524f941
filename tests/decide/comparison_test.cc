#include "decide/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "report/comparison_document.h"
#include "report/sample_records.h"

namespace breakeven::decide {
namespace {

using breakeven::testing::sample_record;
using breakeven::testing::sample_scaling;
using report::make_document;
using report::to_json;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// Each pass stands for a round.
void add_rounds(record::Record& record) {
  record.rounds.clear();
  const std::size_t per_pass = record.samples_s.size() / record.passes;
  for (std::uint64_t i = 0; i < record.passes; ++i) {
    double pass_s = 0;
    for (std::size_t k = 0; k < per_pass; ++k) pass_s += record.samples_s[i * per_pass + k];
    record.rounds.push_back({i, 10.0 * static_cast<double>(i), 1, pass_s, std::nullopt});
  }
}
std::vector<record::Record> a_run() {
  std::vector<record::Record> records = breakeven::testing::sample_run();
  for (record::Record& record : records) add_rounds(record);
  return records;
}

// The same times, multiplied.
void scale(record::Record& record, double factor) {
  for (double& seconds : record.samples_s) seconds *= factor;
  for (record::Round& round : record.rounds) round.pass_s *= factor;
}
std::vector<record::Record> scaled(std::vector<record::Record> records, double factor) {
  for (record::Record& record : records) scale(record, factor);
  return records;
}

Comparison compared(const std::vector<record::Record>& before,
                    const std::vector<record::Record>& after) {
  auto comparison = compare(before, after, {});
  EXPECT_TRUE(comparison) << (comparison ? "" : comparison.error().message);
  return comparison.value_or(Comparison{});
}

std::string error_code(const std::vector<record::Record>& before,
                       const std::vector<record::Record>& after) {
  const auto comparison = compare(before, after, {});
  return comparison ? "none" : comparison.error().code;
}

TEST(Compare, TheSameRunIsTheSame) {
  const Comparison comparison = compared(a_run(), a_run());
  EXPECT_EQ(comparison.outcome, Change::same);
  EXPECT_EQ(comparison.cells.size(), 12U);
  EXPECT_TRUE(comparison.warnings.empty());
}

TEST(Compare, SlowerAndFasterAreToldApart) {
  EXPECT_EQ(compared(a_run(), scaled(a_run(), 1.1)).outcome, Change::slower);
  EXPECT_EQ(compared(a_run(), scaled(a_run(), 0.9)).outcome, Change::faster);
  const Comparison small = compared(a_run(), scaled(a_run(), 1.02));
  EXPECT_EQ(small.outcome, Change::same);
  EXPECT_NEAR(small.cells.front().ratio.value, 1.02, 1e-9);
}

TEST(Compare, LessThanThreeRoundsDecideNothing) {
  for (const bool first : {true, false}) {
    std::vector<record::Record> before = a_run();
    std::vector<record::Record> after = scaled(a_run(), 1.5);
    (first ? before : after).front().rounds.resize(2);
    const Comparison comparison = compared(before, after);
    EXPECT_EQ(comparison.cells[0].change, Change::cannot_tell);
    EXPECT_THAT(comparison.cells[0].doubt, HasSubstr("fewer than 3 rounds"));
    EXPECT_NEAR(comparison.cells[0].ratio.value, 1.5, 0.1);  // still shown
    EXPECT_EQ(comparison.cells[1].change, Change::slower);
  }
}

TEST(Compare, RecordsWithoutRoundsDecideNothing) {
  std::vector<record::Record> before = a_run();
  before.front().rounds.clear();
  const Comparison comparison = compared(before, scaled(a_run(), 1.5));
  EXPECT_EQ(comparison.cells[0].change, Change::cannot_tell);
  EXPECT_THAT(comparison.cells[0].doubt, HasSubstr("no rounds"));
}

void make_noisy(std::vector<record::Record>& records) {
  for (record::Record& record : records) record.reasons = {{"steal", "", 0.02, 0.01}};
}

TEST(Compare, NoisyRowsOfSeparateRunsDecideOnlyBeyondAFactorOfTwo) {
  const auto outcome = [](double factor) {
    std::vector<record::Record> before = a_run();
    make_noisy(before);
    return compared(before, scaled(a_run(), factor));
  };
  EXPECT_EQ(outcome(1).outcome, Change::cannot_tell);
  EXPECT_EQ(outcome(1.9).outcome, Change::cannot_tell);
  EXPECT_EQ(outcome(1 / 1.9).outcome, Change::cannot_tell);
  EXPECT_EQ(outcome(2.2).outcome, Change::slower);
  EXPECT_EQ(outcome(1 / 2.2).outcome, Change::faster);
  EXPECT_THAT(outcome(1.5).cells[0].doubt, HasSubstr("from one run to the next"));
}

// A neighbour that comes and goes within a run may be there for the whole of the next one.
TEST(Compare, SeparateRunsOfAMachineOfTwoSpeedsDecideOnlyBeyondAFactorOfTwo) {
  const auto outcome = [](double second_speed) {
    std::vector<record::Record> before = {sample_record(Precision::fp32, 32, Mode::stream, 0.1)};
    before[0].samples_s = {12.8, 12.8 * second_speed, 12.8, 12.8 * second_speed, 12.8, 12.8};
    before[0].passes = 6;
    add_rounds(before[0]);
    std::vector<record::Record> after = scaled(before, 1.6);
    return compared(before, after).cells.front();
  };
  EXPECT_EQ(outcome(1.02).change, Change::slower);
  EXPECT_EQ(outcome(1.2).change, Change::cannot_tell);
  EXPECT_THAT(outcome(1.2).doubt, HasSubstr("from one run to the next"));
}

TEST(Compare, NoisyRowsTakenInTurnsDecideLikeOthers) {
  const auto outcome = [](const std::string& first, const std::string& second, double factor) {
    std::vector<record::Record> before = a_run();
    std::vector<record::Record> after = scaled(a_run(), factor);
    make_noisy(before);
    make_noisy(after);
    for (record::Record& record : before) record.runtime_settings["turns"] = first;
    for (record::Record& record : after) record.runtime_settings["turns"] = second;
    return compared(before, after).outcome;
  };
  EXPECT_EQ(outcome("4, from a", "4, from a", 1), Change::same);
  EXPECT_EQ(outcome("4, from a", "4, from a", 1.1), Change::slower);
  EXPECT_EQ(outcome("4, from a", "4, from b", 1.1), Change::cannot_tell);
}

TEST(Compare, TheMinimumEffectIsTheUsers) {
  CompareOptions options;
  options.minimum_effect = 0.01;
  const auto comparison = compare(a_run(), scaled(a_run(), 1.02), options);
  ASSERT_TRUE(comparison);
  EXPECT_EQ(comparison->outcome, Change::slower);
  for (const double effect : {0.0, -0.1, 1.0, std::numeric_limits<double>::quiet_NaN()}) {
    options.minimum_effect = effect;
    const auto refused = compare(a_run(), a_run(), options);
    ASSERT_FALSE(refused) << effect;
    EXPECT_EQ(refused.error().code, "compare/effect");
  }
}

TEST(Compare, OneSlowerCellMakesTheOutcomeSlower) {
  std::vector<record::Record> after = scaled(a_run(), 0.8);
  scale(after[5], 1.5);
  const Comparison comparison = compared(a_run(), after);
  EXPECT_EQ(comparison.outcome, Change::slower);
  EXPECT_EQ(std::count_if(comparison.cells.begin(), comparison.cells.end(),
                          [](const auto& cell) { return cell.change == Change::slower; }),
            1);
}

TEST(Compare, RowsThatDoNotCountCannotBeTold) {
  std::vector<record::Record> after = a_run();
  after[0].reasons = {{"interrupted", "", 1, 0, record::Severity::invalid}};
  after[1].parity->outcome = record::Agreement::failed;
  after[2].samples_s.clear();
  after[3].samples_s[1] = 0;
  after[4].samples_s[0] = std::numeric_limits<double>::quiet_NaN();
  after[5].samples_s[0] = -1;
  after[6].sample_positions = {1, 2};
  const Comparison comparison = compared(a_run(), after);
  EXPECT_EQ(comparison.outcome, Change::cannot_tell);
  const auto doubt = [&](std::size_t cell) { return comparison.cells[cell].doubt; };
  EXPECT_EQ(doubt(0), "after: INVALID: interrupted");
  EXPECT_EQ(doubt(1), "after: outputs break parity (0 of 128 labels differ)");
  EXPECT_EQ(doubt(2), "after holds no samples");
  for (const std::size_t cell : {3U, 4U, 5U}) {
    EXPECT_EQ(doubt(cell), "after holds times that are not above 0");
  }
  EXPECT_THAT(doubt(6), HasSubstr("2 positions for"));
}

TEST(Compare, OtherWorkIsRefusedByName) {
  std::vector<record::Record> after = a_run();
  after[3].model_hash = "other";
  after[3].model_name = "another model";
  EXPECT_EQ(error_code(a_run(), after), "compare/model");
  EXPECT_THAT(compare(a_run(), after, {}).error().message, HasSubstr("another model"));
  after = a_run();
  after[3].texts.hash = "other";
  EXPECT_EQ(error_code(a_run(), after), "compare/texts");
  after = a_run();
  after[3].schema_version = 7;
  EXPECT_EQ(error_code(a_run(), after), "compare/schema");
  EXPECT_EQ(error_code({}, a_run()), "compare/empty");
  EXPECT_EQ(error_code(a_run(), sample_scaling()), "compare/empty");
}

TEST(Compare, WhatDiffersBesideTheTimesIsNamed) {
  std::vector<record::Record> after = a_run();
  for (record::Record& record : after) {
    record.machine.kernel = "9.9";
    record.build.commit = "def";
    record.runtime_settings["streams"] = "4";
  }
  const Comparison comparison = compared(a_run(), after);
  EXPECT_THAT(comparison.warnings, Contains(HasSubstr("kernel: (none) -> 9.9")));
  EXPECT_THAT(comparison.warnings, Contains(HasSubstr("commit: abc -> def")));
  EXPECT_THAT(comparison.warnings, Contains(HasSubstr("runtime streams: (none) -> 4")));
}

TEST(Compare, CellsOfOneFileAreListed) {
  std::vector<record::Record> before = a_run();
  std::vector<record::Record> after(before.begin() + 2, before.end());
  before.pop_back();
  const Comparison comparison = compared(before, after);
  EXPECT_EQ(comparison.cells.size(), 9U);
  EXPECT_EQ(comparison.only_before.size(), 2U);
  ASSERT_EQ(comparison.only_after.size(), 1U);
  const std::string text = make_document(comparison).to_text(100, false);
  EXPECT_THAT(text, HasSubstr("Only before"));
  EXPECT_THAT(text, HasSubstr("- cpu int8, batch 32, 2 threads, stream"));
}

TEST(Compare, NothingInCommonCannotTell) {
  const Comparison comparison = compared({sample_record(Precision::fp32, 1, Mode::serial, 0.1)},
                                         {sample_record(Precision::int8, 1, Mode::serial, 0.1)});
  EXPECT_EQ(comparison.outcome, Change::cannot_tell);
  EXPECT_THAT(make_document(comparison).to_markdown(), HasSubstr("no cell stands in both files"));
}

TEST(Compare, TheLastRecordOfACellCounts) {
  std::vector<record::Record> before = scaled(a_run(), 5);
  for (record::Record& record : a_run()) before.push_back(record);
  const Comparison comparison = compared(before, a_run());
  EXPECT_EQ(comparison.outcome, Change::same);
  EXPECT_THAT(comparison.warnings, Contains(HasSubstr("12 cells measured more than once")));
}

TEST(Compare, JsonHoldsTheSame) {
  std::vector<record::Record> after = scaled(a_run(), 1.1);
  after.back().samples_s.clear();
  const std::string json = to_json(compared(a_run(), after));
  EXPECT_THAT(json, HasSubstr("\"outcome\": \"slower\""));
  EXPECT_THAT(json, HasSubstr("\"change\": \"can't tell\""));
  EXPECT_THAT(json, HasSubstr("\"value\": null"));
}

TEST(Compare, NamesFromAFileDoNotSteerTheTerminal) {
  std::vector<record::Record> before = {sample_record(Precision::fp32, 1, Mode::serial, 0.1)};
  before[0].cell.runtime.variant = "\x1b[2Jfast\n";
  std::vector<record::Record> after = before;
  after[0].machine.kernel = "\x1b]0;title\x07";
  const std::string text = make_document(compared(before, after)).to_text(100, false);
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, Not(HasSubstr("\x07")));
}

}  // namespace
}  // namespace breakeven::decide

#include "record/json.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "example.h"

namespace breakeven::record {
namespace {

using ::testing::HasSubstr;

TEST(Json, AFullRecordComesBackEqual) {
  const Record record = example_record();
  const auto line = to_json_line(record);
  ASSERT_TRUE(line) << line.error().to_string();
  EXPECT_EQ(line->find('\n'), std::string::npos);
  const auto again = parse_record(*line);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(*again, record);
  EXPECT_EQ(*to_json_line(*again), *line);
}

TEST(Json, AnEmptyRecordComesBackEqualAndLeavesAbsentThingsOut) {
  const auto line = to_json_line(Record{});
  ASSERT_TRUE(line);
  for (const char* absent : {"\"parity\"", "\"memory\"", "\"gpu\"", "\"spread\"", "null"}) {
    EXPECT_EQ(line->find(absent), std::string::npos) << absent;
  }
  const auto again = parse_record(*line);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(*again, Record{});
}

// The example differs from the default in every field, so a field that fields.h forgets shows here:
// JSON leaves of the example must be as many as the paths.
TEST(Json, TheExampleHoldsEveryPath) {
  const auto json = nlohmann::json::parse(*to_json_line(example_record()));
  const auto fresh = nlohmann::json::parse(*to_json_line(Record{}));
  for (const auto& [key, value] : json.items()) {
    if (key == "schema_version") continue;
    EXPECT_TRUE(!fresh.contains(key) || fresh[key] != value) << key << " holds its default";
  }
  const auto paths = field_paths();
  EXPECT_TRUE(std::count(paths.begin(), paths.end(), "reasons[].code") == 1);
  EXPECT_TRUE(std::count(paths.begin(), paths.end(), "latency_s.*.interval.low") == 1);
  EXPECT_TRUE(std::count(paths.begin(), paths.end(), "gpu.event_stages.pack_s") == 1);
}

TEST(Json, AnArrayHoldsAllRecords) {
  const std::vector<Record> records = {example_record(), Record{}};
  const auto text = to_json_array(records);
  ASSERT_TRUE(text);
  const auto json = nlohmann::json::parse(*text);
  ASSERT_EQ(json.size(), 2U);
  EXPECT_EQ(*parse_record(json[0].dump()), records[0]);
}

TEST(Json, NotFiniteNumbersAreNeverWritten) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    Record record;
    record.samples_s = {1.0, bad};
    auto line = to_json_line(record);
    ASSERT_FALSE(line);
    EXPECT_EQ(line.error().code, "record/not-finite");
    EXPECT_THAT(line.error().message, HasSubstr("samples_s[]"));
    record = Record{};
    record.latency_s["p50"].interval = Interval{0, bad, 0.95};
    line = to_json_line(record);
    ASSERT_FALSE(line);
    EXPECT_THAT(line.error().message, HasSubstr("latency_s.p50.interval.high"));
    const std::vector<Record> records = {record};
    EXPECT_FALSE(to_json_array(records));
  }
}

TEST(Json, InvalidUtf8InATextBecomesTheReplacementCharacter) {
  Record record;
  record.model_name = "a\xFFz";
  const auto again = parse_record(*to_json_line(record));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->model_name, "a\xEF\xBF\xBDz");
}

struct Refused {
  const char* json;
  const char* code;
  const char* message;
};

class RefusedJson : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedJson, NamesItsCause) {
  const auto record = parse_record(GetParam().json);
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, GetParam().code);
  EXPECT_THAT(record.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Each, RefusedJson,
    ::testing::Values(
        Refused{"", "record/json", "not JSON"}, Refused{"[]", "record/json", "not a JSON object"},
        Refused{"{\"schema_version\":1", "record/json", "not JSON"},
        Refused{"# Title", "record/json", "not JSON: byte 0: a value is expected"},
        Refused{"{\"schema_version\":1,\"cell\":{},\"warmup_s\":NaN}", "record/json", "not JSON"},
        Refused{"{\"schema_version\":1,\"cell\":{},\"warmup_s\":1e999}", "record/json", "1e999"},
        Refused{"{\"cell\":{}}", "record/field", "schema_version is missing"},
        Refused{"{\"schema_version\":1}", "record/field", "cell is missing"},
        Refused{"{\"schema_version\":3,\"cell\":{}}", "record/schema", "schema_version is 3"},
        Refused{"{\"schema_version\":99999999999,\"cell\":{}}", "record/schema", "99999999999"},
        Refused{"{\"schema_version\":0,\"cell\":{}}", "record/schema", "from 1"},
        Refused{"{\"schema_version\":\"1\",\"cell\":{}}", "record/schema", "whole number"},
        Refused{"{\"schema_version\":1,\"cell\":7}", "record/field", "cell is 7, not an object"},
        Refused{"{\"schema_version\":1,\"cell\":{\"batch\":-1}}", "record/field",
                "cell.batch is -1, not a whole number"},
        Refused{"{\"schema_version\":1,\"cell\":{\"batch\":1.5}}", "record/field", "cell.batch"},
        Refused{"{\"schema_version\":1,\"cell\":{\"threads\":4294967296}}", "record/field",
                "cell.threads is 4294967296"},
        Refused{"{\"schema_version\":1,\"cell\":{\"device\":null}}", "record/field",
                "cell.device is null, not a text"},
        Refused{R"({"schema_version":1,"cell":{"device":"gpu"}})", "record/field",
                "cell.device is \"gpu\", not a device such as cpu"},
        Refused{R"({"schema_version":1,"cell":{"precision":"fp4"}})", "record/field",
                "cell.precision is \"fp4\", not one of fp32, "},
        Refused{R"({"schema_version":1,"cell":{"mode":""}})", "record/field",
                "cell.mode is \"\", not one of serial, stream, paced"},
        Refused{"{\"schema_version\":1,\"cell\":{},\"samples_s\":[1,\"x\"]}", "record/field",
                "samples_s[1] is \"x\", not a number"},
        Refused{"{\"schema_version\":1,\"cell\":{},\"samples_s\":{}}", "record/field", "a list"},
        Refused{"{\"schema_version\":1,\"cell\":{},\"latency_s\":[]}", "record/field", "an object"},
        Refused{R"({"schema_version":2,"cell":{},"reasons":[{"severity":"GOOD"}]})", "record/field",
                "one of note, invalid"},
        Refused{"{\"schema_version\":1,\"cell\":{},\"build\":{\"dirty\":1}}", "record/field",
                "true or false"}));

TEST(Json, ARecordOfSchema1HasNoRounds) {
  const auto record = parse_record(
      R"({"schema_version":1,"cell":{},"verdict":"INVALID","passes":2,"samples_s":[1,2],)"
      R"("reasons":[{"code":"spread","severity":"NOISY"},{"code":"steal","severity":"INVALID"}]})");
  ASSERT_TRUE(record) << record.error().to_string();
  EXPECT_EQ(record->schema_version, 1);
  EXPECT_EQ(record->passes, 2U);
  EXPECT_TRUE(record->rounds.empty() && record->sample_rounds.empty());
  EXPECT_EQ(record->reasons.at(0).severity, Severity::note);
  EXPECT_EQ(record->reasons.at(1).severity, Severity::invalid);
}

TEST(Json, UnknownFieldsAreIgnored) {
  const auto record = parse_record(
      R"({"schema_version":1,"cell":{"batch":32,"shape":"round"},"later":{"deep":[1,[2]]}})");
  ASSERT_TRUE(record) << record.error().to_string();
  EXPECT_EQ(record->cell.batch, 32U);
}

TEST(Json, DeepNestingIsNoCrash) {
  const std::string deep(200000, '[');
  EXPECT_FALSE(parse_record(deep));
  EXPECT_FALSE(
      parse_record("{\"schema_version\":1,\"cell\":" + deep + std::string(200000, ']') + "}"));
}

}  // namespace
}  // namespace breakeven::record

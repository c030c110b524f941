#include "base/json.h"

#include <gmock/gmock.h>

#include "base/json_scan.h"
#include "base/utf8.h"

namespace breakeven {
namespace {

using ::testing::HasSubstr;

Result<JsonDocument> parsed(std::string_view text) {
  return JsonDocument::parse(text, {"file.json", "test/json", "test/field", "save it again"});
}

TEST(Json, ReadsEveryKindOfValue) {
  const auto document = parsed(R"({"a": true, "b": -3, "c": 18446744073709551615, "d": 0.1,
                                   "e": "\u00e9\n", "f": [1, 2], "g": {"h": null}})");
  ASSERT_TRUE(document) << document.error().to_string();
  const JsonValue root = document->value();
  EXPECT_EQ(root.find("a")->boolean(), true);
  EXPECT_EQ(root.find("b")->integer(), -3);
  EXPECT_EQ(root.find("b")->count(), std::nullopt);
  EXPECT_EQ(root.find("b")->number(), -3.0);
  EXPECT_EQ(root.find("c")->count(), 18446744073709551615ULL);
  EXPECT_EQ(root.find("d")->number(), 0.1);
  EXPECT_EQ(root.find("d")->count(), std::nullopt);
  EXPECT_EQ(root.find("e")->text(), "\xC3\xA9\n");
  EXPECT_EQ(root.find("f")->list().size(), 2U);
  EXPECT_TRUE(root.find("g")->find("h")->is_null());
  EXPECT_FALSE(root.find("missing"));
  EXPECT_EQ(root.find("f")->shown(), "[1,2]");
  EXPECT_EQ(root.find("e")->text()->size(), 3U);
}

TEST(Json, AWholeNumberBeyond64BitsIsFloatingPoint) {
  const auto document = parsed(
      R"({"limit": 1000000000000000019884624838656, "text": "1000000000000000019884624838656",
          "fraction": 0.1000000000000000019884624838656, "most": 18446744073709551616})");
  ASSERT_TRUE(document) << document.error().to_string();
  EXPECT_EQ(document->value().find("limit")->number(), 1e30);
  EXPECT_EQ(document->value().find("text")->text(), "1000000000000000019884624838656");
  EXPECT_EQ(document->value().find("fraction")->number(), 0.1);
  EXPECT_EQ(document->value().find("most")->number(), 18446744073709551616.0);
}

TEST(Json, OfTwoFieldsWithOneNameTheLastCounts) {
  const auto document = parsed(R"({"a": 1, "b": 2, "a": 3})");
  EXPECT_EQ(document->value().find("a")->count(), 3U);
  EXPECT_EQ(document->value().object().size(), 3U);
}

TEST(Json, AByteOrderMarkIsSkipped) {
  EXPECT_TRUE(parsed("\xEF\xBB\xBF{}"));
}

TEST(Json, ABrokenTextIsToldWithItsPlace) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "byte 0: nothing here"},
      {"{\"a\": }", "byte 6: a value is expected"},
      {"{\"a\": 1,}", "byte 8: a field name in quotes is expected"},
      {"[1, 2", "byte 5: a ',' or ']' is expected"},
      {"{} {}", "byte 3: more text behind the value"},
      {"[\"a\nb\"]", "byte 3: a control character"},
      {"[\"\\x\"]", "byte 3: an unknown escape"},
      {"[01]", "byte 2"},
      {"[\"\xFF\"]", "byte 2 is no UTF-8"},
      {"[NaN]", "byte 1: a value is expected"},
      {std::string(100'000, '['), "nested more than 200 deep"},
  };
  for (const auto& [text, told] : cases) {
    const auto document = parsed(text);
    ASSERT_FALSE(document) << text.substr(0, 40);
    EXPECT_EQ(document.error().code, "test/json");
    EXPECT_THAT(document.error().message, HasSubstr("file.json: not JSON: "));
    EXPECT_THAT(document.error().message, HasSubstr(told)) << text.substr(0, 40);
    EXPECT_EQ(document.error().hint, "save it again");
  }
  EXPECT_TRUE(parsed(std::string(190, '[') + std::string(190, ']')));
  EXPECT_THAT(parsed("[\"9\", 1e400]").error().message, HasSubstr("byte 6: 1e400 is beyond"));
  EXPECT_FALSE(parsed("\"\\ud800\""));
}

TEST(Json, FieldsAreCheckedAndRefusedByPathAndValue) {
  const auto document = parsed(
      R"({"model": {"vocab": {"a": -1}, "name": 7, "flag": "no", "list": [1], "none": null}})");
  const JsonObject model = document->object()->object("model").value();
  const auto told = [](const auto& result) {
    return result ? std::string("fine") : result.error().code + ": " + result.error().message;
  };
  EXPECT_EQ(told(model.text("name")), "test/field: file.json: model.name is 7, not a text");
  EXPECT_EQ(told(model.boolean("flag", true)),
            "test/field: file.json: model.flag is \"no\", not true or false");
  EXPECT_EQ(told(model.count("name", {8, 9})),
            "test/field: file.json: model.name is 7, not a whole number from 8 to 9");
  EXPECT_EQ(told(model.list("list", {2, 2})),
            "test/field: file.json: model.list has 1 entries, not 2");
  EXPECT_EQ(told(model.object("list")), "test/field: file.json: model.list is [1], not an object");
  EXPECT_EQ(told(model.object("none")), "test/field: file.json: model.none is null");
  EXPECT_EQ(told(model.number("absent")), "test/field: file.json: model.absent is missing");
  EXPECT_EQ(told(model.object("vocab")->count("a")),
            "test/field: file.json: model.vocab.a is -1, not a whole number from 0 on");
  EXPECT_EQ(model.text("none", "default").value(), "default");
  EXPECT_EQ(model.number("absent", 0.5).value(), 0.5);
  EXPECT_EQ(model.count("name").value(), 7U);
  EXPECT_EQ(parsed("[]")->object().error().message, "file.json: not a JSON object");
}

TEST(Json, ALongValueIsCutBetweenCharacters) {
  std::string text = "[\"";
  for (int i = 0; i < 40; ++i) text += "\xC3\xA9";
  const auto document = parsed(text + "\"]");
  EXPECT_TRUE(is_valid_utf8(document->value().shown(11)));
  EXPECT_THAT(document->value().shown(11), ::testing::EndsWith("\xA9..."));
}

TEST(JsonScan, AgreesWithTheParserOnGrammar) {
  for (const char* good :
       {"{}", "[]", " [1,-0.5e+3, \"\\u12aF\"] ", "null", "{\"a\":{\"b\":[{}]}}"}) {
    EXPECT_FALSE(scan_json(good)) << good;
    EXPECT_TRUE(parsed(good)) << good;
  }
  for (const char* bad : {"", "{", "[1,]", "nul", "+1", "1.", "\"\\u12g4\"", "{\"a\"}", "[] []"}) {
    EXPECT_TRUE(scan_json(bad)) << bad;
    EXPECT_FALSE(parsed(bad)) << bad;
  }
}

TEST(Utf8, TheFirstInvalidByteIsFound) {
  EXPECT_EQ(first_invalid_utf8(""), 0U);
  EXPECT_EQ(first_invalid_utf8("plain text that is longer than a word"), 37U);
  EXPECT_EQ(first_invalid_utf8("0123456789\xC3\xA9\xC3"), 12U);
  EXPECT_EQ(repair_utf8("a\xF0\x9F\x98z\xFF"), "a\xEF\xBF\xBDz\xEF\xBF\xBD");
}

}  // namespace
}  // namespace breakeven

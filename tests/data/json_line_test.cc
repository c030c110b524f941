#include "data/json_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "base/utf8.h"

namespace breakeven::data {
namespace {

using ::testing::ElementsAre;

std::string parsed(std::string_view json) {
  std::vector<JsonField> fields;
  if (auto ok = parse_object(json, fields); !ok) return ok.error().message;
  std::string out;
  for (const JsonField& field : fields)
    out.append(field.key).append("=").append(field.value) += ';';
  return out;
}

TEST(JsonLine, GivesFieldsAsTheyStand) {
  EXPECT_EQ(parsed(R"( { "a" : 1.10 , "b":[1, {"c":null}],"d":"x\"y" , "e":{"f":{}} } )"),
            R"(a=1.10;b=[1, {"c":null}];d="x\"y";e={"f":{}};)");
  EXPECT_EQ(parsed(R"({"id":123456789012345678901234567890,"e":-1.5e+400})"),
            "id=123456789012345678901234567890;e=-1.5e+400;");
  EXPECT_EQ(parsed("{}"), "");
  EXPECT_EQ(parsed("{ }\r\n"), "");
}

TEST(JsonLine, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(parsed(""), "nothing here (column 1)");
  EXPECT_EQ(parsed("[1]"), "an array, not an object (column 1)");
  EXPECT_EQ(parsed("hello"), "not a JSON object (column 1)");
  EXPECT_EQ(parsed(R"({"a":1)"), "a ',' or '}' is expected (column 7)");
  EXPECT_EQ(parsed(R"({"a" 1})"), "a ':' is expected (column 6)");
  EXPECT_EQ(parsed(R"({"a":1,})"), "a field name in quotes is expected (column 8)");
  EXPECT_EQ(parsed(R"({a:1})"), "a field name in quotes is expected (column 2)");
  EXPECT_EQ(parsed(R"({"a":})"), "a value is expected (column 6)");
  EXPECT_EQ(parsed(R"({"a":tru})"), "a value is expected (column 6)");
  EXPECT_EQ(parsed(R"({"a":NaN})"), "a value is expected (column 6)");
  EXPECT_EQ(parsed(R"({"a":01})"), "a ',' or '}' is expected (column 7)");
  EXPECT_EQ(parsed(R"({"a":1.})"), "a digit is expected (column 8)");
  EXPECT_EQ(parsed(R"({"a":1e})"), "a digit is expected (column 8)");
  EXPECT_EQ(parsed(R"({"a":-})"), "a digit is expected (column 7)");
  EXPECT_EQ(parsed(R"({"a":[1 2]})"), "a ',' or ']' is expected (column 9)");
  EXPECT_EQ(parsed(R"({"a":"x)"), "the string does not end (column 8)");
  EXPECT_EQ(parsed(R"({"a":"x\)"), "the string does not end (column 9)");
  EXPECT_EQ(parsed(R"({"a":"\q"})"), "an unknown escape in a string (column 8)");
  EXPECT_EQ(parsed(R"({"a":"\u12g4"})"), "\\u needs four hexadecimal digits (column 11)");
  EXPECT_EQ(parsed("{\"a\":\"\t\"}"), "a control character must be escaped in a string (column 7)");
  EXPECT_EQ(parsed(R"({"a":1} {"b":2})"), "more text behind the object (column 9)");
  EXPECT_EQ(parsed("{\"a\":" + std::string(100'000, '[')),
            "nested more than 200 deep (column 206)");
}

TEST(JsonLine, DecodesStrings) {
  EXPECT_EQ(decode_string(R"("a\"b\\c\/d\be\ff\ng\rh\ti")"), "a\"b\\c/d\be\ff\ng\rh\ti");
  EXPECT_EQ(decode_string(R"("\u00e9\u20AC\ud83d\ude00\u0000!")"),
            std::string("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\0!", 11));
  EXPECT_EQ(decode_key(R"(te\u0078t)"), "text");
}

TEST(JsonLine, LoneSurrogatesBecomeTheReplacementCharacter) {
  const std::string fffd = "\xEF\xBF\xBD";
  EXPECT_EQ(decode_string(R"("\ud83d")"), fffd);
  EXPECT_EQ(decode_string(R"("\ud83dx")"), fffd + "x");
  EXPECT_EQ(decode_string(R"("\ude00\ud83d")"), fffd + fffd);
  EXPECT_EQ(decode_string(R"("\ud83d\ud83d\ude00")"), fffd + "\xF0\x9F\x98\x80");
  EXPECT_EQ(decode_string(R"("\ud83d\n")"), fffd + "\n");
  EXPECT_EQ(decode_string(R"("\ud83d\u0041")"), fffd + "A");
}

TEST(JsonLine, RepairsUtf8ByMaximalParts) {
  const std::string fffd = "\xEF\xBF\xBD";
  for (const std::string good : {"", "plain", "caf\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
                                 "eight bytes and \xED\x9F\xBF \xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_valid_utf8(good)) << good;
    EXPECT_EQ(repair_utf8(good), good);
  }
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\x80", fffd},
      {"a\xFFz", "a" + fffd + "z"},
      {"\xC0\xAF", fffd + fffd},                        // overlong
      {"\xE0\x80\x80", fffd + fffd + fffd},             // overlong
      {"\xED\xA0\x80", fffd + fffd + fffd},             // a surrogate
      {"\xF4\x90\x80\x80", fffd + fffd + fffd + fffd},  // over U+10FFFF
      {"\xE2\x82", fffd},                               // cut off: one maximal part
      {"\xE2\x82z", fffd + "z"},
      {"\xF0\x9F\x98", fffd},
      {"12345678\xF0\x9F\x98z12345678", "12345678" + fffd + "z12345678"},
      {"\xC3", fffd},
  };
  for (const auto& [bad, repaired] : cases) {
    EXPECT_FALSE(is_valid_utf8(bad));
    EXPECT_EQ(repair_utf8(bad), repaired);
  }
}

TEST(JsonLine, WrittenStringsReadBack) {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  all += "\xC3\xA9\xF0\x9F\x98\x80";
  std::string out;
  append_json_string(all, out);
  EXPECT_EQ(nlohmann::json::parse(out).get<std::string>(), all);
  EXPECT_EQ(decode_string(out), all);
  out.clear();
  append_json_string("a\xFFz", out);
  EXPECT_EQ(out, "\"a\xEF\xBF\xBDz\"");
}

// Random edits of good lines: we accept what nlohmann::json accepts, and decode to the same
// strings.
TEST(JsonLine, AgreesWithAnotherParserOnRandomText) {
  std::mt19937 random(7);
  const std::string seedling =
      R"({"text":"He said \"no\" \u00e9\n","label":-1.5e3,"x":[true,false,null,{"y":[]}],"z":{"":0}})";
  const std::string letters = R"({}[]",:\u0123eE.+-tfn 9ad)";
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string line = seedling;
    for (unsigned edits = random() % 4; edits > 0; --edits) {
      const std::size_t at = random() % line.size();
      const char letter = letters[random() % letters.size()];
      if (random() % 2 == 0) {
        line[at] = letter;
      } else if (random() % 2 == 0) {
        line.insert(line.begin() + static_cast<std::ptrdiff_t>(at), letter);
      } else {
        line.erase(at, 1);
      }
    }
    std::vector<JsonField> fields;
    const bool ours = parse_object(line, fields).has_value();
    nlohmann::json theirs = nlohmann::json::parse(line, nullptr, false);
    const bool has_surrogate = line.find("\\ud") != std::string::npos;
    // Numbers over the range of double are grammar, which is all that we judge.
    if (has_surrogate ||
        (ours && theirs.is_discarded() && line.find_first_of("eE") != std::string::npos &&
         line.find("3") != std::string::npos)) {
      continue;
    }
    ASSERT_EQ(ours, !theirs.is_discarded() && theirs.is_object()) << line;
    if (!ours) continue;
    ++accepted;
    for (const JsonField& field : fields) {
      const std::string key = decode_key(field.key);
      ASSERT_TRUE(theirs.contains(key)) << line;
      if (field.is_string() && theirs[key].is_string() && &field == &fields.front()) {
        ASSERT_EQ(decode_string(field.value), theirs[key].get<std::string>()) << line;
      }
    }
  }
  EXPECT_GT(accepted, 3'000);
}

}  // namespace
}  // namespace breakeven::data

#include "data/source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "data/json_values.h"
#include "data/labels.h"
#include "helpers.h"

namespace breakeven::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class JsonlSource : public ::testing::Test {
 protected:
  Result<std::vector<Review>> read(std::string_view content, const std::string& name = "t.jsonl") {
    options_.texts = put_file(folder_ / name, content);
    return all_of(options_);
  }
  testing::TempDir folder_;
  SourceOptions options_{.labels = {"NEGATIVE", "POSITIVE"}};
};

TEST_F(JsonlSource, ReadsTextsLabelsAndTheRest) {
  const auto reviews = read(
      "\xEF\xBB\xBF{\"text\":\"a\",\"label\":\"Positive\",\"id\":1.10,\"tags\":[1, 2]}\r\n"
      "\n  \n"
      "{\"label\":0,\"te\\u0078t\":\"b\"}\n"
      "{\"text\":\"c\",\"label\":true}\n"
      "{\"text\":\"d\",\"label\":null}\n"
      "{\"text\":\"e\",\"label\":1.0}\n"
      "{\"text\":\"f\",\"label\":\"0\"}\n"
      "{\"text\":\"g\"}");
  ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
  EXPECT_THAT(texts_of(*reviews), ElementsAre("a", "b", "c", "d", "e", "f", "g"));
  std::vector<int> labels;
  for (const Review& review : *reviews) labels.push_back(review.label.value_or(-1));
  EXPECT_THAT(labels, ElementsAre(1, 0, 1, -1, 1, 0, -1));
  EXPECT_EQ((*reviews)[0].extra, R"({"id":1.10,"tags":[1, 2]})");
  EXPECT_EQ((*reviews)[1].extra, "");
}

TEST_F(JsonlSource, PairsByTheUsualNamesAreFoundAndSaid) {
  for (const auto& [first, second] :
       std::initializer_list<std::pair<const char*, const char*>>{{"text", "text_pair"},
                                                                  {"premise", "hypothesis"},
                                                                  {"query", "passage"},
                                                                  {"question", "sentence"},
                                                                  {"sentence1", "sentence2"},
                                                                  {"question1", "question2"}}) {
    const auto content = fmt::format(R"({{"{1}":"b","id":1,"{0}":"a"}}
{{"{0}":"c","{1}":""}})",
                                     first, second);
    const auto reviews = read(content);
    ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
    EXPECT_THAT(texts_of(*reviews), ElementsAre("a", "c"));
    EXPECT_THAT(seconds_of(*reviews), ElementsAre("b", ""));
    EXPECT_EQ((*reviews)[0].extra, R"({"id":1})");
    EXPECT_EQ((*reviews)[1].view().second, "");
    const auto said = open_source(options_).value()->assumptions();
    ASSERT_EQ(said.size(), 1U);
    EXPECT_NE(said[0].find(fmt::format("a pair, '{}' and '{}'", first, second)), std::string::npos);
  }
}

TEST_F(JsonlSource, AFieldCalledTextComesBeforePairsOfOtherNames) {
  const auto reviews = read(R"({"text":"t","premise":"a","hypothesis":"b"})");
  EXPECT_THAT(texts_of(*reviews), ElementsAre("t"));
  EXPECT_THAT(seconds_of(*reviews), ElementsAre(std::nullopt));
  EXPECT_REFUSED(
      read(R"({"premise":"a","hypothesis":"b","query":"c","passage":"d"})"), "data/ambiguous-pair",
      {"line 1", "'premise' and 'hypothesis'", "--text-field query --pair-field passage"});
  EXPECT_REFUSED(read(R"({"premise":"a"})"), "data/missing-field", {"'text'", "premise"});
}

TEST_F(JsonlSource, FieldsOfPairsCanBeNamed) {
  options_.text_field = "premise";
  const std::string content = R"({"premise":"a","hypothesis":"b","other":"c"})";
  EXPECT_THAT(seconds_of(*read(content)), ElementsAre(std::nullopt));
  options_.pair_field = "other";
  const auto reviews = read(content);
  EXPECT_THAT(seconds_of(*reviews), ElementsAre("c"));
  EXPECT_EQ((*reviews)[0].extra, R"({"hypothesis":"b"})");
  options_.text_field = "";
  EXPECT_THAT(seconds_of(*read(R"({"text":"a","other":"c"})")), ElementsAre("c"));
  EXPECT_REFUSED(read(R"({"text":"a","other":"c"}
{"text":"a"})"),
                 "data/missing-field", {"line 2", "'other'", "--pair-field"});
  EXPECT_REFUSED(read(R"({"text":"a","other":null})"), "data/wrong-type",
                 {"'other' is null", "--pair-field"});
  EXPECT_REFUSED(read("x\n", "t.txt"), "data/missing-field", {"--pair-field other", "no fields"});
  options_.texts = "builtin";
  EXPECT_REFUSED(all_of(options_), "data/missing-field", {"--pair-field other", "builtin"});
}

TEST_F(JsonlSource, OtherFieldNamesAndNoLabels) {
  options_.text_field = "body";
  options_.label_field = "stars";
  options_.labels = {"1 star", "2 stars", "3 stars"};
  const auto labelled = read(R"({"body":"x","stars":"2 Stars","text":7})");
  ASSERT_TRUE(labelled.has_value()) << labelled.error().to_string();
  EXPECT_EQ((*labelled)[0].label, 1);
  EXPECT_EQ((*labelled)[0].extra, R"({"text":7})");
  options_.label_field = "";
  const auto plain = read(R"({"body":"x","stars":"no label of this model"})");
  ASSERT_TRUE(plain.has_value()) << plain.error().to_string();
  EXPECT_EQ((*plain)[0].label, std::nullopt);
  EXPECT_EQ((*plain)[0].extra, R"({"stars":"no label of this model"})");
}

TEST_F(JsonlSource, OfTwoFieldsOfOneNameTheLastCounts) {
  const auto reviews = read(R"({"text":"first","text":"last"})");
  ASSERT_TRUE(reviews.has_value());
  EXPECT_EQ((*reviews)[0].text, "last");
}

TEST_F(JsonlSource, BrokenUtf8AndLoneSurrogatesBecomeTheReplacementCharacter) {
  const auto reviews = read("{\"text\":\"a\xFF\\ud800\",\"x\":\"\xC3\"}\n");
  ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
  EXPECT_EQ((*reviews)[0].text, "a\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ((*reviews)[0].extra, "{\"x\":\"\xEF\xBF\xBD\"}");
}

TEST_F(JsonlSource, RefusesBrokenLinesByNumberAndThenEnds) {
  options_.texts = put_file(folder_ / "t.jsonl", "{\"text\":\"ok\"}\n\n{\"text\":\"cut\n");
  const auto source = open_source(options_).value();
  EXPECT_TRUE(source->next().value().has_value());
  EXPECT_REFUSED(source->next(), "data/json",
                 {"t.jsonl, line 3", "does not end", "--input-format"});
  EXPECT_FALSE(source->next().value().has_value());
}

TEST_F(JsonlSource, ReadsAnArrayOfObjects) {
  for (const char* content :
       {"[{\"text\":\"a [\",\"id\":1},{\"text\":\"b \\\"}\",\"id\":2}]",
        "\xEF\xBB\xBF [\n  {\n    \"text\": \"a [\",\r\n    \"id\": 1\n  },\n  {\"text\":\"b "
        "\\\"}\",\"id\":2}\n]\n",
        "[\r{\"text\":\"a [\",\"id\":1}\r,\r{\"text\":\"b \\\"}\",\"id\":2}\r]\r"}) {
    for (const char* name : {"t.json", "t.jsonl", "noname"}) {
      const auto reviews = read(content, name);
      ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
      EXPECT_THAT(texts_of(*reviews), ElementsAre("a [", "b \"}"));
    }
  }
  EXPECT_EQ(read("[x] is no JSON\n", "noname").value()[0].text, "[x] is no JSON");
}

TEST_F(JsonlSource, ReadsObjectsThatGoOverSeveralLines) {
  const auto reviews =
      read("{\n  \"text\": \"a\",\n  \"tags\": [\n    1\n  ]\n}\n{\n  \"text\": \"b\"\n}\n");
  ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
  EXPECT_THAT(texts_of(*reviews), ElementsAre("a", "b"));
  EXPECT_EQ((*reviews)[0].extra, "{\"tags\":[1]}");
}

TEST(JsonValues, AnArrayOnOneLineMayBeLongerThanALine) {
  const std::string object = R"({"text":")" + std::string(900, 'x') + "\"}";
  const std::string array = "[" + object + "," + object + "]";
  LineReader lines(bytes_of(array, "t"), 1000);
  JsonValues values(lines);
  EXPECT_EQ(values.next().value(), object);
  EXPECT_EQ(values.next().value(), object);
  EXPECT_EQ(values.next().value(), std::nullopt);
  LineReader tight(bytes_of(array, "t"), 900);
  EXPECT_REFUSED(JsonValues(tight).next(), "data/line-too-long", {"t, line 1"});
}

TEST_F(JsonlSource, RefusesBrokenArraysByTheLine) {
  EXPECT_REFUSED(read("[\n{\"text\":\"a\"}\n"), "data/json", {"line 1", "does not end"});
  EXPECT_REFUSED(read("[\n{\"text\":\"a\"},\n{\"text\":"), "data/json", {"line 3", "does not end"});
  EXPECT_REFUSED(read("[{\"text\":\"a\"}\n{\"text\":\"b\"}]"), "data/json",
                 {"line 2", "',' or ']'"});
  EXPECT_REFUSED(read("[{\"text\":\"a\"},]"), "data/json", {"line 1", "object is expected"});
  EXPECT_REFUSED(read("[{\"text\":\"a\"}]\nmore"), "data/json", {"line 2", "behind the array"});
  EXPECT_REFUSED(read("[\"a\"]"), "data/json", {"line 1", "a string stands", "jq -c"});
  EXPECT_REFUSED(read("[{\"text\":\"a\"},\n{\"text\" \"b\"}]"), "data/json", {"line 2", "':'"});
  EXPECT_REFUSED(read("[]"), "data/empty", {"t.jsonl"});
}

TEST_F(JsonlSource, SaysWhatToDoWithOtherShapes) {
  EXPECT_REFUSED(read("{\"data\":[{\"text\":\"a\"}]}"), "data/missing-field", {"jq -c '.data[]'"});
  EXPECT_REFUSED(read("{\"text\":{\"0\":\"a\"}}"), "data/wrong-type",
                 {"an object", "orient='records'"});
  EXPECT_REFUSED(read("\"a\"\n\"b\"\n"), "data/json", {"jq -c '{text: .}'"});
  EXPECT_REFUSED(read("{'text': 'a'}\n"), "data/json", {"json.dumps"});
  EXPECT_REFUSED(read("{\"text\":\"a\"},\n{\"text\":\"b\"}\n"), "data/json", {"commas", "[ ]"});
}

TEST_F(JsonlSource, NumbersThatJsonDoesNotHaveAreNoObstacle) {
  options_.texts = put_file(
      folder_ / "t.jsonl",
      "{\"text\":\"NaN\",\"a\":NaN,\"b\":[1,-Infinity,{\"Infinity\":Infinity}],\"c\":\"\\\"NaN\"}\n"
      "{\"text\":\"b\",\"label\":NaN,\"d\":1.5}\n");
  const auto source = open_source(options_).value();
  const auto first = source->next();
  ASSERT_TRUE(first.has_value()) << first.error().to_string();
  EXPECT_EQ((*first)->text, "NaN");
  EXPECT_EQ((*first)->extra, R"({"a":null,"b":[1,null,{"Infinity":null}],"c":"\"NaN"})");
  const auto second = source->next().value();
  EXPECT_EQ(second->label, std::nullopt);
  EXPECT_EQ(second->extra, "{\"d\":1.5}");
  EXPECT_NE(source->losses().find("3 NaN or Infinity"), std::string::npos) << source->losses();
  EXPECT_REFUSED(read("{\"text\":NaN}"), "data/wrong-type", {"a number"});
  EXPECT_REFUSED(read("{\"text\":\"a\",\"x\":Nan}"), "data/json", {"a value is expected"});
}

TEST_F(JsonlSource, LinesMayEndAsOnOldMacs) {
  EXPECT_THAT(texts_of(read("{\"text\":\"a\"}\r{\"text\":\"b\"}\r").value()),
              ElementsAre("a", "b"));
}

TEST_F(JsonlSource, RefusesAMissingField) {
  EXPECT_REFUSED(read("{\"text\":\"a\"}\n{\"review\":\"a\",\"id\":3}\n"), "data/missing-field",
                 {"t.jsonl, line 2", "'text'", "review, id", "--text-field"});
  EXPECT_REFUSED(read("{}\n"), "data/missing-field", {"no fields"});
  EXPECT_TRUE(read("{\"text\":\"a\"}").has_value());
  options_.label_required = true;
  EXPECT_REFUSED(read("{\"text\":\"a\"}"), "data/missing-field", {"'label'", "--label-field"});
}

TEST_F(JsonlSource, RefusesAWrongType) {
  EXPECT_REFUSED(read(R"({"text":5})"), "data/wrong-type", {"line 1", "'text' is a number"});
  EXPECT_REFUSED(read(R"({"text":null})"), "data/wrong-type", {"null"});
  EXPECT_REFUSED(read(R"({"text":["a"]})"), "data/wrong-type", {"an array"});
  EXPECT_REFUSED(read(R"({"text":{"a":1}})"), "data/wrong-type", {"an object"});
  EXPECT_REFUSED(read(R"({"text":true})"), "data/wrong-type", {"true or false"});
  EXPECT_REFUSED(read(R"({"text":"a","label":[1]})"), "data/wrong-type", {"the label is an array"});
  EXPECT_REFUSED(read(R"({"text":"a","label":{}})"), "data/wrong-type", {"the label is an object"});
}

TEST_F(JsonlSource, RefusesUnknownLabels) {
  for (const char* label : {"\"mixed\"", "2", "-1", "0.5", "1e99", "\"2\""}) {
    EXPECT_REFUSED(read(std::string(R"({"text":"a","label":)") + label + "}"), "data/unknown-label",
                   {"t.jsonl, line 1", "NEGATIVE, POSITIVE", "--label-field ''"});
  }
}

TEST_F(JsonlSource, RefusesFilesWithoutRecords) {
  EXPECT_REFUSED(read(""), "data/empty", {"t.jsonl"});
  EXPECT_REFUSED(read("\n \n"), "data/empty", {"t.jsonl", "blank"});
  EXPECT_REFUSED(read("\xEF\xBB\xBF"), "data/empty", {"t.jsonl"});
}

TEST_F(JsonlSource, TheFormatComesFromTheOptionTheNameOrTheBeginning) {
  EXPECT_EQ(read("{\"text\":\"a\"}\n", "noname").value()[0].text, "a");
  EXPECT_EQ(read("text\nb\n", "noname").value()[0].text, "text");
  EXPECT_EQ(read("Texts, labels\nb\n", "noname").value()[0].text, "Texts, labels");
  EXPECT_EQ(read("{a} is a set\n", "t.txt").value()[0].text, "{a} is a set");
  options_.format = Format::csv;
  EXPECT_EQ(read("text,b\nx,y\n", "noname").value()[0].text, "x");
  options_.format = Format::lines;
  EXPECT_EQ(read("{\"text\":\"a\"}\n").value()[0].text, "{\"text\":\"a\"}");
  options_.format = Format::jsonl;
  EXPECT_REFUSED(read("hello\n", "t.txt"), "data/json", {"--input-format lines"});
}

TEST_F(JsonlSource, RecordsInAFileOfAnotherNameAreReadAndSaid) {
  const auto said = [&](std::string_view content, const std::string& name, std::size_t texts) {
    options_.texts = put_file(folder_ / name, content);
    const ReviewSet set = read_reviews(options_, 100).value();
    EXPECT_EQ(set.reviews.size(), texts) << name;
    EXPECT_EQ(set.reviews[0].text, "a") << name;
    return set.remarks.empty() ? "" : set.remarks[0];
  };
  EXPECT_THAT(said("{\"text\":\"a\"}\n{\"text\":\"b\"}\n", "t.txt", 2),
              HasSubstr("t.txt: it begins as JSON does"));
  EXPECT_THAT(said("[\n {\"text\":\"a\"}]\n", "array.txt", 1), HasSubstr("--input-format lines"));
  EXPECT_THAT(said("text,label\na,1\nb,0\n", "t.txt", 2), HasSubstr("a CSV header"));
  EXPECT_THAT(said("id;text\n1;a\n", "noname", 1), HasSubstr("a CSV header"));
  EXPECT_THAT(said("premise\thypothesis\na\tb\n", "pair.dat", 1), HasSubstr("a CSV header"));
  options_.text_field = "body";
  EXPECT_THAT(said("body,id\na,1\n", "t.log", 1), HasSubstr("a CSV header"));
  options_.text_field = "2";
  options_.header = false;
  EXPECT_EQ(said("1,a\n2,b\n", "t.txt", 2), "");  // the flag says it
}

TEST_F(JsonlSource, AnArrayOfStringsIsNoPlainText) {
  for (const char* name : {"t.txt", "noname"}) {
    EXPECT_REFUSED(read("[\"a\", \"b\"]\n", name), "data/json",
                   {"a string stands", "jq -c", "--input-format lines"});
  }
  EXPECT_EQ(read("[a] b\n", "noname").value()[0].text, "[a] b");
}

TEST_F(JsonlSource, FieldsOfPlainLinesAreRefused) {
  options_.text_field = "body";
  EXPECT_REFUSED(read("hello\n", "t.txt"), "data/missing-field",
                 {"--text-field body", "t.txt", "lines", "--input-format jsonl or csv"});
  options_.text_field = "";
  options_.label_required = true;
  EXPECT_REFUSED(read("hello\n", "t.txt"), "data/missing-field", {"--label-field label", "lines"});
}

// A pipe hands out what was written so far.
TEST_F(JsonlSource, AnArrayIsKnownHoweverItsBytesArrive) {
  const std::string path = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&path] {
    const int pipe = ::open(path.c_str(), O_WRONLY);
    for (const std::string_view part : {"[", "\n ", "{\"text\":\"a\"}", "]"}) {
      EXPECT_EQ(::write(pipe, part.data(), part.size()), static_cast<ssize_t>(part.size()));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ::close(pipe);
  });
  options_.texts = path;
  const auto reviews = all_of(options_);
  writer.join();
  ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
  EXPECT_THAT(texts_of(*reviews), ElementsAre("a"));
}

TEST(SourceOptionsTest, FormatsAreParsed) {
  EXPECT_EQ(parse_format("auto").value(), Format::automatic);
  EXPECT_EQ(parse_format("jsonl").value(), Format::jsonl);
  EXPECT_EQ(parse_format("csv").value(), Format::csv);
  EXPECT_EQ(parse_format("lines").value(), Format::lines);
  EXPECT_REFUSED(parse_format("xml"), "data/format", {"'xml'", "jsonl"});
}

TEST(Labels, PositiveAndNegativeAreKnownByAllTheirNames) {
  const LabelMap sst2({"NEGATIVE", "POSITIVE"});
  EXPECT_EQ(sst2.by_name("pos"), 1);
  EXPECT_EQ(sst2.by_name(" Neg "), 0);
  const LabelMap turned({"Positive", "Negative", "neutral"});
  EXPECT_EQ(turned.by_name("pos"), 0);
  EXPECT_EQ(turned.by_name("NEUTRAL"), 2);
  const LabelMap unnamed({"LABEL_0", "LABEL_1"});
  EXPECT_EQ(unnamed.by_name("positive"), 1);
  EXPECT_EQ(unnamed.by_name("label_0"), 0);
  EXPECT_EQ(LabelMap({}).by_name("negative"), 0);
  EXPECT_EQ(LabelMap({"1 star", "2 stars"}).by_name("positive"), std::nullopt);
  EXPECT_EQ(LabelMap({"LABEL_0", "LABEL_1", "LABEL_2"}).by_name("positive"), std::nullopt);
}

TEST(Labels, WithoutAModelNumbersAreTakenAsTheyAre) {
  EXPECT_EQ(LabelMap({}).from_text("7").value(), 7);
  EXPECT_REFUSED(LabelMap({}).from_text("great"), "data/unknown-label", {"'great'"});
  EXPECT_REFUSED(LabelMap({}).from_text("99999999999"), "data/unknown-label", {"99999999999"});
  EXPECT_REFUSED(LabelMap({"a", "b", "c"}).from_text("true"), "data/unknown-label", {"'true'"});
}

const std::vector<std::string> kStars = {"1 star", "2 stars", "3 stars", "4 stars", "5 stars"};

TEST(Labels, BareNumbersAreRefusedWhereNamesHaveOtherNumbers) {
  const LabelMap stars(kStars);
  EXPECT_EQ(stars.from_text("4 stars").value(), 3);
  EXPECT_REFUSED(stars.from_text("1"), "data/ambiguous-label",
                 {"the label 1", "'1 star'", "'2 stars', counted from 0",
                  "--label-map \"1=1 star,2=2 stars,3=3 stars,4=4 stars,5=5 stars\""});
  for (const char* number : {"0", "2", "4", "5", "1.0"}) {
    EXPECT_REFUSED(stars.from_text(number), "data/ambiguous-label", {"--label-map"});
  }
  EXPECT_REFUSED(stars.from_text("6"), "data/unknown-label", {"'6'"});
  // Names that are numbers are names.
  const LabelMap numbers({"1", "2", "3"});
  EXPECT_EQ(numbers.from_text("1").value(), 0);
  EXPECT_EQ(numbers.from_text("3.0").value(), 2);
  EXPECT_REFUSED(numbers.from_text("0"), "data/ambiguous-label", {"the label 0"});
  const LabelMap signs({"-1", "0", "1"});
  EXPECT_EQ(signs.from_text("0").value(), 1);
  EXPECT_EQ(signs.from_text("-1").value(), 0);
  EXPECT_REFUSED(signs.from_text("2"), "data/ambiguous-label", {"the label 2"});
}

TEST(Labels, ANumberInANameThatCountsNothingIsNoObstacle) {
  EXPECT_EQ(LabelMap({"LABEL_0", "LABEL_1", "LABEL_2"}).from_text("2").value(), 2);
  EXPECT_EQ(LabelMap({"clean_v2", "toxic_v2"}).from_text("1").value(), 1);
  EXPECT_EQ(LabelMap({"human", "gpt2"}).from_text("0").value(), 0);
  EXPECT_EQ(LabelMap({"World", "Sports", "Business", "Sci/Tech"}).from_text("3").value(), 3);
  EXPECT_REFUSED(LabelMap({"peace", "war 1", "war 2", "x"}).from_text("3.5"), "data/unknown-label",
                 {"3.5"});
  EXPECT_EQ(LabelMap({"peace", "war 1", "war 2"}).from_text("2").value(), 2);
  EXPECT_REFUSED(LabelMap({"war 2", "peace", "x"}).from_text("2"), "data/ambiguous-label",
                 {"'war 2'"});
}

TEST(Labels, AMapSaysWhatTheDataMeans) {
  const LabelNames names = parse_label_map("1=1 star, 2 = 2 STARS,bad=1 star,7=").value();
  const LabelMap map = LabelMap::make(kStars, names).value();
  EXPECT_EQ(map.from_text("1").value(), 0);
  EXPECT_EQ(map.from_text(" 2.0 ").value(), 1);
  EXPECT_EQ(map.from_text("Bad").value(), 0);
  EXPECT_EQ(map.from_text("7").value(), std::nullopt);
  EXPECT_EQ(map.from_text("3 stars").value(), 2);
  EXPECT_REFUSED(map.from_text("3"), "data/ambiguous-label", {"the label 3"});
  EXPECT_REFUSED(LabelMap::make(kStars, {{"1", "one star"}}), "data/label-map",
                 {"'one star'", "1 star"});
  EXPECT_REFUSED(parse_label_map("1"), "data/label-map", {"'1'", "LABEL=NAME"});
  EXPECT_REFUSED(parse_label_map("=x"), "data/label-map", {"'=x'"});
  EXPECT_REFUSED(parse_label_map("1=a,1.0=b"), "data/label-map", {"twice"});
  const testing::TempDir folder;
  const std::string file =
      put_file(folder / "map.json", R"({"1": "1 star", "good, really": "5 stars"})");
  EXPECT_EQ(parse_label_map(file).value(),
            (LabelNames{{"1", "1 star"}, {"good, really", "5 stars"}}));
  EXPECT_REFUSED(parse_label_map(put_file(folder / "n.json", "[1]")), "data/label-map", {"n.json"});
  EXPECT_REFUSED(parse_label_map("/nowhere/map.json"), "file/missing", {"/nowhere/map.json"});
}

TEST_F(JsonlSource, TheLabelMapIsUsed) {
  options_.labels = kStars;
  options_.label_map = parse_label_map("1=1 star,2=2 stars").value();
  const auto reviews = read("{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\",\"label\":\"2\"}\n");
  ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
  EXPECT_EQ((*reviews)[0].label, 0);
  EXPECT_EQ((*reviews)[1].label, 1);
}

TEST(ReadReviews, StopsAtTheCount) {
  const testing::TempDir folder;
  SourceOptions options;
  options.texts = put_file(folder / "t.txt", "one\ntwo\none\nthree\n");
  const ReviewSet set = read_reviews(options, 3).value();
  EXPECT_EQ(set.name, options.texts);
  EXPECT_THAT(texts_of(set.reviews), ElementsAre("one", "two", "one"));
  EXPECT_EQ(read_reviews(options, 100).value().reviews.size(), 4U);
}

TEST(ReadReviews, ReadsStdin) {
  const testing::TempDir folder;
  const std::string path = put_file(folder / "in", "{\"text\":\"from a pipe\"}\n");
  const int saved = ::dup(STDIN_FILENO);
  const int file = ::open(path.c_str(), O_RDONLY);
  ASSERT_GE(file, 0);
  ::dup2(file, STDIN_FILENO);
  SourceOptions options;
  options.texts = "-";
  const auto set = read_reviews(options, 10);
  ::dup2(saved, STDIN_FILENO);
  ::close(file);
  ::close(saved);
  ASSERT_TRUE(set.has_value()) << set.error().to_string();
  EXPECT_EQ(set->name, "stdin");
  EXPECT_THAT(texts_of(set->reviews), ElementsAre("from a pipe"));
}

}  // namespace
}  // namespace breakeven::data

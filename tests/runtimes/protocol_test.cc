#include "runtimes/protocol.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace breakeven::runtimes {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(Requests, AreOneLineOfJson) {
  const std::vector<Text> texts = {"a\nb", "\xff", "\"\\", std::string_view("\0x", 2),
                                   Text("p", "\xff")};
  const std::string line = texts_request(3, texts, true);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const json parsed = json::parse(line);
  EXPECT_EQ(parsed["id"], 3);
  EXPECT_EQ(parsed["op"], "texts");
  EXPECT_EQ(parsed["hash_ids"], true);
  EXPECT_FALSE(json::parse(texts_request(3, texts, false)).contains("hash_ids"));
  EXPECT_EQ(parsed["texts"][0], "a\nb");
  EXPECT_EQ(parsed["texts"][1], "\xef\xbf\xbd");
  EXPECT_EQ(parsed["texts"][2], "\"\\");
  EXPECT_EQ(parsed["texts"][3], std::string("\0x", 2));
  EXPECT_EQ(parsed["texts"][4], json({"p", "\xef\xbf\xbd"}));
}

TEST(Replies, OfAnotherShapeAreRefused) {
  for (const char* line :
       {"", "x", "1", "[]", "null", "{\"id\":1", "{}", R"({"id":"1","ok":{}})",
        R"({"id":-1,"ok":{}})", R"({"id":1.0,"ok":{}})", R"({"id":2,"ok":{}})", R"({"id":1})",
        R"({"id":1,"error":"no"})", R"({"id":1,"error":{"code":1,"message":"x"}})",
        R"({"id":1,"progress":NaN,"what":""})", R"({"id":1,"progress":-0.1,"what":""})",
        R"({"id":1,"progress":0.1})", "{\"id\":1,\"ok\":\"\xff\"}"}) {
    const auto reply = Reply::parse(line, 1);
    ASSERT_FALSE(reply) << line;
    EXPECT_EQ(reply.error().code, "runtime/garbage") << line;
  }
  const std::string deep(100000, '[');
  EXPECT_FALSE(Reply::parse(deep, 1));
}

TEST(Replies, ProgressAndRefusalsAreTold) {
  const auto progress = Reply::parse(R"({"id":1,"progress":0.5,"what":"quantising\u001b"})", 1);
  ASSERT_TRUE(progress);
  ASSERT_TRUE(progress->progress());
  EXPECT_EQ(progress->progress()->done, 0.5);
  EXPECT_EQ(progress->progress()->what, "quantising");
  const auto missing =
      Reply::parse(R"({"id":1,"error":{"code":"missing","message":"no torch"}})", 1);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, "runtime/missing");
  EXPECT_EQ(missing.error().message, "no torch");
  EXPECT_TRUE(is_refusal(missing.error()));
  EXPECT_FALSE(is_refusal({"runtime/died", "", ""}));
}

Result<Reply> ok(const json& value) {
  return Reply::parse(json{{"id", 1}, {"ok", value}}.dump(), 1);
}

TEST(Answers, MayBeAnyJson) {
  for (const char* text : {"null", "[]", "{}", "7", "\"x\"", "[{}]"}) {
    const auto reply = ok(json::parse(text));
    ASSERT_TRUE(reply);
    EXPECT_FALSE(read_hello(*reply)) << text;
    EXPECT_FALSE(read_load(*reply)) << text;
    EXPECT_FALSE(read_texts(*reply, 1)) << text;
    EXPECT_FALSE(read_memory(*reply)) << text;
    EXPECT_FALSE(read_classified(*reply, {1, 2, ProblemType::single_label, 512, false, 0, 1}))
        << text;
  }
}

json one_text() {
  return {{"logits", {{-3.5, 2}}},
          {"labels", {1}},
          {"scores", {0.99}},
          {"tokens", {7}},
          {"cut", {false}},
          {"computed_tokens", 8},
          {"start_s", 10.25},
          {"end_s", 10.5},
          {"stages",
           {{"tokenize", 0.05},
            {"pack", 0},
            {"upload", 0},
            {"compute", 0.2},
            {"download", 0},
            {"decode", 0}}}};
}

Expected expecting_one() {
  return {1, 2, ProblemType::single_label, 16, false, 10, 11};
}

TEST(Answers, ARunIsRead) {
  const auto read = read_classified(*ok(one_text()), expecting_one());
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_THAT(read->logits, ::testing::ElementsAre(-3.5F, 2.0F));
  EXPECT_EQ(read->labels.at(0), 1U);
  EXPECT_EQ(read->scores.at(0), 0.99F);
  EXPECT_EQ(read->tokens.at(0), 7U);
  EXPECT_EQ(read->computed_tokens, 8U);
  EXPECT_EQ(read->start_s, 10.25);
  EXPECT_EQ(read->end_s, 10.5);
  EXPECT_EQ(read->stages.compute, 0.2);
}

TEST(Answers, AnInstantIsNotNothing) {
  json value = one_text();
  value["end_s"] = value["start_s"];
  for (auto& [name, seconds] : value["stages"].items()) seconds = 0;
  const auto read = read_classified(*ok(value), expecting_one());
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_GT(read->end_s, read->start_s);
}

TEST(Answers, ARegressionsScoreIsAnyNumber) {
  json value = one_text();
  value["logits"] = {{-40.5}};
  value["labels"] = {0};
  value["scores"] = {-40.5};
  Expected expected = expecting_one();
  expected.labels = 1;
  EXPECT_FALSE(read_classified(*ok(value), expected));
  expected.problem = ProblemType::regression;
  EXPECT_TRUE(read_classified(*ok(value), expected));
}

TEST(Answers, StagesOfAStreamMayOverlap) {
  json value = one_text();
  value["stages"]["compute"] = 5;
  EXPECT_FALSE(read_classified(*ok(value), expecting_one()));
  Expected expected = expecting_one();
  expected.stream = true;
  EXPECT_FALSE(read_classified(*ok(value), expected)) << "no in_flight";
  value["in_flight"] = 1;
  EXPECT_TRUE(read_classified(*ok(value), expected));
  value["in_flight"] = 2;
  EXPECT_FALSE(read_classified(*ok(value), expected)) << "more than there are texts";
}

TEST(Answers, CountsAreWholeAndInRange) {
  for (const char* text :
       {"-1", "1.5", "\"1\"", "null", "1e3", "18446744073709551616", "4294967296"}) {
    EXPECT_FALSE(read_texts(*ok({{"count", json::parse(text)}}), 1)) << text;
    EXPECT_FALSE(read_texts(*ok({{"count", 1}, {"ids", {json::parse(text)}}}), 1)) << text;
  }
  EXPECT_EQ(read_texts(*ok({{"count", 12}}), 2)->count, 12U);
  const json ids = {{"count", 12}, {"ids", {5, 4294967295}}};
  EXPECT_EQ(read_texts(*ok(ids), 2)->ids, (std::vector<std::uint32_t>{5, 4294967295}));
  EXPECT_FALSE(read_texts(*ok(ids), 3)) << "of each text or of none";
  EXPECT_FALSE(read_texts(*ok(ids), 1));
  const auto memory = read_memory(*ok({{"peak_rss_bytes", 5}, {"device_peak_bytes", nullptr}}));
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->peak_rss_bytes, 5U);
  EXPECT_FALSE(memory->device_peak_bytes);
  const auto huge = read_memory(*ok({{"peak_rss_bytes", 1ULL << 60}, {"device_peak_bytes", 1}}));
  ASSERT_FALSE(huge);
  EXPECT_THAT(huge.error().message, HasSubstr("peak_rss_bytes"));
}

}  // namespace
}  // namespace breakeven::runtimes

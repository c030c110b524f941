// Unigram tokenizers: which file decides what, what is refused, ids of tokenizers 0.23.
#include "tokenizer_folder.h"

namespace breakeven::text {
namespace {

using ::testing::ElementsAre;

// Unigram with a dozen entries, as small_tokenizer().
json small_unigram() {
  json added;
  for (const auto& [token, id] : std::vector<std::pair<std::string, int>>{
           {"<s>", 0}, {"<pad>", 1}, {"</s>", 2}, {"<unk>", 3}, {"<mask>", 12}})
    added.push_back({{"id", id}, {"content", token}, {"lstrip", false}});
  const auto token = [](const char* name, int id) -> json {
    return {{"id", name}, {"ids", {id}}, {"tokens", {name}}};
  };
  const std::vector<std::pair<const char*, double>> rows = {
      {"<s>", 0}, {"<pad>", 0}, {"</s>", 0},  {"<unk>", 0},      {"\u2581", -3},
      {"a", -2},  {"b", -2.5},  {"ab", -4.5}, {"\u2581a", -2.2}, {"\u2581ab", -6.9},
      {"c", -4},  {"bc", -3},   {"<mask>", 0}};
  json vocabulary = json::array();
  for (const auto& [entry, score] : rows) vocabulary.push_back(json::array({entry, score}));
  return {{"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "\u2581"}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", {special("<s>", 0), sequence("A", 0), special("</s>", 0)}},
            {"pair",
             {special("<s>", 0), sequence("A", 0), special("</s>", 0), special("</s>", 0),
              sequence("B", 0), special("</s>", 0)}},
            {"special_tokens", {{"<s>", token("<s>", 0)}, {"</s>", token("</s>", 2)}}}}},
          {"model", {{"type", "Unigram"}, {"unk_id", 3}, {"vocab", vocabulary}}}};
}

class UnigramLoaderTest : public TokenizerFolder {
 protected:
  UnigramLoaderTest() { tokenizer_ = small_unigram(); }
};

TEST_F(UnigramLoaderTest, Info) {
  write(tokenizer_);
  const Tokenizer tokenizer = loaded();
  EXPECT_EQ(tokenizer.info().vocabulary, 13U);
  EXPECT_EQ(tokenizer.token(9), "\u2581ab");
  EXPECT_THAT(ids("ab <mask>"), ElementsAre(0, 8, 6, 4, 12, 2));
  EXPECT_THAT(ids("\u4e2d\u6587b\u4e2d"), ElementsAre(0, 4, 3, 6, 3, 2));
}

// Both spellings of Metaspace.
TEST_F(UnigramLoaderTest, TheBlankInFront) {
  const auto with = [&](const json& fields) {
    tokenizer_["pre_tokenizer"].update(fields);
    write(tokenizer_);
    return ids("a<mask>a a");
  };
  EXPECT_THAT(with({{"add_prefix_space", true}}), ElementsAre(0, 8, 12, 8, 8, 2));
  EXPECT_THAT(with({{"prepend_scheme", "always"}}), ElementsAre(0, 8, 12, 8, 8, 2));
  EXPECT_THAT(with({{"prepend_scheme", "first"}}), ElementsAre(0, 8, 12, 5, 8, 2));
  EXPECT_THAT(with({{"prepend_scheme", "never"}}), ElementsAre(0, 5, 12, 5, 8, 2));
  EXPECT_THAT(with({{"add_prefix_space", false}}), ElementsAre(0, 5, 12, 5, 8, 2));
}

TEST_F(UnigramLoaderTest, WhatIsNotComputedIsRefusedByName) {
  const json metaspace = tokenizer_["pre_tokenizer"];
  json not_last = {{"type", "Sequence"}, {"pretokenizers", {metaspace, metaspace}}};
  json first = metaspace, unscheme = metaspace;
  first["prepend_scheme"] = "first";
  first = {{"type", "Sequence"}, {"pretokenizers", {{{"type", "WhitespaceSplit"}}, first}}};
  unscheme.update({{"add_prefix_space", false}, {"prepend_scheme", "always"}});
  const json pattern = {{"type", "Replace"}, {"pattern", {{"Regex", "x+"}}}, {"content", "y"}};
  const std::vector<std::tuple<std::string, json, std::string>> changes = {
      {"/model/unk_id", nullptr, "model.unk_id is null"},
      {"/pre_tokenizer", not_last, "Metaspace before others"},
      {"/pre_tokenizer", first, "'first' behind another splitter"},
      {"/pre_tokenizer", unscheme, "'always' without add_prefix_space"},
      {"/pre_tokenizer", {{"type", "WhitespaceSplit"}}, "Unigram behind another pre_tokenizer"},
      {"/normalizer", pattern, "normalizer.pattern.Regex is 'x+'"},
      {"/normalizer", {{"type", "Nmt"}}, "normalizer.type is Nmt"},
      {"/model", small_tokenizer()["model"], "WordPiece behind Metaspace"}};
  for (const auto& [place, value, message] : changes) {
    SCOPED_TRACE(message);
    json changed = tokenizer_;
    changed[json::json_pointer(place)] = value;
    expect_refused(changed, "tokenizer/unsupported", message);
  }
}

TEST_F(UnigramLoaderTest, BrokenFields) {
  const std::vector<std::tuple<std::string, json, std::string>> changes = {
      {"/model/vocab/5", json::array({"a", "-2"}), "model.vocab"},
      {"/model/vocab/5", json::array({"a"}), "model.vocab"},
      {"/model/vocab", json::array(), "model.vocab"},
      {"/model/unk_id", 13, "model.unk_id"},
      {"/pre_tokenizer/replacement", "xx", "pre_tokenizer.replacement"},
      {"/pre_tokenizer/prepend_scheme", "last", "pre_tokenizer.prepend_scheme"},
      {"/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "A"}}, "Base64"},
      {"/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "/wAAAA=="}}, "array"},
      {"/normalizer", {{"type", "Precompiled"}}, "precompiled_charsmap"}};
  for (const auto& [place, value, message] : changes) {
    SCOPED_TRACE(place);
    json changed = tokenizer_;
    changed[json::json_pointer(place)] = value;
    expect_refused(changed, "tokenizer/json", message);
  }
  tokenizer_["model"]["vocab"][6][0] = "a";
  expect_refused(tokenizer_, "tokenizer/vocabulary", "'a' stands there twice");
}

// A map whose array points out of itself changes nothing there.
TEST_F(UnigramLoaderTest, AMapThatLies) {
  // Two units: the root, whose children lie beyond the end.
  tokenizer_["normalizer"] = {{"type", "Precompiled"},
                              {"precompiled_charsmap", "CAAAAAD8//8A/P//YQA="}};
  write(tokenizer_);
  EXPECT_THAT(ids("ab"), ElementsAre(0, 8, 6, 2));
}

TEST_F(UnigramLoaderTest, Classes) {
  write(tokenizer_);
  for (const char* name :
       {"XLMRobertaTokenizer", "XLMRobertaTokenizerFast", "PreTrainedTokenizerFast"}) {
    write("tokenizer_config.json", std::string(R"({"tokenizer_class": ")") + name + "\"}");
    EXPECT_THAT(ids("a"), ElementsAre(0, 8, 2)) << name;
  }
  // CamemBERT's class has tokens that the vocabulary does not know.
  write("tokenizer_config.json", R"({"tokenizer_class": "CamembertTokenizer"})");
  EXPECT_THAT(ids("a<s>NOTUSED"), ElementsAre(0, 8, 13, 2));
  write("tokenizer_config.json", "{}");
  write("config.json", R"({"model_type": "camembert"})");
  EXPECT_THAT(ids("a<s>NOTUSED"), ElementsAre(0, 8, 13, 2));
  write("config.json", R"({"model_type": "xlm-roberta"})");
  EXPECT_EQ(loaded().info().vocabulary, 13U);
  write("config.json", R"({"model_type": "deberta-v2"})");
  EXPECT_THAT(ids("a[SEP]"), ElementsAre(0, 8, 14, 2));  // behind [CLS], the first role
  write("config.json", R"({"model_type": "xlm-roberta", "tokenizer_class": "AlbertTokenizer"})");
  expect_refused("tokenizer/unsupported", "AlbertTokenizer");
}

}  // namespace
}  // namespace breakeven::text

// What Tokenizer::load takes, what it refuses, and with which words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "testing/paths.h"
#include "text/tokenizer.h"

namespace breakeven::text {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json special(const char* name, int token_type) {
  return {{"SpecialToken", {{"id", name}, {"type_id", token_type}}}};
}
json sequence(const char* name, int token_type) {
  return {{"Sequence", {{"id", name}, {"type_id", token_type}}}};
}

// A tokenizer.json with a dozen entries; tests change it.
json small_tokenizer() {
  json vocabulary, added;
  int id = 0;
  for (const char* entry : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "movie", "##s",
                            "Cafe", "cafe", "caf\u00e9", "!", "\u4e2d", "\u4e2d\u6587"})
    vocabulary[entry] = id++;
  for (const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"})
    added.push_back({{"id", vocabulary[token]},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  const json cls = {{"id", "[CLS]"}, {"ids", {2}}, {"tokens", {"[CLS]"}}};
  const json sep = {{"id", "[SEP]"}, {"ids", {3}}, {"tokens", {"[SEP]"}}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"added_tokens", added},
          {"normalizer",
           {{"type", "BertNormalizer"},
            {"clean_text", true},
            {"handle_chinese_chars", true},
            {"strip_accents", nullptr},
            {"lowercase", true}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", {special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)}},
            {"pair",
             {special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0), sequence("B", 1),
              special("[SEP]", 1)}},
            {"special_tokens", {{"[CLS]", cls}, {"[SEP]", sep}}}}},
          {"model",
           {{"type", "WordPiece"},
            {"unk_token", "[UNK]"},
            {"continuing_subword_prefix", "##"},
            {"max_input_chars_per_word", 100},
            {"vocab", vocabulary}}}};
}

class LoaderTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& content) {
    ASSERT_TRUE(write_file_atomic((folder_ / name).string(), content));
  }
  void write(const json& tokenizer) { write("tokenizer.json", tokenizer.dump()); }
  Result<Tokenizer> load() { return Tokenizer::load(folder_.path().string()); }

  Tokenizer loaded() {
    auto tokenizer = load();
    if (!tokenizer) throw std::runtime_error(tokenizer.error().to_string());
    return *std::move(tokenizer);
  }
  std::vector<std::int32_t> ids(std::string_view text) {
    const Tokenizer tokenizer = loaded();
    std::vector<std::int32_t> out;
    tokenizer.encode(text, {}, *tokenizer.make_scratch(), out);
    return out;
  }
  void expect_refused(const std::string& code, const std::string& message) {
    const auto tokenizer = load();
    ASSERT_FALSE(tokenizer);
    EXPECT_EQ(tokenizer.error().code, code);
    EXPECT_THAT(tokenizer.error().message, HasSubstr(message));
    EXPECT_FALSE(tokenizer.error().hint.empty());
  }
  void expect_refused(const json& tokenizer, const std::string& code, const std::string& message) {
    write(tokenizer);
    expect_refused(code, message);
  }

  testing::TempDir folder_;
  json tokenizer_ = small_tokenizer();
};

TEST_F(LoaderTest, Info) {
  write(tokenizer_);
  const Tokenizer tokenizer = loaded();
  const TokenizerInfo& info = tokenizer.info();
  EXPECT_EQ(info.vocabulary, 14U);
  EXPECT_EQ(info.pad_id, 0);
  EXPECT_EQ(info.unk_id, 1);
  EXPECT_EQ(info.cls_id, 2);
  EXPECT_EQ(info.sep_id, 3);
  EXPECT_TRUE(info.lowercase);
  EXPECT_EQ(info.model_max_length, 512U);
  EXPECT_EQ(info.truncation_side, TruncationSide::right);
  EXPECT_TRUE(info.one_pass) << info.one_pass_refusal;
  EXPECT_EQ(tokenizer.token(6), "movie");
  EXPECT_EQ(tokenizer.token(7), "##s");
  EXPECT_EQ(tokenizer.token(14), "");
  EXPECT_EQ(tokenizer.token(-1), "");
  EXPECT_THAT(ids("The movies!"), ElementsAre(2, 5, 6, 7, 11, 3));
}

TEST_F(LoaderTest, MissingFiles) {
  expect_refused("tokenizer/missing", folder_.path().string());
  const auto nowhere = Tokenizer::load((folder_ / "nowhere").string());
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, "tokenizer/missing");
}

TEST_F(LoaderTest, BrokenJson) {
  for (const char* content : {"", "{", "[1]", "\"text\"", "{\"model\": }", "\xff"}) {
    write("tokenizer.json", content);
    expect_refused("tokenizer/json", "tokenizer.json");
  }
  write("tokenizer.json", tokenizer_.dump().substr(0, 700));
  expect_refused("tokenizer/json", "tokenizer.json");
  write(tokenizer_);
  write("tokenizer_config.json", "{\"do_lower_case\": ");
  expect_refused("tokenizer/json", "tokenizer_config.json");
}

TEST_F(LoaderTest, FieldsOfAWrongType) {
  const std::vector<std::pair<std::string, json>> changes = {
      {"/model", 3},
      {"/model/vocab", json::array({"a"})},
      {"/model/unk_token", 1},
      {"/model/max_input_chars_per_word", -1},
      {"/normalizer/lowercase", "yes"},
      {"/added_tokens", 1},
      {"/added_tokens/0", 1},
      {"/added_tokens/0/lstrip", 1},
      {"/post_processor/single", "A"},
      {"/post_processor/single/1/Sequence/id", "C"},
      {"/post_processor/single/0/SpecialToken/id", "[NONE]"},
      {"/post_processor/special_tokens/[CLS]/ids", "2"},
      {"/truncation", 5}};
  for (const auto& [place, value] : changes) {
    SCOPED_TRACE(place);
    json changed = tokenizer_;
    changed[json::json_pointer(place)] = value;
    expect_refused(changed, "tokenizer/json", "tokenizer.json");
  }
}

TEST_F(LoaderTest, OtherKindsAreRefusedByName) {
  const std::vector<std::tuple<std::string, json, std::string>> changes = {
      {"/model/type", "BPE", "##"},
      {"/model/type", "Unigram", "Unigram"},
      {"/model/type", "WordLevel", "WordLevel"},
      {"/normalizer", {{"type", "NFC"}}, "NFC"},
      {"/normalizer", {{"type", "Sequence"}, {"normalizers", json::array()}}, "Sequence"},
      {"/pre_tokenizer", {{"type", "ByteLevel"}}, "ByteLevel"},
      {"/pre_tokenizer", nullptr, "null"},
      {"/post_processor", {{"type", "Sequence"}}, "Sequence"},
      {"/added_tokens/4/single_word", true, "[MASK]"},
      {"/post_processor/pair/3/Sequence/id", "A", "2 times A"},
      {"/truncation",
       {{"direction", "Right"}, {"max_length", 9}, {"strategy", "OnlyFirst"}, {"stride", 0}},
       "OnlyFirst"}};
  for (const auto& [place, value, name] : changes) {
    SCOPED_TRACE(place);
    json changed = tokenizer_;
    changed[json::json_pointer(place)] = value;
    expect_refused(changed, "tokenizer/unsupported", name);
  }
  write(tokenizer_);
  write("tokenizer_config.json", R"({"tokenizer_class": "BertweetTokenizer"})");
  expect_refused("tokenizer/unsupported", "BertweetTokenizer");
  write("tokenizer_config.json", R"({"truncation_side": "middle"})");
  expect_refused("tokenizer/unsupported", "middle");
}

TEST_F(LoaderTest, VocabularyErrors) {
  const std::vector<std::tuple<std::string, json, std::string>> changes = {
      {"/model/vocab/movie", 5, "id 5 is given twice"},
      {"/model/vocab/movie", -1, "'movie'"},
      {"/model/vocab/movie", 1 << 24, "'movie'"},
      {"/model/vocab/movie", "6", "'movie'"},
      {"/model/vocab", json::object(), "empty"},
      {"/model/unk_token", "<unk>", "<unk>"},
      {"/added_tokens/4/id", 9, "[MASK]"},
      {"/added_tokens/4/id", -4, "[MASK]"},
      {"/post_processor/special_tokens/[CLS]/ids", {99}, "id 99"}};
  for (const auto& [place, value, message] : changes) {
    SCOPED_TRACE(place);
    json changed = tokenizer_;
    changed[json::json_pointer(place)] = value;
    expect_refused(changed, "tokenizer/vocabulary", message);
  }
  for (const char* name : {"[CLS]", "[SEP]", "[PAD]", "[UNK]"}) {
    json changed = tokenizer_;
    changed["model"]["vocab"].erase(name);
    changed["added_tokens"] = json::array();
    expect_refused(changed, "tokenizer/vocabulary", name);
  }
  std::string twice = tokenizer_.dump();
  twice.replace(twice.find("\"movie\":6"), 9, "\"the\":6");
  write("tokenizer.json", twice);
  expect_refused("tokenizer/vocabulary", "'the' stands there twice");
}

TEST_F(LoaderTest, AddedTokenBehindTheVocabulary) {
  tokenizer_["added_tokens"].push_back({{"id", 14}, {"content", "<new>"}});
  write(tokenizer_);
  EXPECT_EQ(loaded().info().vocabulary, 15U);
  EXPECT_EQ(loaded().token(14), "<new>");
  EXPECT_THAT(ids("the<new>movie"), ElementsAre(2, 5, 14, 6, 3));
}

TEST_F(LoaderTest, TruncationOfTokenizerJson) {
  tokenizer_["truncation"] = {
      {"direction", "Left"}, {"max_length", 7}, {"strategy", "LongestFirst"}, {"stride", 0}};
  write(tokenizer_);
  EXPECT_EQ(loaded().info().model_max_length, 7U);
  EXPECT_EQ(loaded().info().truncation_side, TruncationSide::left);
  write("tokenizer_config.json", R"({"model_max_length": 128, "truncation_side": "right"})");
  EXPECT_EQ(loaded().info().model_max_length, 128U);
  EXPECT_EQ(loaded().info().truncation_side, TruncationSide::right);
  tokenizer_["truncation"] = nullptr;
  write(tokenizer_);
  write("tokenizer_config.json", R"({"model_max_length": 1000000000000000019884624838656})");
  EXPECT_EQ(loaded().info().model_max_length, 512U);
  write("tokenizer_config.json", R"({"model_max_length": -3})");
  expect_refused("tokenizer/json", "model_max_length");
}

// HF's BERT classes take the normaliser's flags from tokenizer_config.json, or their defaults; the
// generic class takes tokenizer.json's. Seen with Transformers 5.23.
TEST_F(LoaderTest, ConfigOverrulesTokenizerJsonWhereHfDoes) {
  const int known = 9, unknown = 1, composed = 10, cased = 8;
  tokenizer_["normalizer"]["lowercase"] = false;
  write(tokenizer_);
  EXPECT_THAT(ids("Cafe"), ElementsAre(2, cased, 3));
  write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer"})");
  EXPECT_THAT(ids("Caf\u00e9"), ElementsAre(2, known, 3));
  write("tokenizer_config.json",
        R"({"tokenizer_class": "DistilBertTokenizerFast", "do_lower_case": false})");
  EXPECT_THAT(ids("Cafe"), ElementsAre(2, cased, 3));
  EXPECT_FALSE(loaded().info().lowercase);
  write("tokenizer_config.json",
        R"({"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": true})");
  EXPECT_THAT(ids("Cafe"), ElementsAre(2, cased, 3));
  write("tokenizer_config.json", R"({"do_lower_case": true})");
  EXPECT_THAT(ids("Cafe"), ElementsAre(2, cased, 3));
  write("config.json", R"({"model_type": "distilbert"})");
  EXPECT_THAT(ids("Cafe"), ElementsAre(2, known, 3));
  write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer", "strip_accents": false})");
  EXPECT_THAT(ids("Caf\u00e9"), ElementsAre(2, composed, 3));
  EXPECT_THAT(ids("\u4e2d\u6587"), ElementsAre(2, 12, unknown, 3));
  write("tokenizer_config.json",
        R"({"tokenizer_class": "BertTokenizer", "tokenize_chinese_chars": false})");
  EXPECT_THAT(ids("\u4e2d\u6587"), ElementsAre(2, 13, 3));
}

TEST_F(LoaderTest, SpecialTokensByAnyName) {
  tokenizer_["model"]["vocab"]["<start>"] = 14;
  write(tokenizer_);
  write(
      "tokenizer_config.json",
      R"({"tokenizer_class": "BertTokenizer", "cls_token": {"content": "<start>", "lstrip": false}})");
  EXPECT_EQ(loaded().info().cls_id, 14);
  EXPECT_THAT(ids("the <start>"), ElementsAre(2, 5, 14, 3));  // the template is tokenizer.json's
  write("tokenizer_config.json", R"({"cls_token": "<none>"})");
  expect_refused("tokenizer/vocabulary", "<none>");
  write("tokenizer_config.json", R"({"added_tokens_decoder": {"15": {"content": "<more>"}}})");
  EXPECT_THAT(ids("the <more>"), ElementsAre(2, 5, 15, 3));
  write("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "<more>"}}})");
  expect_refused("tokenizer/json", "added_tokens_decoder");
}

TEST_F(LoaderTest, VocabTxt) {
  write("vocab.txt", "[PAD]\n[UNK]\r\n[CLS]\n[SEP]\nthe\nmovie \n##s\nthe\n\n!");
  EXPECT_EQ(loaded().info().vocabulary, 10U);
  EXPECT_EQ(loaded().token(5), "movie");
  // The last of two equal lines counts; [MASK] is not there and so is plain text.
  EXPECT_THAT(ids("The movies! [SEP]"), ElementsAre(2, 7, 5, 6, 9, 3, 3));
  write("tokenizer_config.json", R"({"do_lower_case": false, "truncation_side": "left"})");
  EXPECT_THAT(ids("The movie"), ElementsAre(2, 1, 5, 3));
  EXPECT_EQ(loaded().info().truncation_side, TruncationSide::left);
  write("added_tokens.json", R"({"<new>": 10})");
  expect_refused("tokenizer/unsupported", "added_tokens.json");
}

TEST_F(LoaderTest, VocabTxtErrors) {
  write("vocab.txt", "");
  expect_refused("tokenizer/vocabulary", "empty");
  write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\nthe\n");
  expect_refused("tokenizer/vocabulary", "[SEP]");
  write("vocab.txt", "[PAD]\n[UNK]\n\xff\n");
  expect_refused("tokenizer/vocabulary", "line 3");
}

TEST(Encode, ATextThatFillsTheLengthExactlyIsNotCut) {
  const Tokenizer tokenizer =
      Tokenizer::load((testing::source_dir() / "models/builtin").string()).value();
  const auto scratch = tokenizer.make_scratch();
  const auto repeated = [](std::string_view part, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out += part;
    return out;
  };
  std::vector<std::int32_t> ids;
  for (const Route route : {Route::fastest, Route::by_stages}) {
    for (const auto side : {TruncationSide::right, TruncationSide::left}) {
      EncodeOptions options{.max_length = 6, .truncation_side = side, .route = route};
      const auto cut = [&](std::string_view text) {
        ids.clear();
        const bool was_cut = tokenizer.encode(text, options, *scratch, ids);
        return std::pair(was_cut, ids.size());
      };
      EXPECT_EQ(cut("the movie was"), std::pair(false, std::size_t{5}));
      EXPECT_EQ(cut("the movie was good"), std::pair(false, std::size_t{6}));
      EXPECT_EQ(cut("the movie was good" + repeated(" \t\xc2\xad", 9000)),
                std::pair(false, std::size_t{6}));  // what leaves no token is not cut off
      EXPECT_EQ(cut("the movie was good" + repeated(" ", 9000) + "."),
                std::pair(true, std::size_t{6}));
      EXPECT_EQ(cut(repeated("the movie ", 100000)), std::pair(true, std::size_t{6}));
      options.max_length = 1;  // less than the special tokens: nothing is cut, as in HF
      EXPECT_EQ(cut("the movie was good"), std::pair(false, std::size_t{6}));
    }
  }
}

// Byte-level BPE with a dozen entries, as small_tokenizer().
json small_bpe() {
  json vocabulary, added;
  int id = 0;
  for (const char* entry :
       {"<s>", "<pad>", "</s>", "<unk>", "a", "b", "c", "ab", "\u0120", "\u0120a", "<mask>"})
    vocabulary[entry] = id++;
  for (const char* token : {"<s>", "<pad>", "</s>", "<unk>", "<mask>"})
    added.push_back({{"id", vocabulary[token]},
                     {"content", token},
                     {"lstrip", std::string(token) == "<mask>"}});
  return {
      {"added_tokens", added},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", true}}},
      {"post_processor",
       {{"type", "RobertaProcessing"}, {"cls", {"<s>", 0}}, {"sep", {"</s>", 2}}}},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", {"a b", {"\u0120", "a"}}}}}};
}

class BpeLoaderTest : public LoaderTest {
 protected:
  BpeLoaderTest() { tokenizer_ = small_bpe(); }
};

TEST_F(BpeLoaderTest, Info) {
  write(tokenizer_);
  const Tokenizer tokenizer = loaded();
  EXPECT_EQ(tokenizer.info().vocabulary, 11U);
  EXPECT_TRUE(tokenizer.info().one_pass) << tokenizer.info().one_pass_refusal;
  EXPECT_EQ(tokenizer.token(9), "\u0120a");
  EXPECT_THAT(ids("ab a<mask>"), ElementsAre(0, 8, 7, 9, 10, 2));
}

// As in HF: RoBERTa's class takes add_prefix_space from tokenizer_config.json, others leave it.
TEST_F(BpeLoaderTest, TheClassDecidesAboutTheBlankInFront) {
  write(tokenizer_);
  write("tokenizer_config.json", R"({"tokenizer_class": "RobertaTokenizerFast"})");
  EXPECT_THAT(ids("a"), ElementsAre(0, 4, 2));
  EXPECT_EQ(loaded().info().pad_id, 1);
  write("tokenizer_config.json",
        R"({"tokenizer_class": "RobertaTokenizer", "add_prefix_space": true})");
  EXPECT_THAT(ids("a"), ElementsAre(0, 9, 2));
  write("tokenizer_config.json", R"({"tokenizer_class": "PreTrainedTokenizerFast"})");
  EXPECT_THAT(ids("a"), ElementsAre(0, 9, 2));
  write("tokenizer_config.json", "{}");
  write("config.json", R"({"model_type": "roberta"})");
  EXPECT_THAT(ids("a"), ElementsAre(0, 4, 2));
}

TEST_F(BpeLoaderTest, WhatIsNotComputedIsRefusedByName) {
  const std::vector<std::tuple<std::string, json, std::string>> changes = {
      {"/model/dropout", 0.1, "model.dropout is 0.1"},
      {"/model/byte_fallback", true, "model.byte_fallback is true"},
      {"/model/continuing_subword_prefix", "##", "model.continuing_subword_prefix is '##'"},
      {"/model/end_of_word_suffix", "</w>", "model.end_of_word_suffix is '</w>'"},
      {"/pre_tokenizer/type", "BertPreTokenizer", "BPE behind another pre_tokenizer"}};
  for (const auto& [place, value, message] : changes) {
    SCOPED_TRACE(place);
    json changed = tokenizer_;
    changed[json::json_pointer(place)] = value;
    expect_refused(changed, "tokenizer/unsupported", message);
  }
}

TEST_F(BpeLoaderTest, BrokenMerges) {
  for (const json& merge :
       {json("a b c"), json("ab"), json({"a"}), json({"a", "b", "c"}), json(1)}) {
    tokenizer_["model"]["merges"] = {merge};
    expect_refused(tokenizer_, "tokenizer/json", "model.merges");
  }
  for (const char* merge : {"b c", "a x", "x a"}) {
    tokenizer_["model"]["merges"] = {merge};
    expect_refused(tokenizer_, "tokenizer/vocabulary", "the vocabulary has no '");
  }
}

TEST_F(BpeLoaderTest, VocabJsonAndMergesTxt) {
  write("config.json", R"({"model_type": "roberta"})");
  expect_refused("tokenizer/missing", "no vocab.json with merges.txt");
  write("vocab.json", tokenizer_["model"]["vocab"].dump());
  write("merges.txt", "#version: 0.2\r\na b\n\u0120 a\n\n");
  expect_refused("tokenizer/vocabulary", "merges.txt: line 4");
  write("merges.txt", "#version: 0.2\r\na b\n\u0120 a");
  EXPECT_THAT(ids("ab a <mask>"), ElementsAre(0, 7, 9, 10, 2));
  EXPECT_EQ(loaded().info().unk_id, 3);
  write("vocab.json", R"({"<s>": 0})");
  expect_refused("tokenizer/vocabulary", "merges.txt");
}

}  // namespace
}  // namespace breakeven::text

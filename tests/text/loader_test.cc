// What Tokenizer::load takes, what it refuses, and with which words.
#include <limits>

#include "tokenizer_folder.h"

namespace breakeven::text {
namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

using ::testing::ElementsAre;

class LoaderTest : public TokenizerFolder {};

TEST_F(LoaderTest, Info) {
  write(tokenizer_);
  const Tokenizer tokenizer = loaded();
  const TokenizerInfo& info = tokenizer.info();
  EXPECT_EQ(info.vocabulary, 14U);
  EXPECT_EQ(info.model_max_length, kNoLimit);
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
      {"/model/type", "WordLevel", "WordLevel"},
      {"/normalizer", {{"type", "NFKC"}}, "NFC"},
      {"/normalizer",
       {{"type", "Sequence"}, {"normalizers", {{{"type", "Lowercase"}}, {{"type", "NFKC"}}}}},
       "NFKC"},
      {"/pre_tokenizer", {{"type", "ByteLevel"}}, "ByteLevel"},
      {"/pre_tokenizer", nullptr, "null"},
      {"/pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", json::array()}}, "empty"},
      {"/pre_tokenizer", {{"type", "Punctuation"}, {"behavior", "Removed"}}, "Removed"},
      {"/post_processor",
       {{"type", "Sequence"},
        {"processors", {tokenizer_["post_processor"], tokenizer_["post_processor"]}}},
       "2 of them"},
      {"/post_processor/pair/3/Sequence/id", "A", "2 times A"}};
  for (const auto& [place, value, name] : changes) {
    SCOPED_TRACE(place);
    json changed = tokenizer_;
    changed[json::json_pointer(place)] = value;
    expect_refused(changed, "tokenizer/unsupported", name);
  }
  write(tokenizer_);
  for (const std::string name : {"BertweetTokenizer", "MPNetTokenizer", "AutoTokenizer",
                                 "BertJapaneseTokenizer", "BertGenerationTokenizer"}) {
    write("tokenizer_config.json", R"({"tokenizer_class": ")" + name + "Fast\"}");
    expect_refused("tokenizer/unsupported", name);
  }
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
  json changed = tokenizer_;
  changed["model"]["vocab"].erase("[UNK]");
  changed["added_tokens"] = json::array();
  expect_refused(changed, "tokenizer/vocabulary", "[UNK]");
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

// What training left there is no limit of the model, as in HF; its side counts.
TEST_F(LoaderTest, TruncationOfTokenizerJsonIsNoLimit) {
  for (const char* strategy : {"LongestFirst", "OnlyFirst", "OnlySecond"}) {
    tokenizer_["truncation"] = {
        {"direction", "Left"}, {"max_length", 7}, {"strategy", strategy}, {"stride", 0}};
    write(tokenizer_);
    EXPECT_EQ(loaded().info().model_max_length, kNoLimit);
    EXPECT_EQ(loaded().info().truncation_side, TruncationSide::left);
    EXPECT_THAT(ids("The movies!"), ElementsAre(2, 5, 6, 7, 11, 3));
  }
  write("tokenizer_config.json", R"({"model_max_length": 128, "truncation_side": "right"})");
  EXPECT_EQ(loaded().info().model_max_length, 128U);
  EXPECT_EQ(loaded().info().truncation_side, TruncationSide::right);
}

TEST_F(LoaderTest, ModelMaxLengthIsALimitWhereItIsARealNumber) {
  write(tokenizer_);
  const auto limit = [&](const std::string& fields) {
    write("tokenizer_config.json", "{" + fields + "}");
    return loaded().info().model_max_length;
  };
  EXPECT_EQ(limit(R"("model_max_length": 128)"), 128U);
  EXPECT_EQ(limit(R"("model_max_length": 128.0)"), 128U);
  EXPECT_EQ(limit(R"("max_len": 64)"), 64U);
  EXPECT_EQ(limit(R"("max_len": 64, "model_max_length": 32)"), 32U);
  for (const char* none : {"1000000000000000019884624838656", "1e30", "null", "0", "1"})
    EXPECT_EQ(limit(std::string("\"model_max_length\": ") + none), kNoLimit) << none;
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
  EXPECT_THAT(ids("the <start>"), ElementsAre(2, 5, 14, 3));  // the template is tokenizer.json's
  // One that the vocabulary has not is added behind it.
  write("tokenizer_config.json", R"({"cls_token": "<none>"})");
  EXPECT_THAT(ids("the <none>"), ElementsAre(2, 5, 15, 3));
  write("tokenizer_config.json", R"({"added_tokens_decoder": {"15": {"content": "<more>"}}})");
  EXPECT_THAT(ids("the <more>"), ElementsAre(2, 5, 15, 3));
  write("tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "<more>"}}})");
  expect_refused("tokenizer/json", "added_tokens_decoder");
}

TEST_F(LoaderTest, PartsInASequence) {
  const auto wrap = [](const char* list, json parts) {
    return json{{"type", "Sequence"}, {list, std::move(parts)}};
  };
  const json whole = tokenizer_;
  const auto expect_bert = [&] {
    write(tokenizer_);
    EXPECT_TRUE(loaded().info().one_pass) << loaded().info().one_pass_refusal;
    EXPECT_THAT(ids("The Caf\u00e9s!"), ElementsAre(2, 5, 9, 7, 11, 3));
  };
  for (const auto& [part, list] :
       std::vector<std::pair<const char*, const char*>>{{"normalizer", "normalizers"},
                                                        {"pre_tokenizer", "pretokenizers"},
                                                        {"post_processor", "processors"}}) {
    SCOPED_TRACE(part);
    tokenizer_[part] = wrap(list, json::array({whole[part]}));
    expect_bert();
    tokenizer_[part] = wrap(list, json::array({wrap(list, json::array({whole[part]}))}));
    expect_bert();
  }
  tokenizer_["pre_tokenizer"] =
      wrap("pretokenizers", {{{"type", "WhitespaceSplit"}}, {{"type", "Punctuation"}}});
  expect_bert();
  tokenizer_["normalizer"] =
      wrap("normalizers", {{{"type", "NFD"}}, {{"type", "Lowercase"}}, {{"type", "StripAccents"}}});
  write(tokenizer_);
  EXPECT_THAT(ids("The Caf\u00e9s\u0903!"), ElementsAre(2, 5, 9, 7, 11, 3));
  tokenizer_["normalizer"] = wrap("normalizers", json::array());
  tokenizer_["post_processor"] = wrap("processors", json::array());
  write(tokenizer_);
  EXPECT_THAT(ids("Cafe cafe"), ElementsAre(8, 9));
  // Flags of a BertNormalizer in a Sequence are no longer tokenizer_config's.
  tokenizer_["normalizer"] = wrap("normalizers", json::array({whole["normalizer"]}));
  write(tokenizer_);
  write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer", "do_lower_case": false})");
  EXPECT_THAT(ids("CAFE"), ElementsAre(9));
}

// Ids of tokenizers 0.23.
TEST_F(LoaderTest, SplittersByCharacter) {
  tokenizer_["model"]["vocab"] = {{"[PAD]", 0},  {"[UNK]", 1}, {"[CLS]", 2}, {"[SEP]", 3},
                                  {"[MASK]", 4}, {"don't", 5}, {"don", 6},   {"'", 7},
                                  {"t", 8},      {"...", 9},   {".", 10},    {"a b", 11}};
  const auto with = [&](json pre_tokenizer) {
    tokenizer_["pre_tokenizer"] = std::move(pre_tokenizer);
    write(tokenizer_);
    return ids("don't ... a b");
  };
  EXPECT_THAT(with({{"type", "BertPreTokenizer"}}), ElementsAre(2, 6, 7, 8, 10, 10, 10, 1, 1, 3));
  EXPECT_THAT(with({{"type", "WhitespaceSplit"}}), ElementsAre(2, 5, 9, 1, 1, 3));
  EXPECT_THAT(with({{"type", "Whitespace"}}), ElementsAre(2, 6, 7, 8, 9, 1, 1, 3));
  EXPECT_THAT(with({{"type", "Punctuation"}, {"behavior", "Isolated"}}),
              ElementsAre(2, 6, 7, 1, 10, 10, 10, 1, 3));
  EXPECT_THAT(with({{"type", "Sequence"},
                    {"pretokenizers", {{{"type", "Whitespace"}}, {{"type", "Punctuation"}}}}}),
              ElementsAre(2, 6, 7, 8, 10, 10, 10, 1, 1, 3));
}

TEST_F(LoaderTest, OtherNamesOfBertsClass) {
  tokenizer_["normalizer"]["lowercase"] = false;
  write(tokenizer_);
  for (const std::string name :
       {"MobileBertTokenizer", "LayoutLMTokenizer", "SqueezeBertTokenizer", "ConvBertTokenizer",
        "LxmertTokenizer", "ElectraTokenizer", "BertWordPieceTokenizer"}) {
    for (const char* fast : {"", "Fast"}) {
      write("tokenizer_config.json", R"({"tokenizer_class": ")" + name + fast + "\"}");
      EXPECT_THAT(ids("CAFE"), ElementsAre(2, 9, 3)) << name;  // BERT's lower case is its default
    }
  }
  for (const std::string name : {"PreTrainedTokenizer", "PreTrainedTokenizerFast"}) {
    write("tokenizer_config.json", R"({"tokenizer_class": ")" + name + "\"}");
    EXPECT_THAT(ids("CAFE"), ElementsAre(2, 1, 3)) << name;
  }
  // Without one, config.json's class and then its model_type count.
  write("tokenizer_config.json", "{}");
  write("config.json", R"({"model_type": "mobilebert"})");
  EXPECT_THAT(ids("CAFE"), ElementsAre(2, 9, 3));
  write("config.json", R"({"model_type": "bert", "tokenizer_class": "PreTrainedTokenizerFast"})");
  EXPECT_THAT(ids("CAFE"), ElementsAre(2, 1, 3));
  write("config.json", R"({"model_type": "bert", "tokenizer_class": "BertJapaneseTokenizer"})");
  expect_refused("tokenizer/unsupported", "BertJapaneseTokenizer");
}

// As Transformers 4 and the tokenizers library; Transformers 5 puts them in.
TEST_F(LoaderTest, WithoutPostProcessorThereAreNoSpecialTokens) {
  tokenizer_["post_processor"] = nullptr;
  write(tokenizer_);
  write("tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer"})");
  EXPECT_THAT(ids("the movie"), ElementsAre(5, 6));
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
}

TEST_F(LoaderTest, VocabTxtErrors) {
  write("vocab.txt", "");
  expect_refused("tokenizer/vocabulary", "empty");
  write("vocab.txt", "[PAD]\n[CLS]\n[SEP]\nthe\n");
  expect_refused("tokenizer/vocabulary", "[UNK]");
  write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\nthe\n");
  EXPECT_THAT(ids("the"), ElementsAre(2, 3, 4));
  const auto without_row = Tokenizer::load(folder_.path().string(), 4);
  ASSERT_FALSE(without_row);
  EXPECT_THAT(without_row.error().message, HasSubstr("[SEP]"));
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
  write("vocab.json", R"({"<s>": 0})");
  expect_refused("tokenizer/vocabulary", "merges.txt");
}

}  // namespace
}  // namespace breakeven::text

// Special and added tokens: which file names them, which ids they get, where in a text they are
// found.
#include <filesystem>
#include <sstream>

#include "tokenizer_folder.h"

namespace breakeven::text {
namespace {

using ::testing::ElementsAre;

class SpecialTokensTest : public TokenizerFolder {};

// A vocabulary with two tokens that only a file can make special; ids 5 and 6.
constexpr const char* kVocabTxt =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[E1]\n@user\ne\n##1\n[\n]\n@\nthe\nuser\n";
constexpr int kE1 = 5, kUser = 6;

// Every place and every spelling of Transformers 4 and 5, beside vocab.txt and tokenizer.json. The
// ids are those of Transformers 5.23 and, but for a list of extra ones, 4.57.
TEST_F(SpecialTokensTest, FurtherSpecialTokensWhereverTheyAreNamed) {
  const std::pair<const char*, const char*> places[] = {
      {"tokenizer_config.json", R"({"additional_special_tokens": ["[E1]", "@user"]})"},
      {"tokenizer_config.json", R"({"extra_special_tokens": ["[E1]", "@user"]})"},
      {"tokenizer_config.json", R"({"extra_special_tokens": {"a": "[E1]", "b": "@user"}})"},
      {"tokenizer_config.json",
       R"({"model_specific_special_tokens": {"a": "[E1]", "b": "@user"}})"},
      {"tokenizer_config.json", R"({"bos_token": "[E1]", "eos_token": "@user"})"},
      {"tokenizer_config.json",
       R"({"additional_special_tokens": [{"__type": "AddedToken", "content": "[E1]", "lstrip": false,
           "normalized": false, "rstrip": false, "single_word": false, "special": true}, "@user"]})"},
      {"tokenizer_config.json",
       R"({"additional_special_tokens": ["@user"], "extra_special_tokens": {"a": "[E1]"}})"},
      {"tokenizer_config.json", R"({"added_tokens_decoder":
           {"6": {"content": "@user", "special": true}, "5": {"content": "[E1]", "special": true}}})"},
      {"special_tokens_map.json", R"({"additional_special_tokens": ["[E1]", "@user"]})"},
      {"special_tokens_map.json",
       R"({"bos_token": {"content": "[E1]"}, "additional_special_tokens": [{"content": "@user"}]})"},
      {"added_tokens.json", R"({"@user": 6, "[E1]": 5})"}};
  for (const bool from_json : {false, true}) {
    for (const auto& [file, content] : places) {
      SCOPED_TRACE(std::string(file) + content);
      for (const auto& old : std::filesystem::directory_iterator(folder_.path()))
        std::filesystem::remove(old);
      write("config.json", R"({"model_type": "bert"})");
      if (from_json) {
        std::istringstream lines(kVocabTxt);
        json& vocabulary = tokenizer_["model"]["vocab"] = json::object();
        std::string line;
        for (int id = 0; std::getline(lines, line); ++id) vocabulary[line] = id;
        write(tokenizer_);
      } else {
        write("vocab.txt", kVocabTxt);
      }
      EXPECT_THAT(ids("[E1] the@user"), ElementsAre(2, 9, 7, 8, 10, 12, 11, 13, 3));
      write(file, content);
      EXPECT_THAT(ids("[E1] the@user"), ElementsAre(2, kE1, 12, kUser, 3));
    }
  }
}

TEST_F(SpecialTokensTest, WhichOfTwoFilesNamesASpecialToken) {
  write("vocab.txt", kVocabTxt);
  // The older file does not count beside an added_tokens_decoder.
  write("special_tokens_map.json", R"({"additional_special_tokens": ["[E1]"]})");
  write("added_tokens.json", R"({"@user": 6})");
  EXPECT_THAT(ids("[E1]@user"), ElementsAre(2, kE1, kUser, 3));
  write("tokenizer_config.json", R"({"added_tokens_decoder": {}})");
  EXPECT_THAT(ids("[E1]@user"), ElementsAre(2, 9, 7, 8, 10, 11, 13, 3));
  // Both files' further tokens count; a role is the older file's.
  write("tokenizer_config.json",
        R"({"additional_special_tokens": ["@user"], "cls_token": "the", "mask_token": null})");
  write("special_tokens_map.json",
        R"({"additional_special_tokens": ["[E1]"], "cls_token": "[SEP]"})");
  EXPECT_THAT(ids("[E1]@user[MASK]"), ElementsAre(3, kE1, kUser, 9, 1, 10, 3));
  // A list of extra ones hides the additional ones.
  write("special_tokens_map.json", "{}");
  write("added_tokens.json", "{}");
  write("tokenizer_config.json",
        R"({"additional_special_tokens": ["@user"], "extra_special_tokens": ["[E1]"]})");
  EXPECT_THAT(ids("[E1]@user"), ElementsAre(2, kE1, 11, 13, 3));
  write("tokenizer_config.json", R"({"additional_special_tokens": "[E1]"})");
  expect_refused("tokenizer/json", "additional_special_tokens");
  write("tokenizer_config.json", R"({"additional_special_tokens": [5]})");
  expect_refused("tokenizer/json", "additional_special_tokens");
}

TEST_F(SpecialTokensTest, TokensThatTheVocabularyHasNotGetTheNextIds) {
  write("vocab.txt", kVocabTxt);  // 14 entries
  write("tokenizer_config.json",
        R"({"additional_special_tokens": ["<b>", "<a>"], "mask_token": "<mask>"})");
  write("added_tokens.json", R"({"Zork": 15, "<a>": 14})");
  EXPECT_THAT(ids("<b><a><mask>"), ElementsAre(2, 17, 14, 16, 3));
  // One that no file calls special is looked for in the normalised text.
  EXPECT_THAT(ids("ZORK the zork"), ElementsAre(2, 15, 12, 15, 3));
  EXPECT_EQ(loaded().info().vocabulary, 18U);
  write("added_tokens.json", R"({"Zork": 20})");
  expect_refused("tokenizer/vocabulary", "the next free one is 14");
}

TEST_F(SpecialTokensTest, AMaskThatOnlyTheClassNamesNeedsARow) {
  write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[\n]\nmask\n");
  EXPECT_THAT(ids("[MASK]"), ElementsAre(2, 7, 3));
  const Tokenizer tokenizer = Tokenizer::load(folder_.path().string(), 7).value();
  std::vector<std::int32_t> out;
  tokenizer.encode("[MASK]", {}, *tokenizer.make_scratch(), out);
  EXPECT_THAT(out, ElementsAre(2, 4, 6, 5, 3));
  EXPECT_EQ(tokenizer.info().vocabulary, 7U);
}

TEST_F(SpecialTokensTest, SplitSpecialTokensMakesThemText) {
  write("vocab.txt", kVocabTxt);
  write("tokenizer_config.json",
        R"({"split_special_tokens": true, "additional_special_tokens": ["[E1]"]})");
  write("added_tokens.json", R"({"@user": 6})");
  EXPECT_THAT(ids("[E1] [SEP] @user"), ElementsAre(2, 9, 7, 8, 10, 9, 1, 10, kUser, 3));
}

TEST_F(SpecialTokensTest, ASingleWordTokenStandsAlone) {
  tokenizer_["model"]["vocab"] = {{"[PAD]", 0},  {"[UNK]", 1}, {"[CLS]", 2}, {"[SEP]", 3},
                                  {"[MASK]", 4}, {"my", 5},    {",", 6},     {"_", 7},
                                  {"graf", 8},   {"##s", 9},   {"un", 10},   {"##graft", 11}};
  for (const bool normalized : {false, true}) {
    tokenizer_["added_tokens"][5] = {
        {"id", 12},        {"content", "graft"},       {"single_word", true}, {"lstrip", false},
        {"rstrip", false}, {"normalized", normalized}, {"special", false}};
    write(tokenizer_);
    EXPECT_THAT(ids("my graft,graft"), ElementsAre(2, 5, 12, 6, 12, 3));
    EXPECT_THAT(ids("grafts"), ElementsAre(2, 1, 3));
    EXPECT_THAT(ids("ungraft"), ElementsAre(2, 10, 11, 3));
    EXPECT_THAT(ids("graft\u0903"), ElementsAre(2, 1, 3));  // a mark is part of a word
    EXPECT_THAT(ids("_graft"), ElementsAre(2, 7, 1, 3));
    EXPECT_THAT(ids("GRAFT"), ElementsAre(2, normalized ? 12 : 1, 3));
  }
}

}  // namespace
}  // namespace breakeven::text

// A folder with a small tokenizer, whose files a test writes and changes.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files.h"
#include "testing/paths.h"
#include "text/tokenizer.h"

namespace breakeven::text {

using nlohmann::json;
using ::testing::HasSubstr;

inline json special(const char* name, int token_type) {
  return {{"SpecialToken", {{"id", name}, {"type_id", token_type}}}};
}
inline json sequence(const char* name, int token_type) {
  return {{"Sequence", {{"id", name}, {"type_id", token_type}}}};
}

// A tokenizer.json with a dozen entries; tests change it.
inline json small_tokenizer() {
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

class TokenizerFolder : public ::testing::Test {
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

}  // namespace breakeven::text

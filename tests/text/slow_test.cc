// The live Hugging Face packages as the judge: every review of IMDB, and hostile random strings.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "oracle_file.h"
#include "testing/oracle.h"
#include "testing/paths.h"
#include "text/tokenizer.h"

namespace breakeven::text {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSst2 = "models/distilbert-base-uncased-finetuned-sst-2-english";

using testing::oracle_python;
using testing::run_oracle;

#define NEED(condition, what) \
  if (!(condition)) GTEST_SKIP() << "SKIPPED: " << (what) << " is missing"

// `pairs`: their share.
void compare_random(const fs::path& model, int count, int seed, double pairs = 0.15) {
  NEED(fs::exists(oracle_python()), oracle_python().string() + " (tokenizers, transformers)");
  NEED(fs::exists(model), model.string());
  const testing::TempDir folder;
  const fs::path file = folder / "cases";
  ASSERT_TRUE(run_oracle(
      "tokenizer_oracle.py",
      fmt::format("'{}' '{}' random {} {} {}", model.string(), file.string(), count, seed, pairs)));
  const auto tokenizer = Tokenizer::load(model.string());
  ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
  const std::size_t cases = expect_same_ids(*tokenizer, file);
  EXPECT_EQ(cases, static_cast<std::size_t>(count));
  fmt::print("{}: {} random texts compared with the live package\n", model.filename().string(),
             cases);
}

void compare_imdb(const fs::path& model) {
  NEED(fs::exists(oracle_python()), oracle_python().string() + " (tokenizers, transformers)");
  NEED(fs::exists(model), model.string());
  const auto archive = testing::shared_file("data/aclImdb.tar.xz");
  NEED(archive.has_value(), "aclImdb.tar.xz");
  const testing::TempDir folder;
  const fs::path file = folder / "cases";
  ASSERT_TRUE(run_oracle("tokenizer_oracle.py", fmt::format("'{}' '{}' imdb '{}'", model.string(),
                                                            file.string(), archive->string())));
  const auto tokenizer = Tokenizer::load(model.string());
  ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
  const std::size_t cases = expect_same_ids(*tokenizer, file);
  EXPECT_EQ(cases, 50000U);
  fmt::print("{}: {} reviews compared with the live package\n", model.filename().string(), cases);
}

TEST(TokenizerSlow, UnicodeTablesAgreeWithTheLivePackage) {
  NEED(fs::exists(oracle_python()), oracle_python().string() + " (tokenizers)");
  EXPECT_TRUE(run_oracle("make_unicode_tables.py", "--live --check"));
}

TEST(TokenizerSlow, ImdbWithTheBuiltInVocabulary) {
  compare_imdb(testing::source_dir() / "models/builtin");
}

TEST(TokenizerSlow, ImdbWithBertBaseUncased) {
  const auto model = testing::shared_file(kSst2);
  NEED(model.has_value(), kSst2);
  compare_imdb(*model);
}

TEST(TokenizerSlow, RandomTextsWithTheBuiltInVocabulary) {
  compare_random(testing::source_dir() / "models/builtin", 120000, 1);
}

TEST(TokenizerSlow, RandomTextsWithBertBaseUncased) {
  const auto model = testing::shared_file(kSst2);
  NEED(model.has_value(), kSst2);
  compare_random(*model, 120000, 2);
}

TEST(TokenizerSlow, RandomTextsWithTheCasedVocabulary) {
  compare_random(testing::source_dir() / "tests/text/data/cased", 60000, 3);
}

// A real vocabulary as a script of tools/ writes it, in one of its forms.
void with_vocabulary(const char* script, const char* form,
                     const std::function<void(const fs::path&)>& compare) {
  NEED(fs::exists(oracle_python()), oracle_python().string() + " (the packages of the oracle)");
  const testing::TempDir folder;
  const fs::path model = folder / "model";
  ASSERT_TRUE(run_oracle(script, fmt::format("'{}' {}", model.string(), form)));
  compare(model);
}

// Byte-level BPE over GPT-2's vocabulary, with RoBERTa's special tokens.
void with_gpt2_vocabulary(const char* form, const std::function<void(const fs::path&)>& compare) {
  with_vocabulary("gpt2_vocabulary.py", form, compare);
}

// Unigram over XLM-RoBERTa's.
void with_xlm_roberta_vocabulary(const char* form,
                                 const std::function<void(const fs::path&)>& compare) {
  with_vocabulary("xlm_roberta_vocabulary.py", form, compare);
}

TEST(TokenizerSlow, RandomTextsWithByteLevelBpe) {
  with_gpt2_vocabulary("", [](const fs::path& model) { compare_random(model, 200000, 4); });
}

TEST(TokenizerSlow, RandomPairs) {
  compare_random(testing::source_dir() / "models/builtin", 60000, 6, 1);
  compare_random(testing::source_dir() / "tests/text/data/cased", 60000, 7, 1);
  compare_random(testing::source_dir() / "tests/text/data/byte_level", 60000, 8, 1);
}

TEST(TokenizerSlow, RandomTextsWithVocabJsonAndMergesTxt) {
  with_gpt2_vocabulary("--files", [](const fs::path& model) { compare_random(model, 20000, 5); });
}

TEST(TokenizerSlow, ImdbWithByteLevelBpe) {
  with_gpt2_vocabulary("", compare_imdb);
}

TEST(TokenizerSlow, RandomTextsWithUnigram) {
  with_xlm_roberta_vocabulary("blanks",
                              [](const fs::path& model) { compare_random(model, 200000, 6); });
}

TEST(TokenizerSlow, RandomTextsWithUnigramBehindWhitespaceSplit) {
  with_xlm_roberta_vocabulary("words",
                              [](const fs::path& model) { compare_random(model, 60000, 7); });
}

TEST(TokenizerSlow, RandomTextsWithUnigramStrippedOnTheRight) {
  with_xlm_roberta_vocabulary("right",
                              [](const fs::path& model) { compare_random(model, 60000, 8); });
}

TEST(TokenizerSlow, ImdbWithUnigram) {
  with_xlm_roberta_vocabulary("blanks", compare_imdb);
}

TEST(TokenizerSlow, RandomPartsAndFilesOfATokenizer) {
  NEED(fs::exists(oracle_python()), oracle_python().string() + " (tokenizers, transformers)");
  constexpr int kFolders = 1000;
  const testing::TempDir folder;
  ASSERT_TRUE(run_oracle("tokenizer_folders.py",
                         fmt::format("'{}' {} 1", folder.path().string(), kFolders)));
  std::size_t cases = 0;
  for (const auto& each : fs::directory_iterator(folder.path())) {
    SCOPED_TRACE(each.path().string());
    const auto tokenizer = Tokenizer::load(each.path().string());
    ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
    cases += expect_same_ids(*tokenizer, each.path() / "cases");
  }
  fmt::print("{} random texts with {} tokenizers compared with the live package\n", cases,
             kFolders);
}

}  // namespace
}  // namespace breakeven::text

// Texts whose ids Hugging Face's tokenizer gave (tools/make_tokenizer_goldens.py): the known traps,
// every Unicode block, random mixtures, cuts at the boundary, pairs; under several vocabularies and
// settings, by both routes.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "oracle_file.h"
#include "testing/paths.h"
#include "text/tokenizer.h"

namespace breakeven::text {
namespace {

using simdjson::dom::element;

const std::filesystem::path kGolden = testing::source_dir() / "tests/text/golden";

std::vector<std::int32_t> integers(element list) {
  std::vector<std::int32_t> out;
  for (const element each : list) out.push_back(static_cast<std::int32_t>(std::int64_t(each)));
  return out;
}

// "first" as text, or "first_hex" as bytes.
bool read_text(element row, const std::string& name, std::string& out) {
  std::string_view value;
  if (!row[name].get(value)) {
    out = value;
    return true;
  }
  if (row[name + "_hex"].get(value)) return false;
  out.clear();
  for (std::size_t i = 0; i + 1 < value.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(value.substr(i, 2)), nullptr, 16)));
  return true;
}

OracleCase read_case(element row, const std::string& ids) {
  OracleCase out;
  EXPECT_TRUE(read_text(row, "first", out.first));
  out.pair = read_text(row, "second", out.second);
  std::int64_t max_length = 0;
  out.options.truncate = !row["max_length"].get(max_length);
  out.options.max_length = static_cast<std::size_t>(max_length);
  bool left = false;
  if (!row["left"].get(left) && left) out.options.truncation_side = TruncationSide::left;
  out.options.add_special_tokens = row["special"].get(left) != simdjson::SUCCESS;
  out.ids = integers(row[ids]);
  if (out.pair) out.token_types = integers(row[ids + "_types"]);
  return out;
}

// The texts under one vocabulary; returns how many there were.
std::size_t expect_golden(const std::filesystem::path& model, const std::string& ids) {
  const auto tokenizer = Tokenizer::load(model.string());
  if (!tokenizer) {
    ADD_FAILURE() << tokenizer.error().to_string();
    return 0;
  }
  EXPECT_TRUE(tokenizer->info().one_pass) << tokenizer->info().one_pass_refusal;
  simdjson::dom::parser parser;
  std::ifstream file(kGolden / "texts.jsonl");
  const auto scratch = tokenizer->make_scratch();
  std::size_t count = 0;
  for (std::string line; std::getline(file, line); ++count)
    expect_same_ids(*tokenizer, *scratch, read_case(parser.parse(line), ids));
  return count;
}

TEST(TokenizerGolden, BuiltInVocabulary) {
  EXPECT_GE(expect_golden(testing::source_dir() / "models/builtin", "builtin"), 2000U);
}

TEST(TokenizerGolden, CasedVocabularyFromVocabTxt) {
  EXPECT_GE(expect_golden(testing::source_dir() / "tests/text/data/cased", "cased"), 2000U);
}

TEST(TokenizerGolden, BertBaseUncased) {
  constexpr const char* kName = "models/distilbert-base-uncased-finetuned-sst-2-english";
  const auto model = testing::shared_file(kName);
  if (!model) GTEST_SKIP() << "SKIPPED: " << kName << " is missing";
  EXPECT_GE(expect_golden(*model, "uncased"), 2000U);
}

// The bytes of "aGk=".
std::string from_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0, count = 0;
  for (const char c : text.substr(0, text.find('='))) {
    bits = bits << 6 | static_cast<unsigned>(kDigits.find(c));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<char>(bits >> count));
  }
  return out;
}

// "tokenizer": what stands in tokenizer.json; or "files": several by their names, in Base64.
void write_files(element row, const std::filesystem::path& folder) {
  element tokenizer;
  if (!row["tokenizer"].get(tokenizer)) {
    EXPECT_TRUE(
        write_file_atomic((folder / "tokenizer.json").string(), simdjson::minify(tokenizer)));
    return;
  }
  for (const auto [name, content] : simdjson::dom::object(row["files"]))
    EXPECT_TRUE(write_file_atomic((folder / std::string(name)).string(),
                                  from_base64(std::string_view(content))));
}

// Tokenizers with their texts, a line each; returns how many there were. The one-pass route must
// take all of them over exactly but those of `by_stages_only`.
std::size_t expect_variants(const char* name, const std::vector<std::string>& by_stages_only) {
  simdjson::dom::parser parser;
  std::ifstream file(kGolden / name);
  std::size_t variants = 0;
  for (std::string line; std::getline(file, line); ++variants) {
    const element row = parser.parse(line);
    const std::string variant{std::string_view(row["name"])};
    SCOPED_TRACE(variant);
    const testing::TempDir folder;
    write_files(row, folder.path());
    const auto tokenizer = Tokenizer::load(folder.path().string());
    if (!tokenizer) {
      ADD_FAILURE() << tokenizer.error().to_string();
      continue;
    }
    const bool one_pass =
        std::find(by_stages_only.begin(), by_stages_only.end(), variant) == by_stages_only.end();
    EXPECT_EQ(tokenizer->info().one_pass, one_pass) << tokenizer->info().one_pass_refusal;
    EXPECT_EQ(tokenizer->info().one_pass_refusal.empty(), one_pass);
    const auto scratch = tokenizer->make_scratch();
    for (const element each : row["cases"])
      expect_same_ids(*tokenizer, *scratch, read_case(each, "ids"));
  }
  return variants;
}

// The same tokenizer as the first of byte_level.jsonl, in its older files.
TEST(TokenizerGolden, VocabJsonAndMergesTxt) {
  const auto tokenizer =
      Tokenizer::load((testing::source_dir() / "tests/text/data/byte_level").string());
  ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
  EXPECT_TRUE(tokenizer->info().one_pass) << tokenizer->info().one_pass_refusal;
  simdjson::dom::parser parser;
  std::ifstream file(kGolden / "byte_level.jsonl");
  std::string line;
  std::getline(file, line);
  const auto scratch = tokenizer->make_scratch();
  for (const element each : parser.parse(line)["cases"])
    expect_same_ids(*tokenizer, *scratch, read_case(each, "ids"));
}

TEST(TokenizerGolden, OtherSettings) {
  const std::vector<std::string> by_stages_only = {"marks in an uncased vocabulary",
                                                   "short words only", "added tokens that strip",
                                                   "added words", "normalised added tokens"};
  EXPECT_EQ(expect_variants("variants.jsonl", by_stages_only), 18U);
}

TEST(TokenizerGolden, ByteLevel) {
  EXPECT_EQ(
      expect_variants("byte_level.jsonl", {"no pattern", "a normaliser", "NFC and runs of blanks"}),
      15U);
}

TEST(TokenizerGolden, Unigram) {
  const std::vector<std::string> by_stages_only = {
      "no split",     "words unsplit",        "punctuation before Metaspace",
      "added tokens", "literal replacements", "DeBERTa, lower case and split at punctuation"};
  EXPECT_EQ(expect_variants("unigram.jsonl", by_stages_only), 19U);
}

TEST(TokenizerGolden, SentencePiecesOwnFiles) {
  EXPECT_EQ(
      expect_variants("sentencepiece.jsonl", {"DeBERTa, lower case and split at punctuation"}), 6U);
}

}  // namespace
}  // namespace breakeven::text

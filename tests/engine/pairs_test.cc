// Pairs of texts through tokenizer and model, against what Hugging Face Transformers made of them
// (tools/make_pair_goldens.py): token types that count (BERT), a table of one (RoBERTa), none
// (DistilBERT).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/files.h"
#include "base/limits.h"
#include "engine/native.h"
#include "testing/paths.h"

namespace breakeven::engine {
namespace {

using nlohmann::json;

std::filesystem::path golden_folder(const std::string& name) {
  return testing::source_dir() / "tests" / "golden" / "pairs" / name;
}

std::shared_ptr<const LoadedModel> load(const std::filesystem::path& folder) {
  auto model = load_model({.model = folder.string()});
  BREAKEVEN_CHECK(model.has_value(), "{}", model.error().to_string());
  return *std::move(model);
}

std::unique_ptr<Classifier> make(const std::shared_ptr<const LoadedModel>& model,
                                 const NativeOptions& options) {
  auto classifier = make_native(model, options);
  BREAKEVEN_CHECK(classifier.has_value(), "{}", classifier.error().to_string());
  return *std::move(classifier);
}

// The pairs of one maximum length.
struct Pairs {
  std::uint64_t max_length = 0;
  std::vector<std::string> first, second;
  std::vector<std::vector<std::int32_t>> ids, token_types;
  std::vector<float> logits;
  std::vector<Text> views() const {
    std::vector<Text> texts;
    for (std::size_t i = 0; i < first.size(); ++i) texts.emplace_back(first[i], second[i]);
    return texts;
  }
};

std::vector<Pairs> golden_pairs(const std::string& name) {
  const std::string content = read_file((golden_folder(name) / "golden.json").string()).value();
  const json golden = json::parse(content);
  std::map<std::uint64_t, Pairs> by_length;
  for (const json& one : golden.at("pairs")) {
    Pairs& pairs = by_length[one.at("max_length")];
    pairs.max_length = one.at("max_length");
    pairs.first.push_back(one.at("text"));
    pairs.second.push_back(one.at("text_pair"));
    pairs.ids.push_back(one.at("input_ids"));
    pairs.token_types.push_back(one.at("token_type_ids"));
    for (const float logit : one.at("logits")) pairs.logits.push_back(logit);
  }
  std::vector<Pairs> all;
  all.reserve(by_length.size());
  for (auto& [length, pairs] : by_length) all.push_back(std::move(pairs));
  EXPECT_EQ(all.size(), 3U);
  return all;
}

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

class GoldenPairs : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenPairs, HaveHuggingFacesIdsAndTokenTypes) {
  const auto model = load(golden_folder(GetParam()));
  const auto scratch = model->tokenizer->make_scratch();
  for (const Pairs& pairs : golden_pairs(GetParam())) {
    const auto texts = pairs.views();
    for (std::size_t i = 0; i < texts.size(); ++i) {
      std::vector<std::int32_t> ids, token_types;
      model->tokenizer->encode(texts[i], {.max_length = pairs.max_length}, *scratch, ids,
                               &token_types);
      EXPECT_EQ(ids, pairs.ids[i]) << pairs.first[i] << " | " << pairs.second[i];
      EXPECT_EQ(token_types, pairs.token_types[i]) << pairs.first[i] << " | " << pairs.second[i];
    }
  }
}

TEST_P(GoldenPairs, HaveHuggingFacesLogitsEveryWay) {
  const auto model = load(golden_folder(GetParam()));
  const auto scratch = model->tokenizer->make_scratch();
  for (const Pairs& pairs : golden_pairs(GetParam())) {
    const auto texts = pairs.views();
    for (const bool reference : {true, false}) {
      const double most = limit(reference ? "hf/layer_abs_max" : "model/fp32/logit_abs_max");
      for (const Padding padding : all_of<Padding>()) {
        const auto classifier = make(model, {.setup = {.threads = 2,
                                                       .max_length = pairs.max_length,
                                                       .batch = texts.size(),
                                                       .padding = padding},
                                             .reference = reference});
        BatchResult batch;
        ASSERT_TRUE(classifier->run_batch(texts, batch).has_value());
        EXPECT_LE(largest_difference(batch.logits, pairs.logits), most);
        StreamResult stream;
        ASSERT_TRUE(classifier->run_stream(texts, 7, stream).has_value());
        EXPECT_LE(largest_difference(stream.logits, pairs.logits), most);
        EXPECT_EQ(batch.cut, stream.cut);
        for (std::size_t i = 0; i < texts.size(); ++i) {
          std::vector<std::int32_t> whole;
          model->tokenizer->encode(texts[i], {.truncate = false}, *scratch, whole);
          EXPECT_EQ(batch.tokens[i], pairs.ids[i].size());
          EXPECT_EQ(batch.cut[i], whole.size() > pairs.max_length ? 1 : 0);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenPairs,
                         ::testing::Values("bert_nli", "roberta_nli", "distilbert_reranker"));

TEST(Pairs, MayStandBesideTextsAlone) {
  const auto model = load(golden_folder("bert_nli"));
  const auto classifier = make(model, {.setup = {.threads = 2, .max_length = 64, .batch = 4}});
  const std::vector<Text> mixed = {
      "a good film", {"a good film", "bad"}, "bad", {"a good film", ""}};
  BatchResult together, alone;
  ASSERT_TRUE(classifier->run_batch(mixed, together).has_value());
  EXPECT_THAT(together.tokens, ::testing::ElementsAre(5, 7, 3, 6));
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    ASSERT_TRUE(classifier->run_batch(std::span(mixed).subspan(i, 1), alone).has_value());
    const std::vector<float> logits(
        together.logits.begin() + static_cast<std::ptrdiff_t>(3 * i),
        together.logits.begin() + static_cast<std::ptrdiff_t>(3 * i + 3));
    EXPECT_LE(largest_difference(logits, alone.logits), limit("model/fp32/logit_abs_max")) << i;
  }
}

// Ids that were made before, as a server makes them while a batch is computed: some of a batch or
// all, pairs with token types, texts that are cut, and texts without a second one among them.
TEST(Pairs, IdsThatWereMadeBeforeAreTheSame) {
  const auto model = load(golden_folder("bert_nli"));
  const NativeOptions options{.setup = {.threads = 2, .max_length = 6, .batch = 4},
                              .whole_tokens = true};
  const auto classifier = make(model, options);
  const std::vector<Text> plain = {
      "a good film", {"a good film", "bad"}, "bad bad bad bad bad bad bad", {"a good film", ""}};
  BatchResult expected, got;
  ASSERT_TRUE(classifier->run_batch(plain, expected).has_value());
  TextReader reader(*model, options);
  std::vector<TokenIds> made(plain.size());
  for (std::size_t i = 0; i < plain.size(); ++i) reader.read(plain[i], made[i]);
  for (unsigned which = 0; which < 16; ++which) {
    std::vector<Text> texts = plain;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if ((which >> i & 1U) == 0) continue;
      texts[i].ready = &made[i];
      texts[i].first = "not read";
    }
    ASSERT_TRUE(classifier->run_batch(texts, got).has_value());
    EXPECT_EQ(got.logits, expected.logits) << which;
    EXPECT_EQ(got.tokens, expected.tokens) << which;
    EXPECT_EQ(got.cut, expected.cut) << which;
    EXPECT_EQ(got.whole_tokens, expected.whole_tokens) << which;
  }
}

TEST(Pairs, MustHaveRoomForTheirSpecialTokens) {
  const auto model = load(golden_folder("roberta_nli"));
  const auto classifier = make(model, {.setup = {.threads = 1, .max_length = 3, .batch = 1}});
  BatchResult out;
  const std::vector<Text> alone = {"x"}, pair = {{"x", "y"}};
  EXPECT_TRUE(classifier->run_batch(alone, out).has_value());
  const auto refused = classifier->run_batch(pair, out);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, "engine/max-length");
  EXPECT_THAT(refused.error().to_string(), ::testing::HasSubstr("4 special tokens"));
}

class TypedFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"config.json", "model.safetensors", "vocab.txt"})
      std::filesystem::copy(golden_folder("bert_nli") / name, folder_ / name);
  }
  void write(const char* name, const std::string& content) {
    std::ofstream(folder_ / name) << content;
  }
  std::vector<float> logits_of(const Text& text) {
    const auto classifier =
        make(load(folder_.path()), {.setup = {.threads = 1, .max_length = 64, .batch = 1}});
    BatchResult out;
    EXPECT_TRUE(classifier->run_batch(std::span(&text, 1), out).has_value());
    return out.logits;
  }
  testing::TempDir folder_;
};

// As in Hugging Face, what a class names as the model's inputs decides whether types reach it.
TEST_F(TypedFolder, TypesReachTheModelWhereTheFilesSaySo) {
  const Text pair("a good film", "poor music");
  write("tokenizer_config.json", R"({"tokenizer_class":"BertTokenizer"})");
  const auto typed = logits_of(pair);
  write(
      "tokenizer_config.json",
      R"({"tokenizer_class":"BertTokenizer","model_input_names":["input_ids","token_type_ids"]})");
  EXPECT_EQ(logits_of(pair), typed);
  write("tokenizer_config.json",
        R"({"tokenizer_class":"BertTokenizer","model_input_names":["input_ids"]})");
  EXPECT_GT(largest_difference(logits_of(pair), typed), 0.01F);
}

TEST_F(TypedFolder, MoreTypesThanTheModelHasAreRefused) {
  write("tokenizer.json",
        R"({"added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},
    "model":{"type":"WordPiece","unk_token":"u","continuing_subword_prefix":"##",
             "max_input_chars_per_word":100,"vocab":{"u":0,"a":1}},
    "post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}}],
      "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":2}}],
      "special_tokens":{}}})");
  write("tokenizer_config.json", R"({"tokenizer_class":"PreTrainedTokenizerFast"})");
  const auto refused = load_model({.model = folder_.path().string()});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, "model/token-types");
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("up to 2, the embedding 2 rows"));
}

}  // namespace
}  // namespace breakeven::engine

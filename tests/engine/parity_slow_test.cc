// Do bf16 and int8 keep the labels of a really trained model? imdb-minilm, narrow and widened to 6
// x 768, over 1,000 IMDB test reviews (BREAKEVEN_PARITY_TEXTS=25000: over all of them, about an
// hour on two cores; --gtest_filter=*Widened_int8 and the like for one of them), by the limits of
// docs/parity.md. Needs data that does not ship with the project.
//
// The judge of both is the narrow model in fp32: widening is exact algebra, so that its logits are
// those of the wide model, at a fifth of the price. That they are is looked at on some reviews.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

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
  std::vector<Text> texts;
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

std::size_t texts_wanted() {
  const char* wanted = std::getenv("BREAKEVEN_PARITY_TEXTS");
  return std::size_t(wanted == nullptr ? limit("model/texts_min") : std::atof(wanted));
}

std::vector<float> logits_of(const std::shared_ptr<const LoadedModel>& model,
                             ops::Precision precision, std::span<const Text> texts,
                             bool reference = false) {
  auto classifier = make_native(
      model, {.setup = {.precision = precision, .threads = usable_cpus().threads(), .batch = 32},
              .reference = reference});
  EXPECT_TRUE(classifier.has_value()) << (classifier ? "" : classifier.error().to_string());
  StreamResult out;
  EXPECT_TRUE((*classifier)->run_stream(texts, 32, out).has_value());
  return out.logits;
}

struct Tested {
  bool wide = false;
  ops::Precision precision = ops::Precision::fp32;
};

std::string name_of(const ::testing::TestParamInfo<Tested>& tested) {
  return std::string(tested.param.wide ? "Widened_" : "Narrow_") +
         std::string(ops::to_string(tested.param.precision));
}

class Parity : public ::testing::TestWithParam<Tested> {
 protected:
  static void SetUpTestSuite() {
    const auto archive = testing::shared_file("data/aclImdb.tar.xz");
    const auto folder = testing::shared_file("models/imdb-minilm");
    if (!archive || !folder) return;
    auto reviews = imdb_reviews(archive->string(), texts_wanted());
    ASSERT_TRUE(reviews.has_value()) << reviews.error().to_string();
    reviews_ = *std::move(reviews);
    auto loaded = load_model({.model = folder->string()});
    ASSERT_TRUE(loaded.has_value()) << loaded.error().to_string();
    narrow_ = *loaded;
    judge_ = logits_of(narrow_, ops::Precision::fp32, reviews_.texts);
  }

  // Made once: a wide model takes half a gigabyte.
  static std::shared_ptr<const LoadedModel> tested_model() {
    if (!GetParam().wide) return narrow_;
    if (wide_ == nullptr) {
      auto wide = model::widen(narrow_->checkpoint, model::WideShape{}, 1);
      EXPECT_TRUE(wide.has_value()) << wide.error().to_string();
      wide_ = std::make_shared<LoadedModel>(LoadedModel{"imdb-minilm (6 x 768)", narrow_->folder,
                                                        "", *std::move(wide), narrow_->tokenizer});
    }
    return wide_;
  }
  static void TearDownTestSuite() {
    narrow_ = nullptr;
    wide_ = nullptr;
  }

  inline static Reviews reviews_;
  inline static std::shared_ptr<const LoadedModel> narrow_;  // null: no data, every test skips
  inline static std::shared_ptr<const LoadedModel> wide_;
  inline static std::vector<float> judge_;
};

// fp32 of `model` over the first `few` against the plain loops of the same model, and the plain
// loops against `judge`.
void check_the_judge(const std::shared_ptr<const LoadedModel>& model, std::size_t classes,
                     std::span<const Text> few, std::span<const float> judge) {
  const std::vector<float> fp32 = logits_of(model, ops::Precision::fp32, few);
  const std::vector<float> reference = logits_of(model, ops::Precision::fp32, few, true);
  for (const auto& [name, logits] : {std::pair{"fp32 of this model", std::span<const float>(fp32)},
                                     std::pair{"fp32 of the narrow model", judge}}) {
    const auto parity = measure::judge_outputs(
        {classes, logits.first(reference.size())}, {classes, reference},
        {.precision = Precision::fp32, .judge = "reference", .labels = {}, .small_sample = true});
    ASSERT_TRUE(parity.has_value()) << parity.error().to_string();
    EXPECT_EQ(parity->outcome, record::Agreement::passed) << name;
    std::printf("%s: %s against the reference: max |dlogit| %.2e over %zu reviews\n",
                model->name.c_str(), name, parity->logit_abs_max, few.size());
  }
}

TEST_P(Parity, KeepsItsLimits) {
  if (narrow_ == nullptr)
    GTEST_SKIP() << "SKIPPED: no shared/data/aclImdb.tar.xz or no shared/models/imdb-minilm (set "
                    "BREAKEVEN_SHARED)";
  const ops::Precision precision = GetParam().precision;
  const std::string name(ops::to_string(precision));
  if (!std::ranges::count(native_precisions({}), precision))
    GTEST_SKIP() << "SKIPPED: this CPU has no " << name;
  const auto model = tested_model();
  const std::size_t classes = model->checkpoint.plan.labels.size();
  if (precision == ops::Precision::fp32) {
    return check_the_judge(model, classes, std::span(reviews_.texts).first(16), judge_);
  }

  const std::vector<float> ours = logits_of(model, precision, reviews_.texts);
  const auto parity = measure::judge_outputs(
      {classes, ours}, {classes, judge_},
      {.precision = precision, .judge = "native cpu fp32", .labels = reviews_.labels});
  ASSERT_TRUE(parity.has_value()) << parity.error().to_string();
  std::printf("%s %s: %llu flips of %llu, p99 |dlogit| %.4f = %.4f sigma, accuracy lost %.3f %%\n",
              model->name.c_str(), name.c_str(), static_cast<unsigned long long>(parity->flips),
              static_cast<unsigned long long>(parity->texts), parity->logit_abs_p99,
              parity->logit_abs_p99 / parity->logit_sigma, 100 * parity->accuracy_loss.value_or(0));
  std::fflush(stdout);
  EXPECT_EQ(parity->outcome, record::Agreement::passed) << model->name << " " << name;
}

// fp32x3 last: it takes three times as long as the others together.
INSTANTIATE_TEST_SUITE_P(
    ImdbMinilm, Parity,
    ::testing::Values(Tested{false, ops::Precision::fp32}, Tested{true, ops::Precision::fp32},
                      Tested{false, ops::Precision::bf16}, Tested{true, ops::Precision::bf16},
                      Tested{false, ops::Precision::int8}, Tested{true, ops::Precision::int8},
                      Tested{false, ops::Precision::fp32x3}, Tested{true, ops::Precision::fp32x3}),
    name_of);

}  // namespace
}  // namespace breakeven::engine

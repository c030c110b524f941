// Zero-shot against Hugging Face's pipeline of that name (tools/make_pair_goldens.py).
#include "engine/zero_shot.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/files.h"
#include "base/limits.h"
#include "engine/decode.h"
#include "testing/paths.h"

namespace breakeven::engine {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string golden_folder(const std::string& name) {
  return (testing::source_dir() / "tests" / "golden" / "pairs" / name).string();
}

std::shared_ptr<const LoadedModel> load(const std::string& name) {
  auto model = load_model({.model = golden_folder(name)});
  BREAKEVEN_CHECK(model.has_value(), "{}", model.error().to_string());
  return *std::move(model);
}

NativeOptions options_of(std::size_t max_length) {
  return {.setup = {.threads = 2, .max_length = max_length, .batch = 5}};
}

std::vector<std::string> hypotheses(const std::string& form,
                                    const std::vector<std::string>& candidates) {
  std::vector<std::string> all;
  all.reserve(candidates.size());
  for (const std::string& candidate : candidates)
    all.push_back(fmt::format(fmt::runtime(form), candidate));
  return all;
}

class GoldenZeroShot : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenZeroShot, HasThePipelinesScoresEveryWay) {
  const auto model = load(GetParam());
  const json golden = json::parse(read_file(golden_folder(GetParam()) + "/golden.json").value());
  std::size_t cut = 0, compared = 0;
  for (const json& one : golden.at("zero_shot")) {
    ZeroShot zero_shot{.candidates = one.at("labels"),
                       .hypotheses = hypotheses(one.at("template"), one.at("labels")),
                       .multi_label = one.at("multi_label")};
    zero_shot.multi_label = zero_shot.multi_label || zero_shot.candidates.size() == 1;
    const auto classifier =
        make_zero_shot(model, options_of(model->checkpoint.plan.positions), zero_shot).value();
    EXPECT_EQ(classifier->info().labels, zero_shot.candidates);
    std::map<std::string, float> wanted;
    for (std::size_t i = 0; i < zero_shot.candidates.size(); ++i)
      wanted[one.at("ranked")[i]] = one.at("scores")[i];

    const std::string content = one.at("text");
    const std::vector<Text> texts = {"poor music", content};  // whose answers must not be mixed up
    BatchResult batch;
    ASSERT_TRUE(classifier->run_batch(texts, batch).has_value());
    StreamResult stream;
    ASSERT_TRUE(classifier->run_stream(texts, 5, stream).has_value());
    EXPECT_EQ(batch.logits, stream.logits);
    EXPECT_EQ(batch.labels, stream.labels);
    EXPECT_EQ(batch.tokens, stream.tokens);
    EXPECT_EQ(batch.cut, stream.cut);
    const std::size_t classes = zero_shot.candidates.size();
    std::vector<float> scores(classes);
    score(std::span(batch.logits).subspan(classes),
          zero_shot.multi_label ? ScoreFunction::sigmoid : ScoreFunction::softmax, scores);
    for (std::size_t i = 0; i < classes; ++i) {
      EXPECT_NEAR(scores[i], wanted[zero_shot.candidates[i]], limit("model/fp32/logit_abs_max"))
          << one.dump();
      ++compared;
    }
    EXPECT_EQ(batch.scores[1], *std::ranges::max_element(scores));
    cut += batch.cut[1];
  }
  EXPECT_GT(compared, 60U);
  EXPECT_GT(cut, 10U);
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenZeroShot, ::testing::Values("bert_nli", "roberta_nli"));

TEST(ZeroShotLabels, AreFoundByHowTheyBegin) {
  const auto places = [](const std::vector<std::string>& labels) {
    const auto found = find_inference_labels(labels).value();
    return std::vector{found.entailment, found.contradiction, found.pipelines_contradiction};
  };
  EXPECT_THAT(places({"contradiction", "entailment", "neutral"}), ElementsAre(1, 0, 0));
  EXPECT_THAT(places({"ENTAILMENT", "NEUTRAL", "CONTRADICTION"}), ElementsAre(0, 2, 2));
  EXPECT_THAT(places({"Neutral", "Contra", "Entail"}), ElementsAre(2, 1, 0));
  EXPECT_THAT(places({"entailment", "not_entailment"}), ElementsAre(0, 1, 1));
  const auto refused = find_inference_labels({"no", "not_entailment"});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, "zero-shot/labels");
  EXPECT_THAT(refused.error().message, HasSubstr("(no, not_entailment)"));
}

TEST(ZeroShot, NeedsRoomForAHypothesisAndATextAlone) {
  const auto model = load("bert_nli");
  // [CLS] x [SEP] a good film [SEP]
  const ZeroShot zero_shot{.candidates = {"short", "film"}, .hypotheses = {"a", "a good film"}};
  const auto refused = make_zero_shot(model, options_of(6), zero_shot);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, "zero-shot/length");
  EXPECT_THAT(refused.error().message, HasSubstr("'film' and one token of a text make 7 tokens"));

  const auto classifier = make_zero_shot(model, options_of(7), zero_shot).value();
  const std::vector<Text> texts = {"", "good", "a good film"};
  BatchResult out;
  ASSERT_TRUE(classifier->run_batch(texts, out).has_value());
  EXPECT_THAT(out.tokens, ElementsAre(4 + 6, 5 + 7, 7 + 7));
  EXPECT_THAT(out.cut, ElementsAre(0, 0, 1));

  const std::vector<Text> pair = {{"a", "b"}};
  const auto paired = classifier->run_batch(pair, out);
  ASSERT_FALSE(paired.has_value());
  EXPECT_EQ(paired.error().code, "zero-shot/pair");
}

}  // namespace
}  // namespace breakeven::engine

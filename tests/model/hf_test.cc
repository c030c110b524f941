// The reference against Hugging Face Transformers, layer by layer, on the committed goldens.
#include <gmock/gmock.h>

#include <algorithm>
#include <deque>
#include <functional>

#include "base/limits.h"
#include "hf_golden.h"

namespace breakeven::model {
namespace {

class HuggingFace : public ::testing::TestWithParam<const char*> {};

TEST_P(HuggingFace, AgreesLayerByLayer) {
  testing::expect_golden(
      breakeven::testing::source_dir() / "tests" / "golden" / "model" / GetParam(),
      limit("hf/layer_abs_max"));
}

INSTANTIATE_TEST_SUITE_P(
    Goldens, HuggingFace,
    ::testing::Values("distilbert_gelu", "distilbert_relu_multi_label", "bert_gelu_pairs",
                      "bert_gelu_new_regression", "bert_relu_one_layer", "roberta_gelu",
                      "roberta_multi_label", "roberta_regression", "electra_narrow",
                      "electra_multi_label", "deberta_v3", "deberta_v3_multi_label",
                      "deberta_v2_regression", "deberta_one_layer", "xlm_roberta_reranker",
                      "camembert_gelu", "modernbert_mean", "modernbert_cls_biases",
                      "modernbert_regression", "modernbert_one_layer", "modernbert_window"));

// Each golden differs from the others where its name says so: nothing passes by being alike.
TEST(HuggingFaceGoldens, CoverWhatTheyAreNamedFor) {
  const auto plan_of = [](const char* name) {
    const auto loaded =
        load_checkpoint(breakeven::testing::source_dir() / "tests" / "golden" / "model" / name);
    BREAKEVEN_CHECK(loaded.has_value(), "{}", loaded.error().message);
    return loaded->plan;
  };
  EXPECT_EQ(plan_of("distilbert_gelu").activation, ops::Activation::gelu_erf);
  EXPECT_EQ(plan_of("distilbert_gelu").head_activation, ops::Activation::relu);
  EXPECT_EQ(plan_of("distilbert_relu_multi_label").activation, ops::Activation::relu);
  EXPECT_EQ(plan_of("distilbert_relu_multi_label").problem, ProblemType::multi_label);
  EXPECT_EQ(plan_of("distilbert_relu_multi_label").labels.size(), 5U);
  EXPECT_EQ(plan_of("bert_gelu_pairs").token_types, 2U);
  EXPECT_EQ(plan_of("bert_gelu_pairs").head_activation, ops::Activation::tanh);
  EXPECT_EQ(plan_of("bert_gelu_pairs").norm_eps, 1e-7F);
  EXPECT_EQ(plan_of("bert_gelu_new_regression").activation, ops::Activation::gelu_tanh);
  EXPECT_EQ(plan_of("bert_gelu_new_regression").problem, ProblemType::regression);
  EXPECT_EQ(plan_of("bert_relu_one_layer").layers, 1U);
  EXPECT_EQ(plan_of("roberta_gelu").pad_id, 1);
  EXPECT_EQ(plan_of("roberta_gelu").positions, 40U);
  EXPECT_EQ(plan_of("roberta_multi_label").pad_id, 5);
  EXPECT_EQ(plan_of("roberta_multi_label").positions, 40U);
  EXPECT_EQ(plan_of("roberta_multi_label").problem, ProblemType::multi_label);
  EXPECT_EQ(plan_of("roberta_regression").problem, ProblemType::regression);
  EXPECT_EQ(plan_of("electra_narrow").embedding, 24U);
  EXPECT_EQ(plan_of("electra_narrow").head_activation, ops::Activation::gelu_erf);
  EXPECT_EQ(plan_of("electra_multi_label").embedding, 0U);
  EXPECT_EQ(plan_of("electra_multi_label").problem, ProblemType::multi_label);
  EXPECT_EQ(plan_of("deberta_v3").form.position, ops::EncoderForm::Position::relative);
  EXPECT_EQ(plan_of("deberta_v3").distances.span, 16U);
  EXPECT_EQ(plan_of("deberta_v3").distances.farthest, 40U);
  EXPECT_TRUE(plan_of("deberta_v3").distances_normed);
  EXPECT_EQ(plan_of("deberta_v3_multi_label").distances.near, 3U);
  EXPECT_EQ(plan_of("deberta_v3_multi_label").distances.farthest, 20U);
  EXPECT_EQ(plan_of("deberta_v3_multi_label").problem, ProblemType::multi_label);
  EXPECT_EQ(plan_of("deberta_v2_regression").distances.near, 12U);
  EXPECT_FALSE(plan_of("deberta_v2_regression").distances_normed);
  EXPECT_EQ(plan_of("deberta_v2_regression").problem, ProblemType::regression);
  EXPECT_EQ(plan_of("deberta_one_layer").layers, 1U);
  EXPECT_EQ(plan_of("xlm_roberta_reranker").architecture->model_type, "xlm-roberta");
  EXPECT_EQ(plan_of("xlm_roberta_reranker").labels.size(), 1U);
  EXPECT_EQ(plan_of("xlm_roberta_reranker").positions, 40U);
  EXPECT_EQ(plan_of("camembert_gelu").architecture->model_type, "camembert");
  using Form = ops::EncoderForm;
  EXPECT_EQ(plan_of("modernbert_mean").form.pooling, Form::Pooling::mean);
  EXPECT_EQ(plan_of("modernbert_mean").scopes.back().window, 5U);
  EXPECT_FALSE(plan_of("modernbert_mean").biases.norm);
  EXPECT_EQ(plan_of("modernbert_cls_biases").form.pooling, Form::Pooling::cls);
  EXPECT_TRUE(plan_of("modernbert_cls_biases").biases.norm);
  EXPECT_EQ(plan_of("modernbert_cls_biases").problem, ProblemType::multi_label);
  EXPECT_EQ(plan_of("modernbert_cls_biases").scopes[1].theta, 50.0);
  EXPECT_EQ(plan_of("modernbert_regression").scopes[0].window, 4U);
  EXPECT_EQ(plan_of("modernbert_regression").scopes[1].window, 0U);
  EXPECT_EQ(plan_of("modernbert_one_layer").layers, 1U);
  EXPECT_EQ(plan_of("modernbert_window").scopes[1].window, 64U);
}

// What others got wrong in ModernBERT is far outside the limit of the goldens.
TEST(HuggingFaceGoldens, ModernBertsMistakesShow) {
  const auto folder =
      breakeven::testing::source_dir() / "tests" / "golden" / "model" / "modernbert_window";
  const testing::Golden golden(folder / "golden.safetensors");
  const auto off_by = [&](const std::function<void(ops::EncoderWeights&)>& spoil) {
    const auto loaded = load_checkpoint(folder);
    BREAKEVEN_CHECK(loaded.has_value(), "{}", loaded.error().message);
    ops::EncoderWeights weights = loaded->weights.view();
    spoil(weights);
    const auto backend = ops::make_reference_backend();
    const auto model = backend->pack(weights).value();
    const auto lane =
        backend->make_lane(model, {golden.tokens.ids.size(), golden.tokens.sequences(), 1}).value();
    backend->upload(*lane, golden.tokens.batch());
    forward(*backend, *lane, loaded->plan);
    const auto logits = backend->wait(*lane);
    return testing::most_different({logits.begin(), logits.end()}, golden.logits());
  };
  const double limit = breakeven::limit("hf/layer_abs_max");
  EXPECT_LE(off_by([](ops::EncoderWeights&) {}), limit);
  const auto in_all_layers = [](const auto& change) {
    return [=](ops::EncoderWeights& weights) {
      for (ops::LayerWeights& layer : weights.layers) change(layer);
    };
  };
  for (const std::size_t window : {63U, 65U, 0U}) {
    EXPECT_GE(off_by(in_all_layers([&](auto& layer) {
                if (layer.window > 0) layer.window = window;
              })),
              10 * limit)
        << window;
  }
  EXPECT_GE(off_by(in_all_layers([](auto& layer) { layer.theta = 160'000; })), 10 * limit);
  EXPECT_GE(off_by(in_all_layers(
                [](auto& layer) { layer.theta = layer.window == 0 ? 10'000 : 160'000; })),
            10 * limit);
  std::deque<std::vector<float>> swapped;
  EXPECT_GE(off_by(in_all_layers([&](auto& layer) {
              const auto half = static_cast<std::ptrdiff_t>(layer.up.weight.size() / 2);
              auto& up = swapped.emplace_back(layer.up.weight.begin(), layer.up.weight.end());
              std::rotate(up.begin(), up.begin() + half, up.end());
              layer.up.weight = up;
            })),
            10 * limit)
      << "the second half activated";
}

}  // namespace
}  // namespace breakeven::model

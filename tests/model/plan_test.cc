// config.json -> EncoderPlan: what Transformers reads from it is read, and everything that would be
// another function is refused by the field's name.
#include "model/plan.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "model/architectures/architecture.h"
#include "testing/paths.h"

namespace breakeven::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

Json distilbert() {
  return {{"architectures", Json::array({"DistilBertForSequenceClassification"})},
          {"model_type", "distilbert"},
          {"activation", "gelu"},
          {"dim", 384},
          {"hidden_dim", 1536},
          {"n_heads", 12},
          {"n_layers", 3},
          {"vocab_size", 30522},
          {"max_position_embeddings", 512},
          {"pad_token_id", 0},
          {"id2label", {{"0", "NEGATIVE"}, {"1", "POSITIVE"}}}};
}

Json bert() {
  return {{"architectures", Json::array({"BertForSequenceClassification"})},
          {"model_type", "bert"},
          {"hidden_act", "gelu"},
          {"hidden_size", 128},
          {"intermediate_size", 512},
          {"num_attention_heads", 2},
          {"num_hidden_layers", 2},
          {"vocab_size", 28996},
          {"max_position_embeddings", 256},
          {"type_vocab_size", 2},
          {"layer_norm_eps", 1e-5},
          {"pad_token_id", 3}};
}

Result<EncoderPlan> plan_of(const Json& config) {
  return parse_plan(config.dump(), "config.json");
}

TEST(Plan, ReadsDistilBert) {
  const auto plan = plan_of(distilbert());
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->architecture->model_type, "distilbert");
  EXPECT_EQ(plan->hidden, 384U);
  EXPECT_EQ(plan->heads, 12U);
  EXPECT_EQ(plan->intermediate, 1536U);
  EXPECT_EQ(plan->vocabulary, 30522U);
  EXPECT_EQ(plan->positions, 512U);
  EXPECT_EQ(plan->token_types, 0U);
  EXPECT_EQ(plan->layers, 3U);
  EXPECT_EQ(plan->norm_eps, 1e-12F);
  EXPECT_EQ(plan->activation, ops::Activation::gelu_erf);
  EXPECT_EQ(plan->head_activation, ops::Activation::relu);
  EXPECT_EQ(plan->problem, ProblemType::single_label);
  EXPECT_THAT(plan->labels, ElementsAre("NEGATIVE", "POSITIVE"));
  EXPECT_EQ(plan->pad_id, 0);
}

TEST(Plan, ReadsBert) {
  const auto plan = plan_of(bert());
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->architecture->model_type, "bert");
  EXPECT_EQ(plan->hidden, 128U);
  EXPECT_EQ(plan->heads, 2U);
  EXPECT_EQ(plan->intermediate, 512U);
  EXPECT_EQ(plan->vocabulary, 28996U);
  EXPECT_EQ(plan->positions, 256U);
  EXPECT_EQ(plan->token_types, 2U);
  EXPECT_EQ(plan->layers, 2U);
  EXPECT_EQ(plan->norm_eps, 1e-5F);
  EXPECT_EQ(plan->head_activation, ops::Activation::tanh);
  EXPECT_THAT(plan->labels, ElementsAre("LABEL_0", "LABEL_1"));
  EXPECT_EQ(plan->pad_id, 3);
}

TEST(Plan, AbsentFieldsHaveTransformersDefaults) {
  auto plan = parse_plan(R"({"architectures": ["DistilBertForSequenceClassification"]})", "c");
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->hidden, 768U);
  EXPECT_EQ(plan->heads, 12U);
  EXPECT_EQ(plan->layers, 6U);
  EXPECT_EQ(plan->intermediate, 3072U);
  EXPECT_EQ(plan->vocabulary, 30522U);
  EXPECT_EQ(plan->positions, 512U);
  EXPECT_EQ(plan->labels.size(), 2U);
  plan = parse_plan(R"({"architectures": ["BertForSequenceClassification"]})", "c");
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->layers, 12U);
  EXPECT_EQ(plan->token_types, 2U);
  EXPECT_EQ(plan->norm_eps, 1e-12F);
}

TEST(Plan, DistilBertTakesItsAliasesAndKeepsItsOwnEpsilon) {
  Json config = distilbert();
  config.erase("dim");
  config.erase("n_heads");
  config.erase("n_layers");
  config["hidden_size"] = 64;
  config["num_attention_heads"] = 4;
  config["num_hidden_layers"] = 5;
  config["layer_norm_eps"] = 1e-3;
  config["sinusoidal_pos_embds"] = true;  // the table is stored like a learned one
  const auto plan = plan_of(config);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->hidden, 64U);
  EXPECT_EQ(plan->heads, 4U);
  EXPECT_EQ(plan->layers, 5U);
  EXPECT_EQ(plan->norm_eps, 1e-12F);
}

Json roberta() {
  Json config = bert();
  config["architectures"] = Json::array({"RobertaForSequenceClassification"});
  config["model_type"] = "roberta";
  config["max_position_embeddings"] = 514;
  config["type_vocab_size"] = 1;
  config["pad_token_id"] = 1;
  return config;
}

// Positions count from the row behind the padding's, so that fewer tokens than rows fit.
TEST(Plan, RobertaUsesPositionsBehindThePaddings) {
  Json config = roberta();
  auto plan = plan_of(config);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->positions, 512U);
  EXPECT_EQ(plan->token_types, 1U);
  EXPECT_EQ(plan->head_activation, ops::Activation::tanh);
  config["pad_token_id"] = 3;
  EXPECT_EQ(plan_of(config)->positions, 510U);
  config["max_position_embeddings"] = 4;
  plan = plan_of(config);
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, HasSubstr("max_position_embeddings is 4, not more than"));
  plan = parse_plan(R"({"architectures": ["RobertaForSequenceClassification"]})", "c");
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->vocabulary, 50265U);
  EXPECT_EQ(plan->pad_id, 1);
  EXPECT_EQ(plan->positions, 510U);
  for (const char* type : {"xlm-roberta", "camembert"}) {
    plan = parse_plan(fmt::format(R"({{"model_type": "{}"}})", type), "c");
    ASSERT_TRUE(plan) << plan.error().to_string();
    EXPECT_EQ(plan->vocabulary, 30522U);
    EXPECT_EQ(plan->positions, 510U);
    EXPECT_EQ(plan->head_activation, ops::Activation::tanh);
  }
}

TEST(Plan, ElectraMayHaveNarrowEmbeddings) {
  Json config = bert();
  config["architectures"] = Json::array({"ElectraForSequenceClassification"});
  config["model_type"] = "electra";
  config["embedding_size"] = 64;
  auto plan = plan_of(config);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->embedding, 64U);
  EXPECT_EQ(plan->head_activation, ops::Activation::gelu_erf);
  config.erase("embedding_size");
  EXPECT_EQ(plan_of(config)->embedding, 0U);  // the default, 128, is this one's hidden size
  config["embedding_size"] = 0;
  plan = plan_of(config);
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, HasSubstr("embedding_size is 0"));
  plan = parse_plan(R"({"architectures": ["ElectraForSequenceClassification"]})", "c");
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->hidden, 256U);
  EXPECT_EQ(plan->heads, 4U);
  EXPECT_EQ(plan->intermediate, 1024U);
  EXPECT_EQ(plan->embedding, 128U);
}

Json deberta() {
  Json config = bert();
  config.update({{"architectures", {"DebertaV2ForSequenceClassification"}},
                 {"model_type", "deberta-v2"},
                 {"relative_attention", true},
                 {"share_att_key", true},
                 {"pos_att_type", "p2c|c2p"},
                 {"position_biased_input", false},
                 {"position_buckets", 64},
                 {"max_relative_positions", -1},
                 {"norm_rel_ebd", "layer_norm"},
                 {"pooler_hidden_size", 128},
                 {"pooler_hidden_act", "gelu"},
                 {"type_vocab_size", 0}});
  config.erase("layer_norm_eps");
  return config;
}

TEST(Plan, DebertaHasDistancesInPlaceOfPositions) {
  Json config = deberta();
  auto plan = plan_of(config);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->form.position, ops::EncoderForm::Position::relative);
  EXPECT_EQ(plan->distances.span, 64U);
  EXPECT_EQ(plan->distances.near, 32U);
  EXPECT_EQ(plan->distances.farthest, 256U);
  EXPECT_TRUE(plan->distances_normed);
  EXPECT_EQ(plan->token_types, 0U);
  EXPECT_EQ(plan->norm_eps, 1e-7F);
  EXPECT_EQ(plan->head_activation, ops::Activation::gelu_erf);
  config["pos_att_type"] = {"c2p", "p2c"};
  config["max_relative_positions"] = 100;
  config.erase("position_buckets");
  config.erase("norm_rel_ebd");
  config["pooler_hidden_act"] = "relu";
  plan = plan_of(config);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_EQ(plan->distances.span, 100U);
  EXPECT_EQ(plan->distances.near, 100U);
  EXPECT_FALSE(plan->distances_normed);
  EXPECT_EQ(plan->head_activation, ops::Activation::relu);
}

TEST(Plan, LabelsAreOrderedByNumber) {
  Json config = bert();
  Json map = Json::object();
  for (int label = 0; label < 12; ++label) {
    map[std::to_string(label)] = "class " + std::to_string(label);
  }
  config["id2label"] = map;
  const auto plan = plan_of(config);
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->labels.size(), 12U);
  EXPECT_EQ(plan->labels[2], "class 2");
  EXPECT_EQ(plan->labels[10], "class 10");
}

TEST(Plan, LabelsFollowTransformersWhereTheMapIsMissing) {
  Json config = bert();
  config["num_labels"] = 3;
  EXPECT_THAT(plan_of(config)->labels, ElementsAre("LABEL_0", "LABEL_1", "LABEL_2"));
  config["id2label"] = nullptr;
  EXPECT_THAT(plan_of(config)->labels, ElementsAre("LABEL_0", "LABEL_1", "LABEL_2"));
  config["id2label"] = Json::object();
  EXPECT_THAT(plan_of(config)->labels, ElementsAre("LABEL_0", "LABEL_1", "LABEL_2"));
  EXPECT_TRUE(plan_of(config)->notes.empty());
}

TEST(Plan, NumLabelsBeatsAMapOfAnotherLength) {
  Json config = bert();
  config["id2label"] = {{"0", 0}, {"1", 1}};  // numbers may be labels
  EXPECT_THAT(plan_of(config)->labels, ElementsAre("0", "1"));
  config["num_labels"] = 2;
  EXPECT_THAT(plan_of(config)->labels, ElementsAre("0", "1"));
  EXPECT_TRUE(plan_of(config)->notes.empty());
  for (const int count : {1, 3, 5}) {
    config["num_labels"] = count;
    const auto plan = plan_of(config);
    ASSERT_TRUE(plan) << plan.error().to_string();
    ASSERT_EQ(plan->labels.size(), static_cast<std::size_t>(count));
    EXPECT_EQ(plan->labels.back(), fmt::format("LABEL_{}", count - 1));
    EXPECT_THAT(plan->notes, ElementsAre(HasSubstr("2 names in id2label")));
  }
}

TEST(Plan, ModelTypeDecidesWhatItIs) {
  Json config = bert();
  for (const Json& names : {Json(nullptr), Json::array(),
                            Json::array({"BertForMaskedLM", "BertForSequenceClassification"})}) {
    config["architectures"] = names;
    const auto plan = plan_of(config);
    ASSERT_TRUE(plan) << plan.error().to_string();
    EXPECT_EQ(plan->architecture->class_name, "BertForSequenceClassification");
    EXPECT_TRUE(plan->notes.empty());
  }
  config.erase("architectures");
  EXPECT_TRUE(plan_of(config));
  config["architectures"] = Json::array({"BertForTokenClassification"});
  EXPECT_THAT(plan_of(config)->notes, ElementsAre(HasSubstr("BertForTokenClassification")));
  // Without it the class says what the model is.
  config.erase("model_type");
  Error error = plan_of(config).error();
  EXPECT_EQ(error.code, "config/architecture");
  EXPECT_THAT(error.message, HasSubstr("BertForTokenClassification"));
  EXPECT_THAT(error.hint, HasSubstr("DistilBertForSequenceClassification"));
  config["architectures"] = Json::array({"BertModel", "BertForSequenceClassification"});
  EXPECT_TRUE(plan_of(config));
  config.erase("architectures");
  error = plan_of(config).error();
  EXPECT_EQ(error.code, "config/architecture");
  EXPECT_THAT(error.message, HasSubstr("\"model_type\" and \"architectures\" are missing"));
}

TEST(Plan, ScoresAreThoseOfThePipeline) {
  Json config = bert();
  const auto score = [&] { return plan_of(config)->score; };
  EXPECT_EQ(score(), ScoreFunction::softmax);
  config["problem_type"] = "multi_label_classification";
  EXPECT_EQ(score(), ScoreFunction::sigmoid);
  config["problem_type"] = "regression";
  EXPECT_EQ(score(), ScoreFunction::none);
  config["problem_type"] = nullptr;
  config["num_labels"] = 1;
  EXPECT_EQ(score(), ScoreFunction::sigmoid);
  // Rerankers name their own activation, in a new field or an old one.
  config["sbert_ce_default_activation_function"] = "torch.nn.modules.linear.Identity";
  EXPECT_EQ(score(), ScoreFunction::none);
  config["sentence_transformers"] = {{"activation_fn", "torch.nn.modules.activation.Sigmoid"}};
  EXPECT_EQ(score(), ScoreFunction::sigmoid);
  config["sentence_transformers"] = {{"version", "4.1"}};
  EXPECT_EQ(score(), ScoreFunction::none);
  config["sentence_transformers"] = {{"activation_fn", "torch.nn.modules.activation.Tanh"}};
  EXPECT_EQ(score(), ScoreFunction::sigmoid);
  EXPECT_THAT(plan_of(config)->notes, ElementsAre(HasSubstr("activation.Tanh")));
  config["problem_type"] = "multi_label_classification";
  EXPECT_EQ(score(), ScoreFunction::sigmoid);
  EXPECT_TRUE(plan_of(config)->notes.empty());
  config["problem_type"] = nullptr;
  config["num_labels"] = 2;
  EXPECT_EQ(score(), ScoreFunction::softmax);
}

TEST(Plan, WordsThatPythonWritesForFloatsAreNoTrouble) {
  std::string config = bert().dump();
  config.insert(1, R"("unused": [NaN, Infinity, -Infinity], "name \" NaN": "Infinity", )");
  const auto plan = parse_plan(config, "config.json");
  ASSERT_TRUE(plan) << plan.error().to_string();
  for (const char* word : {"NaN", "Infinity", "-Infinity"}) {
    std::string bad = config;
    bad.insert(bad.size() - 1, fmt::format(R"(, "layer_norm_eps": {})", word));
    const auto refused = parse_plan(bad, "config.json");
    ASSERT_FALSE(refused) << word;
    EXPECT_EQ(refused.error().code, "config/field") << refused.error().to_string();
  }
  EXPECT_EQ(parse_plan("{\"a\": nan}", "c").error().code, "config/json");
  EXPECT_EQ(parse_plan("{\"a\": NaNa}", "c").error().code, "config/json");
}

TEST(Plan, ProblemTypeFollowsTransformers) {
  Json config = bert();
  const auto problem = [&] { return plan_of(config)->problem; };
  EXPECT_EQ(problem(), ProblemType::single_label);
  config["num_labels"] = 1;
  EXPECT_EQ(problem(), ProblemType::regression);
  config["problem_type"] = nullptr;
  EXPECT_EQ(problem(), ProblemType::regression);
  config["problem_type"] = "multi_label_classification";
  EXPECT_EQ(problem(), ProblemType::multi_label);
  config["num_labels"] = 4;
  EXPECT_EQ(problem(), ProblemType::multi_label);
  config["problem_type"] = "regression";
  EXPECT_EQ(problem(), ProblemType::regression);
  config["problem_type"] = "single_label_classification";
  EXPECT_EQ(problem(), ProblemType::single_label);
  config["num_labels"] = 1;
  EXPECT_EQ(plan_of(config).error().code, "config/field");
}

TEST(Plan, ActivationsOfTheSameFormulaAreTheSame) {
  const std::pair<const char*, ops::Activation> cases[] = {
      {"gelu", ops::Activation::gelu_erf},
      {"gelu_python", ops::Activation::gelu_erf},
      {"gelu_new", ops::Activation::gelu_tanh},
      {"gelu_fast", ops::Activation::gelu_tanh},
      {"gelu_accurate", ops::Activation::gelu_tanh},
      {"gelu_pytorch_tanh", ops::Activation::gelu_tanh},
      {"gelu_python_tanh", ops::Activation::gelu_tanh},
      {"relu", ops::Activation::relu},
  };
  for (const auto& [name, activation] : cases) {
    Json config = bert();
    config["hidden_act"] = name;
    EXPECT_EQ(plan_of(config)->activation, activation) << name;
    config = distilbert();
    config["activation"] = name;
    EXPECT_EQ(plan_of(config)->activation, activation) << name;
  }
}

struct Refused {
  const char* code;
  const char* field;
  Json value;
  const char* told;
};

void expect_refused(const Json& base, const Refused& refused) {
  Json config = base;
  config[refused.field] = refused.value;
  const auto plan = plan_of(config);
  ASSERT_FALSE(plan) << refused.field << " " << refused.value;
  EXPECT_EQ(plan.error().code, refused.code) << plan.error().to_string();
  EXPECT_THAT(plan.error().to_string(), HasSubstr(refused.told));
  EXPECT_THAT(plan.error().message, HasSubstr("config.json"));
  if (std::string_view(refused.code) != "config/field") {
    EXPECT_THAT(plan.error().hint, HasSubstr(refused.code == std::string_view("config/architecture")
                                                 ? "DistilBertForSequenceClassification"
                                                 : "Transformers can run"));
  } else {
    EXPECT_THAT(plan.error().message, HasSubstr(refused.field));
  }
}

TEST(Plan, EveryRefusalNamesFieldAndValue) {
  const Refused cases[] = {
      {"config/architecture", "model_type", "mpnet", "\"mpnet\""},
      {"config/field", "architectures", {1}, "a text"},
      {"config/field", "architectures", "BertForSequenceClassification", "list"},
      {"config/field", "model_type", 3, "3"},
      {"config/unsupported", "hidden_act", "silu", "\"silu\""},
      {"config/unsupported", "hidden_act", "quick_gelu", "\"quick_gelu\""},
      {"config/unsupported", "hidden_act", "gelu_10", "\"gelu_10\""},
      {"config/unsupported", "position_embedding_type", "relative_key", "\"relative_key\""},
      {"config/unsupported", "is_decoder", true, "is_decoder is true"},
      {"config/unsupported", "add_cross_attention", true, "add_cross_attention is true"},
      {"config/unsupported", "is_encoder_decoder", true, "is_encoder_decoder is true"},
      {"config/unsupported", "pruned_heads", {{"0", {1}}}, "pruned_heads"},
      {"config/unsupported", "quantization_config", {{"bits", 4}}, "quantization_config"},
      {"config/field", "is_decoder", 1, "1"},
      {"config/field", "hidden_act", 1, "1"},
      {"config/field", "hidden_size", 0, "0"},
      {"config/field", "hidden_size", -128, "-128"},
      {"config/field", "hidden_size", 128.0, "128.0"},
      {"config/field", "hidden_size", "128", "\"128\""},
      {"config/field", "hidden_size", 65537, "65537"},
      {"config/field", "hidden_size", std::uint64_t{18446744073709551615ULL},
       "18446744073709551615"},
      {"config/field", "hidden_size", 129, "2 heads"},
      {"config/field", "num_attention_heads", 0, "0"},
      {"config/field", "intermediate_size", 1 << 20, "1048576"},
      {"config/field", "num_hidden_layers", 0, "0"},
      {"config/field", "num_hidden_layers", 1025, "1025"},
      {"config/field", "vocab_size", 1 << 25, "33554432"},
      {"config/field", "max_position_embeddings", 0, "0"},
      {"config/field", "type_vocab_size", 0, "0"},
      {"config/field", "pad_token_id", 28996, "28995"},
      {"config/field", "pad_token_id", -1, "-1"},
      {"config/field", "layer_norm_eps", 0, "0"},
      {"config/field", "layer_norm_eps", 1e-40, "1e-40"},
      {"config/field", "layer_norm_eps", 2, "2"},
      {"config/field", "layer_norm_eps", "1e-12", "1e-12"},
      {"config/field", "num_labels", 0, "0"},
      {"config/field", "num_labels", 1'000'000'000, "1000000000"},
      {"config/field", "id2label", Json::object(), "{}"},
      {"config/field", "id2label", {"a", "b"}, "[\"a\",\"b\"]"},
      {"config/field", "id2label", {{"1", "a"}, {"2", "b"}}, "0 is missing"},
      {"config/field", "id2label", {{"0", "a"}, {"01", "b"}}, "1 is missing"},
      {"config/field", "id2label", {{"0", nullptr}}, "label 0"},
      {"config/field", "problem_type", "ranking", "\"ranking\""},
      {"config/field", "problem_type", 1, "1"},
  };
  for (const Refused& refused : cases) expect_refused(bert(), refused);
  for (const Refused& refused : {
           Refused{"config/unsupported", "relative_attention", false,
                   "relative_attention is false"},
           Refused{"config/unsupported", "share_att_key", nullptr, "share_att_key is not set"},
           Refused{"config/unsupported", "position_biased_input", true, "a table of positions"},
           Refused{"config/unsupported", "pos_att_type", "c2p", "\"c2p\""},
           Refused{"config/unsupported", "pos_att_type", Json::array({"p2c"}), "[\"p2c\"]"},
           Refused{"config/unsupported", "conv_kernel_size", 3, "convolutions"},
           Refused{"config/unsupported", "embedding_size", 64, "another width"},
           Refused{"config/unsupported", "pooler_hidden_size", 64, "another width"},
           Refused{"config/unsupported", "attention_head_size", 32, "another width"},
           Refused{"config/field", "position_buckets", 257, "256 positions"},
           Refused{"config/field", "position_buckets", 1, "256 positions"},
           Refused{"config/field", "position_buckets", "64", "whole number"},
           Refused{"config/field", "norm_rel_ebd", "batch_norm", "layer_norm"},
       }) {
    expect_refused(deberta(), refused);
  }
  for (const Refused& refused : {
           Refused{"config/unsupported", "activation", "silu", "\"silu\""},
           Refused{"config/field", "dim", 385, "12 heads"},
           Refused{"config/field", "n_layers", "six", "\"six\""},
           Refused{"config/field", "hidden_dim", 0, "0"},
       }) {
    expect_refused(distilbert(), refused);
  }
}

TEST(Architectures, StandInTheReadme) {
  const auto readme = read_file((breakeven::testing::source_dir() / "README.md").string());
  ASSERT_TRUE(readme);
  for (const Architecture* each : architectures()) {
    EXPECT_THAT(*readme, HasSubstr(fmt::format("(`{}`)", each->model_type)));
  }
}

TEST(Plan, WhatIsNotAJsonObjectIsRefused) {
  for (const char* text : {"", "{", "[]", "null", "{\"a\": \"\xff\"}", "{} {}"}) {
    const auto plan = parse_plan(text, "config.json");
    ASSERT_FALSE(plan) << text;
    EXPECT_EQ(plan.error().code, "config/json");
    EXPECT_THAT(plan.error().message, HasSubstr("config.json"));
  }
  EXPECT_EQ(parse_plan(std::string(1'000'000, '['), "c").error().code, "config/json");
}

}  // namespace
}  // namespace breakeven::model

// ModernBERT's config.json, in both spellings; and the classes that are not run, each refused by
// name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/architectures/architecture.h"
#include "model/plan.h"

namespace breakeven::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

Result<EncoderPlan> plan_of(const Json& config) {
  return parse_plan(config.dump(), "config.json");
}

Json modernbert() {
  return {{"architectures", Json::array({"ModernBertForSequenceClassification"})},
          {"model_type", "modernbert"},
          {"hidden_size", 128},
          {"intermediate_size", 96},
          {"num_attention_heads", 2},
          {"num_hidden_layers", 5},
          {"vocab_size", 300},
          {"pad_token_id", 3},
          {"layer_norm_eps", 1e-12}};
}

TEST(Plan, ModernBertHasTransformersDefaults) {
  const auto plan = plan_of(modernbert());
  ASSERT_TRUE(plan) << plan.error().to_string();
  using Form = ops::EncoderForm;
  EXPECT_EQ(plan->form.norm, Form::Norm::pre);
  EXPECT_EQ(plan->form.position, Form::Position::rotary);
  EXPECT_EQ(plan->form.ffn, Form::Ffn::gated);
  EXPECT_EQ(plan->form.attention, Form::Attention::windowed);
  EXPECT_EQ(plan->form.pooling, Form::Pooling::cls);
  EXPECT_EQ(plan->positions, 8192U);
  EXPECT_EQ(plan->norm_eps, 1e-5F);  // norm_eps, whatever layer_norm_eps says
  for (std::size_t i = 0; i < plan->layers; ++i) {
    EXPECT_EQ(plan->scopes[i].window, i % 3 == 0 ? 0U : 64U) << i;
    EXPECT_EQ(plan->scopes[i].theta, i % 3 == 0 ? 160'000.0 : 10'000.0) << i;
  }
  EXPECT_FALSE(plan->biases.attention || plan->biases.ffn || plan->biases.norm ||
               plan->biases.head);
  EXPECT_EQ(plan->architecture->defaults.pad_id, 50283U);
}

std::vector<double> thetas_of(const EncoderPlan& plan) {
  std::vector<double> thetas;
  for (const LayerScope& scope : plan.scopes) thetas.push_back(scope.theta);
  return thetas;
}

TEST(Plan, ModernBertIsReadAsTransformers4AndAs5WriteIt) {
  Json four = modernbert();
  four.update({{"global_attn_every_n_layers", 2},
               {"global_rope_theta", 500.0},
               {"local_rope_theta", 20.0},
               {"local_attention", 11},
               {"classifier_pooling", "mean"}});
  auto plan = plan_of(four);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_THAT(thetas_of(*plan), ElementsAre(500, 20, 500, 20, 500));
  EXPECT_EQ(plan->scopes[1].window, 5U);
  EXPECT_EQ(plan->form.pooling, ops::EncoderForm::Pooling::mean);
  four["local_rope_theta"] = nullptr;
  EXPECT_THAT(thetas_of(plan_of(four).value()), ElementsAre(500, 500, 500, 500, 500));

  Json five = modernbert();
  five["num_hidden_layers"] = 3;
  five["layer_types"] = {"sliding_attention", "full_attention", "sliding_attention"};
  five["rope_parameters"] = {{"full_attention", {{"rope_theta", 900.0}, {"rope_type", "default"}}},
                             {"sliding_attention", {{"rope_theta", 30.0}}}};
  five["global_rope_theta"] = 7.0;  // what is older does not count
  five["global_attn_every_n_layers"] = 1;
  plan = plan_of(five);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_THAT(thetas_of(*plan), ElementsAre(30, 900, 30));
  five["layer_types"] = {"full_attention", "full_attention", "full_attention"};
  EXPECT_EQ(plan_of(five)->form.attention, ops::EncoderForm::Attention::full);
}

TEST(Plan, ModernBertsFieldsAreChecked) {
  struct Refused {
    const char *code, *field;
    Json value;
    const char* told;
  };
  for (const Refused& refused : {
           Refused{"config/unsupported", "hidden_activation", "silu", "\"silu\""},
           Refused{"config/unsupported", "rope_scaling", {{"rope_type", "yarn"}}, "yarn"},
           Refused{"config/unsupported",
                   "rope_parameters",
                   {{"full_attention", {{"rope_type", "linear"}}}},
                   "rope_parameters.full_attention.rope_type"},
           Refused{"config/field",
                   "rope_parameters",
                   {{"full_attention", {{"rope_theta", 0}}}},
                   "rope_parameters.full_attention.rope_theta"},
           Refused{"config/field", "layer_types", {"full_attention"}, "layer_types"},
           Refused{"config/field",
                   "layer_types",
                   {"full_attention", "full_attention", "full_attention", "full_attention", "x"},
                   "\"x\""},
           Refused{"config/field", "global_attn_every_n_layers", 0, "0"},
           Refused{"config/field", "local_attention", 1, "2 to"},
           Refused{"config/field", "local_rope_theta", -1, "-1"},
           Refused{"config/field", "classifier_pooling", "max", "cls or mean"},
           Refused{"config/field", "num_attention_heads", 128, "even size"},
           Refused{"config/field", "mlp_bias", "no", "\"no\""},
           Refused{"config/field", "norm_eps", 0, "norm_eps is 0"},
       }) {
    Json config = modernbert();
    config[refused.field] = refused.value;
    const auto plan = plan_of(config);
    ASSERT_FALSE(plan) << refused.field;
    EXPECT_EQ(plan.error().code, refused.code) << refused.field;
    EXPECT_THAT(plan.error().message, HasSubstr(refused.told));
  }
}

// Classes that people name and that are not run: each is told by its name, with what runs it.
TEST(Plan, OtherClassesAreRefusedByName) {
  const std::pair<const char*, const char*> others[] = {
      {"albert", "AlbertForSequenceClassification"},
      {"mpnet", "MPNetForSequenceClassification"},
      {"bart", "BartForSequenceClassification"},
      {"deberta", "DebertaForSequenceClassification"},
      {"longformer", "LongformerForSequenceClassification"},
      {"xlm-roberta-xl", "XLMRobertaXLForSequenceClassification"},
      {"xlnet", "XLNetForSequenceClassification"},
      {"t5", "T5ForSequenceClassification"},
      {"gpt2", "GPT2ForSequenceClassification"},
      {"qwen3", "Qwen3ForCausalLM"},
      {"llama", "LlamaForSequenceClassification"},
      {"gemma", "GemmaForSequenceClassification"},
      {"nomic_bert", "NomicBertForSequenceClassification"},
      {"new", "NewForSequenceClassification"},
      {"eurobert", "EuroBertForSequenceClassification"},
  };
  for (const auto& [type, name] : others) {
    Json config = modernbert();
    config["model_type"] = type;
    config["architectures"] = {name};
    for (const bool own_code : {false, true}) {
      if (own_code) config["auto_map"] = {{"AutoModelForSequenceClassification", "modeling.X"}};
      const Error error = plan_of(config).error();
      EXPECT_EQ(error.code, "config/architecture");
      EXPECT_THAT(error.message, HasSubstr(name));
      EXPECT_THAT(error.message, HasSubstr(type));
      EXPECT_THAT(error.hint, HasSubstr("Transformers can run this model"));
      EXPECT_EQ(error.hint.find("trust_remote_code") != std::string::npos, own_code);
    }
  }
}

// As JinaBERT's and others' that call themselves "bert".
TEST(Plan, CodeOfTheModelsOwnIsNotTakenForItsModelType) {
  Json config = modernbert();
  config["auto_map"] = {{"AutoModelForSequenceClassification", "modeling.X"}};
  EXPECT_TRUE(plan_of(config));
  config["architectures"] = {"JinaBertForSequenceClassification"};
  const Error error = plan_of(config).error();
  EXPECT_EQ(error.code, "config/architecture");
  EXPECT_THAT(error.message, HasSubstr("JinaBertForSequenceClassification"));
  EXPECT_THAT(error.hint, HasSubstr("trust_remote_code"));
}

}  // namespace
}  // namespace breakeven::model

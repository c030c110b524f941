#include <fmt/format.h>

#include "model/architectures/architecture.h"

namespace breakeven::model {
namespace {

Result<void> read(const JsonObject& config, EncoderPlan& plan) {
  BREAKEVEN_TRY(plan.token_types, config.count("type_vocab_size", {1, kMostHidden}, 2));
  BREAKEVEN_TRY(plan.norm_eps, read_norm_eps(config));
  BREAKEVEN_TRY(plan.activation, read_activation(config, "hidden_act"));
  plan.head_activation = ops::Activation::tanh;
  return {};
}

ops::EncoderWeights view(const EncoderPlan& plan, Tensors& tensors) {
  const std::size_t hidden = plan.hidden;
  ops::EncoderWeights out = sized_view(plan);
  const std::string embeddings = "bert.embeddings.";
  out.embedding.word = tensors.table(embeddings + "word_embeddings", plan.vocabulary, hidden);
  out.embedding.position =
      tensors.table(embeddings + "position_embeddings", plan.positions, hidden);
  out.embedding.token_type =
      tensors.table(embeddings + "token_type_embeddings", plan.token_types, hidden);
  out.embedding.norm = tensors.norm(embeddings + "LayerNorm", hidden, plan.norm_eps);
  for (std::size_t i = 0; i < plan.layers; ++i) {
    const std::string name = fmt::format("bert.encoder.layer.{}.", i);
    ops::LayerWeights& layer = out.layers[i];
    layer.query = tensors.linear(name + "attention.self.query", hidden, hidden);
    layer.key = tensors.linear(name + "attention.self.key", hidden, hidden);
    layer.value = tensors.linear(name + "attention.self.value", hidden, hidden);
    layer.project = tensors.linear(name + "attention.output.dense", hidden, hidden);
    layer.attention_norm = tensors.norm(name + "attention.output.LayerNorm", hidden, plan.norm_eps);
    layer.up = tensors.linear(name + "intermediate.dense", plan.intermediate, hidden);
    layer.down = tensors.linear(name + "output.dense", hidden, plan.intermediate);
    layer.ffn_norm = tensors.norm(name + "output.LayerNorm", hidden, plan.norm_eps);
  }
  out.head.dense = tensors.linear("bert.pooler.dense", hidden, hidden);
  out.head.classifier = tensors.linear("classifier", plan.labels.size(), hidden);
  return out;
}

}  // namespace

extern const Architecture kBert;
const Architecture kBert = {
    .model_type = "bert",
    .class_name = "BertForSequenceClassification",
    .hidden = {"hidden_size", ""},
    .heads = {"num_attention_heads", ""},
    .layers = {"num_hidden_layers", ""},
    .intermediate = {"intermediate_size", ""},
    .default_layers = 12,
    .read = read,
    .view = view,
};

}  // namespace breakeven::model

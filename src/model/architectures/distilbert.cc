#include <fmt/format.h>

#include "model/architectures/architecture.h"

namespace breakeven::model {
namespace {

Result<void> read(const JsonObject& config, EncoderPlan& plan) {
  // LayerNorm's epsilon stays as it is: DistilBERT's is fixed, whatever its config says.
  BREAKEVEN_TRY(plan.activation, read_activation(config, "activation"));
  plan.head_activation = ops::Activation::relu;
  return {};
}

ops::EncoderWeights view(const EncoderPlan& plan, Tensors& tensors) {
  const std::size_t hidden = plan.hidden;
  ops::EncoderWeights out = sized_view(plan);
  const std::string embeddings = "distilbert.embeddings.";
  out.embedding.word = tensors.table(embeddings + "word_embeddings", plan.vocabulary, hidden);
  out.embedding.position =
      tensors.table(embeddings + "position_embeddings", plan.positions, hidden);
  out.embedding.norm = tensors.norm(embeddings + "LayerNorm", hidden, plan.norm_eps);
  for (std::size_t i = 0; i < plan.layers; ++i) {
    const std::string name = fmt::format("distilbert.transformer.layer.{}.", i);
    ops::LayerWeights& layer = out.layers[i];
    layer.query = tensors.linear(name + "attention.q_lin", hidden, hidden);
    layer.key = tensors.linear(name + "attention.k_lin", hidden, hidden);
    layer.value = tensors.linear(name + "attention.v_lin", hidden, hidden);
    layer.project = tensors.linear(name + "attention.out_lin", hidden, hidden);
    layer.attention_norm = tensors.norm(name + "sa_layer_norm", hidden, plan.norm_eps);
    layer.up = tensors.linear(name + "ffn.lin1", plan.intermediate, hidden);
    layer.down = tensors.linear(name + "ffn.lin2", hidden, plan.intermediate);
    layer.ffn_norm = tensors.norm(name + "output_layer_norm", hidden, plan.norm_eps);
  }
  out.head.dense = tensors.linear("pre_classifier", hidden, hidden);
  out.head.classifier = tensors.linear("classifier", plan.labels.size(), hidden);
  return out;
}

}  // namespace

extern const Architecture kDistilBert;
const Architecture kDistilBert = {
    .model_type = "distilbert",
    .class_name = "DistilBertForSequenceClassification",
    .body = "distilbert",
    .hidden = {"dim", "hidden_size"},
    .heads = {"n_heads", "num_attention_heads"},
    .layers = {"n_layers", "num_hidden_layers"},
    .intermediate = {"hidden_dim", ""},
    .defaults = {.layers = 6},
    .read = read,
    .view = view,
};

}  // namespace breakeven::model

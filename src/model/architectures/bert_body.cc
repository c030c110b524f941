#include "model/architectures/bert_body.h"

#include <fmt/format.h>

namespace breakeven::model {

ops::LayerWeights bert_layer(const std::string& name, std::string_view suffix,
                             const EncoderPlan& plan, Tensors& tensors) {
  const std::size_t hidden = plan.hidden;
  const auto attention = [&](std::string_view which) {
    return tensors.linear(fmt::format("{}attention.self.{}{}", name, which, suffix), hidden,
                          hidden);
  };
  ops::LayerWeights layer;
  layer.query = attention("query");
  layer.key = attention("key");
  layer.value = attention("value");
  layer.project = tensors.linear(name + "attention.output.dense", hidden, hidden);
  layer.attention_norm = tensors.norm(name + "attention.output.LayerNorm", hidden, plan.norm_eps);
  layer.up = tensors.linear(name + "intermediate.dense", plan.intermediate, hidden);
  layer.down = tensors.linear(name + "output.dense", hidden, plan.intermediate);
  layer.ffn_norm = tensors.norm(name + "output.LayerNorm", hidden, plan.norm_eps);
  return layer;
}

Result<void> read_bert_body(const JsonObject& config, EncoderPlan& plan) {
  BREAKEVEN_TRY(plan.token_types, config.count("type_vocab_size", {1, kMostHidden}, 2));
  BREAKEVEN_TRY(plan.norm_eps, read_norm_eps(config, 1e-12F));
  BREAKEVEN_TRY(plan.activation, read_activation(config, "hidden_act"));
  return {};
}

ops::EncoderWeights bert_body(std::string_view body, const EncoderPlan& plan, Tensors& tensors,
                              std::size_t first_position) {
  const std::size_t hidden = plan.hidden;
  ops::EncoderWeights out = sized_view(plan);
  out.positions += first_position;
  const std::string embeddings = fmt::format("{}.embeddings.", body);
  const std::size_t width = plan.embedding == 0 ? hidden : plan.embedding;
  out.embedding.word = tensors.table(embeddings + "word_embeddings", plan.vocabulary, width);
  out.embedding.position = tensors.table(embeddings + "position_embeddings", out.positions, width);
  out.embedding.token_type =
      tensors.table(embeddings + "token_type_embeddings", plan.token_types, width);
  out.embedding.norm = tensors.norm(embeddings + "LayerNorm", width, plan.norm_eps);
  if (plan.embedding != 0) {
    out.embedding.project =
        tensors.linear(fmt::format("{}.embeddings_project", body), hidden, width);
  }
  for (std::size_t i = 0; i < plan.layers; ++i) {
    out.layers[i] = bert_layer(fmt::format("{}.encoder.layer.{}.", body, i), "", plan, tensors);
  }
  return out;
}

}  // namespace breakeven::model

// DeBERTa-v2 and v3: scores with terms for how far query and key are apart, no table of positions.
#include <fmt/format.h>

#include "model/architectures/bert_body.h"

namespace breakeven::model {
namespace {

// -1 and 0 stand for "none".
Result<std::int64_t> whole(const JsonObject& config, std::string_view name, std::int64_t absent) {
  const auto value = config.find(name);
  if (!value) return absent;
  const auto number = value->integer();
  if (!number || *number > static_cast<std::int64_t>(kMostHidden)) {
    return config.wrong(name, fmt::format("a whole number up to {}", kMostHidden));
  }
  return *number;
}

// The terms in any order, as "p2c|c2p" or as a list.
bool has_both_terms(const JsonObject& config) {
  const auto value = config.find("pos_att_type");
  if (!value) return false;
  std::string all = std::string(value->text().value_or(""));
  for (const JsonValue each : value->list()) all += each.text().value_or("");
  return all.find("c2p") != std::string::npos && all.find("p2c") != std::string::npos;
}

// The published checkpoints say all of this, and only v2's two largest differ in it.
Result<void> refuse_others(const JsonObject& config, const EncoderPlan& plan) {
  const auto refuse = [&config](const char* name, const char* why) {
    const auto value = config.find(name);
    return unsupported(config, name, value ? value->shown() : "not set", why);
  };
  BREAKEVEN_TRY(const bool relative, config.boolean("relative_attention", false));
  if (!relative) return refuse("relative_attention", "only relative attention is built in");
  BREAKEVEN_TRY(const bool shared, config.boolean("share_att_key", false));
  if (!shared) return refuse("share_att_key", "projections of positions alone are not built in");
  BREAKEVEN_TRY(const bool biased, config.boolean("position_biased_input", true));
  if (biased) return refuse("position_biased_input", "a table of positions is not built in");
  if (!has_both_terms(config)) return refuse("pos_att_type", "only c2p and p2c are built in");
  BREAKEVEN_TRY(const std::int64_t kernel, whole(config, "conv_kernel_size", 0));
  if (kernel > 0) return refuse("conv_kernel_size", "convolutions are not built in");
  const std::pair<const char*, std::size_t> sizes[] = {
      {"embedding_size", plan.hidden},
      {"pooler_hidden_size", plan.hidden},
      {"attention_head_size", plan.hidden / plan.heads}};
  for (const auto& [name, built_in] : sizes) {
    BREAKEVEN_TRY(const std::uint64_t size, config.count(name, {1, kMostHidden}, built_in));
    if (size != built_in) return refuse(name, "another width than the layers' is not built in");
  }
  return {};
}

Result<void> read_distances(const JsonObject& config, EncoderPlan& plan) {
  ops::RelativeDistances& distances = plan.distances;
  BREAKEVEN_TRY(const std::int64_t most, whole(config, "max_relative_positions", -1));
  BREAKEVEN_TRY(const std::int64_t buckets, whole(config, "position_buckets", -1));
  distances.farthest = most < 1 ? plan.positions : static_cast<std::size_t>(most);
  distances.span = buckets < 1 ? distances.farthest : static_cast<std::size_t>(buckets);
  distances.near = buckets < 1 ? distances.farthest : distances.span / 2;
  if (distances.span > plan.positions || distances.near == 0 ||
      (buckets > 0 && distances.near + 1 >= distances.farthest)) {
    return config.wrong(buckets < 1 ? "max_relative_positions" : "position_buckets",
                        fmt::format("a number that fits {} positions", plan.positions));
  }
  BREAKEVEN_TRY(const std::string norm, config.text("norm_rel_ebd", "none"));
  if (norm != "none" && norm != "layer_norm") {
    return config.wrong("norm_rel_ebd", "none or layer_norm");
  }
  plan.distances_normed = norm == "layer_norm";
  return {};
}

Result<void> read(const JsonObject& config, EncoderPlan& plan) {
  BREAKEVEN_TRY_VOID(refuse_others(config, plan));
  BREAKEVEN_TRY_VOID(read_distances(config, plan));
  plan.form.position = ops::EncoderForm::Position::relative;
  BREAKEVEN_TRY(plan.token_types, config.count("type_vocab_size", {0, kMostHidden}, 0));
  BREAKEVEN_TRY(plan.norm_eps, read_norm_eps(config, 1e-7F));
  BREAKEVEN_TRY(plan.activation, read_activation(config, "hidden_act"));
  BREAKEVEN_TRY(plan.head_activation, read_activation(config, "pooler_hidden_act"));
  return {};
}

ops::EncoderWeights view(const EncoderPlan& plan, Tensors& tensors) {
  const std::size_t hidden = plan.hidden;
  ops::EncoderWeights out = sized_view(plan);
  const std::string embeddings = "deberta.embeddings.";
  out.embedding.word = tensors.table(embeddings + "word_embeddings", plan.vocabulary, hidden);
  if (plan.token_types > 0) {
    out.embedding.token_type =
        tensors.table(embeddings + "token_type_embeddings", plan.token_types, hidden);
  }
  out.embedding.norm = tensors.norm(embeddings + "LayerNorm", hidden, plan.norm_eps);
  out.relative.distances = plan.distances;
  out.relative.table =
      tensors.table("deberta.encoder.rel_embeddings", 2 * plan.distances.span, hidden);
  if (plan.distances_normed) {
    out.relative.norm = tensors.norm("deberta.encoder.LayerNorm", hidden, plan.norm_eps);
  }
  for (std::size_t i = 0; i < plan.layers; ++i) {
    out.layers[i] = bert_layer(fmt::format("deberta.encoder.layer.{}.", i), "_proj", plan, tensors);
  }
  out.head.dense = tensors.linear("pooler.dense", hidden, hidden);
  out.head.classifier = tensors.linear("classifier", plan.labels.size(), hidden);
  return out;
}

}  // namespace

extern const Architecture kDebertaV2;
const Architecture kDebertaV2 = {
    .model_type = "deberta-v2",
    .class_name = "DebertaV2ForSequenceClassification",
    .body = "deberta",
    .defaults =
        {.hidden = 1536, .heads = 24, .layers = 24, .intermediate = 6144, .vocabulary = 128100},
    .read = read,
    .view = view,
};

}  // namespace breakeven::model

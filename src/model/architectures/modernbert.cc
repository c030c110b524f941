// ModernBERT (Warner et al. 2024): norms before the blocks, rotary positions, attention in a window
// in most layers, a gated FFN, no biases unless config.json asks for them.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "model/architectures/architecture.h"

namespace breakeven::model {
namespace {

Result<double> read_theta(const JsonObject& config, std::string_view name, double absent) {
  BREAKEVEN_TRY(const double theta, config.number(name, absent));
  // Written so that NaN is refused, too.
  if (!(theta > 1 && theta <= 1e12)) return config.wrong(name, "a number from 1 to 1e12");
  return theta;
}

// Thetas of global and of local layers, as Transformers 5 writes them (rope_parameters), else as 4
// does (global_rope_theta, local_rope_theta; null there is the global one).
struct Thetas {
  double global = 160'000, local = 10'000;
};
Result<Thetas> read_thetas(const JsonObject& config) {
  if (const auto scaling = config.find("rope_scaling")) {
    return unsupported(config, "rope_scaling", scaling->shown(),
                       "only unscaled rotary positions are built in");
  }
  Thetas thetas;
  BREAKEVEN_TRY(thetas.global, read_theta(config, "global_rope_theta", thetas.global));
  const std::vector<JsonField> fields = config.fields();
  const bool local_is_global = std::any_of(fields.begin(), fields.end(), [](const auto& field) {
    return field.name == "local_rope_theta" && field.value.is_null();
  });
  BREAKEVEN_TRY(thetas.local, read_theta(config, "local_rope_theta",
                                         local_is_global ? thetas.global : thetas.local));
  if (!config.find("rope_parameters")) return thetas;
  BREAKEVEN_TRY(const JsonObject parameters, config.object("rope_parameters"));
  for (const auto& [name, theta] : {std::pair{"full_attention", &thetas.global},
                                    std::pair{"sliding_attention", &thetas.local}}) {
    if (!parameters.find(name)) continue;
    BREAKEVEN_TRY(const JsonObject of_kind, parameters.object(name));
    BREAKEVEN_TRY(const std::string type, of_kind.text("rope_type", "default"));
    if (type != "default") {
      return unsupported(of_kind, "rope_type", fmt::format("\"{}\"", type),
                         "only unscaled rotary positions are built in");
    }
    BREAKEVEN_TRY(*theta, read_theta(of_kind, "rope_theta", *theta));
  }
  return thetas;
}

// By layer_types (Transformers 5), else every so many layers, from the first on.
Result<std::vector<bool>> read_global_layers(const JsonObject& config, std::size_t layers) {
  std::vector<bool> global(layers);
  if (config.find("layer_types")) {
    BREAKEVEN_TRY(const std::vector<JsonValue> types, config.list("layer_types", {layers, layers}));
    for (std::size_t i = 0; i < layers; ++i) {
      BREAKEVEN_TRY(const std::string type, config.as_text(types[i], "layer_types"));
      if (type != "full_attention" && type != "sliding_attention") {
        return config.wrong("layer_types", types[i], "full_attention or sliding_attention");
      }
      global[i] = type == "full_attention";
    }
    return global;
  }
  BREAKEVEN_TRY(const std::uint64_t step,
                config.count("global_attn_every_n_layers", {1, kMostHidden}, 3));
  for (std::size_t i = 0; i < layers; ++i) global[i] = i % step == 0;
  return global;
}

Result<void> read_layers(const JsonObject& config, EncoderPlan& plan) {
  // 128: a key may be 64 away, either way.
  BREAKEVEN_TRY(const std::uint64_t around,
                config.count("local_attention", {2, 2 * plan.positions + 1}, 128));
  BREAKEVEN_TRY(const Thetas thetas, read_thetas(config));
  BREAKEVEN_TRY(const std::vector<bool> global, read_global_layers(config, plan.layers));
  for (const bool all : global) {
    plan.scopes.push_back(all ? LayerScope{0, thetas.global}
                              : LayerScope{around / 2, thetas.local});
    if (!all) plan.form.attention = ops::EncoderForm::Attention::windowed;
  }
  return {};
}

Result<void> read(const JsonObject& config, EncoderPlan& plan) {
  using Form = ops::EncoderForm;
  plan.form.norm = Form::Norm::pre;
  plan.form.position = Form::Position::rotary;
  plan.form.ffn = Form::Ffn::gated;
  if (plan.hidden / plan.heads % 2 != 0) {
    return config.wrong("num_attention_heads", "a number that makes heads of an even size");
  }
  BREAKEVEN_TRY_VOID(read_layers(config, plan));
  BREAKEVEN_TRY(plan.norm_eps, read_norm_eps(config, 1e-5F, "norm_eps"));
  BREAKEVEN_TRY(plan.activation, read_activation(config, "hidden_activation"));
  BREAKEVEN_TRY(plan.head_activation, read_activation(config, "classifier_activation"));
  BREAKEVEN_TRY(plan.biases.attention, config.boolean("attention_bias", false));
  BREAKEVEN_TRY(plan.biases.ffn, config.boolean("mlp_bias", false));
  BREAKEVEN_TRY(plan.biases.norm, config.boolean("norm_bias", false));
  BREAKEVEN_TRY(plan.biases.head, config.boolean("classifier_bias", false));
  BREAKEVEN_TRY(const std::string pooling, config.text("classifier_pooling", "cls"));
  if (pooling != "cls" && pooling != "mean") {
    return config.wrong("classifier_pooling", "cls or mean");
  }
  if (pooling == "mean") plan.form.pooling = Form::Pooling::mean;
  return {};
}

ops::EncoderWeights view(const EncoderPlan& plan, Tensors& tensors) {
  const std::size_t hidden = plan.hidden;
  const Biases& biases = plan.biases;
  ops::EncoderWeights out = sized_view(plan);
  const auto norm = [&](const std::string& name) {
    return tensors.norm(name, hidden, plan.norm_eps, biases.norm);
  };
  out.embedding.word = tensors.table("model.embeddings.tok_embeddings", plan.vocabulary, hidden);
  out.embedding.norm = norm("model.embeddings.norm");
  for (std::size_t i = 0; i < plan.layers; ++i) {
    const std::string name = fmt::format("model.layers.{}.", i);
    ops::LayerWeights& layer = out.layers[i];
    layer.window = plan.scopes[i].window;
    layer.theta = plan.scopes[i].theta;
    // The embeddings' norm is the first layer's.
    if (i > 0) layer.attention_norm = norm(name + "attn_norm");
    const auto qkv = tensors.parts<3>(name + "attn.Wqkv", hidden, hidden, biases.attention);
    std::tie(layer.query, layer.key, layer.value) = std::tie(qkv[0], qkv[1], qkv[2]);
    layer.project = tensors.linear(name + "attn.Wo", hidden, hidden, biases.attention);
    layer.ffn_norm = norm(name + "mlp_norm");
    layer.up = tensors.linear(name + "mlp.Wi", 2 * plan.intermediate, hidden, biases.ffn);
    layer.down = tensors.linear(name + "mlp.Wo", hidden, plan.intermediate, biases.ffn);
  }
  out.final_norm = norm("model.final_norm");
  out.head.dense = tensors.linear("head.dense", hidden, hidden, biases.head);
  out.head.norm = norm("head.norm");
  out.head.classifier = tensors.linear("classifier", plan.labels.size(), hidden);
  return out;
}

}  // namespace

extern const Architecture kModernBert;
const Architecture kModernBert = {
    .model_type = "modernbert",
    .class_name = "ModernBertForSequenceClassification",
    .body = "model",
    .defaults = {.layers = 22,
                 .intermediate = 1152,
                 .vocabulary = 50368,
                 .positions = 8192,
                 .pad_id = 50283},
    .read = read,
    .view = view,
};

}  // namespace breakeven::model

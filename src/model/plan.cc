#include "model/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace breakeven::model {
namespace {

using Json = nlohmann::json;

// Far above every encoder there is, and low enough that no product of two of them overflows.
constexpr std::size_t kMostHidden = 1U << 16U;
constexpr std::size_t kMostIntermediate = 1U << 18U;
constexpr std::size_t kMostVocabulary = 1U << 24U;
constexpr std::size_t kMostPositions = 1U << 20U;
constexpr std::size_t kMostLayers = 1024;
constexpr std::size_t kMostLabels = 100'000;

constexpr const char* kOtherwise =
    "breakeven runs DistilBertForSequenceClassification and BertForSequenceClassification; "
    "Hugging Face Transformers can run this model";

// A value as the user wrote it, short enough for one line.
std::string shown(const Json& value) {
  constexpr std::size_t kLongest = 60;
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

// The fields of one config.json. A field that is absent or null has Transformers' default.
class Fields {
 public:
  Fields(const Json& object, const std::string& where) : object_(object), where_(where) {}

  // The first of `names` that is there and not null.
  const Json* find(std::initializer_list<const char*> names) const {
    for (const char* name : names) {
      const auto found = object_.find(name);
      if (found != object_.end() && !found->is_null()) return &*found;
    }
    return nullptr;
  }

  Result<std::size_t> size(std::initializer_list<const char*> names, std::size_t absent,
                           std::size_t least, std::size_t most) const {
    const Json* value = find(names);
    if (value == nullptr) return absent;
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() < least ||
        value->get<std::uint64_t>() > most) {
      return wrong(*names.begin(), *value,
                   fmt::format("it has to be a whole number from {} to {}", least, most));
    }
    return static_cast<std::size_t>(value->get<std::uint64_t>());
  }

  Result<bool> flag(const char* name, bool absent) const {
    const Json* value = find({name});
    if (value == nullptr) return absent;
    if (!value->is_boolean()) return wrong(name, *value, "it has to be true or false");
    return value->get<bool>();
  }

  Result<std::string> text(const char* name, const std::string& absent) const {
    const Json* value = find({name});
    if (value == nullptr) return absent;
    if (!value->is_string()) return wrong(name, *value, "it has to be a text");
    return value->get<std::string>();
  }

  tl::unexpected<Error> wrong(const char* name, const Json& value, const std::string& hint) const {
    return fail("config/field", fmt::format("{}: {} is {}", where_, name, shown(value)), hint);
  }
  tl::unexpected<Error> unsupported(const char* name, const Json& value,
                                    const std::string& why) const {
    return fail("config/unsupported",
                fmt::format("{}: {} is {}, and {}", where_, name, shown(value), why),
                "Hugging Face Transformers can run this model");
  }
  const std::string& where() const { return where_; }

 private:
  const Json& object_;
  const std::string& where_;
};

Result<Architecture> read_architecture(const Fields& fields) {
  struct Known {
    const char* name;
    const char* model_type;
    Architecture architecture;
  };
  static constexpr std::array<Known, 2> kKnown = {{
      {"DistilBertForSequenceClassification", "distilbert", Architecture::distilbert},
      {"BertForSequenceClassification", "bert", Architecture::bert},
  }};
  BREAKEVEN_TRY(const std::string model_type, fields.text("model_type", ""));
  const Json* names = fields.find({"architectures"});
  if (names == nullptr || (names->is_array() && names->empty())) {
    return fail("config/architecture",
                fmt::format("{} names no architecture (\"architectures\" is missing; model_type is "
                            "\"{}\")",
                            fields.where(), model_type),
                "a classifier's config.json says \"architectures\": "
                "[\"DistilBertForSequenceClassification\"] or [\"BertForSequenceClassification\"]");
  }
  if (!names->is_array() || !names->front().is_string()) {
    return fields.wrong("architectures", *names, "it has to be a list of class names");
  }
  const auto name = names->front().get<std::string>();
  const auto* known = std::find_if(kKnown.begin(), kKnown.end(),
                                   [&](const Known& each) { return name == each.name; });
  if (known == kKnown.end()) {
    return fail("config/architecture",
                fmt::format("{}: the architecture {} is not supported", fields.where(),
                            shown(names->front())),
                kOtherwise);
  }
  if (!model_type.empty() && model_type != known->model_type) {
    return fail("config/architecture",
                fmt::format("{}: model_type is \"{}\", but the architecture is {}", fields.where(),
                            model_type, name),
                kOtherwise);
  }
  return known->architecture;
}

// Only the names whose formula is exactly the op's: gelu_10, quick_gelu, silu, mish ... are others.
Result<ops::Activation> read_activation(const Fields& fields, const char* name) {
  struct Known {
    const char* name;
    ops::Activation activation;
  };
  static constexpr std::array<Known, 8> kKnown = {{
      {"gelu", ops::Activation::gelu_erf},
      {"gelu_python", ops::Activation::gelu_erf},
      {"gelu_new", ops::Activation::gelu_tanh},
      {"gelu_fast", ops::Activation::gelu_tanh},
      {"gelu_accurate", ops::Activation::gelu_tanh},
      {"gelu_pytorch_tanh", ops::Activation::gelu_tanh},
      {"gelu_python_tanh", ops::Activation::gelu_tanh},
      {"relu", ops::Activation::relu},
  }};
  BREAKEVEN_TRY(const std::string text, fields.text(name, "gelu"));
  for (const Known& known : kKnown) {
    if (text == known.name) return known.activation;
  }
  return fields.unsupported(name, Json(text), "only gelu, gelu_new and relu are built in");
}

// id2label's texts by index. Transformers numbers a missing map LABEL_0 ... and lets num_labels
// count only then.
Result<std::vector<std::string>> read_labels(const Fields& fields) {
  BREAKEVEN_TRY(const std::size_t count, fields.size({"num_labels"}, 2, 1, kMostLabels));
  const Json* map = fields.find({"id2label"});
  std::vector<std::string> labels;
  if (map == nullptr) {
    for (std::size_t label = 0; label < count; ++label) {
      labels.push_back(fmt::format("LABEL_{}", label));
    }
    return labels;
  }
  if (!map->is_object() || map->empty() || map->size() > kMostLabels) {
    return fields.wrong("id2label", *map,
                        fmt::format("it has to map 0, 1, ... to 1 to {} labels", kMostLabels));
  }
  labels.resize(map->size());
  for (std::size_t label = 0; label < labels.size(); ++label) {
    const auto found = map->find(std::to_string(label));
    if (found == map->end()) {
      return fields.wrong(
          "id2label", *map,
          fmt::format("its keys have to be 0 to {}; {} is missing", labels.size() - 1, label));
    }
    if (!found->is_string() && !found->is_number_integer()) {
      return fields.wrong("id2label", *map, fmt::format("label {} has to be a text", label));
    }
    labels[label] = found->is_string() ? found->get<std::string>() : found->dump();
  }
  return labels;
}

Result<ProblemType> read_problem(const Fields& fields, std::size_t labels) {
  const Json* value = fields.find({"problem_type"});
  if (value == nullptr) return labels == 1 ? ProblemType::regression : ProblemType::single_label;
  if (*value == "regression") return ProblemType::regression;
  if (*value == "multi_label_classification") return ProblemType::multi_label;
  if (*value != "single_label_classification") {
    return fields.wrong("problem_type", *value,
                        "it has to be single_label_classification, multi_label_classification or "
                        "regression");
  }
  if (labels == 1) {
    return fields.wrong("problem_type", *value,
                        "with one label only regression or multi_label_classification mean "
                        "something");
  }
  return ProblemType::single_label;
}

// What would make it another function than the forward pass computes.
Result<void> refuse_variants(const Fields& fields) {
  for (const char* name : {"is_decoder", "add_cross_attention", "is_encoder_decoder"}) {
    BREAKEVEN_TRY(const bool on, fields.flag(name, false));
    if (on) return fields.unsupported(name, Json(true), "only encoders are built in");
  }
  BREAKEVEN_TRY(const std::string position, fields.text("position_embedding_type", "absolute"));
  if (position != "absolute") {
    return fields.unsupported("position_embedding_type", Json(position),
                              "only absolute positions are built in");
  }
  for (const char* name : {"pruned_heads", "quantization_config"}) {
    const Json* value = fields.find({name});
    if (value != nullptr && !value->empty()) {
      return fields.unsupported(name, *value, "only whole, unquantised weights can be read");
    }
  }
  return {};
}

Result<float> read_norm_eps(const Fields& fields) {
  const Json* value = fields.find({"layer_norm_eps"});
  if (value == nullptr) return 1e-12F;
  const double eps = value->is_number() ? value->get<double>() : 0;
  // Written so that NaN is refused, too. 1e-30 is still a normal float.
  if (!(eps >= 1e-30 && eps <= 1)) {
    return fields.wrong("layer_norm_eps", *value, "it has to be a number from 1e-30 to 1");
  }
  return static_cast<float>(eps);
}

// Names as each architecture's config.json has them, DistilBERT's aliases included; defaults are
// Transformers'.
Result<void> read_sizes(const Fields& fields, EncoderPlan& plan) {
  const bool bert = plan.architecture == Architecture::bert;
  using Names = std::initializer_list<const char*>;
  const auto read = [&](Names of_bert, Names of_distilbert, std::size_t absent,
                        std::size_t most) -> Result<std::size_t> {
    return fields.size(bert ? of_bert : of_distilbert, absent, 1, most);
  };
  BREAKEVEN_TRY(plan.hidden, read({"hidden_size"}, {"dim", "hidden_size"}, 768, kMostHidden));
  BREAKEVEN_TRY(plan.heads,
                read({"num_attention_heads"}, {"n_heads", "num_attention_heads"}, 12, kMostHidden));
  BREAKEVEN_TRY(plan.layers, read({"num_hidden_layers"}, {"n_layers", "num_hidden_layers"},
                                  bert ? 12 : 6, kMostLayers));
  BREAKEVEN_TRY(plan.intermediate,
                read({"intermediate_size"}, {"hidden_dim"}, 3072, kMostIntermediate));
  BREAKEVEN_TRY(plan.vocabulary, fields.size({"vocab_size"}, 30522, 1, kMostVocabulary));
  BREAKEVEN_TRY(plan.positions, fields.size({"max_position_embeddings"}, 512, 1, kMostPositions));
  if (bert) {
    BREAKEVEN_TRY(plan.token_types, fields.size({"type_vocab_size"}, 2, 1, kMostHidden));
  }
  if (plan.hidden % plan.heads != 0) {
    return fail("config/field",
                fmt::format("{}: {} is {}, which {} heads do not divide", fields.where(),
                            bert ? "hidden_size" : "dim", plan.hidden, plan.heads),
                fmt::format("check {}", bert ? "num_attention_heads" : "n_heads"));
  }
  BREAKEVEN_TRY(const std::size_t pad, fields.size({"pad_token_id"}, 0, 0, plan.vocabulary - 1));
  plan.pad_id = static_cast<std::int32_t>(pad);
  return {};
}

}  // namespace

Result<EncoderPlan> parse_plan(std::string_view json, const std::string& where) {
  Json object;
  try {
    object = Json::parse(json.begin(), json.end());
  } catch (const Json::exception& error) {
    return fail("config/json", fmt::format("{} is not JSON: {}", where, error.what()),
                "fetch or save the model again");
  }
  if (!object.is_object()) {
    return fail("config/json", fmt::format("{} holds no JSON object", where),
                "fetch or save the model again");
  }
  const Fields fields(object, where);
  EncoderPlan plan;
  BREAKEVEN_TRY(plan.architecture, read_architecture(fields));
  const bool bert = plan.architecture == Architecture::bert;
  BREAKEVEN_TRY_VOID(refuse_variants(fields));
  BREAKEVEN_TRY_VOID(read_sizes(fields, plan));
  // DistilBERT's LayerNorm has a fixed epsilon, whatever its config says.
  if (bert) {
    BREAKEVEN_TRY(plan.norm_eps, read_norm_eps(fields));
  }
  BREAKEVEN_TRY(plan.activation, read_activation(fields, bert ? "hidden_act" : "activation"));
  plan.head_activation = bert ? ops::Activation::tanh : ops::Activation::relu;
  BREAKEVEN_TRY(plan.labels, read_labels(fields));
  BREAKEVEN_TRY(plan.problem, read_problem(fields, plan.labels.size()));
  return plan;
}

}  // namespace breakeven::model

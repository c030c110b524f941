#include "model/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "base/json.h"
#include "model/architectures/architecture.h"

namespace breakeven::model {
namespace {

// As kMostHidden.
constexpr std::uint64_t kMostIntermediate = 1U << 18U;
constexpr std::uint64_t kMostVocabulary = 1U << 24U;
constexpr std::uint64_t kMostPositions = 1U << 20U;
constexpr std::uint64_t kMostLayers = 1024;
constexpr std::uint64_t kMostLabels = 100'000;

// "breakeven runs A, B and C; ..."
std::string otherwise(bool own_code) {
  std::string names;
  for (const Architecture* each : architectures()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", each->class_name);
  }
  return fmt::format("breakeven runs {}; Hugging Face Transformers can run this model{}", names,
                     own_code
                         ? ", with trust_remote_code=True: its code lies in the repository that "
                           "auto_map names"
                         : "");
}

// The names in "architectures", which may be missing, null or empty.
Result<std::vector<std::string>> class_names(const JsonObject& config) {
  std::vector<std::string> names;
  const auto value = config.find("architectures");
  if (!value) return names;
  if (!value->is_list()) return config.wrong("architectures", "a list of class names");
  for (const JsonValue each : value->list()) {
    BREAKEVEN_TRY(std::string name, config.as_text(each, "architectures"));
    names.push_back(std::move(name));
  }
  return names;
}

// As AutoModelForSequenceClassification chooses: by model_type. What else was trained from the same
// body lacks tensors of the head, which the loader tells.
Result<void> find_architecture(const JsonObject& config, EncoderPlan& plan) {
  BREAKEVEN_TRY(const std::string model_type, config.text("model_type", ""));
  BREAKEVEN_TRY(const std::vector<std::string> names, class_names(config));
  const auto named = [&](const Architecture* each) {
    return std::find(names.begin(), names.end(), each->class_name) != names.end();
  };
  const auto all = architectures();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Architecture* each) {
    return model_type.empty() ? named(each) : each->model_type == model_type;
  });
  const std::string listed = fmt::format("{}", fmt::join(names, ", "));
  // A class of the model's own may go by the model_type of another (JinaBERT is a "bert").
  const bool own_code = config.find("auto_map").has_value();
  const bool own_class = own_code && found != all.end() && !names.empty() && !named(*found);
  if (found == all.end() || own_class) {
    const std::string what =
        own_class ? fmt::format("the class {} is code of the model's own (auto_map), and not {}",
                                listed, (*found)->class_name)
        : model_type.empty() && names.empty()
            ? "names no model (\"model_type\" and \"architectures\" are missing)"
        : model_type.empty() ? fmt::format("the architecture {} is not supported", listed)
                             : fmt::format("the model_type \"{}\"{} is not supported", model_type,
                                           names.empty() ? "" : fmt::format(" ({})", listed));
    return fail("config/architecture", fmt::format("{}: {}", config.source().where, what),
                otherwise(own_code));
  }
  plan.architecture = *found;
  if (!names.empty() && !named(*found)) {
    plan.notes.push_back(fmt::format("config.json names {}; model_type \"{}\" makes it {}", listed,
                                     model_type, (*found)->class_name));
  }
  return {};
}

std::vector<std::string> numbered_labels(std::uint64_t count) {
  std::vector<std::string> labels;
  for (std::uint64_t label = 0; label < count; ++label) {
    labels.push_back(fmt::format("LABEL_{}", label));
  }
  return labels;
}

// id2label's texts by index, where it agrees with num_labels.
Result<void> read_labels(const JsonObject& config, EncoderPlan& plan) {
  constexpr std::uint64_t kDefault = 2;
  BREAKEVEN_TRY(const std::uint64_t count, config.count("num_labels", {1, kMostLabels}, kDefault));
  const bool counted = config.find("num_labels").has_value();
  const auto map = config.find("id2label");
  const std::vector<JsonField> entries = map ? map->object() : std::vector<JsonField>();
  if (!map || (counted && map->is_object() && entries.size() != count)) {
    if (!entries.empty()) {
      plan.notes.push_back(fmt::format(
          "config.json has num_labels {} and {} names in id2label: the labels are LABEL_0 to "
          "LABEL_{}",
          count, entries.size(), count - 1));
    }
    plan.labels = numbered_labels(count);
    return {};
  }
  if (entries.empty() || entries.size() > kMostLabels) {
    return config.wrong("id2label",
                        fmt::format("a map of 0, 1, ... to 1 to {} labels", kMostLabels));
  }
  std::unordered_map<std::string_view, JsonValue> by_key;
  for (const JsonField& entry : entries) by_key.insert_or_assign(entry.name, entry.value);
  for (std::size_t label = 0; label < by_key.size(); ++label) {
    const auto found = by_key.find(std::to_string(label));
    if (found == by_key.end()) {
      return config.wrong("id2label", fmt::format("a map with the keys 0 to {}; {} is missing",
                                                  by_key.size() - 1, label));
    }
    const auto text = found->second.text();
    if (!text && !found->second.integer()) {
      return config.wrong("id2label", fmt::format("a map to texts: label {} is none", label));
    }
    plan.labels.push_back(text ? std::string(*text) : found->second.shown());
  }
  return {};
}

// What sentence-transformers makes scores of one label with; "" where config.json does not say.
std::string reranker_activation(const JsonObject& config) {
  const auto settings = config.find("sentence_transformers");
  auto name = settings ? settings->find("activation_fn") : std::nullopt;
  if (!name || !name->text()) name = config.find("sbert_ce_default_activation_function");
  return name && name->text() ? std::string(*name->text()) : "";
}

// One label without a problem_type: a reranker, or a probability.
void read_score_of_one(const JsonObject& config, EncoderPlan& plan) {
  plan.score = ScoreFunction::sigmoid;
  const std::string name = reranker_activation(config);
  if (name.ends_with(".Identity")) {
    plan.score = ScoreFunction::none;
  } else if (!name.empty() && !name.ends_with(".Sigmoid")) {
    plan.notes.push_back(fmt::format(
        "config.json asks for the activation {}, which is not built in: scores are sigmoids",
        name));
  }
}

Result<void> read_problem(const JsonObject& config, EncoderPlan& plan) {
  const auto value = config.find("problem_type");
  const bool one = plan.labels.size() == 1;
  if (!value) {
    plan.problem = one ? ProblemType::regression : ProblemType::single_label;
    plan.score = ScoreFunction::softmax;
    if (one) read_score_of_one(config, plan);
  } else if (value->text() == "regression") {
    plan.problem = ProblemType::regression;
    plan.score = ScoreFunction::none;
  } else if (value->text() == "multi_label_classification") {
    plan.problem = ProblemType::multi_label;
    plan.score = ScoreFunction::sigmoid;
  } else if (value->text() != "single_label_classification") {
    return config.wrong("problem_type",
                        "single_label_classification, multi_label_classification or regression");
  } else if (one) {
    return config.wrong("problem_type",
                        "regression or multi_label_classification, which alone mean something "
                        "with one label");
  }
  return {};
}

// What would make it another function than the forward pass computes.
Result<void> refuse_variants(const JsonObject& config) {
  for (const char* name : {"is_decoder", "add_cross_attention", "is_encoder_decoder"}) {
    BREAKEVEN_TRY(const bool on, config.boolean(name, false));
    if (on) return unsupported(config, name, "true", "only encoders are built in");
  }
  BREAKEVEN_TRY(const std::string position, config.text("position_embedding_type", "absolute"));
  if (position != "absolute") {
    return unsupported(config, "position_embedding_type", fmt::format("\"{}\"", position),
                       "only absolute positions are built in");
  }
  for (const char* name : {"pruned_heads", "quantization_config"}) {
    const auto value = config.find(name);
    if (value && !(value->object().empty() && value->list().empty())) {
      return unsupported(config, name, value->shown(),
                         "only whole, unquantised weights can be read");
    }
  }
  return {};
}

// Defaults are Transformers'.
Result<void> read_sizes(const JsonObject& config, EncoderPlan& plan) {
  const Architecture& known = *plan.architecture;
  const Architecture::Defaults& defaults = known.defaults;
  // By the first of the names that is there.
  const auto name_of = [&](const Architecture::Names& names) {
    return config.find(names[0]) || names[1].empty() ? names[0] : names[1];
  };
  const auto read = [&](const Architecture::Names& names, std::uint64_t absent,
                        std::uint64_t most) {
    return config.count(name_of(names), {1, most}, absent);
  };
  BREAKEVEN_TRY(plan.hidden, read(known.hidden, defaults.hidden, kMostHidden));
  BREAKEVEN_TRY(plan.heads, read(known.heads, defaults.heads, kMostHidden));
  BREAKEVEN_TRY(plan.layers, read(known.layers, defaults.layers, kMostLayers));
  BREAKEVEN_TRY(plan.intermediate,
                read(known.intermediate, defaults.intermediate, kMostIntermediate));
  BREAKEVEN_TRY(plan.vocabulary,
                config.count("vocab_size", {1, kMostVocabulary}, defaults.vocabulary));
  BREAKEVEN_TRY(plan.positions,
                config.count("max_position_embeddings", {1, kMostPositions}, defaults.positions));
  if (plan.hidden % plan.heads != 0) {
    return fail("config/field",
                fmt::format("{} is {}, which {} heads do not divide",
                            config.where(name_of(known.hidden)), plan.hidden, plan.heads),
                fmt::format("check {}", name_of(known.heads)));
  }
  BREAKEVEN_TRY(const std::uint64_t pad,
                config.count("pad_token_id", {0, plan.vocabulary - 1}, defaults.pad_id));
  plan.pad_id = static_cast<std::int32_t>(pad);
  return {};
}

}  // namespace

Result<EncoderPlan> parse_plan(std::string_view json, const std::string& where) {
  BREAKEVEN_TRY(const auto document,
                JsonDocument::parse(json, {where, "config/json", "config/field",
                                           "fetch or save the model again", JsonDialect::python}));
  BREAKEVEN_TRY(const JsonObject config, document.object());
  EncoderPlan plan;
  BREAKEVEN_TRY_VOID(find_architecture(config, plan));
  BREAKEVEN_TRY_VOID(refuse_variants(config));
  BREAKEVEN_TRY_VOID(read_sizes(config, plan));
  BREAKEVEN_TRY_VOID(plan.architecture->read(config, plan));
  BREAKEVEN_TRY_VOID(read_labels(config, plan));
  BREAKEVEN_TRY_VOID(read_problem(config, plan));
  return plan;
}

}  // namespace breakeven::model

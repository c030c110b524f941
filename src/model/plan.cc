#include "model/plan.h"

#include <fmt/format.h>

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
std::string otherwise() {
  std::string names;
  for (const Architecture* each : architectures()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", each->class_name);
  }
  return fmt::format("breakeven runs {}; Hugging Face Transformers can run this model", names);
}

Result<const Architecture*> find_architecture(const JsonObject& config) {
  BREAKEVEN_TRY(const std::string model_type, config.text("model_type", ""));
  const auto names = config.find("architectures");
  if (!names || (names->is_list() && names->list().empty())) {
    return fail("config/architecture",
                fmt::format("{} names no architecture (\"architectures\" is missing; model_type is "
                            "\"{}\")",
                            config.source().where, model_type),
                fmt::format("a classifier's config.json says \"architectures\": [\"{}\"]",
                            architectures().front()->class_name));
  }
  const auto name = names->is_list() ? names->list().front().text() : std::nullopt;
  if (!name) return config.wrong("architectures", "a list of class names");
  const auto all = architectures();
  const auto found = std::find_if(
      all.begin(), all.end(), [&](const Architecture* each) { return each->class_name == *name; });
  if (found == all.end()) {
    return fail("config/architecture",
                fmt::format("{}: the architecture {} is not supported", config.source().where,
                            names->list().front().shown()),
                otherwise());
  }
  if (!model_type.empty() && model_type != (*found)->model_type) {
    return fail("config/architecture",
                fmt::format("{}: model_type is \"{}\", but the architecture is {}",
                            config.source().where, model_type, *name),
                otherwise());
  }
  return *found;
}

// id2label's texts by index. Transformers numbers a missing map LABEL_0 ... and lets num_labels
// count only then.
Result<std::vector<std::string>> read_labels(const JsonObject& config) {
  BREAKEVEN_TRY(const std::uint64_t count, config.count("num_labels", {1, kMostLabels}, 2));
  const auto map = config.find("id2label");
  std::vector<std::string> labels;
  if (!map) {
    for (std::uint64_t label = 0; label < count; ++label) {
      labels.push_back(fmt::format("LABEL_{}", label));
    }
    return labels;
  }
  const std::vector<JsonField> entries = map->object();
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
    labels.push_back(text ? std::string(*text) : found->second.shown());
  }
  return labels;
}

Result<ProblemType> read_problem(const JsonObject& config, std::size_t labels) {
  const auto value = config.find("problem_type");
  if (!value) return labels == 1 ? ProblemType::regression : ProblemType::single_label;
  if (value->text() == "regression") return ProblemType::regression;
  if (value->text() == "multi_label_classification") return ProblemType::multi_label;
  if (value->text() != "single_label_classification") {
    return config.wrong("problem_type",
                        "single_label_classification, multi_label_classification or regression");
  }
  if (labels == 1) {
    return config.wrong("problem_type",
                        "regression or multi_label_classification, which alone mean something "
                        "with one label");
  }
  return ProblemType::single_label;
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
  BREAKEVEN_TRY(plan.positions, config.count("max_position_embeddings", {1, kMostPositions}, 512));
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
                JsonDocument::parse(
                    json, {where, "config/json", "config/field", "fetch or save the model again"}));
  BREAKEVEN_TRY(const JsonObject config, document.object());
  EncoderPlan plan;
  BREAKEVEN_TRY(plan.architecture, find_architecture(config));
  BREAKEVEN_TRY_VOID(refuse_variants(config));
  BREAKEVEN_TRY_VOID(read_sizes(config, plan));
  BREAKEVEN_TRY_VOID(plan.architecture->read(config, plan));
  BREAKEVEN_TRY(plan.labels, read_labels(config));
  BREAKEVEN_TRY(plan.problem, read_problem(config, plan.labels.size()));
  return plan;
}

}  // namespace breakeven::model

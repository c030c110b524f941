#include "model/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace breakeven::model {
namespace {

// A module of a checkpoint: the tensors that share a name up to ".weight" and ".bias".
enum class Kind : std::uint8_t { table, norm, linear };
enum class Size : std::uint8_t { hidden, intermediate, vocabulary, positions, token_types, labels };

// One row of the table: what the module is called by each architecture, and its shape. A module
// without a name does not exist in that architecture.
struct Module {
  Kind kind;
  Size out;  // rows of a table, outputs of a linear layer; a norm's only size
  Size in;   // columns of a table, inputs of a linear layer
  std::string_view distilbert;
  std::string_view bert;
};

using enum Kind;
using enum Size;

constexpr Module kEmbedding[] = {
    {table, vocabulary, hidden, "distilbert.embeddings.word_embeddings",
     "bert.embeddings.word_embeddings"},
    {table, positions, hidden, "distilbert.embeddings.position_embeddings",
     "bert.embeddings.position_embeddings"},
    {table, token_types, hidden, "", "bert.embeddings.token_type_embeddings"},
    {norm, hidden, hidden, "distilbert.embeddings.LayerNorm", "bert.embeddings.LayerNorm"},
};

// {} is the layer's number.
constexpr Module kLayer[] = {
    {linear, hidden, hidden, "distilbert.transformer.layer.{}.attention.q_lin",
     "bert.encoder.layer.{}.attention.self.query"},
    {linear, hidden, hidden, "distilbert.transformer.layer.{}.attention.k_lin",
     "bert.encoder.layer.{}.attention.self.key"},
    {linear, hidden, hidden, "distilbert.transformer.layer.{}.attention.v_lin",
     "bert.encoder.layer.{}.attention.self.value"},
    {linear, hidden, hidden, "distilbert.transformer.layer.{}.attention.out_lin",
     "bert.encoder.layer.{}.attention.output.dense"},
    {norm, hidden, hidden, "distilbert.transformer.layer.{}.sa_layer_norm",
     "bert.encoder.layer.{}.attention.output.LayerNorm"},
    {linear, intermediate, hidden, "distilbert.transformer.layer.{}.ffn.lin1",
     "bert.encoder.layer.{}.intermediate.dense"},
    {linear, hidden, intermediate, "distilbert.transformer.layer.{}.ffn.lin2",
     "bert.encoder.layer.{}.output.dense"},
    {norm, hidden, hidden, "distilbert.transformer.layer.{}.output_layer_norm",
     "bert.encoder.layer.{}.output.LayerNorm"},
};

constexpr Module kHead[] = {
    {linear, hidden, hidden, "pre_classifier", "bert.pooler.dense"},
    {linear, labels, hidden, "classifier", "classifier"},
};

std::size_t size_of(Size size, const EncoderPlan& plan) {
  switch (size) {
    case hidden:
      return plan.hidden;
    case intermediate:
      return plan.intermediate;
    case vocabulary:
      return plan.vocabulary;
    case positions:
      return plan.positions;
    case token_types:
      return plan.token_types;
    case labels:
      return plan.labels.size();
  }
  BREAKEVEN_CHECK(false, "size={}", static_cast<int>(size));
  return 0;
}

std::string_view name_of(const Module& module, Architecture architecture) {
  return architecture == Architecture::distilbert ? module.distilbert : module.bert;
}

void append_specs(const EncoderPlan& plan, std::span<const Module> modules, std::size_t layer,
                  std::vector<TensorSpec>& specs) {
  for (const Module& module : modules) {
    const std::string_view pattern = name_of(module, plan.architecture);
    if (pattern.empty()) continue;
    const std::string name = fmt::format(fmt::runtime(pattern), layer);
    const std::size_t out = size_of(module.out, plan);
    const std::size_t in = size_of(module.in, plan);
    if (module.kind == norm) {
      specs.push_back({name + ".weight", {out}});
    } else {
      specs.push_back({name + ".weight", {out, in}});
    }
    if (module.kind != table) specs.push_back({name + ".bias", {out}});
  }
}

// Hands out the table's tensors in its order, as the modules that they make up.
class Cursor {
 public:
  Cursor(const std::vector<TensorSpec>& specs, const std::vector<std::span<const float>>& data)
      : specs_(specs), data_(data) {}

  std::span<const float> next() { return data_[at_++]; }
  ops::LinearWeights next_linear() {
    const std::vector<std::size_t>& shape = specs_[at_].shape;
    BREAKEVEN_CHECK(shape.size() == 2, "{}", specs_[at_].name);
    ops::LinearWeights linear_weights;
    linear_weights.out = shape[0];
    linear_weights.in = shape[1];
    linear_weights.weight = next();
    linear_weights.bias = next();
    return linear_weights;
  }
  ops::NormWeights next_norm(float eps) {
    const std::span<const float> gamma = next();
    return {gamma, next(), eps};
  }
  bool at_end() const { return at_ == data_.size(); }

 private:
  const std::vector<TensorSpec>& specs_;
  const std::vector<std::span<const float>>& data_;
  std::size_t at_ = 0;
};

ops::EncoderWeights make_view(const EncoderPlan& plan, Cursor cursor) {
  ops::EncoderWeights view;
  view.hidden = plan.hidden;
  view.heads = plan.heads;
  view.intermediate = plan.intermediate;
  view.vocabulary = plan.vocabulary;
  view.positions = plan.positions;
  view.labels = plan.labels.size();
  view.activation = plan.activation;
  view.embedding.word = cursor.next();
  view.embedding.position = cursor.next();
  if (plan.architecture == Architecture::bert) view.embedding.token_type = cursor.next();
  view.embedding.norm = cursor.next_norm(plan.norm_eps);
  view.layers.resize(plan.layers);
  for (ops::LayerWeights& layer : view.layers) {
    layer.query = cursor.next_linear();
    layer.key = cursor.next_linear();
    layer.value = cursor.next_linear();
    layer.project = cursor.next_linear();
    layer.attention_norm = cursor.next_norm(plan.norm_eps);
    layer.up = cursor.next_linear();
    layer.down = cursor.next_linear();
    layer.ffn_norm = cursor.next_norm(plan.norm_eps);
  }
  view.head.dense = cursor.next_linear();
  view.head.activation = plan.head_activation;
  view.head.classifier = cursor.next_linear();
  BREAKEVEN_CHECK(cursor.at_end());
  return view;
}

}  // namespace

std::vector<TensorSpec> tensor_table(const EncoderPlan& plan) {
  std::vector<TensorSpec> specs;
  append_specs(plan, kEmbedding, 0, specs);
  for (std::size_t layer = 0; layer < plan.layers; ++layer) {
    append_specs(plan, kLayer, layer, specs);
  }
  append_specs(plan, kHead, 0, specs);
  return specs;
}

Result<ModelWeights> ModelWeights::build(const EncoderPlan& plan, const Source& source) {
  ModelWeights weights;
  weights.owner_ = source.owner;
  weights.table_ = tensor_table(plan);
  weights.data_.reserve(weights.table_.size());
  for (const TensorSpec& spec : weights.table_) {
    BREAKEVEN_TRY(const std::span<const float> data, source.find(spec));
    std::size_t size = 1;
    for (const std::size_t extent : spec.shape) size *= extent;
    BREAKEVEN_CHECK(data.size() == size, "{} has {} values, not {}", spec.name, data.size(), size);
    weights.data_.push_back(data);
  }
  weights.view_ = make_view(plan, Cursor(weights.table_, weights.data_));
  return weights;
}

std::span<const float> ModelWeights::tensor(std::string_view name) const {
  const auto found = std::find_if(table_.begin(), table_.end(),
                                  [name](const TensorSpec& spec) { return spec.name == name; });
  BREAKEVEN_CHECK(found != table_.end(), "no tensor {}", name);
  return data_[static_cast<std::size_t>(found - table_.begin())];
}

}  // namespace breakeven::model

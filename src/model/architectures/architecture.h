// One kind of classifier that can be run: what its config.json calls things, and where its tensors
// go. Each has a file of its own beside this one; architectures() lists them, and nothing else in
// the program asks which one a model is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/plan.h"
#include "ops/ops.h"

namespace breakeven::model {

struct TensorSpec {
  std::string name;                // as the checkpoint of this architecture calls it
  std::vector<std::size_t> shape;  // computed from the plan
};

// Gets tensors by name, as the modules that they make up. What `find` returns is up to the caller:
// the data, or nothing where only the list of tensors is wanted.
class Tensors {
 public:
  using Find = std::function<std::span<const float>(TensorSpec)>;
  explicit Tensors(Find find) : find_(std::move(find)) {}

  std::span<const float> table(const std::string& name, std::size_t rows, std::size_t columns) {
    return find_({name + ".weight", {rows, columns}});
  }
  ops::LinearWeights linear(const std::string& name, std::size_t out, std::size_t in,
                            bool bias = true) {
    const std::span<const float> weight = find_({name + ".weight", {out, in}});
    return {weight, bias_of(name, out, bias), out, in};
  }
  // Matrices [out, in] that the file has as one, one below the other.
  template <std::size_t Count>
  std::array<ops::LinearWeights, Count> parts(const std::string& name, std::size_t out,
                                              std::size_t in, bool bias) {
    const ops::LinearWeights whole = linear(name, Count * out, in, bias);
    const auto part = [](std::span<const float> of, std::size_t index, std::size_t size) {
      return of.empty() ? of : of.subspan(index * size, size);
    };
    std::array<ops::LinearWeights, Count> all;
    for (std::size_t i = 0; i < Count; ++i) {
      all[i] = {part(whole.weight, i, out * in), part(whole.bias, i, out), out, in};
    }
    return all;
  }
  ops::NormWeights norm(const std::string& name, std::size_t size, float eps, bool bias = true) {
    const std::span<const float> gamma = find_({name + ".weight", {size}});
    return {gamma, bias_of(name, size, bias), eps};
  }

 private:
  std::span<const float> bias_of(const std::string& name, std::size_t size, bool has) {
    return has ? find_({name + ".bias", {size}}) : std::span<const float>{};
  }
  Find find_;
};

struct Architecture {
  std::string_view model_type;  // "bert", as config.json has it
  std::string_view class_name;  // "BertForSequenceClassification"
  std::string_view body;        // what tensors of the encoder are called by: "bert"
  // Fields of config.json; the first name is what Transformers writes, the second an alias or "".
  using Names = std::array<std::string_view, 2>;
  Names hidden = {"hidden_size", ""};
  Names heads = {"num_attention_heads", ""};
  Names layers = {"num_hidden_layers", ""};
  Names intermediate = {"intermediate_size", ""};
  // What stands for fields that config.json leaves out.
  struct Defaults {
    std::size_t hidden = 768, heads = 12, layers = 12, intermediate = 3072, vocabulary = 30522,
                positions = 512;
    std::uint64_t pad_id = 0;
  };
  Defaults defaults;
  // Reads what no other architecture has, or has in another way, into the plan.
  Result<void> (*read)(const JsonObject& config, EncoderPlan& plan);
  // Asks for every tensor of the model, in a fixed order. plan.architecture need not be set.
  ops::EncoderWeights (*view)(const EncoderPlan& plan, Tensors& tensors);
};

std::span<const Architecture* const> architectures();
// By model_type; aborts for one that is not there.
const Architecture& architecture_named(std::string_view model_type);

// For the files of architectures: a view with the sizes of the plan and no tensors yet.
ops::EncoderWeights sized_view(const EncoderPlan& plan);

// config.json's text of an activation, and a LayerNorm's epsilon (`absent` where it has none).
// Errors: config/field, config/unsupported.
Result<ops::Activation> read_activation(const JsonObject& config, std::string_view name);
Result<float> read_norm_eps(const JsonObject& config, float absent,
                            std::string_view name = "layer_norm_eps");
// "..., and <why>". `value` is the field's, as JSON.
tl::unexpected<Error> unsupported(const JsonObject& config, std::string_view name,
                                  std::string_view value, std::string_view why);

}  // namespace breakeven::model

#include "model/weights.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace breakeven::model {

std::vector<TensorSpec> tensor_table(const EncoderPlan& plan) {
  std::vector<TensorSpec> specs;
  Tensors list([&](TensorSpec spec) {
    specs.push_back(std::move(spec));
    return std::span<const float>();
  });
  plan.architecture->view(plan, list);
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
  Tensors by_name([&](const TensorSpec& spec) { return weights.tensor(spec.name); });
  weights.view_ = plan.architecture->view(plan, by_name);
  return weights;
}

std::span<const float> ModelWeights::tensor(std::string_view name) const {
  const auto found = std::find_if(table_.begin(), table_.end(),
                                  [name](const TensorSpec& spec) { return spec.name == name; });
  BREAKEVEN_CHECK(found != table_.end(), "no tensor {}", name);
  return data_[static_cast<std::size_t>(found - table_.begin())];
}

}  // namespace breakeven::model

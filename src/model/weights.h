// The weights of one model in fp32, checked against the plan: the table of tensors that its
// architecture asks for, by name and shape, says what must be there.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/architectures/architecture.h"
#include "model/plan.h"
#include "ops/ops.h"

namespace breakeven::model {

// Every tensor that a model of this plan needs, in a fixed order.
std::vector<TensorSpec> tensor_table(const EncoderPlan& plan);

// Owns fp32 tensors, or views into a mapped file that it keeps alive, and offers them as
// ops::EncoderWeights.
class ModelWeights {
 public:
  // `find` returns the fp32 data of a tensor of the table: a span that lives as long as `owner`.
  // Errors: weights/missing, weights/shape, weights/not-finite are the loader's
  // (model/checkpoint.h).
  struct Source {
    std::shared_ptr<const void> owner;
    std::function<Result<std::span<const float>>(const TensorSpec&)> find;
  };
  static Result<ModelWeights> build(const EncoderPlan& plan, const Source& source);

  const ops::EncoderWeights& view() const { return view_; }
  const std::vector<TensorSpec>& table() const { return table_; }
  std::span<const float> tensor(
      std::string_view name) const;  // aborts when the table has no such name

 private:
  std::shared_ptr<const void> owner_;
  std::vector<TensorSpec> table_;
  std::vector<std::span<const float>> data_;
  ops::EncoderWeights view_;
};

}  // namespace breakeven::model

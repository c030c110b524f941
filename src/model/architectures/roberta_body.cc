#include "model/architectures/roberta_body.h"

#include <fmt/format.h>

namespace breakeven::model {
namespace {

// Positions count from the row behind <pad>'s.
std::size_t first_position(const EncoderPlan& plan) {
  return static_cast<std::size_t>(plan.pad_id) + 1;
}

}  // namespace

Result<void> read_roberta(const JsonObject& config, EncoderPlan& plan) {
  BREAKEVEN_TRY_VOID(read_bert_body(config, plan));
  plan.head_activation = ops::Activation::tanh;
  if (plan.positions <= first_position(plan)) {
    return config.wrong("max_position_embeddings",
                        fmt::format("more than pad_token_id + 1 = {}", first_position(plan)));
  }
  plan.positions -= first_position(plan);
  return {};
}

ops::EncoderWeights view_roberta(const EncoderPlan& plan, Tensors& tensors) {
  ops::EncoderWeights out = bert_body("roberta", plan, tensors, first_position(plan));
  out.embedding.uncounted_id = plan.pad_id;
  out.head.dense = tensors.linear("classifier.dense", plan.hidden, plan.hidden);
  out.head.classifier = tensors.linear("classifier.out_proj", plan.labels.size(), plan.hidden);
  return out;
}

}  // namespace breakeven::model

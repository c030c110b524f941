#include "model/architectures/bert_body.h"

namespace breakeven::model {
namespace {

Result<void> read(const JsonObject& config, EncoderPlan& plan) {
  BREAKEVEN_TRY_VOID(read_bert_body(config, plan));
  plan.head_activation = ops::Activation::tanh;
  return {};
}

ops::EncoderWeights view(const EncoderPlan& plan, Tensors& tensors) {
  ops::EncoderWeights out = bert_body("bert", plan, tensors);
  out.head.dense = tensors.linear("bert.pooler.dense", plan.hidden, plan.hidden);
  out.head.classifier = tensors.linear("classifier", plan.labels.size(), plan.hidden);
  return out;
}

}  // namespace

extern const Architecture kBert;
const Architecture kBert = {
    .model_type = "bert",
    .class_name = "BertForSequenceClassification",
    .body = "bert",
    .defaults = {},
    .read = read,
    .view = view,
};

}  // namespace breakeven::model

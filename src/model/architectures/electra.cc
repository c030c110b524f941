// ELECTRA's discriminator. The small one has embeddings narrower than its layers.
#include "model/architectures/bert_body.h"

namespace breakeven::model {
namespace {

Result<void> read(const JsonObject& config, EncoderPlan& plan) {
  BREAKEVEN_TRY_VOID(read_bert_body(config, plan));
  BREAKEVEN_TRY(const std::uint64_t width, config.count("embedding_size", {1, kMostHidden}, 128));
  if (width != plan.hidden) plan.embedding = width;
  // Fixed, whatever hidden_act says.
  plan.head_activation = ops::Activation::gelu_erf;
  return {};
}

ops::EncoderWeights view(const EncoderPlan& plan, Tensors& tensors) {
  ops::EncoderWeights out = bert_body("electra", plan, tensors);
  out.head.dense = tensors.linear("classifier.dense", plan.hidden, plan.hidden);
  out.head.classifier = tensors.linear("classifier.out_proj", plan.labels.size(), plan.hidden);
  return out;
}

}  // namespace

extern const Architecture kElectra;
const Architecture kElectra = {
    .model_type = "electra",
    .class_name = "ElectraForSequenceClassification",
    .body = "electra",
    .defaults = {.hidden = 256, .heads = 4, .intermediate = 1024},
    .read = read,
    .view = view,
};

}  // namespace breakeven::model

// RoBERTa, and DistilRoBERTa, which only has fewer layers.
#include "model/architectures/roberta_body.h"

namespace breakeven::model {

extern const Architecture kRoberta;
const Architecture kRoberta = {
    .model_type = "roberta",
    .class_name = "RobertaForSequenceClassification",
    .body = "roberta",
    .defaults = {.vocabulary = 50265, .pad_id = 1},
    .read = read_roberta,
    .view = view_roberta,
};

}  // namespace breakeven::model

// CamemBERT: RoBERTa in French, and what is made like it.
#include "model/architectures/roberta_body.h"

namespace breakeven::model {

extern const Architecture kCamembert;
const Architecture kCamembert = {
    .model_type = "camembert",
    .class_name = "CamembertForSequenceClassification",
    .body = "roberta",
    .defaults = {.pad_id = 1},
    .read = read_roberta,
    .view = view_roberta,
};

}  // namespace breakeven::model

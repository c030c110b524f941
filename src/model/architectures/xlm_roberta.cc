// XLM-RoBERTa: RoBERTa with a vocabulary of a hundred languages.
#include "model/architectures/roberta_body.h"

namespace breakeven::model {

extern const Architecture kXlmRoberta;
const Architecture kXlmRoberta = {
    .model_type = "xlm-roberta",
    .class_name = "XLMRobertaForSequenceClassification",
    .body = "roberta",
    .defaults = {.pad_id = 1},
    .read = read_roberta,
    .view = view_roberta,
};

}  // namespace breakeven::model

// Zero-shot classification with a model of natural language inference, as Hugging Face's pipeline
// of that name has it: each text is paired with one hypothesis a candidate ("This example is
// sports."), and how surely the model finds that the text entails it is the candidate's logit.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "classifier/classifier.h"
#include "engine/load.h"
#include "engine/native.h"

namespace breakeven::engine {

struct ZeroShot {
  std::vector<std::string> candidates;  // not empty
  std::vector<std::string> hypotheses;  // one a candidate
  // Each candidate by itself; otherwise they share a sum of 1, which says nothing of a single one.
  bool multi_label = false;
};

// Where the labels of an inference model stand.
struct InferenceLabels {
  std::size_t entailment = 0, contradiction = 0;
  // Hugging Face's pipeline knows entailment by its name, and takes the first or the last label for
  // contradiction.
  std::size_t pipelines_contradiction = 0;
};
// By how they begin, in any case: "entail", "contra"; without the latter as the pipeline does.
// Errors: zero-shot/labels.
Result<InferenceLabels> find_inference_labels(const std::vector<std::string>& labels);

// The labels of its info are the candidates. logits[candidate] is the one of entailment, whose
// softmax over the candidates gives the scores; under multi_label that of entailment less that of
// contradiction, whose sigmoid is the score. A text that is too long loses ids, the hypothesis none
// (PairCut::only_first); `tokens` counts those of all pairs of a text. Errors: those of
// make_native and find_inference_labels; zero-shot/length (a hypothesis leaves a text no room);
// when run, zero-shot/pair (a text is a pair already).
Result<std::unique_ptr<Classifier>> make_zero_shot(const std::shared_ptr<const LoadedModel>& model,
                                                   const NativeOptions& options,
                                                   const ZeroShot& zero_shot);

}  // namespace breakeven::engine

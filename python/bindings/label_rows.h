// The labels of a column, window by window. Without Python.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/problem_type.h"
#include "base/result.h"
#include "base/text.h"
#include "bindings/arrow.h"
#include "bindings/pipeline.h"

namespace breakeven::python {

// Scores of one text by a function, and the labels in the order of the scores, as Python sorts.
class Ranking {
 public:
  Ranking(std::size_t classes, ScoreFunction function) : function_(function), scores_(classes) {}
  // text: of those that were answered.
  void rank(const Answers& answers, std::size_t text);
  std::size_t label(std::size_t place) const { return order_[place]; }
  float score(std::size_t place) const { return scores_[order_[place]]; }

 private:
  ScoreFunction function_;
  std::vector<float> scores_;
  std::vector<std::size_t> order_;
};

// Rows whose texts are held at a time. A column of any length is stopped between two windows, and
// what one holds (some 20 MB) is given back in a few ms.
inline constexpr std::size_t kWindowRows = std::size_t{1} << 18;

struct LabelForm {
  std::vector<std::string> names;                 // [C] of the labels
  ScoreFunction own = ScoreFunction::softmax;     // the model's: labels and scores come by it
  ScoreFunction chosen = ScoreFunction::softmax;  // what the caller wants them by
  std::optional<std::size_t> top = std::nullopt;  // labels a row that are ranked, C at most
};

// Answers a window's texts. It is asked once a window, also where that has none, so that its error
// ends it all.
using AnswerTexts = std::function<Result<void>(std::span<const Text>, Answers&)>;

// Fills `out` in, which is empty. second: nullptr, or a column of as many rows. Errors: `answer`'s.
Result<void> label_rows(const TextColumn& first, const TextColumn* second, const LabelForm& form,
                        const AnswerTexts& answer, LabelColumns& out);

}  // namespace breakeven::python

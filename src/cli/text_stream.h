// What classify and tokenize have in common: a source of any length goes through a bounded window
// of texts, and every text becomes one JSON line, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "classifier/classifier.h"
#include "cli/output.h"
#include "data/source.h"

namespace breakeven::cli {

// How much is held in memory at once.
struct WindowLimits {
  std::size_t first_texts = 128;              // few, so that the first results come soon
  std::size_t texts = 2048;                   // doubled from first_texts up to this
  std::size_t bytes = std::size_t{64} << 20;  // a window ends with the text that reaches this
};

// One window of consecutive texts.
struct Window {
  std::uint64_t first = 0;  // index of its first text
  std::vector<data::Review> reviews;
  std::vector<Text> texts;  // of `reviews`
};

// Reads window after window and hands each on. When the source fails, what came before the failure
// is handed on first. Errors: those of the source and of `use`.
Result<void> for_each_window(data::Source& source, const WindowLimits& limits,
                             const std::function<Result<void>(const Window& window)>& use);

// Appends one line of JSON for each text of the window.
using WindowToLines = std::function<Result<void>(const Window& window, std::string& lines)>;

// Converts and writes window after window. Errors: those of for_each_window and of the output.
Result<void> stream_texts(data::Source& source, const WindowLimits& limits,
                          const WindowToLines& convert, Output& output);

// Appends the fields of `extra` (a JSON object, or "") to an object under construction, each with a
// comma in front. A field of a name in `taken` is called input_<name> (again input_ while that is
// taken, too), so that what we compute is never mixed up with what came in. `keep`: only these.
void append_extra(std::string_view extra, const std::vector<std::string_view>& taken,
                  std::string& out, const std::optional<std::set<std::string>>& keep = {});

struct LabelCounts {
  std::uint64_t texts = 0;
  std::uint64_t cut = 0;  // had more tokens than the maximum length
  std::uint64_t tokens = 0, computed_tokens = 0;
  double compute_s = 0;  // in the classifier
};

// How the answers to a text are told.
struct LabelForm {
  ScoreFunction function = ScoreFunction::softmax;
  std::size_t top = 0;  // labels with their scores in "scores", the highest first; 0 = no such list
  std::optional<std::set<std::string>> keep{};  // fields of the input that go along; all of them
  std::uint64_t first_index = 0;                // of the first text
  // Texts that are not classified, by index, and why: their label, score and logits are null, and
  // the reason stands in "breakeven_rejected".
  std::map<std::uint64_t, std::string> rejected{};
};

// Labels every text:
//   {"index":0,"label":"POSITIVE","score":0.998,"logits":[-3.1,3.2], fields of the input}
// and, with form.top, behind the logits
//   "scores":[{"label":"POSITIVE","score":0.998},{"label":"NEGATIVE","score":0.002}]
// index counts the texts from form.first_index; label and score are the first of scores. Equal
// scores are in the order of the labels. `counts` is right up to the last text written, also after
// an error.
Result<void> label_texts(data::Source& source, Classifier& classifier, std::size_t batch,
                         const LabelForm& form, const WindowLimits& limits, Output& output,
                         LabelCounts& counts);

}  // namespace breakeven::cli

#include "engine/zero_shot.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"
#include "engine/decode.h"
#include "engine/runner.h"

namespace breakeven::engine {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

std::size_t find_by_beginning(const std::vector<std::string>& labels, std::string_view beginning) {
  const auto found = std::ranges::find_if(
      labels, [&](const std::string& label) { return lower_ascii(label).starts_with(beginning); });
  return found == labels.end() ? kNone : static_cast<std::size_t>(found - labels.begin());
}

// A token of the text must stay beside each hypothesis.
Result<void> check_lengths(const text::Tokenizer& tokenizer, const ZeroShot& zero_shot,
                           std::size_t max_length) {
  const auto scratch = tokenizer.make_scratch();
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < zero_shot.hypotheses.size(); ++i) {
    ids.clear();
    tokenizer.encode(zero_shot.hypotheses[i], {.truncate = false, .add_special_tokens = false},
                     *scratch, ids);
    const std::size_t least = ids.size() + tokenizer.info().pair_special_ids + 1;
    if (least <= max_length) continue;
    return fail("zero-shot/length",
                fmt::format("the hypothesis of the candidate '{}' and one token of a text make {} "
                            "tokens, and {} is the most",
                            zero_shot.candidates[i], least, max_length),
                "take a shorter candidate or template, or a larger --max-length");
  }
  return {};
}

class ZeroShotClassifier final : public Classifier {
 public:
  ZeroShotClassifier(std::unique_ptr<Classifier> inner, ZeroShot zero_shot,
                     const InferenceLabels& labels)
      : inner_(std::move(inner)),
        inner_info_(inner_->info()),
        zero_shot_(std::move(zero_shot)),
        labels_(labels) {}

  ClassifierInfo info() const override {
    ClassifierInfo info = inner_->info();
    info.labels = zero_shot_.candidates;
    info.problem = zero_shot_.multi_label ? ProblemType::multi_label : ProblemType::single_label;
    return info;
  }

  Result<void> run_batch(std::span<const Text> texts, BatchResult& out) override {
    BREAKEVEN_TRY_VOID(pair_up(texts));
    answers_ = {};
    out.stages = {};
    BatchResult part;
    const std::size_t batch = inner_info_.batch;
    for (std::size_t first = 0; first < pairs_.size(); first += batch) {
      const auto some = std::span(pairs_).subspan(first, std::min(batch, pairs_.size() - first));
      BREAKEVEN_TRY_VOID(inner_->run_batch(some, part));
      append(part.logits, answers_.logits);
      append(part.tokens, answers_.tokens);
      append(part.cut, answers_.cut);
      answers_.computed_tokens += part.computed_tokens;
      add(out.stages, part.stages);
    }
    gather(texts.size(), out);
    return {};
  }

  Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                          StreamResult& out) override {
    BREAKEVEN_TRY_VOID(pair_up(texts));
    BREAKEVEN_TRY_VOID(inner_->run_stream(pairs_, batch, answers_));
    out.batches_in_flight = answers_.batches_in_flight;
    out.busy = answers_.busy;
    gather(texts.size(), out);
    return {};
  }

 private:
  template <class T>
  static void append(const std::vector<T>& from, std::vector<T>& to) {
    to.insert(to.end(), from.begin(), from.end());
  }

  // Every text with every hypothesis, text by text.
  Result<void> pair_up(std::span<const Text> texts) {
    if (any_pair(texts)) {
      return fail("zero-shot/pair", "a text is a pair already, and zero-shot makes its own",
                  "name the field of the text alone: --text-field NAME");
    }
    pairs_.clear();
    for (const Text& text : texts) {
      for (const std::string& hypothesis : zero_shot_.hypotheses) {
        pairs_.emplace_back(text.first, hypothesis);
      }
    }
    return {};
  }

  // The answers to the pairs -> those to the texts: a BatchResult or a StreamResult.
  template <class Answers>
  void gather(std::size_t texts, Answers& out) const {
    const std::size_t candidates = zero_shot_.candidates.size();
    const std::size_t classes = inner_info_.labels.size();
    out.logits.resize(pairs_.size());
    out.tokens.assign(texts, 0);
    out.cut.assign(texts, 0);
    for (std::size_t pair = 0; pair < pairs_.size(); ++pair) {
      const auto logits = std::span(answers_.logits).subspan(pair * classes, classes);
      out.logits[pair] =
          logits[labels_.entailment] - (zero_shot_.multi_label ? logits[labels_.contradiction] : 0);
      out.tokens[pair / candidates] += answers_.tokens[pair];
      out.cut[pair / candidates] |= answers_.cut[pair];
    }
    out.computed_tokens = answers_.computed_tokens;
    out.labels.resize(texts);
    out.scores.resize(texts);
    decode_all(out.logits, zero_shot_.multi_label ? ScoreFunction::sigmoid : ScoreFunction::softmax,
               out.labels, out.scores);
  }

  std::unique_ptr<Classifier> inner_;
  ClassifierInfo inner_info_;
  ZeroShot zero_shot_;
  InferenceLabels labels_;
  std::vector<Text> pairs_;
  StreamResult answers_;  // to them
};

}  // namespace

Result<InferenceLabels> find_inference_labels(const std::vector<std::string>& labels) {
  InferenceLabels found;
  found.entailment = find_by_beginning(labels, "entail");
  if (found.entailment == kNone) {
    return fail("zero-shot/labels",
                fmt::format("none of the model's labels ({}) begins with 'entail'",
                            fmt::join(labels, ", ")),
                "take a model that was trained on natural language inference (MNLI, XNLI), or "
                "name the label in config.json's id2label");
  }
  found.pipelines_contradiction = found.entailment == 0 ? labels.size() - 1 : 0;
  const std::size_t by_name = find_by_beginning(labels, "contra");
  found.contradiction = by_name == kNone ? found.pipelines_contradiction : by_name;
  return found;
}

Result<std::unique_ptr<Classifier>> make_zero_shot(const std::shared_ptr<const LoadedModel>& model,
                                                   const NativeOptions& options,
                                                   const ZeroShot& zero_shot) {
  BREAKEVEN_CHECK(!zero_shot.candidates.empty() &&
                  zero_shot.candidates.size() == zero_shot.hypotheses.size());
  BREAKEVEN_TRY(const InferenceLabels labels, find_inference_labels(model->checkpoint.plan.labels));
  BREAKEVEN_TRY_VOID(check_lengths(*model->tokenizer, zero_shot, options.setup.max_length));
  NativeOptions pair_options = options;
  pair_options.pair_cut = text::PairCut::only_first;
  BREAKEVEN_TRY(auto inner, make_native(model, pair_options));
  return std::make_unique<ZeroShotClassifier>(std::move(inner), zero_shot, labels);
}

}  // namespace breakeven::engine

// A Classifier whose time is a ManualClock's: each batch takes what its cost function says. The
// label of a text is 1 when it has an odd number of letters; its logits follow from its length.
#pragma once

#include <functional>
#include <string>

#include "base/clock.h"
#include "classifier/classifier.h"

namespace breakeven::testing {

class FakeClassifier final : public Classifier {
 public:
  // Seconds of the call number `call` (from 0) on `texts` texts with `letters` letters in all.
  using Cost = std::function<double(std::size_t call, std::size_t texts, std::size_t letters)>;

  FakeClassifier(ManualClock& clock, Cost cost) : clock_(clock), cost_(std::move(cost)) {}

  ClassifierInfo info() const override {
    ClassifierInfo info;
    info.runtime.name = "fake";
    info.labels = {"even", "odd"};
    return info;
  }

  Result<void> run_batch(std::span<const Text> texts, BatchResult& out) override {
    BREAKEVEN_TRY_VOID(check());
    out.logits.clear();
    out.labels.clear();
    out.scores.clear();
    out.tokens.clear();
    out.cut.clear();
    const std::size_t letters = classify(texts, out);
    const double seconds = cost_(calls_++, texts.size(), letters);
    out.computed_tokens = letters;
    out.stages = {seconds / 4, 0, 0, seconds * 3 / 4, 0, 0};
    clock_.advance(seconds);
    if (after_call) after_call(calls_);
    return {};
  }

  Result<void> run_stream(std::span<const Text> texts, std::size_t /*batch*/,
                          StreamResult& out) override {
    BREAKEVEN_TRY_VOID(check());
    out = {};
    const std::size_t letters = classify(texts, out);
    out.computed_tokens = letters;
    out.batches_in_flight = 2;
    clock_.advance(cost_(calls_++, texts.size(), letters));
    if (after_call) after_call(calls_);
    return {};
  }

  std::size_t calls() const { return calls_; }

  std::function<void(std::size_t calls)> after_call;
  std::size_t fail_at = static_cast<std::size_t>(-1);      // this call fails
  std::size_t wobble_from = static_cast<std::size_t>(-1);  // from this call on logits differ
  std::size_t cut_above = static_cast<std::size_t>(-1);    // longer texts count as cut
  bool short_answer = false;                               // one label too few
  bool third_class = false;                                // one logit a text too many

 private:
  Result<void> check() const {
    if (calls_ == fail_at) return fail("fake/broken", "the fake is broken");
    return {};
  }

  template <class Out>
  std::size_t classify(std::span<const Text> texts, Out& out) {
    std::size_t letters = 0;
    for (const Text& each : texts) {
      const std::string_view text = each.first;
      const bool odd = text.size() % 2 == 1;
      const float logit = 0.5F + static_cast<float>(text.size() % 7);
      const float wobble = calls_ >= wobble_from ? 0.25F : 0.0F;
      out.logits.push_back((odd ? -logit : logit) + wobble);
      out.logits.push_back(odd ? logit : -logit);
      if (third_class) out.logits.push_back(0);
      out.labels.push_back(odd ? 1 : 0);
      out.scores.push_back(0.9F);
      out.tokens.push_back(static_cast<std::uint32_t>(text.size()));
      out.cut.push_back(text.size() > cut_above ? 1 : 0);
      letters += text.size();
    }
    if (short_answer) out.labels.pop_back();
    return letters;
  }

  ManualClock& clock_;
  Cost cost_;
  std::size_t calls_ = 0;
};

}  // namespace breakeven::testing

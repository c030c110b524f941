// A machine for the study's tests: classifiers with planted costs on a clock that stands still
// otherwise, and a log of what was made.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "study/sweep.h"
#include "testing/fake_classifier.h"

namespace breakeven::testing {

// Hands calls on, and says when it goes.
class LoggedClassifier final : public Classifier {
 public:
  LoggedClassifier(std::unique_ptr<FakeClassifier> inner, std::function<void()> gone)
      : inner_(std::move(inner)), gone_(std::move(gone)) {}
  ~LoggedClassifier() override { gone_(); }
  ClassifierInfo info() const override { return inner_->info(); }
  Result<void> run_batch(std::span<const Text> texts, BatchResult& out) override {
    return inner_->run_batch(texts, out);
  }
  Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                          StreamResult& out) override {
    return inner_->run_stream(texts, batch, out);
  }

 private:
  std::unique_ptr<FakeClassifier> inner_;
  std::function<void()> gone_;
};

struct FakeMachine {
  ManualClock clock;
  std::vector<study::Spec> made;
  std::size_t alive = 0, most_alive = 0;
  // Seconds a letter for a spec, and what else to plant into its classifier.
  std::function<double(const study::Spec&)> seconds_per_letter = [](const study::Spec&) {
    return 1e-5;
  };
  std::function<void(const study::Spec&, FakeClassifier&)> plant;
  std::function<double(std::size_t letters, std::size_t call)> cost;  // instead of the above
  double process_start_s = 0;       // another runtime's first time; then its process waits
  std::optional<Precision> refuse;  // this precision cannot be made

  Result<std::unique_ptr<Classifier>> make(const study::Spec& spec) {
    if (spec.precision == refuse) {
      return fail("engine/memory", "not enough memory", "try a smaller batch");
    }
    const bool again = std::find(made.begin(), made.end(), spec) != made.end();
    if (!again && !spec.runtime.is_native()) clock.advance(process_start_s);
    made.push_back(spec);
    most_alive = std::max(most_alive, ++alive);
    const double letter_s = seconds_per_letter(spec);
    auto fake = std::make_unique<FakeClassifier>(
        clock, [this, letter_s](std::size_t call, std::size_t, std::size_t letters) {
          if (cost) return cost(letters, call);
          return letter_s * static_cast<double>(letters);
        });
    if (plant) plant(spec, *fake);
    return std::unique_ptr<Classifier>(new LoggedClassifier(std::move(fake), [this] { --alive; }));
  }
};

}  // namespace breakeven::testing

// The Classifier behind make_native: sizes the answers and lets a runner carry the texts through
// the device.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/classifier.h"
#include "engine/native.h"
#include "engine/runner.h"
#include "model/plan.h"

namespace breakeven::engine {

// Several callers take turns: every batch has the whole device.
class NativeClassifier final : public Classifier {
 public:
  // At least one place; several only if each is a GPU.
  NativeClassifier(const LoadedModel& model, const NativeOptions& options,
                   std::vector<Place> places);

  ClassifierInfo info() const override;
  Result<void> run_batch(std::span<const Text> texts, BatchResult& out) override;
  Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                          StreamResult& out) override;

 private:
  // What came of a runner's call: a device that failed and a stop are errors.
  template <class Run>
  Result<void> finish(const Run& run) const;

  std::string model_name_;
  model::EncoderPlan plan_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  NativeOptions options_;
  std::vector<Place> places_;
  mutable std::mutex mutex_;
  std::unique_ptr<Runner> runner_;
};

}  // namespace breakeven::engine

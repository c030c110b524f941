// A loaded worker as a Classifier. Texts go over when they are first seen, outside of every
// measured interval; after that a batch is a list of indices.
#pragma once

#include <functional>

#include "classifier/classifier.h"
#include "runtimes/worker.h"

namespace breakeven::runtimes {

class ProcessClassifier final : public Classifier {
 public:
  // `released` is called with the classifier's end; until then the worker lives.
  ProcessClassifier(Worker& worker, std::function<void()> released)
      : worker_(worker), released_(std::move(released)) {}
  ProcessClassifier(const ProcessClassifier&) = delete;
  ProcessClassifier& operator=(const ProcessClassifier&) = delete;
  ~ProcessClassifier() override { released_(); }

  ClassifierInfo info() const override;
  // Errors: those of a worker.
  Result<void> run_batch(std::span<const Text> texts, BatchResult& out) override;
  Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                          StreamResult& out) override;

 private:
  Worker& worker_;
  std::function<void()> released_;
};

}  // namespace breakeven::runtimes

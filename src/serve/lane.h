// A classifier and the thread that runs its batches, one at a time.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "classifier/classifier.h"
#include "serve/batch_time.h"

namespace breakeven::serve {

using MakeClassifier = std::function<Result<std::unique_ptr<Classifier>>()>;

struct LaneSetup {
  std::unique_ptr<Classifier> classifier;  // its batches have whole_tokens
  std::string device;                      // "cpu", "cuda:0"
  std::vector<decide::Point> anchors;      // of measure_anchors()
  MakeClassifier make_anew{};              // such a classifier; none = a broken lane stays broken
};

// Runs three batches of very different sizes, of `sample` cut to so many bytes, and two longer ones
// where that took no longer than 0.2 s; says what they took. `most_texts`: of a batch. Errors: the
// classifier's.
Result<std::vector<decide::Point>> measure_anchors(Classifier& classifier, std::string_view sample,
                                                   std::size_t most_texts, const Clock& clock);

struct LaneResult {
  Result<void> worked;
  BatchResult batch;
  double started_s = 0, ended_s = 0;
};

class Lane {
 public:
  using Finished = std::function<void(LaneResult)>;

  // `finished` is called on the lane's thread.
  Lane(std::unique_ptr<Classifier> classifier, const Clock& clock, Finished finished);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane();  // waits for the batch under way

  // The texts live as long as `keep`.
  void run(std::vector<Text> texts, std::shared_ptr<const void> keep);
  // Ends the classifier, then makes another one and tells whether that worked, on the lane's
  // thread. If it did not, there is nothing that could run.
  void make_anew(MakeClassifier make, std::function<void(Result<void>)> made);

 private:
  struct Job {
    std::vector<Text> texts;
    std::shared_ptr<const void> keep;
    MakeClassifier make{};  // instead of texts
    std::function<void(Result<void>)> made{};
  };
  void begin(Job job);
  void work();
  Result<void> replace(const MakeClassifier& make);

  std::unique_ptr<Classifier> classifier_;
  const Clock& clock_;
  Finished finished_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Job> job_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace breakeven::serve

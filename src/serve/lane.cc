#include "serve/lane.h"

#include <algorithm>
#include <exception>

namespace breakeven::serve {

Result<std::vector<decide::Point>> measure_anchors(Classifier& classifier, std::string_view sample,
                                                   std::size_t most_texts, const Clock& clock) {
  std::vector<decide::Point> points;
  BatchResult result;
  const double begin_s = clock.now_s();
  const auto measure = [&](std::size_t texts, std::size_t bytes) -> Result<void> {
    const std::vector<Text> batch(std::min(texts, most_texts), Text(sample.substr(0, bytes)));
    constexpr int kTimes = 2;  // the first one makes room
    double seconds = 0;
    for (int i = 0; i < kTimes; ++i) {
      const double start_s = clock.now_s();
      BREAKEVEN_TRY_VOID(classifier.run_batch(batch, result));
      seconds = clock.now_s() - start_s;
    }
    std::vector<std::uint32_t> lengths = result.tokens;
    const decide::Shape shape = decide::shape_of(lengths, Padding::none, SIZE_MAX);
    if (shape.tokens > 0 && seconds > 0) points.push_back({shape, seconds});
    return {};
  };
  BREAKEVEN_TRY_VOID(measure(1, 32));
  BREAKEVEN_TRY_VOID(measure(8, 64));
  BREAKEVEN_TRY_VOID(measure(1, 1024));
  // Longer ones tell more, and the first client waits for them.
  constexpr double kEnough_s = 0.2;
  if (clock.now_s() - begin_s > kEnough_s) return points;
  BREAKEVEN_TRY_VOID(measure(4, 512));
  BREAKEVEN_TRY_VOID(measure(1, 2048));
  return points;
}

Lane::Lane(std::unique_ptr<Classifier> classifier, const Clock& clock, Finished finished)
    : classifier_(std::move(classifier)),
      clock_(clock),
      finished_(std::move(finished)),
      thread_([this] { work(); }) {}

Lane::~Lane() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Lane::run(std::vector<Text> texts, std::shared_ptr<const void> keep) {
  begin({std::move(texts), std::move(keep)});
}

void Lane::make_anew(MakeClassifier make, std::function<void(Result<void>)> made) {
  begin({{}, nullptr, std::move(make), std::move(made)});
}

void Lane::begin(Job job) {
  {
    const std::lock_guard lock(mutex_);
    job_ = std::move(job);
  }
  changed_.notify_one();
}

// The old one goes first: a device may not hold two.
Result<void> Lane::replace(const MakeClassifier& make) {
  try {
    classifier_.reset();
    BREAKEVEN_TRY(classifier_, make());
    return {};
  } catch (const std::exception& error) {
    return fail("serve/lane", error.what());
  }
}

void Lane::work() {
  while (true) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ends_ || job_; });
    if (ends_) return;
    const Job job = *std::move(job_);
    job_.reset();
    lock.unlock();
    if (job.make) {
      job.made(replace(job.make));
      continue;
    }
    LaneResult result;
    result.started_s = clock_.now_s();
    try {
      result.worked = classifier_->run_batch(job.texts, result.batch);
    } catch (const std::exception& error) {
      result.worked = fail("serve/lane", error.what());
    }
    result.ended_s = clock_.now_s();
    finished_(std::move(result));
  }
}

}  // namespace breakeven::serve

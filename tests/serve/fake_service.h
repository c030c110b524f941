// A Service on a classifier without a model: the label of a text is "odd" when it has an odd number
// of bytes; a token a byte. What lanes hand back waits in a queue until the test takes it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "serve/service.h"

namespace breakeven::testing {

// What the test and the lane's thread share.
struct FakeEngine {
  std::mutex mutex;
  std::condition_variable changed;
  bool closed = false;     // batches wait until it is opened
  bool fails = false;      // on a text that holds "poison"
  bool broken = false;     // every batch fails, until the lane is made anew
  bool lasts = false;      // ... and then, too
  bool other = false;      // even is odd, and odd is even
  bool makes = true;       // false: a lane that is to be made anew waits until it may
  std::size_t made = 0;    // lanes made anew
  bool no_number = false;  // the logits of a text that holds "nan"
  std::size_t texts = 0;   // computed in all
  std::size_t ready = 0;   // of these, with ids that were made before
  double batch_s = 0;      // real seconds that a batch takes
  double token_s = 0;      // ... and each of its tokens
  void set_closed(bool value) {
    const std::lock_guard lock(mutex);
    closed = value;
    changed.notify_all();
  }
};

class FakeLane final : public Classifier {
 public:
  static constexpr std::size_t kMaxLength = 100;
  explicit FakeLane(FakeEngine& engine) : engine_(engine) {}
  ClassifierInfo info() const override { return {}; }
  Result<void> run_batch(std::span<const Text> texts, BatchResult& out) override;
  Result<void> run_stream(std::span<const Text>, std::size_t, StreamResult&) override {
    return fail("fake/stream", "not this one");
  }

 private:
  FakeEngine& engine_;
};

class FakeService {
 public:
  explicit FakeService(serve::ServiceOptions options = {});
  serve::Service& service() { return *service_; }
  FakeEngine engine;
  // Runs what lanes handed back; waits for one if there is none and something is on its way.
  void settle();
  // What is there now.
  void poll();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> posted_;
  std::unique_ptr<serve::Service> service_;
};

serve::Served fake_served();
serve::LaneSetup fake_lane(FakeEngine& engine);

}  // namespace breakeven::testing

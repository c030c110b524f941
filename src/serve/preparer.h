// A thread that tokenises what waits while lanes compute: so that a lane that is free begins with
// ids, not with texts.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/text.h"
#include "serve/api.h"

namespace breakeven::serve {

class Preparer {
 public:
  struct Job {
    std::uint64_t request = 0;
    std::uint32_t text = 0;
    std::shared_ptr<const std::vector<OwnedText>> texts;
    TokenIds made{};
  };
  using Read = std::function<void(const Text&, TokenIds&)>;
  using Finished = std::function<void(std::vector<Job>)>;

  // Both are called on its thread.
  Preparer(Read read, Finished finished);
  Preparer(const Preparer&) = delete;
  Preparer& operator=(const Preparer&) = delete;
  ~Preparer();  // waits for the jobs under way

  bool busy() const { return busy_; }  // for its owner, who also says when it is not any more
  void run(std::vector<Job> jobs);     // when it is not busy
  void taken() { busy_ = false; }      // what it had finished has arrived

 private:
  void work();

  Read read_;
  Finished finished_;
  bool busy_ = false;  // of its owner's thread alone
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Job> jobs_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace breakeven::serve

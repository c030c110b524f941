// What waits for one lane, already laid out as the batches it will be computed in, so that the end
// of each of them can be told before it is promised. First come, first served. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "serve/batch_time.h"

namespace breakeven::serve {

// What may share a batch. A text that alone is over the budget makes a batch of its own.
struct BatchLimits {
  std::uint64_t tokens = 16'384;
  std::size_t texts = 256;
};

// One text of a request.
struct Part {
  std::uint64_t request = 0;
  std::uint32_t text = 0;    // its number in the request
  std::uint32_t tokens = 0;  // estimated, until it was tokenised
  double deadline_s = 0;
  bool handed_out = false;  // to whoever tokenises ahead
};

struct PlannedBatch {
  std::vector<Part> parts;
  decide::Shape shape;
  double deadline_s = 0;  // the earliest of its parts
  double seconds = 0;     // safe_seconds() of its shape
  bool alone = false;     // a second try: nothing joins it

  void add(const Part& part);
};

class LanePlan {
 public:
  LanePlan(const BatchTime& time, const BatchLimits& limits) : time_(&time), limits_(limits) {}

  // When a request of texts with so many tokens each would end that comes last, if the lane is free
  // at `free_s`. Nobody joins a batch whose members it would make late.
  double end_if(std::span<const std::uint32_t> tokens, double deadline_s, double free_s) const;
  // Takes it; the end is the one that end_if() told.
  void append(std::uint64_t request, std::span<const std::uint32_t> tokens, double deadline_s,
              double free_s);

  bool empty() const { return batches_.empty(); }
  double backlog_s() const { return backlog_s_; }  // time of all that waits
  const std::deque<PlannedBatch>& batches() const { return batches_; }

  // Texts that the next batch may hold, to be tokenised ahead: each is given out once.
  void hand_out(std::vector<Part>& parts);
  // A text that waits has so many tokens, whatever was thought before.
  void known(std::uint64_t request, std::uint32_t text, std::uint32_t tokens);

  // The batch that is due, with all that follows and still fits, if it starts at `now_s`.
  PlannedBatch pop(double now_s);
  // What must be tried again goes first.
  void push_front(PlannedBatch batch);
  void remove(std::uint64_t request);
  void time_changed();  // the model was refitted

 private:
  bool fits(const PlannedBatch& batch, const decide::Shape& shape, double deadline_s,
            double start_s) const;
  void split_front();
  void count();

  const BatchTime* time_;
  BatchLimits limits_;
  std::deque<PlannedBatch> batches_;
  double backlog_s_ = 0;
};

}  // namespace breakeven::serve

// Plays clients and devices against serve::Core in made-up time, and checks at every step what must
// always hold. One seed replays a run.
#pragma once

#include <cstdint>
#include <vector>

#include "serve/core.h"

namespace breakeven::testing {

// What a device really takes: a + b·Σs + c·Σs², with noise, stalls and failures.
struct FakeDevice {
  double a_s = 1e-3, b_s = 20e-6, c_s = 10e-9;
  double noise = 0.05;       // relative
  double stall_share = 0;    // of the batches
  double stall_s = 0;        // longer
  double failure_share = 0;  // of the batches
  double seconds(const decide::Shape& shape) const {
    return a_s + b_s * shape.tokens + c_s * shape.squares;
  }
};

struct World {
  std::uint64_t seed = 1;
  std::vector<FakeDevice> devices = {FakeDevice{}};
  serve::CoreLimits limits{};
  double rate_per_s = 100;  // of requests, Poisson
  std::size_t requests = 10'000;
  double limit_s = 0.2;      // of most requests
  double patient_share = 0;  // without a limit
  double leave_share = 0;    // of the accepted ones whose client leaves at a random time
  std::uint32_t most_texts = 1;
  std::uint32_t most_tokens = 512;
  double repair_s = -1;          // to make a broken lane anew; < 0 = it stays broken
  double repaired_share = 1;     // of the lanes made anew: they work
  double drain_s = -1;           // at the end: so long at most; < 0 = none
  double estimate_error = 0;     // relative, of the tokens that the core is told at first
  double tokenize_token_s = 0;   // of a text that was not tokenised ahead, on its lane
  bool tokenizes_ahead = false;  // on a thread of its own, as quickly
};

struct Seen {
  std::uint64_t steps = 0, accepted = 0, refused = 0, in_time = 0, late = 0, expired = 0,
                failed = 0, drained = 0, left = 0, ahead = 0, repaired = 0;
  double seconds = 0;  // of made-up time
  std::size_t most_texts = 0;
  double worst_late_s = 0;
  double goodput_per_s() const { return static_cast<double>(in_time) / seconds; }
};

// Throws std::logic_error that says what was broken, at which step.
Seen play(const World& world);

// The same clients at a batcher that lets everybody in and computes all that waits, up to the same
// limits of a batch, on the first device.
Seen play_greedy(const World& world);

// Requests a second that the device answers in full batches.
double capacity_per_s(const World& world);

}  // namespace breakeven::testing

// Who is let in, what is computed together, where, and who is told what: the rules of the server as
// a state machine without sockets, threads or a clock. Whoever drives it says what time it is. One
// caller at a time; every time is in seconds on one clock.
//
// A request is accepted if it will be answered in time by the model of the lane that answers it
// first, with all that waits there before it; else it is refused at once. A lane that is free
// starts what waits for it: there is no wait for a batch to fill (docs/serving.md says why).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "serve/batch_time.h"
#include "serve/lane_plan.h"
#include "setup/names.h"

namespace breakeven::serve {

struct CoreLimits {
  BatchLimits batch{};
  // All that waits or runs. A request over either is refused.
  std::size_t texts = 65'536;
  std::size_t bytes = std::size_t{64} << 20;
};

enum class Refusal : std::uint8_t {
  late,      // it would be answered after its deadline
  never,     // ... even if nothing else were there
  full,      // more than CoreLimits lets wait
  draining,  // the server is about to end
  no_lane,   // every lane is broken
};

enum class Outcome : std::uint8_t {
  answered,
  failed,   // its batch failed, and so did it alone
  expired,  // its deadline passed before it was computed: a lane took longer than promised
  drained,  // the server had to end before its turn came
};

struct Offer {
  std::uint64_t id = 0;                   // never used before
  std::span<const std::uint32_t> tokens;  // of each of its texts, at least one
  std::size_t bytes = 0;
  double deadline_s = 0;  // infinity: it waits as long as it takes
};

struct Admission {
  std::optional<Refusal> refused;
  double finish_s = 0;       // accepted: promised; late or never: when it would be
  double retry_after_s = 0;  // late, full: so long from now it may be another answer
  std::size_t lane = 0;
};

// A batch to compute now.
struct Start {
  std::size_t lane = 0;
  std::vector<Part> parts;
  decide::Shape shape;
  double expected_s = 0;  // that it takes
};

struct Ended {
  std::uint64_t request = 0;
  Outcome outcome = Outcome::answered;
};

// Requests. offered = accepted + refused; accepted = answered + failed + expired + drained +
// cancelled + those still there.
struct Counters {
  std::uint64_t offered = 0, accepted = 0, cancelled = 0;
  std::uint64_t refused[5] = {};  // by Refusal
  std::uint64_t ended[4] = {};    // by Outcome
};

class Core {
 public:
  // One anchor list (BatchTime) a lane; at least one lane.
  Core(std::vector<std::vector<decide::Point>> lanes, const CoreLimits& limits);

  Admission offer(double now_s, const Offer& offer);
  // Its client left. What waits of it is dropped, what runs of it is thrown away.
  void cancel(std::uint64_t request);

  // What a free lane starts now; call until it gives nothing.
  std::optional<Start> start(double now_s);
  // Texts that should be tokenised now, while their lanes compute others: those of the batch that
  // comes next on each busy lane. Each is named once.
  std::vector<Part> prepare();
  // One of them has so many tokens. It may have been started meanwhile, or its client have left.
  void prepared(std::uint64_t request, std::uint32_t text, std::uint32_t tokens);

  // The lane is done with its batch, or could not do it. A failed batch is tried once more, text by
  // text; a lane that fails kLaneFailures times on end is broken.
  void finished(double now_s, std::size_t lane, bool worked);

  // A broken lane that is to be made anew; call until it gives nothing. Each is named once, and
  // again only if it computed a batch since: one that breaks as soon as it is new stays broken.
  std::optional<std::size_t> take_repair();
  // That was tried: the lane works again, or stays broken.
  void repaired(std::size_t lane, bool works);

  // From now on nobody is let in; at `until_s` who still is here is told so. May be called again
  // with an earlier time.
  void drain(double until_s);
  // Ends what is overdue; from time to time, and before take_ended().
  void tick(double now_s);

  // Requests that came to their end since the last call.
  std::vector<Ended> take_ended();

  bool draining() const { return drain_until_s_.has_value(); }
  std::size_t requests() const { return requests_.size(); }  // waiting or running
  std::size_t texts() const { return texts_; }
  bool busy() const;      // any lane
  bool ready() const;     // any lane works
  bool hopeless() const;  // no lane works, and none is to be made anew
  // When what waits will be done on the lane that is done first.
  double backlog_s(double now_s) const;
  const Counters& counters() const { return counters_; }
  const BatchTime& time_of(std::size_t lane) const { return *lanes_[lane].time; }
  std::size_t lanes() const { return lanes_.size(); }
  bool broken(std::size_t lane) const { return lanes_[lane].failures >= kLaneFailures; }

  static constexpr unsigned kLaneFailures = 3;

 private:
  struct Request {
    std::size_t lane = 0;
    std::size_t texts = 0, left = 0, running = 0;
    std::size_t bytes = 0;
    double deadline_s = 0;
  };
  enum class Repair : std::uint8_t { none, wanted, under_way, done };
  struct Lane {
    std::unique_ptr<BatchTime> time;
    LanePlan plan;
    bool runs = false;
    PlannedBatch batch;  // that runs
    double started_s = 0;
    unsigned failures = 0;  // one after the other
    Repair repair = Repair::none;
  };

  double free_s(const Lane& lane, double now_s) const;
  std::optional<std::size_t> source_of(std::size_t lane, double now_s) const;
  std::optional<Start> start_batch(std::size_t lane, const PlannedBatch& batch, double now_s);
  Admission refuse(Refusal why, double finish_s, double retry_after_s);
  void end(std::uint64_t request, Outcome outcome);
  void forget(std::uint64_t request);
  void check_counts() const;

  CoreLimits limits_;
  std::vector<Lane> lanes_;
  std::unordered_map<std::uint64_t, Request> requests_;
  std::size_t texts_ = 0, bytes_ = 0;  // of requests_
  std::vector<Ended> ended_;
  std::optional<double> drain_until_s_;
  Counters counters_;
};

}  // namespace breakeven::serve

namespace breakeven {

template <>
struct Names<serve::Refusal> {
  static constexpr const char* kWhat = "refusal";
  static constexpr std::pair<serve::Refusal, std::string_view> kAll[] = {
      {serve::Refusal::late, "late"},
      {serve::Refusal::never, "never"},
      {serve::Refusal::full, "full"},
      {serve::Refusal::draining, "draining"},
      {serve::Refusal::no_lane, "no_lane"}};
};
template <>
struct Names<serve::Outcome> {
  static constexpr const char* kWhat = "outcome";
  static constexpr std::pair<serve::Outcome, std::string_view> kAll[] = {
      {serve::Outcome::answered, "answered"},
      {serve::Outcome::failed, "failed"},
      {serve::Outcome::expired, "expired"},
      {serve::Outcome::drained, "drained"}};
};

}  // namespace breakeven

#include "serve/core.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace breakeven::serve {

Core::Core(std::vector<std::vector<decide::Point>> lanes, const CoreLimits& limits)
    : limits_(limits) {
  BREAKEVEN_CHECK(!lanes.empty() && limits.batch.texts >= 1 && limits.batch.tokens >= 1);
  for (auto& anchors : lanes) {
    auto time = std::make_unique<BatchTime>(std::move(anchors));
    LanePlan plan(*time, limits.batch);
    lanes_.push_back({std::move(time), std::move(plan), false, {}, 0, 0, Repair::none});
  }
}

// A batch that is overdue by so much may take as long again: of a stall nothing else is known.
double Core::free_s(const Lane& lane, double now_s) const {
  if (!lane.runs) return now_s;
  const double end_s = lane.started_s + lane.batch.seconds;
  return end_s > now_s ? end_s : now_s + (now_s - end_s);
}

Admission Core::refuse(Refusal why, double finish_s, double retry_after_s) {
  ++counters_.refused[static_cast<std::size_t>(why)];
  return {why, finish_s, std::max(0.0, retry_after_s), 0};
}

Admission Core::offer(double now_s, const Offer& offer) {
  BREAKEVEN_CHECK(!offer.tokens.empty());
  BREAKEVEN_CHECK(!requests_.contains(offer.id), "request={}", offer.id);
  ++counters_.offered;
  if (draining()) return refuse(Refusal::draining, 0, 0);
  if (!ready()) return refuse(Refusal::no_lane, 0, 0);
  constexpr double kNever = std::numeric_limits<double>::infinity();
  double finish_s = kNever, alone_s = kNever;
  std::size_t best = 0;
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (broken(i)) continue;
    const Lane& lane = lanes_[i];
    const double end_s = lane.plan.end_if(offer.tokens, offer.deadline_s, free_s(lane, now_s));
    if (end_s < finish_s) {
      finish_s = end_s;
      best = i;
    }
    const LanePlan nothing(*lane.time, limits_.batch);
    alone_s = std::min(alone_s, nothing.end_if(offer.tokens, offer.deadline_s, now_s));
  }
  if (alone_s > offer.deadline_s) return refuse(Refusal::never, alone_s, 0);
  if (texts_ + offer.tokens.size() > limits_.texts || bytes_ + offer.bytes > limits_.bytes) {
    return refuse(Refusal::full, finish_s, backlog_s(now_s));
  }
  if (finish_s > offer.deadline_s) {
    return refuse(Refusal::late, finish_s, finish_s - offer.deadline_s);
  }
  Lane& lane = lanes_[best];
  lane.plan.append(offer.id, offer.tokens, offer.deadline_s, free_s(lane, now_s));
  const std::size_t texts = offer.tokens.size();
  requests_[offer.id] = {best, texts, texts, 0, offer.bytes, offer.deadline_s};
  texts_ += texts;
  bytes_ += offer.bytes;
  ++counters_.accepted;
  return {std::nullopt, finish_s, 0, best};
}

void Core::forget(std::uint64_t request) {
  const auto found = requests_.find(request);
  BREAKEVEN_CHECK(found != requests_.end(), "request={}", request);
  // Another lane may have taken some of it.
  if (found->second.running < found->second.left) {
    for (Lane& lane : lanes_) lane.plan.remove(request);
  }
  texts_ -= found->second.texts;
  bytes_ -= found->second.bytes;
  requests_.erase(found);
}

void Core::end(std::uint64_t request, Outcome outcome) {
  forget(request);
  ++counters_.ended[static_cast<std::size_t>(outcome)];
  ended_.push_back({request, outcome});
  check_counts();
}

void Core::check_counts() const {
  const std::uint64_t ended =
      std::accumulate(std::begin(counters_.ended), std::end(counters_.ended), counters_.cancelled);
  BREAKEVEN_CHECK(counters_.accepted == ended + requests_.size(), "accepted={} ended={} here={}",
                  counters_.accepted, ended, requests_.size());
}

void Core::cancel(std::uint64_t request) {
  if (!requests_.contains(request)) return;
  forget(request);
  ++counters_.cancelled;
  check_counts();
}

// Whose first batch a free lane takes: its own, else the one of a lane that would be done with it
// later than this one.
std::optional<std::size_t> Core::source_of(std::size_t lane, double now_s) const {
  if (!lanes_[lane].plan.empty()) return lane;
  std::optional<std::size_t> best;
  double most_s = 0;
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const Lane& other = lanes_[i];
    if (i == lane || other.plan.empty()) continue;
    if (!other.runs && !broken(i)) continue;  // it starts it itself
    const PlannedBatch& batch = other.plan.batches().front();
    const double there_s =
        broken(i) ? std::numeric_limits<double>::infinity() : free_s(other, now_s) + batch.seconds;
    const double sooner_s = there_s - (now_s + lanes_[lane].time->safe_seconds(batch.shape));
    if (sooner_s > most_s) {
      best = i;
      most_s = sooner_s;
    }
  }
  return best;
}

std::optional<Start> Core::start(double now_s) {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (lanes_[i].runs || broken(i)) continue;
    while (const auto source = source_of(i, now_s)) {
      if (auto started = start_batch(i, lanes_[*source].plan.pop(now_s), now_s)) return started;
    }
  }
  return std::nullopt;
}

// Nothing where nobody is left to compute for.
std::optional<Start> Core::start_batch(std::size_t index, const PlannedBatch& batch, double now_s) {
  Lane& lane = lanes_[index];
  PlannedBatch kept;
  kept.alone = batch.alone;
  for (const Part& part : batch.parts) {
    const auto found = requests_.find(part.request);
    if (found == requests_.end()) continue;
    const double s = part.tokens;
    if (now_s + lane.time->seconds({1, s, s * s}) > part.deadline_s) {
      end(part.request, Outcome::expired);
      continue;
    }
    kept.add(part);
  }
  // A request that came to its end above may have had parts before.
  std::erase_if(kept.parts, [&](const Part& part) { return !requests_.contains(part.request); });
  if (kept.parts.empty()) return std::nullopt;
  PlannedBatch runs;
  runs.alone = kept.alone;
  for (const Part& part : kept.parts) {
    runs.add(part);
    ++requests_.at(part.request).running;
  }
  runs.seconds = lane.time->safe_seconds(runs.shape);
  lane.runs = true;
  lane.started_s = now_s;
  lane.batch = runs;
  return Start{index, runs.parts, runs.shape, lane.time->seconds(runs.shape)};
}

std::vector<Part> Core::prepare() {
  std::vector<Part> parts;
  for (Lane& lane : lanes_) {
    if (lane.runs) lane.plan.hand_out(parts);
  }
  return parts;
}

void Core::prepared(std::uint64_t request, std::uint32_t text, std::uint32_t tokens) {
  const auto found = requests_.find(request);
  if (found != requests_.end()) lanes_[found->second.lane].plan.known(request, text, tokens);
}

void Core::finished(double now_s, std::size_t index, bool worked) {
  Lane& lane = lanes_[index];
  BREAKEVEN_CHECK(lane.runs, "lane={}", index);
  lane.runs = false;
  const PlannedBatch batch = std::exchange(lane.batch, {});
  // From behind, because what is tried again is put in front.
  for (auto at = batch.parts.rbegin(); at != batch.parts.rend(); ++at) {
    const Part& part = *at;
    const auto found = requests_.find(part.request);
    if (found == requests_.end()) continue;  // its client left
    Request& request = found->second;
    --request.running;
    if (worked) {
      if (--request.left == 0) end(part.request, Outcome::answered);
    } else if (batch.parts.size() == 1) {
      end(part.request, Outcome::failed);
    } else {
      PlannedBatch again;
      again.alone = true;
      again.add(part);
      lane.plan.push_front(std::move(again));
    }
  }
  lane.failures = worked ? 0 : lane.failures + 1;
  if (worked) lane.repair = Repair::none;
  if (broken(index) && lane.repair == Repair::none) lane.repair = Repair::wanted;
  if (worked && lane.time->observe(batch.shape, now_s - lane.started_s)) lane.plan.time_changed();
  if (!ready()) {
    while (!requests_.empty()) end(requests_.begin()->first, Outcome::failed);
  }
}

std::optional<std::size_t> Core::take_repair() {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (lanes_[i].repair != Repair::wanted) continue;
    lanes_[i].repair = Repair::under_way;
    return i;
  }
  return std::nullopt;
}

void Core::repaired(std::size_t index, bool works) {
  Lane& lane = lanes_[index];
  BREAKEVEN_CHECK(lane.repair == Repair::under_way, "lane={}", index);
  lane.repair = Repair::done;
  if (works) lane.failures = 0;
}

void Core::drain(double until_s) {
  drain_until_s_ = std::min(drain_until_s_.value_or(until_s), until_s);
}

void Core::tick(double now_s) {
  const bool over = drain_until_s_ && now_s >= *drain_until_s_;
  std::vector<std::uint64_t> overdue;
  for (const auto& [id, request] : requests_) {
    if (over || (request.running == 0 && request.deadline_s < now_s)) overdue.push_back(id);
  }
  for (const std::uint64_t id : overdue) end(id, over ? Outcome::drained : Outcome::expired);
}

std::vector<Ended> Core::take_ended() {
  return std::exchange(ended_, {});
}

bool Core::busy() const {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.runs; });
}

bool Core::ready() const {
  return std::any_of(lanes_.begin(), lanes_.end(),
                     [](const Lane& lane) { return lane.failures < kLaneFailures; });
}

bool Core::hopeless() const {
  return std::none_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
    return lane.failures < kLaneFailures || lane.repair == Repair::wanted ||
           lane.repair == Repair::under_way;
  });
}

double Core::backlog_s(double now_s) const {
  double least_s = std::numeric_limits<double>::infinity();
  for (const Lane& lane : lanes_) {
    if (lane.failures >= kLaneFailures) continue;
    least_s = std::min(least_s, free_s(lane, now_s) - now_s + lane.plan.backlog_s());
  }
  return least_s;
}

}  // namespace breakeven::serve

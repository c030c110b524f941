#include "serve/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <queue>
#include <stdexcept>
#include <unordered_map>

#include "base/random.h"

namespace breakeven::testing {
namespace {

constexpr double kForever = std::numeric_limits<double>::infinity();

struct Arrival {
  double at_s = 0, limit_s = 0, leaves_s = kForever;
  std::vector<std::uint32_t> tokens;
};

// The same for every server that is tried.
class Clients {
 public:
  explicit Clients(const World& world) : world_(world), random_(world.seed, {1}) {}
  Arrival next() {
    Arrival arrival;
    now_s_ += -portable_log(1 - random_.uniform(0, 1)) / world_.rate_per_s;
    arrival.at_s = now_s_;
    arrival.limit_s = random_.uniform(0, 1) < world_.patient_share ? kForever : world_.limit_s;
    if (random_.uniform(0, 1) < world_.leave_share) {
      arrival.leaves_s = now_s_ + random_.uniform(0, 2 * world_.limit_s);
    }
    const std::uint64_t texts = 1 + random_.below(world_.most_texts);
    for (std::uint64_t i = 0; i < texts; ++i) {
      arrival.tokens.push_back(2 +
                               static_cast<std::uint32_t>(random_.below(world_.most_tokens - 1)));
    }
    return arrival;
  }

 private:
  const World& world_;
  Random random_;
  double now_s_ = 0;
};

double real_seconds(const FakeDevice& device, const decide::Shape& shape, Random& random) {
  double seconds = device.seconds(shape) * std::max(0.2, 1 + device.noise * random.normal());
  if (random.uniform(0, 1) < device.stall_share) seconds += device.stall_s;
  return seconds;
}

std::vector<decide::Point> anchors_of(const FakeDevice& device, const World& world) {
  std::vector<decide::Point> anchors;
  for (const double texts : {1.0, 4.0, 16.0, 32.0}) {
    for (const double s : {8.0, 64.0, static_cast<double>(world.most_tokens)}) {
      const decide::Shape shape{texts, texts * s, texts * s * s};
      anchors.push_back({shape, device.seconds(shape)});
    }
  }
  return anchors;
}

class Play {
 public:
  explicit Play(const World& world)
      : world_(world), clients_(world), random_(world.seed, {2}), core_(lanes(), world.limits) {
    batches_.resize(world.devices.size());
    last_started_.resize(world.devices.size());
  }

  Seen run();

 private:
  struct Here {  // an accepted request
    double due_s = 0, deadline_s = 0;
    std::size_t lane = 0;
    std::vector<std::uint32_t> tokens;  // really
    std::vector<bool> started, handed_out, ready;
  };
  struct Running {
    double ends_s = kForever;
    bool works = true;
    double repaired_s = kForever;  // it is made anew until then
  };

  std::vector<std::vector<decide::Point>> lanes() const {
    std::vector<std::vector<decide::Point>> all;
    for (const FakeDevice& device : world_.devices) all.push_back(anchors_of(device, world_));
    return all;
  }
  void must(bool holds, const char* what) const {
    if (!holds) {
      throw std::logic_error(
          fmt::format("seed {} step {}: not so: {}", world_.seed, seen_.steps, what));
    }
  }
  void arrive(const Arrival& arrival);
  void start();
  void check_start(const serve::Start& start);
  double real_batch_s(const serve::Start& start);
  void prepare();
  void prepared();
  void repair();
  void repaired(Running& running);
  void collect(double now_s);

  const World& world_;
  Clients clients_;
  Random random_;
  serve::Core core_;
  Seen seen_;
  double now_s_ = 0;
  double longest_s_ = 0;  // batch
  std::uint64_t next_id_ = 0;
  std::unordered_map<std::uint64_t, Here> here_;
  std::vector<Running> batches_;
  std::vector<serve::Part> preparing_;
  double prepared_s_ = kForever;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> last_started_;  // by the lane promised
  std::priority_queue<std::pair<double, std::uint64_t>,
                      std::vector<std::pair<double, std::uint64_t>>, std::greater<>>
      leaving_;
};

void Play::arrive(const Arrival& arrival) {
  const std::uint64_t id = ++next_id_;
  const double deadline_s = arrival.at_s + arrival.limit_s;
  std::vector<std::uint32_t> estimates = arrival.tokens;
  for (std::uint32_t& tokens : estimates) {
    if (world_.estimate_error <= 0) break;
    const double factor = 1 + world_.estimate_error * random_.uniform(-1, 1);
    tokens = std::max(2U, static_cast<std::uint32_t>(tokens * factor));
  }
  const serve::Admission answer =
      core_.offer(now_s_, {id, estimates, 4 * arrival.tokens.size(), deadline_s});
  if (answer.refused) {
    ++seen_.refused;
    must(*answer.refused != serve::Refusal::late || answer.finish_s > deadline_s,
         "who is refused as late would be late");
    return;
  }
  ++seen_.accepted;
  must(answer.finish_s <= deadline_s, "who is predicted to be late is not let in");
  const std::vector<bool> none(arrival.tokens.size(), false);
  here_[id] = {arrival.at_s, deadline_s, answer.lane, arrival.tokens, none, none, none};
  if (arrival.leaves_s < kForever) leaving_.push({arrival.leaves_s, id});
  seen_.most_texts = std::max(seen_.most_texts, core_.texts());
  must(core_.texts() <= world_.limits.texts, "memory is bounded");
}

void Play::check_start(const serve::Start& start) {
  double tokens = 0;
  for (const serve::Part& part : start.parts) {
    tokens += part.tokens;
    const auto found = here_.find(part.request);
    must(found != here_.end(), "nothing is computed for a client that left or was answered");
    Here& here = found->second;
    must(!here.ready[part.text] || part.tokens == here.tokens[part.text],
         "what was tokenised counts as long as it is");
    seen_.ahead += here.ready[part.text] ? 1U : 0U;
    if (here.started[part.text]) continue;  // a second try
    here.started[part.text] = true;
    const std::pair<std::uint64_t, std::uint32_t> place{part.request, part.text};
    must(last_started_[here.lane] < place, "first come, first served");
    last_started_[here.lane] = place;
  }
  must(start.parts.size() == 1 || tokens <= static_cast<double>(world_.limits.batch.tokens),
       "a batch keeps to the token budget");
  must(start.parts.size() <= world_.limits.batch.texts, "a batch keeps to its texts");
}

double Play::real_batch_s(const serve::Start& start) {
  decide::Shape shape;
  double tokenize_s = 0;
  for (const serve::Part& part : start.parts) {
    const Here& here = here_.at(part.request);
    const double s = here.tokens[part.text];
    shape = {shape.texts + 1, shape.tokens + s, shape.squares + s * s};
    if (!here.ready[part.text]) tokenize_s += world_.tokenize_token_s * s;
  }
  return tokenize_s + real_seconds(world_.devices[start.lane], shape, random_);
}

void Play::prepare() {
  if (!world_.tokenizes_ahead || prepared_s_ < kForever) return;
  preparing_ = core_.prepare();
  if (preparing_.empty()) return;
  double seconds = 0;
  std::vector<serve::BatchLimits> ahead(world_.devices.size(), {0, 0});
  for (const serve::Part& part : preparing_) {
    const auto found = here_.find(part.request);
    must(found != here_.end(), "nothing is tokenised for a client that left or was answered");
    Here& here = found->second;
    must(!here.handed_out[part.text], "a text is tokenised ahead once");
    serve::BatchLimits& of_lane = ahead[here.lane];
    of_lane = {of_lane.tokens + part.tokens, of_lane.texts + 1};
    must(of_lane.texts == 1 || (of_lane.texts <= world_.limits.batch.texts &&
                                of_lane.tokens <= world_.limits.batch.tokens),
         "one batch is tokenised ahead");
    here.handed_out[part.text] = true;
    seconds += world_.tokenize_token_s * here.tokens[part.text];
  }
  must(core_.busy(), "ahead of a batch that is computed");
  prepared_s_ = now_s_ + seconds;
}

void Play::prepared() {
  prepared_s_ = kForever;
  for (const serve::Part& part : preparing_) {
    const auto found = here_.find(part.request);
    if (found == here_.end()) continue;
    const std::uint32_t tokens = found->second.tokens[part.text];
    if (!found->second.started[part.text]) found->second.ready[part.text] = true;
    core_.prepared(part.request, part.text, tokens);
  }
}

void Play::start() {
  while (const auto start = core_.start(now_s_)) {
    check_start(*start);
    Running& running = batches_[start->lane];
    must(running.ends_s == kForever, "a lane has one batch at a time");
    must(running.repaired_s == kForever && !core_.broken(start->lane),
         "a broken lane starts nothing");
    const FakeDevice& device = world_.devices[start->lane];
    const double seconds = real_batch_s(*start);
    longest_s_ = std::max(longest_s_, seconds);
    running.ends_s = now_s_ + seconds;
    running.works = random_.uniform(0, 1) >= device.failure_share;
  }
  if (world_.devices.size() == 1 && core_.requests() > 0 && core_.ready()) {
    must(core_.busy(), "a lane does not idle while somebody waits");
  }
}

void Play::collect(double now_s) {
  for (const serve::Ended& ended : core_.take_ended()) {
    const auto found = here_.find(ended.request);
    must(found != here_.end(), "each accepted request is answered once");
    const Here here = found->second;
    here_.erase(found);
    const double late_s = now_s - here.deadline_s;
    switch (ended.outcome) {
      case serve::Outcome::answered:
        (late_s <= 0 ? seen_.in_time : seen_.late) += 1;
        seen_.worst_late_s = std::max(seen_.worst_late_s, late_s);
        break;
      case serve::Outcome::failed:
        ++seen_.failed;
        break;
      case serve::Outcome::expired:
        ++seen_.expired;
        break;
      case serve::Outcome::drained:
        ++seen_.drained;
        must(world_.drain_s >= 0, "nobody is drained without a drain");
        break;
    }
    // A stall, and the batch that was promised before it.
    must(here.deadline_s == kForever || late_s <= 2 * longest_s_ + 0.1, "nobody starves");
  }
}

void Play::repair() {
  while (const auto lane = core_.take_repair()) {
    must(core_.broken(*lane), "only a broken lane is made anew");
    if (world_.repair_s < 0) {
      core_.repaired(*lane, false);
    } else {
      batches_[*lane].repaired_s = now_s_ + world_.repair_s;
    }
  }
}

void Play::repaired(Running& running) {
  running.repaired_s = kForever;
  const auto lane = static_cast<std::size_t>(&running - batches_.data());
  const bool works = random_.uniform(0, 1) < world_.repaired_share;
  core_.repaired(lane, works);
  seen_.repaired += works ? 1U : 0U;
}

Seen Play::run() {
  constexpr double kTick_s = 0.05;
  double tick_s = kTick_s, drain_ends_s = kForever;
  Arrival arrival = clients_.next();
  std::size_t come = 0;
  while (true) {
    ++seen_.steps;
    const bool more = come < world_.requests;
    std::size_t lane = 0;
    for (std::size_t i = 1; i < batches_.size(); ++i) {
      if (batches_[i].ends_s < batches_[lane].ends_s) lane = i;
    }
    Running& anew = *std::min_element(
        batches_.begin(), batches_.end(),
        [](const Running& a, const Running& b) { return a.repaired_s < b.repaired_s; });
    const double leave_s = leaving_.empty() ? kForever : leaving_.top().first;
    const double arrival_s = more ? arrival.at_s : kForever;
    const double before_s = now_s_;
    now_s_ =
        std::min({batches_[lane].ends_s, arrival_s, leave_s, prepared_s_, anew.repaired_s, tick_s});
    must(now_s_ >= before_s, "time goes on");
    if (now_s_ == batches_[lane].ends_s) {
      batches_[lane].ends_s = kForever;
      core_.finished(now_s_, lane, batches_[lane].works);
    } else if (now_s_ == anew.repaired_s) {
      repaired(anew);
    } else if (now_s_ == prepared_s_) {
      prepared();
    } else if (now_s_ == arrival_s) {
      arrive(arrival);
      arrival = clients_.next();
      ++come;
    } else if (now_s_ == leave_s) {
      const std::uint64_t id = leaving_.top().second;
      leaving_.pop();
      core_.cancel(id);
      seen_.left += here_.erase(id);
    } else {
      tick_s += kTick_s;
      core_.tick(now_s_);
    }
    repair();
    collect(now_s_);
    start();
    prepare();
    collect(now_s_);
    if (come < world_.requests) continue;
    if (drain_ends_s == kForever && world_.drain_s >= 0) {
      drain_ends_s = now_s_ + world_.drain_s;
      core_.drain(drain_ends_s);
      const std::uint32_t one[] = {8};
      must(core_.offer(now_s_, {++next_id_, one, 4, kForever}).refused == serve::Refusal::draining,
           "nobody is let in while the server ends");
    }
    if (core_.requests() == 0) break;
    must(now_s_ <= drain_ends_s + kTick_s + 1e-9, "a drain ends in time");
  }
  must(here_.empty(), "each accepted request has an end");
  const serve::Counters& counters = core_.counters();
  must(counters.accepted == seen_.accepted, "counts are right");
  seen_.seconds = now_s_;
  return seen_;
}

}  // namespace

Seen play(const World& world) {
  return Play(world).run();
}

Seen play_greedy(const World& world) {
  Clients clients(world);
  Random random(world.seed, {2});
  Seen seen;
  std::deque<Arrival> waiting;
  double free_s = 0;
  std::size_t come = 0;
  Arrival next = clients.next();
  while (come < world.requests || !waiting.empty()) {
    ++seen.steps;
    if (waiting.empty()) free_s = std::max(free_s, next.at_s);
    for (; come < world.requests && next.at_s <= free_s; ++come) {
      waiting.push_back(next);
      next = clients.next();
    }
    if (waiting.empty()) break;
    decide::Shape shape;
    std::size_t count = 0;
    for (; count < waiting.size() && shape.texts < double(world.limits.batch.texts); ++count) {
      const double s = waiting[count].tokens.front();
      if (count > 0 && shape.tokens + s > double(world.limits.batch.tokens)) break;
      shape = {shape.texts + 1, shape.tokens + s, shape.squares + s * s};
    }
    free_s += real_seconds(world.devices.front(), shape, random);
    for (; count > 0; --count) {
      const bool in_time = free_s <= waiting.front().at_s + waiting.front().limit_s;
      (in_time ? seen.in_time : seen.late) += 1;
      waiting.pop_front();
    }
  }
  seen.accepted = world.requests;
  seen.seconds = next.at_s;  // not how long the queue lasts afterwards
  return seen;
}

double capacity_per_s(const World& world) {
  const double mean = (2.0 + world.most_tokens) / 2;
  const double square = mean * mean + std::pow(world.most_tokens - 2.0, 2) / 12;
  const double texts =
      std::min(double(world.limits.batch.texts), double(world.limits.batch.tokens) / mean);
  const double batch_s = world.devices.front().seconds({texts, texts * mean, texts * square});
  return texts / batch_s;
}

}  // namespace breakeven::testing

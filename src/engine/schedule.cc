#include "engine/schedule.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>

#include "base/check.h"

namespace breakeven::engine {
namespace {

constexpr double kNoTeams = 0;
// Times the least possible end: a plan within it is good enough, and no better one is looked for.
constexpr double kCloseEnough = 1.005;
// Rows that one look at a lane costs, of some nanoseconds, and the share of a pass that may be
// spent on looking for a better plan.
constexpr double kLookRows = 4e-5;
constexpr double kTryShare = 0.03;

}  // namespace

unsigned CostModel::members_for(double cost, double time, unsigned threads) const {
  unsigned members = 1;
  while (members < std::min(threads, most_members) && pass(cost, members) > time &&
         pass(cost, members + 1) < pass(cost, members)) {
    ++members;
  }
  return members;
}

void spread_lanes(Threads threads, std::size_t count, std::vector<unsigned>& lane_nodes) {
  std::map<unsigned, std::size_t> left;
  for (const unsigned node : threads) ++left[node];
  lane_nodes.clear();
  while (lane_nodes.size() < std::min(count, threads.size())) {
    for (auto& [node, threads_left] : left) {
      if (threads_left == 0) continue;
      --threads_left;
      lane_nodes.push_back(node);
    }
  }
  lane_nodes.resize(std::min(count, threads.size()));
}

void Dispatcher::start(const Plan& plan, std::span<const unsigned> lane_nodes,
                       const CostModel& model) {
  model_ = model;
  order_ = plan.order;
  costs_ = plan.costs;
  members_ = plan.members;
  teams_ = std::ranges::any_of(members_, [](unsigned members) { return members > 1; });
  next_ = 0;
  lanes_.assign(lane_nodes.size(), {});
  for (std::size_t i = 0; i < lanes_.size(); ++i) lanes_[i].node = lane_nodes[i];
}

// A lane that takes longer than it should is helped, too.
double Dispatcher::left(const Lane& lane, double now) {
  return now <= lane.end ? lane.end - now : lane.pass / 16;
}

void Dispatcher::set_members(Lane& lane, unsigned members, double share, double now) const {
  lane.members = members;
  lane.pass = model_.pass(lane.cost, members);
  lane.end = now + share * lane.pass;
  lane.gain =
      members < model_.most_members ? 1 - model_.pass(lane.cost, members + 1) / lane.pass : 0;
}

std::optional<double> Dispatcher::end_of(std::size_t lane) const {
  if (lanes_[lane].members == 0) return std::nullopt;
  return lanes_[lane].end;
}

// A lane that has fewer members than its group needs to end in time comes first.
Dispatcher::Step Dispatcher::next(unsigned node, double now) {
  if (teams_) {
    if (const Step step = help(node, now, true); step.what == Step::Do::help) return step;
  }
  if (const Step step = compute(node, now); step.what == Step::Do::compute) return step;
  return help(node, now, false);
}

Dispatcher::Step Dispatcher::compute(unsigned node, double now) {
  if (next_ == order_.size()) return {};
  const auto idle = std::ranges::find_if(
      lanes_, [&](const Lane& lane) { return lane.members == 0 && lane.node == node; });
  if (idle == lanes_.end()) return {};
  const std::size_t group = order_[next_++];
  idle->wanted = members_[group];
  idle->cost = costs_[group];
  idle->start = now;
  set_members(*idle, 1, 1, now);
  return {Step::Do::compute, static_cast<std::size_t>(idle - lanes_.begin()), group};
}

// The lane that will be busy longest, unless the thread would save less than its coming costs. What
// is not worth helping now never will be, so the thread may leave.
Dispatcher::Step Dispatcher::help(unsigned node, double now, bool only_wanted) {
  Lane* longest = nullptr;
  double longest_left = 0;
  for (Lane& lane : lanes_) {
    if (lane.members == 0 || lane.node != node) continue;
    if (only_wanted && lane.members >= lane.wanted) continue;
    const double time = left(lane, now);
    if (time <= longest_left || time * lane.gain <= model_.member / 4) continue;
    longest = &lane;
    longest_left = time;
  }
  if (longest == nullptr) return {};
  set_members(*longest, longest->members + 1, longest_left / longest->pass, now);
  return {Step::Do::help, static_cast<std::size_t>(longest - lanes_.data())};
}

double Dispatcher::finished(std::size_t lane) {
  lanes_[lane].members = 0;
  return lanes_[lane].end - lanes_[lane].start;
}

// Threads for each group, so that the larger of total time / threads and the longest group is as
// small as it can be; a group that several threads compute costs all of their time.
void Planner::size_teams(std::size_t threads, double slack, const CostModel& model) {
  plan_.members.assign(plan_.costs.size(), 1);
  if (slack == kNoTeams) return;
  const auto count = static_cast<unsigned>(threads);
  const auto fits = [&](double end) {
    double sum = 0;
    for (const std::uint32_t group : plan_.order) {
      const double cost = plan_.costs[group];
      const unsigned members = model.members_for(cost, end, count);
      const double pass = model.pass(cost, members);
      if (pass > end) return false;
      sum += pass * members;
    }
    return sum <= end * static_cast<double>(threads);
  };
  double low = 0;
  double high = plan_.costs[plan_.order.front()];
  for (int i = 0; i < 20; ++i) {
    const double middle = (low + high) / 2;
    (fits(middle) ? high : low) = middle;
  }
  for (const std::uint32_t group : plan_.order) {
    plan_.members[group] = model.members_for(plan_.costs[group], slack * high, count);
  }
}

// All groups of the window, when each batch has its share of `wanted` groups, rounded by
// `rounding`.
void Planner::cut(const Work& work, const Choice& how, const CostModel& model, Groups& out) {
  out.clear();
  double cost = 0;
  for (const std::uint32_t length : work.rows) cost += model.text(length);
  for (std::size_t first = 0; first < work.rows.size(); first += work.batch) {
    const auto batch = work.rows.subspan(first, std::min(work.batch, work.rows.size() - first));
    double share = 0;
    for (const std::uint32_t length : batch) share += model.text(length);
    const double groups = std::max(1.0, std::floor(how.wanted * share / cost + how.rounding));
    cutter_.cut(batch, work.first + static_cast<std::uint32_t>(first), kGroupRows,
                static_cast<std::size_t>(groups), out, model.text);
  }
  std::vector<double>& costs = plan_.costs;
  costs.assign(out.count(), model.group);
  plan_.order.resize(out.count());
  std::iota(plan_.order.begin(), plan_.order.end(), 0U);
  for (std::size_t group = 0; group < out.count(); ++group) {
    for (const std::uint32_t text : out.members(group)) {
      costs[group] += model.text(work.rows[text - work.first]);
    }
  }
  std::ranges::sort(plan_.order, [&](std::uint32_t a, std::uint32_t b) {
    return costs[a] != costs[b] ? costs[a] > costs[b] : a < b;
  });
}

// When the last group ends, if all threads begin at 0. An entry of `ends` is out of date when its
// lane has been helped since.
double Planner::play(Threads threads, const CostModel& model) {
  spread_lanes(threads, plan_.order.size(), lane_nodes_);
  dispatcher_.start(plan_, lane_nodes_, model);
  on_lane_.assign(lane_nodes_.size(), {});
  ends_.clear();
  double now = 0;
  const auto ask = [&](unsigned thread) {
    const Dispatcher::Step step = dispatcher_.next(threads[thread], now);
    if (step.what == Dispatcher::Step::Do::leave) return;
    on_lane_[step.lane].push_back(thread);
    ends_.emplace_back(*dispatcher_.end_of(step.lane), step.lane);
    std::ranges::push_heap(ends_, std::greater<>());
  };
  for (unsigned thread = 0; thread < threads.size(); ++thread) ask(thread);
  while (!ends_.empty()) {
    std::ranges::pop_heap(ends_, std::greater<>());
    const auto [end, lane] = ends_.back();
    ends_.pop_back();
    if (dispatcher_.end_of(lane) != end) continue;
    now = end;
    dispatcher_.finished(lane);
    free_ = on_lane_[lane];
    on_lane_[lane].clear();
    for (const unsigned thread : free_) ask(thread);
  }
  return now;
}

// Does some group cost more than each thread's share of all?
bool Planner::teams_help(std::size_t threads) const {
  const double total = std::accumulate(plan_.costs.begin(), plan_.costs.end(), 0.0);
  return plan_.costs[plan_.order.front()] * static_cast<double>(threads) > total;
}

// No plan of these groups ends before this, but for helpers that change lanes.
double Planner::bound(std::size_t threads, const CostModel& model) const {
  const double total = std::accumulate(plan_.costs.begin(), plan_.costs.end(), 0.0);
  const double dearest = plan_.costs[plan_.order.front()];
  const unsigned members = model.members_for(dearest, 0, static_cast<unsigned>(threads));
  return std::max(total / static_cast<double>(threads), model.pass(dearest, members));
}

double Planner::plan(const Work& work, Threads threads, const CostModel& model, Groups& out) {
  const std::size_t rows = std::accumulate(work.rows.begin(), work.rows.end(), std::size_t{0});
  const std::size_t round = kGroupRows * threads.size();
  const std::size_t rounds = (rows + round - 1) / round;
  const auto even = static_cast<double>(rounds * threads.size());
  Choice best;
  double best_end = std::numeric_limits<double>::infinity();
  least_ = best_end;
  Choice last;
  bool each_alone = false;  // then more groups cannot be had
  double tried = 0;
  const auto enough = [&] {
    return best_end <= kCloseEnough * least_ || tried > kTryShare * best_end ||
           work.rows.size() == 1;
  };
  for (const double share : {1.0, 0.0, 0.5, 0.75, 1.5, 2.0, 3.0}) {
    for (const double rounding : {0.5, 1.0}) {
      if (each_alone && share > 1) continue;
      last = {share * even, rounding, kNoTeams};
      cut(work, last, model, out);
      each_alone = each_alone || out.count() == work.rows.size();
      least_ = std::min(least_, bound(threads.size(), model));
      for (const double slack : {kNoTeams, 1.0, 1.1, 1.25}) {
        last.slack = slack;
        size_teams(threads.size(), slack, model);
        const double end = play(threads, model);
        const auto lanes = static_cast<double>(lane_nodes_.size());
        tried += kLookRows *
                 (static_cast<double>(threads.size()) * lanes + static_cast<double>(out.count()));
        if (end < best_end) {
          best_end = end;
          best = last;
        }
        if (enough() || !teams_help(threads.size())) break;
      }
      if (enough()) break;
    }
    if (enough()) break;
  }
  if (best != last) {
    cut(work, best, model, out);
    size_teams(threads.size(), best.slack, model);
  }
  return best_end;
}

// Many batches leave no thread idle. With few, some groups more than there are threads end later
// than teams that take the batches in turn.
std::vector<Work> Planner::parts(const Work& work, Threads threads, const CostModel& model) {
  constexpr std::size_t kFewBatches = 8;
  const std::size_t batches = (work.rows.size() + work.batch - 1) / work.batch;
  if (batches == 1 || batches > kFewBatches || threads.size() == 1) return {work};
  const double together = plan(work, threads, model, tried_);
  double least = 0;
  std::size_t rows = 0;
  for (const std::uint32_t length : work.rows) {
    least += model.text(length);
    rows += length;
  }
  least += static_cast<double>(std::max(batches, rows / kGroupRows)) * model.group;
  if (together * static_cast<double>(threads.size()) <= kCloseEnough * least) return {work};
  std::vector<Work> each;
  double in_turn = 0;
  for (std::size_t first = 0; first < work.rows.size(); first += work.batch) {
    each.push_back({work.rows.subspan(first, std::min(work.batch, work.rows.size() - first)),
                    work.batch, work.first + static_cast<std::uint32_t>(first)});
    in_turn += plan(each.back(), threads, model, tried_);
  }
  return in_turn < together ? each : std::vector<Work>{work};
}

}  // namespace breakeven::engine

// How texts meet the threads of a CPU: what is computed together, in which order, by whom, and who
// helps whom. Pure index work on costs: no thread, no clock, no backend. cpu_runner.cc carries it
// out, and the tests play it out in time (tests/testing/schedule_model.h, docs/decisions/0024).
//
// A thread takes the dearest group that nobody has taken and computes it on a lane. When none is
// left, it helps the lane that will be busy longest, as one more member of its team.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/groups.h"

namespace breakeven::engine {

// Costs, in rows: the time that one thread spends on a row's linear layers.
struct CostModel {
  double group = 8;       // of a group besides its rows: every weight is read once
  double member = 0.75;   // what each further thread on a group costs all of them: waiting at ops
  double token = 0.0005;  // tokenising
  unsigned most_members = 16;  // threads on one group: more would wait longer than they save
  TextCost text{};             // text(rows): of a text of so many

  // The time that `members` threads take for a group of this cost.
  double pass(double cost, unsigned members) const {
    return cost / members + member * (members - 1);
  }
  // As few as bring such a group below `time`, or those that come nearest to it.
  unsigned members_for(double cost, double time, unsigned threads) const;
};

// Texts that are planned together: batches of `batch` texts, the last one perhaps smaller.
struct Work {
  std::span<const std::uint32_t> rows;  // [texts], padding included
  std::size_t batch = 1;
  std::uint32_t first = 0;  // what the first of them is called in Groups
};

// Weights are read again for every few hundred rows whatever the group, so a larger group saves
// nothing; a smaller one leaves less in flight between two ops. Below this, groups of long texts
// fill badly (docs/decisions/0008).
inline constexpr std::size_t kGroupRows = 1024;

// Memory node of each thread. A thread uses lanes of its own node only.
using Threads = std::span<const unsigned>;

// Nodes of `count` lanes, spread evenly over those of the threads.
void spread_lanes(Threads threads, std::size_t count, std::vector<unsigned>& lane_nodes);

struct Plan {
  std::vector<std::uint32_t> order;  // groups as they are to be started: dearest first
  std::vector<double> costs;         // [groups]
  std::vector<unsigned> members;     // [groups] threads on it from the start, if there are enough
};

// Who does what next. One caller at a time.
class Dispatcher {
 public:
  struct Step {
    enum class Do : std::uint8_t { compute, help, leave };
    Do what = Do::leave;
    std::size_t lane = 0;
    std::size_t group = 0;  // compute only
  };

  // Lane i lies in the memory of node lane_nodes[i].
  void start(const Plan& plan, std::span<const unsigned> lane_nodes, const CostModel& model);
  // What a thread of this node does from `now` (in rows) on. A helper counts until the lane's group
  // is finished.
  Step next(unsigned node, double now);
  // The lane is idle again; returns the time that its pass should have taken.
  double finished(std::size_t lane);

  // When the lane's group ends if nobody else comes; nothing on an idle lane.
  std::optional<double> end_of(std::size_t lane) const;

 private:
  struct Lane {
    unsigned node = 0;
    unsigned members = 0;  // 0: idle
    unsigned wanted = 1;
    double cost = 0, start = 0;
    double pass = 0;  // what a whole one takes these members
    double end = 0;
    double gain = 0;  // share of the time that one more member would save
  };
  static double left(const Lane& lane, double now);
  void set_members(Lane& lane, unsigned members, double share, double now) const;
  Step compute(unsigned node, double now);
  Step help(unsigned node, double now, bool only_wanted);

  CostModel model_;
  std::span<const std::uint32_t> order_;
  std::span<const double> costs_;
  std::span<const unsigned> members_;
  bool teams_ = false;  // does any group want more than one thread?
  std::size_t next_ = 0;
  std::vector<Lane> lanes_;
};

// Cuts each batch into groups so that none has more than kGroupRows rows (one longer text still
// makes a group of its own) and all threads end at about the same time. Of several ways to cut,
// takes the one that ends first when it is played out.
class Planner {
 public:
  // Returns the end, in rows.
  double plan(const Work& work, Threads threads, const CostModel& model, Groups& out);

  const Plan& last() const { return plan_; }

  // What is best planned together: all of it, or now and then each batch alone.
  std::vector<Work> parts(const Work& work, Threads threads, const CostModel& model);

 private:
  // Each batch has its share of `wanted` groups; teams are sized to end within `slack` of the least
  // possible end.
  struct Choice {
    double wanted = 1, rounding = 0, slack = 0;
    bool operator==(const Choice&) const = default;
  };
  void cut(const Work& work, const Choice& how, const CostModel& model, Groups& out);
  bool teams_help(std::size_t threads) const;
  double bound(std::size_t threads, const CostModel& model) const;
  void size_teams(std::size_t threads, double slack, const CostModel& model);
  double play(Threads threads, const CostModel& model);

  GroupPlanner cutter_;
  Plan plan_;
  Groups tried_;      // of parts()
  double least_ = 0;  // end that no plan of the texts planned last can have, nearly
  Dispatcher dispatcher_;
  std::vector<std::vector<unsigned>> on_lane_;        // [lanes] threads
  std::vector<std::pair<double, std::size_t>> ends_;  // a heap: lanes by their end
  std::vector<unsigned> free_, lane_nodes_;
};

}  // namespace breakeven::engine

#include "study/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <set>

#include "base/check.h"
#include "base/units.h"
#include "measure/environment.h"
#include "measure/rounds.h"
#include "measure/summary.h"
#include "study/cell_run.h"
#include "study/judging.h"
#include "study/rate_search.h"

namespace breakeven::study {
namespace {

class Sweep {
 public:
  Sweep(const Input& input, const Tools& tools)
      : input_(input), tools_(tools), judges_(input, tools), random_(input.seed) {}

  Result<Outcome> run();

 private:
  using Runs = std::vector<CellRun*>;

  bool stopped() const { return tools_.stop != nullptr && tools_.stop->load(); }
  void report(const std::string& what);
  void measure_fresh();
  void measure_idle();
  double elapsed_s() const { return tools_.clock->now_s() - start_s_; }
  void wait_until(double elapsed_s);
  Result<void> block(const Runs& runs, double time_s);
  Result<void> closed_loop(const Runs& runs, double time_s);
  Result<void> paced(const Runs& runs, double per_cell_s);
  std::pair<Spec, double>* known_make(const Spec& spec);
  static double equal_visit_s(const Runs& runs, double least_s, double round_s);
  double least_round_s(const std::vector<Group>& groups, const Runs& runs);
  Result<void> visit_group(const Group& group, const Runs& runs, double visit_s);
  void visit_cell(CellRun& run, Classifier& classifier, double visit_s);
  Result<void> search(CellRun& run, Classifier& classifier, double slot_s);
  Result<void> prepare(const Group& group, const Runs& runs);
  void count_few_rounds(const Runs& runs, double round_s);
  Result<void> finish(const Runs& runs);

  const Input& input_;
  const Tools& tools_;
  Judges judges_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<CellRun>> runs_;
  std::vector<std::pair<Spec, MoreOutputs>> more_outputs_;
  std::vector<std::pair<Spec, double>> make_s_;  // of what was made once: what it takes again
  std::unique_ptr<Classifier> classifier_;       // stays until another takes its place
  std::optional<Spec> made_;                     // what it is
  std::vector<std::string> notes_;
  std::optional<Error> first_error_;
  double start_s_ = 0;
  double prepared_s_ = 0;       // what went before the rounds
  std::size_t few_rounds_ = 0;  // cells that got fewer than carry an interval
  double needed_s_ = 0;         // that all would have taken
  std::uint64_t round_ = 0;     // of all blocks
};

void Sweep::report(const std::string& what) {
  if (tools_.progress == nullptr) return;
  const double left_s = input_.time_s - elapsed_s();
  tools_.progress->update(what, std::min(1.0, elapsed_s() / input_.time_s), std::max(0.0, left_s));
}

// Memory and cold start do not depend on what runs beside them here: nothing does.
void Sweep::measure_fresh() {
  if (!tools_.fresh) return;
  for (const auto& run : runs_) {
    if (stopped()) return;
    report("memory and cold start of " + run->name());
    // A rate changes neither.
    const auto same = std::find_if(runs_.begin(), runs_.end(), [&](const auto& other) {
      return other->fresh && run->cell.mode == Mode::paced && other->cell.mode == Mode::paced &&
             spec_of(other->cell) == spec_of(run->cell);
    });
    if (same != runs_.end()) {
      run->fresh = (*same)->fresh;
      continue;
    }
    auto fresh = tools_.fresh(run->cell);
    if (fresh) {
      run->fresh = *std::move(fresh);
    } else if (!stopped()) {
      notes_.push_back(fmt::format("no memory and cold start for {}: {}", run->name(),
                                   fresh.error().to_string()));
    }
  }
}

// Before anything holds a device: what each draws when it does nothing.
void Sweep::measure_idle() {
  std::map<Device, measure::IdleWatts> idle;
  for (const auto& run : runs_) {
    const Device& device = run->cell.device;
    if (idle.count(device) == 0 && !stopped()) {
      report("idle power of " + to_string(device));
      measure::EnergyMeter meter(energy_sources(device, tools_), *tools_.clock);
      idle[device] = meter.measure_idle();
    }
    run->set_idle(idle[device]);
  }
}

std::pair<Spec, double>* Sweep::known_make(const Spec& spec) {
  const auto known = std::find_if(make_s_.begin(), make_s_.end(),
                                  [&](const auto& made) { return made.first == spec; });
  return known == make_s_.end() ? nullptr : &*known;
}

// A round in which each cell makes one pass to warm up and one that is timed.
double Sweep::least_round_s(const std::vector<Group>& groups, const Runs& runs) {
  double sum = 0;
  for (const Group& group : groups) {
    double of_group = 0;
    for (const std::size_t i : group.cells)
      of_group += runs[i]->failed ? 0 : runs[i]->least_visit_s();
    const auto* made = known_make(group.spec);
    sum += of_group + (of_group > 0 && made != nullptr ? made->second : 0);
  }
  return sum;
}

void Sweep::visit_cell(CellRun& run, Classifier& classifier, double visit_s) {
  report(run.name());
  measure::Visit visit{round_, std::max(run.least_visit_s(), visit_s), {}};
  if (tools_.reference) visit.reference_s = tools_.reference();
  if (auto outcome = run.visit(classifier, visit); !outcome) {
    run.failed = std::move(outcome).error();
    if (!first_error_) first_error_ = run.failed;
    made_.reset();  // it may be broken
  }
}

// The highest rate that keeps a limit: a window and a record for each try.
Result<void> Sweep::search(CellRun& run, Classifier& classifier, double slot_s) {
  const double end_s = tools_.clock->now_s() + slot_s;
  std::string name = run.name();
  name.resize(name.rfind(' '));  // without a rate
  RateSearch search(run.first_rate_per_s());
  const std::uint64_t first = search.tell_all(input_.searched, run.cell, input_.p99_limit_s);
  std::set<std::uint64_t> drawn;  // by an earlier run, of whose windows some may not count
  for (const record::Record& record : input_.searched) {
    if (record.paced) drawn.insert(record.paced->seed);
  }
  for (std::uint64_t number = first;; ++number) {
    auto next = search.next(end_s - tools_.clock->now_s());
    if (!next && number == 0) next = search.next();
    if (stopped()) return {};
    if (!next) {
      if (const auto wanted = search.next()) {
        notes_.push_back(fmt::format(
            "{}: the search ended with its time; the next window ({}/s) takes {:.0f} s: a longer "
            "--time narrows the range",
            name, three_digits(wanted->rate_per_s), std::ceil(wanted->window_s())));
      }
      return {};
    }
    while (drawn.count(run.probe_seed(number)) > 0) ++number;
    run.aim_at(next->rate_per_s, number);
    visit_cell(run, classifier, (1 + measure::kDrainShare) * next->window_s());
    BREAKEVEN_TRY_VOID(finish({&run}));
    if (run.done) run.probes.push_back(run.record);
    if (!run.done || run.failed) return {};
    search.tell(run.record, input_.p99_limit_s);
  }
}

// Makes the group's classifier. The first time also learns how far the guess of its speed was off,
// and what it answers to texts that are judged and not timed.
Result<void> Sweep::prepare(const Group& group, const Runs& runs) {
  if (made_ == group.spec) return {};
  // One packed model at a time: the last one is gone before the next one is made.
  classifier_.reset();
  made_.reset();
  const double before = tools_.clock->now_s();
  BREAKEVEN_TRY(classifier_, tools_.make(group.spec));
  made_ = group.spec;
  const double took_s = tools_.clock->now_s() - before;
  if (auto* made = known_make(group.spec)) {
    made->second = took_s;
    return {};
  }
  // The process of another runtime on the CPU waits, stopped, until it is wanted again.
  const bool waits = !group.spec.runtime.is_native() && group.spec.device.is_cpu();
  make_s_.emplace_back(group.spec, waits ? 0 : took_s);
  BREAKEVEN_TRY(const double factor, guess_error(*classifier_, group.spec, input_, *tools_.clock));
  for (const std::size_t i : group.cells) runs[i]->correct_guess(factor);
  const auto more_texts = judges_.more_texts(group.spec, classifier_->info().instruction_set);
  if (more_texts.empty()) return {};
  report(fmt::format("judging {} {} {} on more texts", group.spec.runtime.name,
                     to_string(group.spec.device), to_string(group.spec.precision)));
  auto more = run_untimed(*classifier_, more_texts, group.spec.batch);
  if (more) more_outputs_.emplace_back(group.spec, *std::move(more));
  return {};
}

Result<void> Sweep::visit_group(const Group& group, const Runs& runs, double visit_s) {
  std::vector<std::size_t> order;
  for (const std::size_t i : group.cells) {
    if (!runs[i]->failed) order.push_back(i);
  }
  if (order.empty() || stopped()) return {};
  std::shuffle(order.begin(), order.end(), random_);
  if (auto ready = prepare(group, runs); !ready) {
    made_.reset();
    if (!first_error_) first_error_ = ready.error();
    for (const std::size_t i : order) runs[i]->failed = ready.error();
    return {};
  }
  for (const std::size_t i : order) {
    if (stopped()) break;
    if (runs[i]->searches()) {
      BREAKEVEN_TRY_VOID(search(*runs[i], *classifier_, visit_s));
    } else {
      visit_cell(*runs[i], *classifier_, visit_s);
    }
  }
  return {};
}

// What every visit may take so that a round of `round_s` is full, where slower cells take the least
// that they can. `least_s`: of such a round.
double Sweep::equal_visit_s(const Runs& runs, double least_s, double round_s) {
  std::vector<double> least;
  for (const CellRun* run : runs) {
    if (!run->failed) least.push_back(run->least_visit_s());
  }
  std::sort(least.begin(), least.end(), std::greater<>());
  double left_s = round_s - least_s;
  for (const double visit_s : least) left_s += visit_s;
  for (std::size_t slower = 0; slower < least.size(); ++slower) {
    const double equal_s = left_s / static_cast<double>(least.size() - slower);
    if (least[slower] <= equal_s) return equal_s;
    left_s -= least[slower];
  }
  return 0;
}

// Rounds of quick cells are spread over the time: one after the other they would all see the
// machine at one speed.
void Sweep::wait_until(double elapsed_s) {
  constexpr double kStep_s = 0.1;  // Ctrl-C does not wait
  const double until_s = start_s_ + elapsed_s;
  while (!stopped() && tools_.clock->now_s() < until_s) {
    report("waiting for the next round");
    tools_.clock->sleep_until(std::min(until_s, tools_.clock->now_s() + kStep_s));
  }
}

Result<void> Sweep::block(const Runs& runs, double time_s) {
  std::vector<record::Cell> cells;
  for (const CellRun* run : runs) cells.push_back(run->cell);
  std::vector<Group> groups = group_cells(cells);
  const double deadline_s = elapsed_s() + time_s;
  const auto aimed_at =
      std::max(kRoundsAimedAt, static_cast<std::size_t>(std::max(0.0, time_s) / kRoundSpacing_s));
  for (std::size_t round = 0; round < aimed_at && !stopped(); ++round, ++round_) {
    const double left_s = deadline_s - elapsed_s();
    const double least_s = least_round_s(groups, runs);
    if (least_s <= 0 || (round > 0 && left_s < least_s)) break;
    // As many rounds as fit; what they leave is shared by all visits.
    const double fit =
        std::clamp(std::floor(left_s / least_s), 1.0, static_cast<double>(aimed_at - round));
    // What making, judging and warming take is known after the first round: it spends nothing else
    // where it could cost one of the others.
    const bool spares = round == 0 && fit < static_cast<double>(kRoundsAimedAt);
    const double round_s = spares ? least_s : left_s / fit;
    const double visit_s = equal_visit_s(runs, least_s, round_s);
    std::shuffle(groups.begin(), groups.end(), random_);
    const double begin_s = elapsed_s();
    const double next_s = begin_s + round_s;
    for (const Group& group : groups) BREAKEVEN_TRY_VOID(visit_group(group, runs, visit_s));
    if (round == 0) {
      const double repeated_s = std::max(round_s, least_round_s(groups, runs));
      needed_s_ += std::max(0.0, elapsed_s() - begin_s - repeated_s);  // what it alone took
    }
    if (round + 1 < aimed_at && fit > 1) wait_until(next_s);
  }
  count_few_rounds(runs, least_round_s(groups, runs));
  return finish(runs);
}

void Sweep::count_few_rounds(const Runs& runs, double round_s) {
  const auto few = std::count_if(runs.begin(), runs.end(), [](const CellRun* run) {
    return !run->failed && run->rounds() < measure::kMinRounds;
  });
  few_rounds_ += static_cast<std::size_t>(few);
  needed_s_ += static_cast<double>(measure::kMinRounds) * round_s;
}

Result<void> Sweep::closed_loop(const Runs& runs, double time_s) {
  std::vector<record::Cell> cells;
  for (const CellRun* run : runs) cells.push_back(run->cell);
  const double per_cell_s = time_s / static_cast<double>(std::max<std::size_t>(1, cells.size()));
  std::size_t begin = 0;
  for (const std::size_t size : block_sizes(cells)) {
    if (stopped()) break;
    const auto first = runs.begin() + static_cast<std::ptrdiff_t>(begin);
    const Runs part(first, first + static_cast<std::ptrdiff_t>(size));
    begin += size;
    BREAKEVEN_TRY_VOID(block(part, per_cell_s * static_cast<double>(size)));
  }
  return {};
}

// A queue has a past: each cell plays its whole window in one piece, in random order.
Result<void> Sweep::paced(const Runs& runs, double per_cell_s) {
  std::vector<record::Cell> cells;
  for (const CellRun* run : runs) cells.push_back(run->cell);
  std::vector<Group> groups = group_cells(cells);
  std::shuffle(groups.begin(), groups.end(), random_);
  for (Group& group : groups) {
    std::shuffle(group.cells.begin(), group.cells.end(), random_);
    for (const std::size_t i : group.cells) {
      if (stopped()) return {};
      BREAKEVEN_TRY_VOID(visit_group({group.spec, {i}}, runs, per_cell_s));
      if (!runs[i]->done) BREAKEVEN_TRY_VOID(finish({runs[i]}));
    }
  }
  return {};
}

// After Ctrl-C only what carries an interval is worth keeping: the rest is for --resume.
Result<void> Sweep::finish(const Runs& runs) {
  std::vector<record::Record*> records;
  for (CellRun* run : runs) {
    const std::size_t least = run->cell.mode == Mode::paced ? 1 : measure::kMinRounds;
    if (stopped() && !run->failed && run->rounds() < least) continue;
    const MoreOutputs* more = nullptr;
    for (const auto& [spec, outputs] : more_outputs_) {
      Spec own = spec_of(run->cell);
      own.batch = spec.batch;
      if (own == spec) more = &outputs;
    }
    BREAKEVEN_TRY_VOID(run->make_record(input_, judges_, more));
    records.push_back(&run->record);
  }
  measure::estimate_from_rounds(records);
  for (const record::Record* record : records) {
    if (tools_.keep) BREAKEVEN_TRY_VOID(tools_.keep(*record));
  }
  return {};
}

Result<Outcome> Sweep::run() {
  BREAKEVEN_CHECK(input_.timed > 0 && input_.timed <= input_.texts.size(), "timed={} texts={}",
                  input_.timed, input_.texts.size());
  start_s_ = tools_.clock->now_s();
  for (const record::Cell& cell : input_.cells) {
    runs_.push_back(std::make_unique<CellRun>(cell, input_, tools_, start_s_));
  }
  if (input_.energy) measure_idle();
  report("judging");
  if (auto judged = judges_.prepare(); !judged) {
    if (judged.error().code == "parity/interrupted") return Outcome{{}, true, {}};
    return propagate(std::move(judged));
  }
  for (const std::string& note : judges_.notes()) notes_.push_back(note);
  measure_fresh();
  prepared_s_ = elapsed_s();
  Runs closed;
  Runs open;
  for (const auto& run : runs_)
    (run->cell.mode == Mode::paced ? open : closed).push_back(run.get());
  // A window needs its requests: however long preparing took, half of the time is left for them.
  const double left_s = input_.time_s - prepared_s_;
  const double paced_s = std::max(left_s, 0.5 * input_.time_s);
  const auto cells = static_cast<double>(runs_.size());
  BREAKEVEN_TRY_VOID(closed_loop(closed, left_s * static_cast<double>(closed.size()) / cells));
  BREAKEVEN_TRY_VOID(paced(open, paced_s / cells));
  classifier_.reset();
  Outcome outcome;
  outcome.interrupted = stopped();
  outcome.notes = notes_;
  if (few_rounds_ > 0 && !stopped()) {
    outcome.notes.push_back(fmt::format(
        "{} of {} cells have fewer than {} rounds, which carry no interval: give --time {:.0f}s or "
        "more, fewer cells or fewer texts (--count)",
        few_rounds_, closed.size(), measure::kMinRounds,
        std::ceil(1.1 * (prepared_s_ + needed_s_) * cells / static_cast<double>(closed.size()))));
  }
  bool any_worked = false;
  for (const auto& run : runs_) {
    if (!run->done && run->probes.empty()) continue;
    any_worked |= !run->failed.has_value();
    outcome.records.insert(outcome.records.end(), run->probes.begin(), run->probes.end());
    if (run->probes.empty()) outcome.records.push_back(run->record);
  }
  if (!any_worked && first_error_) return tl::unexpected<Error>(*first_error_);
  return outcome;
}

}  // namespace

Result<Outcome> run_sweep(const Input& input, const Tools& tools) {
  if (input.cells.empty()) return Outcome{};
  return Sweep(input, tools).run();
}

}  // namespace breakeven::study

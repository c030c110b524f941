#include "study/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/check.h"
#include "measure/environment.h"
#include "study/cell_run.h"
#include "study/judging.h"
#include "study/rate_search.h"

namespace breakeven::study {
namespace {

constexpr std::size_t kRounds = 3;

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
  Result<void> block(const Runs& runs, double time_s);
  Result<void> closed_loop(const Runs& runs, double per_cell_s);
  Result<void> paced(const Runs& runs, double per_cell_s);
  std::vector<double> slots(const Runs& runs, double left_s, std::size_t round) const;
  Result<void> visit(const Group& group, const Runs& runs, const std::vector<double>& slots,
                     double& used_s);
  Result<void> visit_cell(CellRun& run, Classifier& classifier, double slot_s);
  Result<void> search(CellRun& run, Classifier& classifier, double slot_s);
  Result<void> calibrate(const Group& group, const Runs& runs, Classifier& classifier);
  void fail_cells(const Group& group, const Runs& runs, const Error& error);
  Result<void> finish(CellRun& run);

  const Input& input_;
  const Tools& tools_;
  Judges judges_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<CellRun>> runs_;
  std::vector<std::pair<Spec, MoreOutputs>> more_outputs_;
  std::vector<Spec> calibrated_;
  std::vector<std::string> notes_;
  std::optional<Error> first_error_;
  double used_s_ = 0;  // of all blocks, sampling and warming up
};

void Sweep::report(const std::string& what) {
  if (tools_.progress == nullptr) return;
  const double done = std::min(1.0, used_s_ / input_.time_s);
  tools_.progress->update(what, done, std::max(0.0, input_.time_s - used_s_));
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

// How long each run may take in this round. Max-min fair over what the runs want, the rest equally;
// a run whose slot would not hold a warm-up and two passes waits for a later round.
std::vector<double> Sweep::slots(const Runs& runs, double left_s, std::size_t round) const {
  std::vector<double> wants;
  double open = 0;
  for (const CellRun* run : runs) {
    wants.push_back(run->done ? 0 : run->wanted_s());
    open += run->done ? 0 : 1;
  }
  std::vector<double> shares = fair_shares(left_s, wants);
  double rest = left_s;
  for (const double share : shares) rest -= share;
  const bool last = round + 1 >= kRounds;
  const double rounds_left = last ? 1 : static_cast<double>(kRounds - round);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i]->done) continue;
    shares[i] = (shares[i] + std::max(0.0, rest) / open) / rounds_left;
    if (!last && shares[i] < runs[i]->smallest_visit_s()) shares[i] = 0;
  }
  return shares;
}

Result<void> Sweep::visit_cell(CellRun& run, Classifier& classifier, double slot_s) {
  report(run.name());
  auto outcome = run.visit(classifier, slot_s);
  if (!outcome) {
    run.failed = std::move(outcome).error();
    if (!first_error_) first_error_ = run.failed;
  }
  if (run.failed || (run.enough() && !stopped())) return finish(run);
  return {};
}

// The highest rate that keeps a limit: a window and a record for each rate that is tried.
Result<void> Sweep::search(CellRun& run, Classifier& classifier, double slot_s) {
  const double end_s = tools_.clock->now_s() + slot_s;
  const double window_s = slot_s / RateSearch::kProbes;
  RateSearch search(run.first_rate_per_s());
  for (std::uint64_t number = 0;; ++number) {
    const auto rate = search.next();
    const bool in_time = number == 0 || tools_.clock->now_s() + window_s <= end_s;
    if (!rate || !in_time || stopped()) return {};
    run.aim_at(*rate, number);
    BREAKEVEN_TRY_VOID(visit_cell(run, classifier, window_s));
    if (run.done) run.probes.push_back(run.record);
    if (!run.done || run.failed) return {};
    search.tell(*rate, measure::p99_within(run.record, input_.p99_limit_s));
  }
}

void Sweep::fail_cells(const Group& group, const Runs& runs, const Error& error) {
  if (!first_error_) first_error_ = error;
  for (const std::size_t i : group.cells) runs[i]->failed = error;
}

// Once a classifier: how far the guess of its speed was off.
Result<void> Sweep::calibrate(const Group& group, const Runs& runs, Classifier& classifier) {
  if (std::find(calibrated_.begin(), calibrated_.end(), group.spec) != calibrated_.end()) return {};
  calibrated_.push_back(group.spec);
  BREAKEVEN_TRY(const double factor, guess_error(classifier, group.spec, input_, *tools_.clock));
  for (const std::size_t i : group.cells) runs[i]->correct_guess(factor);
  return {};
}

Result<void> Sweep::visit(const Group& group, const Runs& runs, const std::vector<double>& slots,
                          double& used_s) {
  std::vector<std::size_t> order;
  for (const std::size_t i : group.cells) {
    if (!runs[i]->done && slots[i] > 0) order.push_back(i);
  }
  if (order.empty() || stopped()) return {};
  std::shuffle(order.begin(), order.end(), random_);
  // One packed model at a time: this one is gone before the next group's is made.
  auto classifier = tools_.make(group.spec);
  if (!classifier) {
    fail_cells(group, runs, classifier.error());
    for (const std::size_t i : order) BREAKEVEN_TRY_VOID(finish(*runs[i]));
    return {};
  }
  if (auto known = calibrate(group, runs, **classifier); !known) {
    fail_cells(group, runs, known.error());
    for (const std::size_t i : order) BREAKEVEN_TRY_VOID(finish(*runs[i]));
    return {};
  }
  const auto more_texts = judges_.more_texts(group.spec, (*classifier)->info().instruction_set);
  if (!more_texts.empty() &&
      std::none_of(more_outputs_.begin(), more_outputs_.end(),
                   [&](const auto& known) { return known.first == group.spec; })) {
    report(fmt::format("judging {} {} {} on more texts", group.spec.runtime.name,
                       to_string(group.spec.device), to_string(group.spec.precision)));
    auto more = run_untimed(**classifier, more_texts, group.spec.batch);
    if (more) more_outputs_.emplace_back(group.spec, *std::move(more));
  }
  for (const std::size_t i : order) {
    if (stopped()) break;
    const double before = tools_.clock->now_s();
    BREAKEVEN_TRY_VOID(runs[i]->searches() ? search(*runs[i], **classifier, slots[i])
                                           : visit_cell(*runs[i], **classifier, slots[i]));
    const double took = tools_.clock->now_s() - before;
    used_s += took;
    used_s_ += took;
  }
  return {};
}

Result<void> Sweep::block(const Runs& runs, double time_s) {
  std::vector<record::Cell> cells;
  for (const CellRun* run : runs) cells.push_back(run->cell);
  std::vector<Group> groups = group_cells(cells);
  double used_s = 0;
  const auto open = [&] {
    return std::any_of(runs.begin(), runs.end(), [](const CellRun* run) { return !run->done; });
  };
  for (std::size_t round = 0; open() && !stopped(); ++round) {
    const double left_s = time_s - used_s;
    // The planned rounds are made even if time is over, so that every cell has its turn; further
    // ones spend what cells that had enough have left.
    if (round >= kRounds && left_s < 0.02 * time_s) break;
    const std::vector<double> slot_s = slots(runs, std::max(left_s, 1e-3), round);
    std::shuffle(groups.begin(), groups.end(), random_);
    for (const Group& group : groups) BREAKEVEN_TRY_VOID(visit(group, runs, slot_s, used_s));
  }
  for (CellRun* run : runs) {
    // After Ctrl-C only what has passes enough is worth keeping: the rest is for --resume.
    if (run->done || (stopped() && !run->usable())) continue;
    BREAKEVEN_TRY_VOID(finish(*run));
  }
  return {};
}

Result<void> Sweep::closed_loop(const Runs& runs, double per_cell_s) {
  std::vector<record::Cell> cells;
  for (const CellRun* run : runs) cells.push_back(run->cell);
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
  const std::vector<double> slot_s(runs.size(), per_cell_s);
  double used_s = 0;
  for (const Group& group : groups) BREAKEVEN_TRY_VOID(visit(group, runs, slot_s, used_s));
  return {};
}

Result<void> Sweep::finish(CellRun& run) {
  const MoreOutputs* more = nullptr;
  for (const auto& [spec, outputs] : more_outputs_) {
    Spec own = spec_of(run.cell);
    own.batch = spec.batch;
    if (own == spec) more = &outputs;
  }
  BREAKEVEN_TRY_VOID(run.make_record(input_, judges_, more));
  return tools_.keep ? tools_.keep(run.record) : Result<void>{};
}

Result<Outcome> Sweep::run() {
  BREAKEVEN_CHECK(input_.timed > 0 && input_.timed <= input_.texts.size(), "timed={} texts={}",
                  input_.timed, input_.texts.size());
  for (const record::Cell& cell : input_.cells) {
    runs_.push_back(std::make_unique<CellRun>(cell, input_, tools_));
  }
  measure_idle();
  report("judging");
  if (auto judged = judges_.prepare(); !judged) {
    if (judged.error().code == "parity/interrupted") return Outcome{{}, true, {}};
    return propagate(std::move(judged));
  }
  for (const std::string& note : judges_.notes()) notes_.push_back(note);
  measure_fresh();
  const double per_cell_s = input_.time_s / static_cast<double>(input_.cells.size());
  Runs closed;
  Runs open;
  for (const auto& run : runs_)
    (run->cell.mode == Mode::paced ? open : closed).push_back(run.get());
  BREAKEVEN_TRY_VOID(closed_loop(closed, per_cell_s));
  BREAKEVEN_TRY_VOID(paced(open, per_cell_s));
  Outcome outcome;
  outcome.interrupted = stopped();
  outcome.notes = notes_;
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

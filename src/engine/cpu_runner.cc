// The schedule (engine/schedule.h) carried out by threads.
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>

#include "base/cpus.h"
#include "base/thread_team.h"
#include "engine/decode.h"
#include "engine/placement.h"
#include "engine/runner.h"
#include "engine/schedule.h"

namespace breakeven::engine {
namespace {

// Texts of a stream that are tokenised and planned together, at least so many and so many a thread:
// some megabytes of ids, and hundreds of groups.
constexpr std::size_t kWindowTexts = 4096;
constexpr std::size_t kWindowTextsAThread = 64;
// Fewer texts are tokenised before a second thread has woken up.
constexpr std::size_t kTextsWorthSharing = 16;
constexpr std::size_t kMostTextsAtATime = 64;

// Where the answers of some texts go.
struct Answers {
  std::span<float> logits;
  std::span<std::uint32_t> labels;
  std::span<float> scores;
  std::span<std::uint32_t> tokens;
  std::span<std::uint8_t> cut;
};

class CpuRunner final : public Runner {
 public:
  explicit CpuRunner(const Setting& setting);

  void describe(ClassifierInfo& info) const override;
  Result<void> run_batch(std::span<const Text> texts, BatchResult& out) override;
  Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                          StreamResult& out) override;

 private:
  struct LaneSlot {
    Worker worker;
    std::atomic<unsigned> passes{0};  // finished ones
  };

  // Adds up wall times in `wall` and the threads' own times in `busy`.
  Result<void> compute(std::span<const Text> texts, std::size_t batch, const Answers& out,
                       StageSeconds& wall, StageSeconds& busy);
  void tokenize(std::span<const Text> texts);
  void run_groups(std::span<float> logits);
  void take_part(unsigned thread, double start_s, std::span<float> logits);
  Result<void> make_lanes(std::size_t count);
  const std::vector<int>& cpus_of(unsigned node) const;

  Setting setting_;
  Placement placement_;
  CostModel costs_;
  std::vector<unsigned> node_of_;     // [threads]
  std::vector<unsigned> lane_nodes_;  // [threads]: of lanes that are there or may be made
  BatchWork work_;
  Planner planner_;
  Groups groups_;
  std::deque<LaneSlot> lanes_;
  std::vector<StageSeconds> busy_;  // [threads]
  std::mutex mutex_;                // dispatcher_ and seconds_a_row_
  Dispatcher dispatcher_;
  double seconds_a_row_ = 1e-4;  // as seen last
  ThreadTeam threads_;
};

std::vector<unsigned> nodes_of_threads(const Placement& placement) {
  std::vector<unsigned> nodes;
  for (unsigned thread = 0; thread < placement.threads(); ++thread) {
    nodes.push_back(static_cast<unsigned>(placement.node_of(thread)));
  }
  return nodes;
}

CpuRunner::CpuRunner(const Setting& setting)
    : setting_(setting),
      placement_(place(read_topology(usable_cpus().ids), setting.options.setup.threads)),
      costs_{.text = text_cost_of(setting.plan)},
      node_of_(nodes_of_threads(placement_)),
      work_(setting.tokenizer, setting.plan.token_types, setting.options.pair_cut,
            setting.options.whole_tokens, setting.options.setup.threads),
      busy_(setting.options.setup.threads),
      threads_(setting.options.setup.threads,
               [this](unsigned member) { stay_on(cpus_of(node_of_[member])); }) {
  spread_lanes(node_of_, node_of_.size(), lane_nodes_);
}

const std::vector<int>& CpuRunner::cpus_of(unsigned node) const {
  static const std::vector<int> kAnywhere;
  return placement_.pinned ? placement_.nodes[node].cpus : kAnywhere;
}

void CpuRunner::describe(ClassifierInfo& info) const {
  info.settings["placement"] = placement_.describe();
  for (const LaneSlot& slot : lanes_) info.activation_bytes += slot.worker.lane->activation_bytes();
}

Result<void> CpuRunner::make_lanes(std::size_t count) {
  const NativeOptions& options = setting_.options;
  const std::size_t rows =
      std::max(options.setup.max_length,
               std::min(kGroupRows, options.setup.batch * options.setup.max_length));
  while (lanes_.size() < std::min(count, node_of_.size())) {
    const unsigned node = lane_nodes_[lanes_.size()];
    const OnCpus here(cpus_of(node));  // its memory belongs where it will run
    const unsigned neighbours = placement_.nodes[node].threads;
    BREAKEVEN_TRY(Worker worker,
                  Worker::make(setting_.places.front(),
                               {.rows = rows,
                                .sequences = std::min(options.setup.batch, rows),
                                .threads = 1,
                                .helpers = std::min(neighbours, costs_.most_members) - 1}));
    lanes_.emplace_back().worker = std::move(worker);
  }
  return {};
}

void CpuRunner::tokenize(std::span<const Text> texts) {
  work_.start(texts, setting_.options.setup.max_length);
  const auto threads = threads_.size();
  if (threads == 1 || texts.size() < kTextsWorthSharing) {
    Lap lap(*setting_.options.clock);
    work_.tokenize(0, texts, 0, texts.size());
    busy_[0].tokenize += lap.seconds();
    return;
  }
  const std::size_t step =
      std::clamp<std::size_t>(texts.size() / (std::size_t{4} * threads), 1, kMostTextsAtATime);
  std::atomic<std::size_t> next{0};
  const auto part = [&](unsigned thread) {
    Lap lap(*setting_.options.clock);
    for (std::size_t first = next.fetch_add(step);
         first < texts.size() && !setting_.options.stopped(); first = next.fetch_add(step)) {
      work_.tokenize(thread, texts, first, std::min(step, texts.size() - first));
    }
    busy_[thread].tokenize += lap.seconds();
  };
  threads_.run(std::cref(part));
}

void CpuRunner::take_part(unsigned thread, double start_s, std::span<float> logits) {
  const Clock& clock = *setting_.options.clock;
  const unsigned node = node_of_[thread];
  StageSeconds& busy = busy_[thread];
  while (!setting_.options.stopped()) {
    std::unique_lock lock(mutex_);
    const double now = (clock.now_s() - start_s) / seconds_a_row_;
    const Dispatcher::Step step = dispatcher_.next(node, now);
    if (step.what == Dispatcher::Step::Do::leave) return;
    LaneSlot& slot = lanes_[step.lane];
    const unsigned passes = slot.passes;
    lock.unlock();
    Lap lap(clock);
    if (step.what == Dispatcher::Step::Do::help) {
      // Its own thread may still be packing.
      while (!slot.worker.lane->help() && slot.passes == passes) _mm_pause();
      busy.compute += lap.seconds();
      continue;
    }
    slot.worker.run(work_, groups_.members(step.group), setting_, logits, busy);
    const double seconds = lap.seconds();
    lock.lock();
    ++slot.passes;
    if (setting_.options.stopped()) return;  // its time says nothing
    const double modelled = dispatcher_.finished(step.lane);
    if (modelled > 0) seconds_a_row_ = std::max(1e-9, seconds / modelled);
  }
}

void CpuRunner::run_groups(std::span<float> logits) {
  const std::size_t lanes = std::min(groups_.count(), node_of_.size());
  dispatcher_.start(planner_.last(), std::span(lane_nodes_).first(lanes), costs_);
  const double start_s = setting_.options.clock->now_s();
  const OnCpus first(cpus_of(node_of_[0]));  // the caller is a member, too
  const auto part = [&](unsigned thread) { take_part(thread, start_s, logits); };
  const std::size_t useful = groups_.count() * costs_.most_members;
  threads_.run(std::cref(part), static_cast<unsigned>(std::min(useful, node_of_.size())));
}

Result<void> CpuRunner::compute(std::span<const Text> texts, std::size_t batch, const Answers& out,
                                StageSeconds& wall, StageSeconds& busy) {
  Lap lap(*setting_.options.clock);
  std::ranges::fill(busy_, StageSeconds{});
  tokenize(texts);
  if (setting_.options.stopped()) return {};
  wall.tokenize += lap.seconds();
  work_.pad(setting_.options.setup.padding, setting_.options.setup.max_length, batch);
  double packing_s = 0;
  for (const Work& part : planner_.parts({work_.rows(), batch}, node_of_, costs_)) {
    planner_.plan(part, node_of_, costs_, groups_);
    packing_s += lap.seconds();
    BREAKEVEN_TRY_VOID(make_lanes(groups_.count()));
    run_groups(out.logits);
    if (setting_.options.stopped()) return {};
    wall.compute += lap.seconds();
  }
  wall.pack += packing_s;
  for (const StageSeconds& each : busy_) add(busy, each);
  decode_all(out.logits, setting_.plan.score, out.labels, out.scores);
  std::ranges::copy(work_.tokens(), out.tokens.begin());
  std::ranges::copy(work_.cut(), out.cut.begin());
  const double decoding_s = lap.seconds();
  wall.decode += decoding_s;
  busy.pack += packing_s;
  busy.decode += decoding_s;
  return {};
}

Result<void> CpuRunner::run_batch(std::span<const Text> texts, BatchResult& out) {
  StageSeconds busy;  // of threads side by side: their wall time counts
  BREAKEVEN_TRY_VOID(compute(texts, texts.size(),
                             {out.logits, out.labels, out.scores, out.tokens, out.cut}, out.stages,
                             busy));
  out.computed_tokens = work_.computed_tokens();
  out.whole_tokens.assign(work_.whole_tokens().begin(), work_.whole_tokens().end());
  return {};
}

Result<void> CpuRunner::run_stream(std::span<const Text> texts, std::size_t batch,
                                   StreamResult& out) {
  const std::size_t classes = setting_.plan.labels.size();
  const std::size_t wanted = std::max(kWindowTexts, kWindowTextsAThread * node_of_.size());
  const std::size_t window = (wanted + batch - 1) / batch * batch;
  const std::size_t in_flight = std::min(window, texts.size());
  out.batches_in_flight = static_cast<unsigned>((in_flight + batch - 1) / batch);
  for (std::size_t first = 0; first < texts.size() && !setting_.options.stopped();
       first += window) {
    const std::size_t count = std::min(window, texts.size() - first);
    const auto part = [&](auto& all) { return std::span(all).subspan(first, count); };
    const Answers answers{std::span(out.logits).subspan(first * classes, count * classes),
                          part(out.labels), part(out.scores), part(out.tokens), part(out.cut)};
    StageSeconds wall;
    BREAKEVEN_TRY_VOID(compute(texts.subspan(first, count), batch, answers, wall, out.busy));
    out.computed_tokens += work_.computed_tokens();
  }
  return {};
}

}  // namespace

std::unique_ptr<Runner> make_cpu_runner(const Setting& setting) {
  return std::make_unique<CpuRunner>(setting);
}

}  // namespace breakeven::engine

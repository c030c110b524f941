// GPUs: a batch is one group, or one for each GPU where it is large enough; a stream has several
// batches in flight on each, so that others are tokenised and decoded while one is computed.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>

#include "base/thread_team.h"
#include "engine/decode.h"
#include "engine/device_memory.h"
#include "engine/groups.h"
#include "engine/runner.h"

namespace breakeven::engine {
namespace {

// Below this many rows a GPU is not full, and a batch that is cut for several is no faster.
constexpr std::size_t kRowsWorthAGpu = 512;
// Batches in flight on a GPU.
constexpr unsigned kMostLanes = 8;

// One batch: its texts, and the groups that it is cut into.
struct CutBatch {
  BatchWork work;
  GroupPlanner planner{};
  Groups groups{};
  void cut(std::size_t row_budget, std::size_t wanted) {
    groups.clear();
    planner.cut(work.rows(), 0, row_budget, wanted, groups);
  }
};

// A lane, the batch that is under way on it, and what it has done.
struct LaneWork {
  Worker worker;
  CutBatch batch;
  StageSeconds busy{};
  std::size_t computed_tokens = 0;
};

// Lanes that take turns in the places, and a thread for each.
struct Lanes {
  std::vector<LaneWork> work;
  std::unique_ptr<ThreadTeam> threads;
};

class DeviceRunner final : public Runner {
 public:
  explicit DeviceRunner(const Setting& setting)
      : setting_(setting),
        rows_(device_limits(setting.options, setting.options.setup.batch).rows),
        batch_{BatchWork(setting.tokenizer, setting.plan.token_types, setting.options.pair_cut,
                         setting.options.whole_tokens, 1)} {}

  void describe(ClassifierInfo& info) const override;
  Result<void> run_batch(std::span<const Text> texts, BatchResult& out) override;
  Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                          StreamResult& out) override;

 private:
  void prepare(BatchWork& work, std::span<const Text> texts, StageSeconds& stages) const;
  Result<void> make_lanes(std::size_t on_each, Lanes& lanes) const;
  // Runs work(lane) on all lanes; the first device that fails is the result.
  static Result<void> drive(Lanes& lanes, const std::function<void(unsigned lane)>& work);
  Result<void> run_groups(std::span<float> logits, StageSeconds& stages);
  void stream_lane(LaneWork& lane, std::span<const Text> texts, std::size_t batch,
                   StreamResult& out, std::atomic<std::size_t>& next) const;

  Setting setting_;
  std::size_t rows_;  // that a lane may take at once
  CutBatch batch_;    // of run_batch
  Lanes serial_;      // one on each GPU
  Lanes stream_;
};

// One value where all GPUs agree, else each one's own.
void DeviceRunner::describe(ClassifierInfo& info) const {
  const auto add_setting = [&](const char* name, auto&& value_of) {
    const std::string first = value_of(*setting_.places.front().backend);
    std::string all;
    bool same = true;
    for (const Place& place : setting_.places) {
      const std::string value = value_of(*place.backend);
      same = same && value == first;
      all += fmt::format("{}{}: {}", all.empty() ? "" : "; ", place.device, value);
    }
    if (std::string text = same ? first : all; !text.empty()) info.settings[name] = text;
  };
  add_setting("kernels", [](const ops::Backend& backend) { return backend.kernels(); });
  add_setting("gemm", [](const ops::Backend& backend) { return backend.info().gemm; });
  add_setting("gemm_algorithms",
              [](const ops::Backend& backend) { return backend.gemm_algorithms(); });
  std::size_t peak = 0;
  for (const Place& place : setting_.places) peak += place.backend->peak_device_bytes();
  info.device_peak_bytes = peak;
  for (const Lanes* lanes : {&serial_, &stream_}) {
    for (const LaneWork& lane : lanes->work) {
      info.activation_bytes += lane.worker.lane->activation_bytes();
    }
  }
}

void DeviceRunner::prepare(BatchWork& work, std::span<const Text> texts,
                           StageSeconds& stages) const {
  Lap lap(*setting_.options.clock);
  const std::size_t max_length = setting_.options.setup.max_length;
  work.start(texts, max_length);
  work.tokenize(0, texts, 0, texts.size());
  stages.tokenize += lap.seconds();
  work.pad(setting_.options.setup.padding, max_length, texts.size());
  stages.pack += lap.seconds();
}

Result<void> DeviceRunner::make_lanes(std::size_t on_each, Lanes& lanes) const {
  if (!lanes.work.empty()) return {};
  for (const Place& place : setting_.places) {
    BREAKEVEN_TRY_VOID(check_device_memory(place, setting_.options, on_each));
  }
  std::vector<LaneWork> made;
  for (std::size_t i = 0; i < on_each * setting_.places.size(); ++i) {
    const Place& place = setting_.places[i % setting_.places.size()];
    BREAKEVEN_TRY(Worker worker, Worker::make(place, device_limits(setting_.options,
                                                                   setting_.options.setup.batch)));
    made.push_back({std::move(worker),
                    {BatchWork(setting_.tokenizer, setting_.plan.token_types,
                               setting_.options.pair_cut, false, 1)}});
  }
  lanes.threads = std::make_unique<ThreadTeam>(static_cast<unsigned>(made.size()));
  lanes.work = std::move(made);
  return {};
}

Result<void> DeviceRunner::drive(Lanes& lanes, const std::function<void(unsigned lane)>& work) {
  std::mutex mutex;
  std::optional<Error> failed;  // a member of a team must not throw
  lanes.threads->run([&](unsigned lane) {
    try {
      work(lane);
    } catch (const ops::DeviceFailure& failure) {
      const std::lock_guard lock(mutex);
      if (!failed) failed = device_failed(lanes.work[lane].worker.place->device, failure);
    }
  });
  if (failed) return tl::unexpected<Error>(*failed);
  return {};
}

// Each lane's first group is its own, so that every GPU gets one.
Result<void> DeviceRunner::run_groups(std::span<float> logits, StageSeconds& stages) {
  Lap lap(*setting_.options.clock);
  std::atomic<std::size_t> next{serial_.work.size()};
  BREAKEVEN_TRY_VOID(drive(serial_, [&](unsigned lane) {
    StageSeconds ignored;  // groups overlap: the batch's compute time is their wall time
    for (std::size_t group = lane; group < batch_.groups.count() && !setting_.options.stopped();
         group = next++) {
      serial_.work[lane].worker.run(batch_.work, batch_.groups.members(group), setting_, logits,
                                    ignored);
    }
  }));
  stages.compute += lap.seconds();
  return {};
}

Result<void> DeviceRunner::run_batch(std::span<const Text> texts, BatchResult& out) {
  prepare(batch_.work, texts, out.stages);
  Lap lap(*setting_.options.clock);
  const std::size_t worth = batch_.work.computed_tokens() / kRowsWorthAGpu;
  batch_.cut(rows_, std::clamp<std::size_t>(worth, 1, setting_.places.size()));
  out.stages.pack += lap.seconds();
  BREAKEVEN_TRY_VOID(make_lanes(1, serial_));
  if (setting_.places.size() > 1 && batch_.groups.count() > 1) {
    BREAKEVEN_TRY_VOID(run_groups(out.logits, out.stages));
  } else {
    for (std::size_t group = 0; group < batch_.groups.count() && !setting_.options.stopped();
         ++group) {
      serial_.work.front().worker.run(batch_.work, batch_.groups.members(group), setting_,
                                      out.logits, out.stages);
    }
  }
  lap.seconds();
  decode_all(out.logits, setting_.plan.score, out.labels, out.scores);
  std::ranges::copy(batch_.work.tokens(), out.tokens.begin());
  std::ranges::copy(batch_.work.cut(), out.cut.begin());
  out.computed_tokens = batch_.work.computed_tokens();
  out.whole_tokens.assign(batch_.work.whole_tokens().begin(), batch_.work.whole_tokens().end());
  out.stages.decode += lap.seconds();
  return {};
}

void DeviceRunner::stream_lane(LaneWork& lane, std::span<const Text> texts, std::size_t batch,
                               StreamResult& out, std::atomic<std::size_t>& next) const {
  const std::size_t classes = setting_.plan.labels.size();
  lane.busy = {};
  lane.computed_tokens = 0;
  for (std::size_t first = next.fetch_add(batch);
       first < texts.size() && !setting_.options.stopped(); first = next.fetch_add(batch)) {
    const std::size_t count = std::min(batch, texts.size() - first);
    const BatchWork& work = lane.batch.work;
    prepare(lane.batch.work, texts.subspan(first, count), lane.busy);
    Lap lap(*setting_.options.clock);
    lane.batch.cut(rows_, 1);
    lane.busy.pack += lap.seconds();
    lane.computed_tokens += work.computed_tokens();
    const std::span<float> logits = std::span(out.logits).subspan(first * classes, count * classes);
    for (std::size_t group = 0; group < lane.batch.groups.count() && !setting_.options.stopped();
         ++group) {
      lane.worker.run(work, lane.batch.groups.members(group), setting_, logits, lane.busy);
    }
    lap.seconds();
    decode_all(logits, setting_.plan.score, std::span(out.labels).subspan(first, count),
               std::span(out.scores).subspan(first, count));
    lane.busy.decode += lap.seconds();
    const auto at = static_cast<std::ptrdiff_t>(first);
    std::ranges::copy(work.tokens(), out.tokens.begin() + at);
    std::ranges::copy(work.cut(), out.cut.begin() + at);
  }
}

Result<void> DeviceRunner::run_stream(std::span<const Text> texts, std::size_t batch,
                                      StreamResult& out) {
  const auto places = static_cast<unsigned>(setting_.places.size());
  BREAKEVEN_TRY_VOID(
      make_lanes(std::clamp(setting_.options.setup.threads / places, 2U, kMostLanes), stream_));
  out.batches_in_flight = static_cast<unsigned>(stream_.work.size());
  std::atomic<std::size_t> next{0};
  BREAKEVEN_TRY_VOID(drive(stream_, [&](unsigned lane) {
    try {
      stream_lane(stream_.work[lane], texts, batch, out, next);
    } catch (const ops::DeviceFailure&) {
      next = texts.size();  // the others stop, too: the result is lost
      throw;
    }
  }));
  for (const LaneWork& lane : stream_.work) {
    add(out.busy, lane.busy);
    out.computed_tokens += lane.computed_tokens;
  }
  return {};
}

}  // namespace

std::unique_ptr<Runner> make_device_runner(const Setting& setting) {
  return std::make_unique<DeviceRunner>(setting);
}

}  // namespace breakeven::engine

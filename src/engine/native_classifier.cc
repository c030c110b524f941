#include "engine/native_classifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>

#include "base/check.h"
#include "base/cpus.h"
#include "base/units.h"
#include "engine/decode.h"
#include "model/forward.h"

namespace breakeven::engine {
namespace {

// Seconds since the last call, from the one clock of the project (CLOCK_MONOTONIC).
class Lap {
 public:
  double seconds() {
    const auto now = std::chrono::steady_clock::now();
    const double passed = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return passed;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Weights are read again for every few hundred rows whatever the group, so a larger group saves
// nothing; a smaller one leaves less in flight between two ops and lets a core that is held up by
// others hand work over. Below this, groups of long texts fill badly (docs/decisions/0008).
constexpr std::size_t kGroupRows = 1024;
// Below this many rows a thread, all threads work on one group: splitting the sequences would leave
// cores idle.
constexpr std::size_t kSideBySideRows = 256;
// A GPU takes a whole batch as one group, up to this many rows: beyond, no kernel gains.
constexpr std::size_t kGpuGroupRows = 65536;
// Below this many rows a GPU is not full, and a batch that is cut for several is no faster.
constexpr std::size_t kRowsWorthAGpu = 512;
// Batches in flight on a GPU: while one is computed, others are tokenised and decoded.
constexpr unsigned kMostGpuLanes = 8;

}  // namespace

Error device_failed(const std::string& device, const std::exception& failure) {
  return {"device/failed", device + ": " + failure.what(),
          "after some errors a process cannot use its GPU again: start a new one"};
}

void BatchWork::tokenize(const text::Tokenizer& tokenizer, std::span<const std::string_view> texts,
                         std::size_t max_length) {
  const text::EncodeOptions options{.max_length = max_length,
                                    .truncation_side = tokenizer.info().truncation_side};
  ids_.clear();
  start_.clear();
  tokens_.clear();
  cut_.clear();
  for (const std::string_view text : texts) {
    const std::size_t start = ids_.size();
    cut_.push_back(tokenizer.encode(text, options, *scratch_, ids_) ? 1 : 0);
    start_.push_back(start);
    tokens_.push_back(static_cast<std::uint32_t>(ids_.size() - start));
  }
}

void BatchWork::pack(Padding padding, std::size_t max_length, std::size_t row_budget,
                     std::size_t wanted_groups) {
  rows_ = tokens_;
  if (padding == Padding::longest) {
    std::ranges::fill(rows_, *std::ranges::max_element(tokens_));
  } else if (padding == Padding::max_length) {
    std::ranges::fill(rows_, static_cast<std::uint32_t>(max_length));
  }
  computed_tokens_ = 0;
  for (const std::uint32_t rows : rows_) computed_tokens_ += rows;
  planner_.plan(rows_, row_budget, wanted_groups, groups_);
}

NativeClassifier::NativeClassifier(const LoadedModel& model, const NativeOptions& options,
                                   std::vector<Place> places)
    : model_name_(model.name),
      plan_(model.checkpoint.plan),
      tokenizer_(model.tokenizer),
      options_(options),
      problem_(plan_.problem),
      placement_(place(read_topology(usable_cpus().ids), options.threads)),
      places_(std::move(places)),
      serial_work_(*tokenizer_) {}

// One value where all GPUs agree, else each one's own.
void NativeClassifier::add_gpu_settings(ClassifierInfo& info) const {
  const auto add = [&](const char* name, auto&& value_of) {
    const std::string first = value_of(places_.front());
    std::string all;
    bool same = true;
    for (const Place& place : places_) {
      const std::string value = value_of(place);
      same = same && value == first;
      all += fmt::format("{}{}: {}", all.empty() ? "" : "; ", place.device, value);
    }
    if (std::string text = same ? first : all; !text.empty()) info.settings[name] = text;
  };
  add("kernels", [&](const Place& place) { return place.backend->kernels(); });
  add("gemm", [](const Place& place) { return place.backend->info().gemm; });
  add("gemm_algorithms", [&](const Place& place) { return place.backend->gemm_algorithms(); });
  std::size_t peak = 0;
  for (const Place& place : places_) peak += place.backend->peak_device_bytes();
  info.device_peak_bytes = peak;
}

ClassifierInfo NativeClassifier::info() const {
  ClassifierInfo info;
  info.runtime = "native";
  info.device = options_.device;
  info.precision = ops::to_string(options_.precision);
  info.instruction_set = places_.front().backend->info().instruction_set;
  info.model_name = model_name_;
  info.tokenizer = "breakeven";
  info.threads = options_.threads;
  info.max_length = options_.max_length;
  info.padding = options_.padding;
  info.problem = problem_;
  info.labels = plan_.labels;
  for (const Place& place : places_) info.weight_bytes += place.packed->weight_bytes();
  if (on_gpu()) {
    add_gpu_settings(info);
  } else {
    info.settings["placement"] = placement_.describe();
  }
  for (const auto* workers : {&team_, &side_}) {
    for (const Worker& worker : *workers) info.activation_bytes += worker.lane->activation_bytes();
  }
  return info;
}

std::size_t NativeClassifier::side_rows() const {
  if (on_gpu()) return team_rows();
  return std::max(options_.max_length,
                  std::min(kGroupRows, options_.max_batch * options_.max_length));
}

std::size_t NativeClassifier::team_rows() const {
  if (on_gpu()) return device_limits(options_.max_batch).rows;
  const std::size_t wanted = std::max(kGroupRows, options_.threads * kSideBySideRows);
  return std::max(options_.max_length, std::min(wanted, options_.max_batch * options_.max_length));
}

bool NativeClassifier::side_by_side(const BatchWork& work) const {
  if (on_gpu()) return false;
  const std::size_t threads = options_.threads;
  if (threads == 1) return true;  // the lane that streams use, too
  const std::size_t rows = options_.padding == Padding::max_length
                               ? work.tokens().size() * options_.max_length
                               : work.real_tokens();
  return work.tokens().size() >= 2 * threads && rows >= threads * kSideBySideRows;
}

std::vector<int> NativeClassifier::side_cpus(unsigned lane) const {
  if (on_gpu() || !placement_.pinned) return {};
  return placement_.nodes[placement_.node_of(lane)].cpus;
}

std::vector<int> NativeClassifier::team_cpus() const {
  if (on_gpu() || !placement_.pinned) return {};
  return placement_.team_node().cpus;
}

ops::LaneLimits NativeClassifier::device_limits(std::size_t batch) const {
  const std::size_t rows =
      std::max(options_.max_length, std::min(kGpuGroupRows, batch * options_.max_length));
  return {.rows = rows, .sequences = std::min(batch, rows), .threads = 1};
}

unsigned NativeClassifier::side_lanes() const {
  if (!on_gpu()) return options_.threads;
  return std::clamp(options_.threads / static_cast<unsigned>(places_.size()), 2U, kMostGpuLanes);
}

std::size_t NativeClassifier::team_groups(const BatchWork& work) const {
  const std::size_t rows = options_.padding == Padding::max_length
                               ? work.tokens().size() * options_.max_length
                               : work.real_tokens();
  return std::clamp<std::size_t>(rows / kRowsWorthAGpu, 1, places_.size());
}

std::size_t NativeClassifier::largest_batch(const Place& place, std::size_t lanes) const {
  const std::size_t free = place.backend->free_device_bytes();
  std::size_t fits = 0;
  std::size_t too_large = options_.max_batch;  // the caller has seen that it does not fit
  while (fits + 1 < too_large) {
    const std::size_t middle = fits + (too_large - fits) / 2;
    const bool ok = lanes * place.backend->lane_bytes(*place.packed, device_limits(middle)) <= free;
    (ok ? fits : too_large) = middle;
  }
  return fits;
}

Result<void> NativeClassifier::check_device_memory(const Place& place, std::size_t lanes,
                                                   std::size_t rows, std::size_t sequences) const {
  const std::size_t free = place.backend->free_device_bytes();
  const std::size_t need =
      lanes * place.backend->lane_bytes(*place.packed, {.rows = rows, .sequences = sequences});
  if (need <= free) return {};
  const std::size_t fits = largest_batch(place, lanes);
  return fail(
      "ops/memory",
      fmt::format("a batch of {} texts of {} tokens needs {} on {}{}, and {} are free",
                  options_.max_batch, options_.max_length, format_bytes(static_cast<double>(need)),
                  place.device, lanes > 1 ? fmt::format(" for {} batches in flight", lanes) : "",
                  format_bytes(static_cast<double>(free))),
      fits > 0 ? fmt::format("the largest batch that fits is {}", fits)
               : "no batch fits: take a smaller --max-length or a lower --precision");
}

Result<void> NativeClassifier::make_workers(std::vector<Worker>& workers, std::size_t lanes,
                                            unsigned threads, std::size_t rows,
                                            std::size_t sequences) {
  if (on_gpu()) {
    for (const Place& place : places_) {
      BREAKEVEN_TRY_VOID(check_device_memory(place, lanes, rows, sequences));
    }
  }
  std::vector<Worker> made(lanes * places_.size());
  for (std::size_t i = 0; i < made.size(); ++i) {
    Worker& worker = made[i];
    worker.place = &places_[i % places_.size()];
    // Its memory, and the threads that it makes, belong where it will run.
    const OnCpus here(threads > 1 ? team_cpus() : side_cpus(static_cast<unsigned>(i)));
    BREAKEVEN_TRY(worker.lane, worker.place->backend->make_lane(
                                   worker.place->packed,
                                   {.rows = rows, .sequences = sequences, .threads = threads}));
    worker.ids.reserve(rows);
    worker.cu_seqlens.reserve(sequences + 1);
    worker.valid_len.reserve(sequences);
  }
  workers = std::move(made);
  return {};
}

Result<void> NativeClassifier::make_team_worker() {
  if (!team_.empty()) return {};
  const unsigned threads =
      on_gpu() || !placement_.pinned ? options_.threads : placement_.team_node().threads;
  BREAKEVEN_TRY_VOID(
      make_workers(team_, 1, threads, team_rows(), std::min(options_.max_batch, team_rows())));
  if (team_.size() > 1) {
    team_drivers_ = std::make_unique<ThreadTeam>(static_cast<unsigned>(team_.size()));
  }
  return {};
}

Result<void> NativeClassifier::make_side_workers() {
  if (!side_.empty()) return {};
  BREAKEVEN_TRY_VOID(
      make_workers(side_, side_lanes(), 1, side_rows(), std::min(options_.max_batch, side_rows())));
  drivers_ = std::make_unique<ThreadTeam>(static_cast<unsigned>(side_.size()),
                                          [this](unsigned member) { stay_on(side_cpus(member)); });
  for (std::size_t i = 0; i < side_.size(); ++i) stream_work_.emplace_back(*tokenizer_);
  return {};
}

void NativeClassifier::run_group(Worker& worker, const BatchWork& work, std::size_t group,
                                 std::span<float> logits, StageSeconds& stages) {
  Lap lap;
  worker.ids.clear();
  worker.cu_seqlens.assign(1, 0);
  worker.valid_len.clear();
  const std::span<const std::uint32_t> members = work.groups().members(group);
  for (const std::uint32_t text : members) {
    const auto ids = work.text_ids(text);
    worker.ids.insert(worker.ids.end(), ids.begin(), ids.end());
    worker.ids.insert(worker.ids.end(), work.rows(text) - ids.size(), plan_.pad_id);
    worker.cu_seqlens.push_back(static_cast<std::int32_t>(worker.ids.size()));
    worker.valid_len.push_back(static_cast<std::int32_t>(ids.size()));
  }
  if (on_gpu()) stages.pack += lap.seconds();
  ops::Backend& backend = *worker.place->backend;
  backend.upload(*worker.lane, {.ids = worker.ids,
                                .token_types = {},
                                .cu_seqlens = worker.cu_seqlens,
                                .valid_len = worker.valid_len});
  // The CPU's lane only takes over the ids: nothing crosses a bus, so this is packing.
  if (!on_gpu()) stages.pack += lap.seconds();
  model::forward(backend, *worker.lane, plan_);
  const std::span<const float> result = backend.wait(*worker.lane);
  const std::size_t labels = plan_.labels.size();
  for (std::size_t i = 0; i < members.size(); ++i) {
    std::ranges::copy(result.subspan(i * labels, labels),
                      logits.begin() + static_cast<std::ptrdiff_t>(members[i] * labels));
  }
  const double seconds = lap.seconds();
  // The device's clock says what crossing the bus took; the rest of the host's time is computing,
  // launches and waiting included, so that the stages add up to the total.
  const ops::DeviceSeconds device =
      on_gpu() ? backend.device_seconds(*worker.lane) : ops::DeviceSeconds{};
  stages.upload += device.upload;
  stages.download += device.download;
  stages.device_compute += device.compute;
  stages.compute += std::max(0.0, seconds - device.upload - device.download);
}

Result<void> NativeClassifier::drive(ThreadTeam& team, const std::vector<Worker>& workers,
                                     const std::function<void(unsigned member)>& work) {
  std::mutex mutex;
  std::optional<Error> failed;  // a member of a team must not throw
  team.run([&](unsigned member) {
    try {
      work(member);
    } catch (const ops::DeviceFailure& failure) {
      const std::lock_guard lock(mutex);
      if (!failed) failed = device_failed(workers[member].place->device, failure);
    }
  });
  if (failed) return tl::unexpected<Error>(*failed);
  return {};
}

Result<void> NativeClassifier::run_groups_side_by_side(ThreadTeam& team,
                                                       std::vector<Worker>& workers,
                                                       const BatchWork& work,
                                                       std::span<float> logits,
                                                       StageSeconds& stages) {
  Lap lap;
  // Each worker's first group is its own, so that every GPU gets one.
  std::atomic<std::size_t> next{workers.size()};
  const OnCpus first(side_cpus(0));  // the caller is a member, too
  BREAKEVEN_TRY_VOID(drive(team, workers, [&](unsigned member) {
    StageSeconds
        ignored;  // stages of parallel groups overlap; the batch's compute time is their wall time
    for (std::size_t group = member; group < work.groups().count(); group = next++) {
      run_group(workers[member], work, group, logits, ignored);
    }
  }));
  stages.compute += lap.seconds();
  return {};
}

Result<void> NativeClassifier::run_batch(std::span<const std::string_view> texts,
                                         BatchResult& out) {
  try {
    return compute_batch(texts, out);
  } catch (const ops::DeviceFailure& failure) {
    return tl::unexpected<Error>(device_failed(options_.device, failure));
  }
}

Result<void> NativeClassifier::compute_batch(std::span<const std::string_view> texts,
                                             BatchResult& out) {
  BREAKEVEN_CHECK(!texts.empty() && texts.size() <= options_.max_batch, "texts={} max_batch={}",
                  texts.size(), options_.max_batch);
  const std::size_t labels = plan_.labels.size();
  out.logits.resize(texts.size() * labels);
  out.labels.resize(texts.size());
  out.scores.resize(texts.size());
  out.stages = {};
  Lap lap;
  BatchWork& work = serial_work_;
  work.tokenize(*tokenizer_, texts, options_.max_length);
  out.tokens.assign(work.tokens().begin(), work.tokens().end());
  out.cut.assign(work.cut().begin(), work.cut().end());
  out.stages.tokenize = lap.seconds();
  const bool grouped = side_by_side(work);
  work.pack(options_.padding, options_.max_length, grouped ? side_rows() : team_rows(),
            grouped ? options_.threads : team_groups(work));
  out.computed_tokens = work.computed_tokens();
  out.stages.pack = lap.seconds();
  if (grouped) {
    BREAKEVEN_TRY_VOID(make_side_workers());
    BREAKEVEN_TRY_VOID(run_groups_side_by_side(*drivers_, side_, work, out.logits, out.stages));
  } else {
    BREAKEVEN_TRY_VOID(make_team_worker());
    const OnCpus here(team_cpus());
    if (team_drivers_ != nullptr && work.groups().count() > 1) {
      BREAKEVEN_TRY_VOID(
          run_groups_side_by_side(*team_drivers_, team_, work, out.logits, out.stages));
    } else {
      for (std::size_t group = 0; group < work.groups().count(); ++group) {
        run_group(team_.front(), work, group, out.logits, out.stages);
      }
    }
  }
  lap.seconds();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Decoded decoded = decode(std::span(out.logits).subspan(i * labels, labels), problem_);
    out.labels[i] = decoded.label;
    out.scores[i] = decoded.score;
  }
  out.stages.decode = lap.seconds();
  return {};
}

void NativeClassifier::stream_worker(Worker& worker, BatchWork& work,
                                     std::span<const std::string_view> texts, std::size_t batch,
                                     StreamResult& out, std::atomic<std::size_t>& next,
                                     std::atomic<std::size_t>& computed) {
  const std::size_t labels = plan_.labels.size();
  StageSeconds& busy = worker.busy;
  busy = {};
  for (std::size_t first = next.fetch_add(batch); first < texts.size();
       first = next.fetch_add(batch)) {
    const std::size_t count = std::min(batch, texts.size() - first);
    Lap lap;
    work.tokenize(*tokenizer_, texts.subspan(first, count), options_.max_length);
    busy.tokenize += lap.seconds();
    work.pack(options_.padding, options_.max_length, side_rows(), 1);
    busy.pack += lap.seconds();
    computed += work.computed_tokens();
    const std::span<float> logits = std::span(out.logits).subspan(first * labels, count * labels);
    for (std::size_t group = 0; group < work.groups().count(); ++group) {
      run_group(worker, work, group, logits, busy);
    }
    lap.seconds();
    for (std::size_t i = 0; i < count; ++i) {
      const Decoded decoded = decode(logits.subspan(i * labels, labels), problem_);
      out.labels[first + i] = decoded.label;
      out.scores[first + i] = decoded.score;
      out.tokens[first + i] = work.tokens()[i];
      out.cut[first + i] = work.cut()[i];
    }
    busy.decode += lap.seconds();
  }
}

Result<void> NativeClassifier::run_stream(std::span<const std::string_view> texts,
                                          std::size_t batch, StreamResult& out) {
  try {
    return compute_stream(texts, batch, out);
  } catch (const ops::DeviceFailure& failure) {
    return tl::unexpected<Error>(device_failed(options_.device, failure));
  }
}

Result<void> NativeClassifier::compute_stream(std::span<const std::string_view> texts,
                                              std::size_t batch, StreamResult& out) {
  BREAKEVEN_CHECK(batch >= 1 && batch <= options_.max_batch, "batch={} max_batch={}", batch,
                  options_.max_batch);
  BREAKEVEN_TRY_VOID(make_side_workers());
  out.logits.resize(texts.size() * plan_.labels.size());
  out.labels.resize(texts.size());
  out.scores.resize(texts.size());
  out.tokens.resize(texts.size());
  out.cut.resize(texts.size());
  out.batches_in_flight = static_cast<unsigned>(side_.size());
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> computed{0};
  const OnCpus first(side_cpus(0));
  BREAKEVEN_TRY_VOID(drive(*drivers_, side_, [&](unsigned member) {
    try {
      stream_worker(side_[member], stream_work_[member], texts, batch, out, next, computed);
    } catch (const ops::DeviceFailure&) {
      next = texts.size();  // the others stop, too: the result is lost
      throw;
    }
  }));
  out.computed_tokens = computed;
  out.busy = {};
  for (const Worker& worker : side_) {
    out.busy.tokenize += worker.busy.tokenize;
    out.busy.pack += worker.busy.pack;
    out.busy.upload += worker.busy.upload;
    out.busy.compute += worker.busy.compute;
    out.busy.download += worker.busy.download;
    out.busy.decode += worker.busy.decode;
  }
  return {};
}

}  // namespace breakeven::engine

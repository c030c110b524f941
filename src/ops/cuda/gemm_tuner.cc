#include "ops/cuda/gemm_tuner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"

namespace breakeven::ops::cuda {
namespace {

constexpr std::size_t kCandidates = 8;
constexpr unsigned kRounds = 3;
// A turn of a candidate takes about this long, so that an event's half microsecond does not count.
constexpr double kTurn_s = 200e-6;
constexpr unsigned kMostRuns = 20;

}  // namespace

TunerOptions tuner_options(std::string& note) {
  const char* wish = std::getenv("BREAKEVEN_GEMM_TUNING");
  if (wish != nullptr && std::string_view(wish) == "off") return {.measure = false};
  TunerOptions options;
  if (auto folder = cache_folder()) {
    options.folder = *folder + "/gemm";
  } else {
    note = folder.error().message;
  }
  return options;
}

GemmTuner::GemmTuner(std::shared_ptr<Runtime> runtime, const TunerOptions& options,
                     std::string note)
    : runtime_(std::move(runtime)),
      options_(options),
      identity_(identity_of(runtime_->info())),
      note_(std::move(note)) {
  if (options_.folder.empty()) return;
  auto kept = load_choices(choices_file(options_.folder, identity_), identity_);
  if (kept) {
    kept_ = std::move(*kept);
  } else {
    note_ = "the file of earlier choices was ignored: " + kept.error().message;
  }
}

const GemmAlgorithm* GemmTuner::choose(const GemmCall& call, Runtime::Stream& stream,
                                       const Runtime::Memory& workspace, bool may_measure) {
  const std::string key = key_of(call, workspace.bytes);
  const std::lock_guard lock(mutex_);
  if (const auto known = used_.find(key); known != used_.end()) return &known->second;
  if (const auto kept = kept_.find(key);
      kept != kept_.end() && runtime_->takes(call, kept->second, workspace.bytes)) {
    ++cached_;
    return remember(key, kept->second);
  }
  const bool measuring = options_.measure && may_measure;
  const std::vector<GemmAlgorithm> candidates =
      runtime_->gemm_algorithms(call, workspace.bytes, measuring ? kCandidates : 1);
  if (candidates.empty()) {
    ++refused_;
    return nullptr;
  }
  if (!measuring) {
    ++guessed_;
    return remember(key, candidates.front());
  }
  const std::size_t best = measure(call, candidates, stream, workspace);
  ++tuned_;
  fresh_[key] = candidates[best];
  return remember(key, candidates[best]);
}

const GemmAlgorithm* GemmTuner::remember(const std::string& key, const GemmAlgorithm& algorithm) {
  return &(used_[key] = algorithm);  // a map's entries stay where they are
}

double GemmTuner::time(const GemmCall& call, const GemmAlgorithm& algorithm, unsigned runs,
                       Runtime::Stream& stream, const Runtime::Memory& workspace) {
  runtime_->record(*begin_, stream);
  for (unsigned i = 0; i < runs; ++i) runtime_->multiply(stream, call, algorithm, workspace);
  runtime_->record(*end_, stream);
  runtime_->synchronise(stream);
  return runtime_->seconds_between(*begin_, *end_) / runs;
}

// Candidates take turns, so that a clock that rises or falls meanwhile favours none.
std::size_t GemmTuner::measure(const GemmCall& call, std::span<const GemmAlgorithm> candidates,
                               Runtime::Stream& stream, const Runtime::Memory& workspace) {
  if (begin_ == nullptr) {
    begin_ = runtime_->make_event();
    end_ = runtime_->make_event();
  }
  runtime_->synchronise(stream);  // what stands before the call is not the candidates' time
  std::vector<std::vector<double>> seconds(candidates.size());
  std::vector<unsigned> runs(candidates.size(), 0);
  std::string failure;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    try {
      time(call, candidates[i], 1, stream, workspace);  // loads the kernel
      const double once = time(call, candidates[i], 1, stream, workspace);
      runs[i] = static_cast<unsigned>(
          std::clamp(kTurn_s / std::max(once, 1e-9), 1.0, static_cast<double>(kMostRuns)));
    } catch (const DeviceFailure& refused) {
      failure = refused.what();
      runtime_->synchronise(stream);  // throws when the device itself has failed
    }
  }
  for (unsigned round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (runs[i] == 0) continue;
      seconds[i].push_back(time(call, candidates[i], runs[i], stream, workspace));
    }
  }
  const std::size_t best = fastest(seconds);
  if (best == std::numeric_limits<std::size_t>::max()) throw DeviceFailure(failure);
  return best;
}

void GemmTuner::save() {
  const std::lock_guard lock(mutex_);
  if (fresh_.empty() || options_.folder.empty()) return;
  const auto saved = add_choices(choices_file(options_.folder, identity_), identity_, fresh_);
  if (!saved) {
    note_ = "choices cannot be kept: " + saved.error().message;
    options_.folder.clear();  // once is enough
  }
  fresh_.clear();
}

std::string GemmTuner::summary() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  const auto add = [&text](std::size_t count, const char* what) {
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", what, count);
  };
  add(tuned_, "tuned");
  add(cached_, "cached");
  add(guessed_, "heuristic");
  add(refused_, "own for want of one");
  if (text.empty()) text = "none";
  return note_.empty() ? text : text + " (" + note_ + ")";
}

}  // namespace breakeven::ops::cuda

#include "ops/cuda/gemm_tuner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"

namespace breakeven::ops::cuda {
namespace {

// A trial tells most of the library's proposals, so that looking at 32 costs hardly more than
// measuring eight.
constexpr std::size_t kCandidates = 32;
constexpr std::size_t kSurely = 8;  // are tried in any case
constexpr double kTrials_s = 5e-3;  // after which no more are; most of it is loading kernels
constexpr unsigned kTrialRuns = 3;
constexpr double kClose = 1.25;        // times the fastest trial: worth measuring
constexpr std::size_t kFinalists = 4;  // and the library's first
constexpr unsigned kRounds = 3;
// A turn of a candidate takes about this long, so that an event's half microsecond does not count.
constexpr double kTurn_s = 200e-6;
constexpr double kMostRuns = 20;

// The fastest of those whose trials were close, and the first, which others must beat.
std::vector<std::size_t> finalists(const std::vector<double>& trials) {
  std::vector<std::size_t> order(trials.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return trials[a] < trials[b]; });
  const double most = trials[order.front()] * kClose;
  std::vector<std::size_t> chosen;
  for (const std::size_t i : order) {
    if (std::isfinite(trials[i]) && (i == 0 || (trials[i] <= most && chosen.size() < kFinalists))) {
      chosen.push_back(i);
    }
  }
  return chosen;
}

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

// A trial of each candidate, in the library's order, until that has taken too long: what a run of
// it takes, or infinity where it is refused or was not reached. The last refusal's words are kept.
std::vector<double> GemmTuner::trials(const GemmCall& call,
                                      std::span<const GemmAlgorithm> candidates,
                                      Runtime::Stream& stream, const Runtime::Memory& workspace,
                                      std::string& failure) {
  std::vector<double> seconds(candidates.size(), std::numeric_limits<double>::infinity());
  double spent = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (i >= kSurely && spent > kTrials_s) break;
    try {
      spent += time(call, candidates[i], 1, stream, workspace);  // loads the kernel
      seconds[i] = time(call, candidates[i], kTrialRuns, stream, workspace);
      spent += seconds[i] * kTrialRuns;
    } catch (const DeviceFailure& refused) {
      failure = refused.what();
      runtime_->synchronise(stream);  // throws when the device itself has failed
    }
  }
  return seconds;
}

// Finalists take turns, so that a clock that rises or falls meanwhile favours none.
std::size_t GemmTuner::measure(const GemmCall& call, std::span<const GemmAlgorithm> candidates,
                               Runtime::Stream& stream, const Runtime::Memory& workspace) {
  if (begin_ == nullptr) {
    begin_ = runtime_->make_event();
    end_ = runtime_->make_event();
  }
  runtime_->synchronise(stream);  // what stands before the call is not the candidates' time
  std::string failure;
  const std::vector<double> once = trials(call, candidates, stream, workspace, failure);
  const std::vector<std::size_t> chosen = finalists(once);
  std::vector<std::vector<double>> seconds(candidates.size());
  for (unsigned round = 0; round < kRounds; ++round) {
    for (const std::size_t i : chosen) {
      const double runs = std::clamp(kTurn_s / std::max(once[i], 1e-9), 1.0, kMostRuns);
      seconds[i].push_back(
          time(call, candidates[i], static_cast<unsigned>(runs), stream, workspace));
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

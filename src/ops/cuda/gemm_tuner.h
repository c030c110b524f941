// Chooses the algorithm of every matrix product of one device: from what was measured before, or by
// measuring the library's proposals when a product is met for the first time.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "ops/cuda/gemm_choices.h"
#include "ops/cuda/runtime.h"

namespace breakeven::ops::cuda {

struct TunerOptions {
  bool measure = true;   // false: the library's best guess
  std::string folder{};  // where choices are kept between processes; "" = nowhere
};
// As BREAKEVEN_GEMM_TUNING says: "off" = no measuring, nothing on disk; else all of it, in the
// cache folder. `note` tells why there is no such folder.
TunerOptions tuner_options(std::string& note);

class GemmTuner {
 public:
  GemmTuner(std::shared_ptr<Runtime> runtime, const TunerOptions& options, std::string note = {});

  // The algorithm for a call, or null when the library has none. Where `may_measure` (not while a
  // graph is captured), an unknown call is computed several times on the stream, which gives the
  // result that the caller wants anyway and touches nothing else. Threads wait for each other, so
  // that two measurements do not disturb one another. Throws DeviceFailure.
  const GemmAlgorithm* choose(const GemmCall& call, Runtime::Stream& stream,
                              const Runtime::Memory& workspace, bool may_measure);

  // Writes what was measured since the last time to disk. A failure becomes part of summary().
  void save();

  // "tuned 12, cached 30": where the algorithms came from, and what was wrong with the file.
  std::string summary() const;

 private:
  const GemmAlgorithm* remember(const std::string& key, const GemmAlgorithm& algorithm);
  std::vector<double> trials(const GemmCall& call, std::span<const GemmAlgorithm> candidates,
                             Runtime::Stream& stream, const Runtime::Memory& workspace,
                             std::string& failure);
  std::size_t measure(const GemmCall& call, std::span<const GemmAlgorithm> candidates,
                      Runtime::Stream& stream, const Runtime::Memory& workspace);
  double time(const GemmCall& call, const GemmAlgorithm& algorithm, unsigned runs,
              Runtime::Stream& stream, const Runtime::Memory& workspace);

  std::shared_ptr<Runtime> runtime_;
  TunerOptions options_;
  std::string identity_;
  mutable std::mutex mutex_;
  std::unique_ptr<Runtime::Event> begin_, end_;
  GemmChoices kept_;   // from the file
  GemmChoices fresh_;  // measured, not yet in the file
  GemmChoices used_;
  std::size_t tuned_ = 0, cached_ = 0, guessed_ = 0, refused_ = 0;
  std::string note_;
};

}  // namespace breakeven::ops::cuda

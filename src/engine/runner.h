// How texts are carried through a kind of device: the threads of a CPU share the groups of all
// batches (cpu_runner.cc); a GPU takes whole batches, several at a time (device_runner.cc).
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "classifier/classifier.h"
#include "engine/batch_work.h"
#include "engine/native.h"
#include "model/plan.h"
#include "ops/ops.h"
#include "text/tokenizer.h"

namespace breakeven::engine {

// A device of a classifier: the CPU, or one of the GPUs that share its batches.
struct Place {
  std::string device;  // "cpu", "cuda:0"
  std::unique_ptr<ops::Backend> backend;
  std::shared_ptr<const ops::PackedModel> packed;
};

// What a device that gave up is called in a result.
Error device_failed(const std::string& device, const std::exception& failure);

// What a runner works with; its owner keeps it alive.
struct Setting {
  const model::EncoderPlan& plan;
  const text::Tokenizer& tokenizer;
  const NativeOptions& options;
  const std::vector<Place>& places;
};

// One caller at a time. The vectors of `out` have their final sizes, its sums are 0. A run that is
// stopped (NativeOptions::stop) ends early without an error of its own.
class Runner {
 public:
  Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  virtual ~Runner() = default;

  virtual void describe(ClassifierInfo& info) const = 0;
  virtual Result<void> run_batch(std::span<const Text> texts, BatchResult& out) = 0;
  virtual Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                                  StreamResult& out) = 0;
};

std::unique_ptr<Runner> make_cpu_runner(const Setting& setting);
std::unique_ptr<Runner> make_device_runner(const Setting& setting);

// A lane with the buffers that a group is packed into before it is uploaded.
struct Worker {
  const Place* place = nullptr;
  std::unique_ptr<ops::Lane> lane;
  std::vector<std::int32_t> ids, token_types, cu_seqlens, valid_len;

  // Errors: ops/memory.
  static Result<Worker> make(const Place& place, const ops::LaneLimits& limits);

  // Computes these texts of `work` together; each one's logits go to their place in `logits`.
  void run(const BatchWork& work, std::span<const std::uint32_t> texts, const Setting& setting,
           std::span<float> logits, StageSeconds& stages);
};

void add(StageSeconds& sum, const StageSeconds& more);

}  // namespace breakeven::engine

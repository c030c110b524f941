#include "engine/native.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>

#include "base/memory.h"
#include "base/units.h"
#include "engine/native_classifier.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/reference/reference.h"

namespace breakeven::engine {
namespace {

// Packed weights that some classifier still uses, by what they depend on.
class PackedCache {
 public:
  using Key = std::tuple<const LoadedModel*, std::string, ops::Precision, std::string, bool>;

  Result<std::shared_ptr<const ops::PackedModel>> get(const Key& key, ops::Backend& backend,
                                                      const ops::EncoderWeights& weights) {
    const std::lock_guard lock(mutex_);
    if (auto packed = packed_[key].lock()) return packed;
    BREAKEVEN_TRY(auto packed, backend.pack(weights));
    packed_[key] = packed;
    return packed;
  }

 private:
  std::mutex mutex_;
  std::map<Key, std::weak_ptr<const ops::PackedModel>> packed_;
};

PackedCache& packed_cache() {
  static PackedCache cache;
  return cache;
}

Result<void> check_options(const LoadedModel& model, const NativeOptions& options) {
  if (options.device != "cpu") {
    return fail("engine/device",
                fmt::format("the native engine has no device '{}' in this build", options.device),
                "use --device cpu");
  }
  if (options.max_batch == 0) {
    return fail("engine/batch", "a batch of 0 texts cannot be run", "give --batch 1 or more");
  }
  if (options.threads == 0) {
    return fail("engine/threads", "0 threads cannot compute anything",
                "give --threads 1 or more, or all");
  }
  const std::size_t positions = model.checkpoint.plan.positions;
  if (options.max_length > positions) {
    return fail("engine/max-length",
                fmt::format("--max-length {} is over the model's {} positions", options.max_length,
                            positions),
                fmt::format("give --max-length {} or less", positions));
  }
  if (options.max_length < 2) {
    return fail(
        "engine/max-length",
        fmt::format("--max-length {} leaves no room for [CLS] and [SEP]", options.max_length),
        "give --max-length 2 or more");
  }
  return {};
}

std::size_t bytes_a_weight(ops::Precision precision) {
  switch (precision) {
    case ops::Precision::fp32:
      return 4;
    case ops::Precision::bf16:
    case ops::Precision::fp16:
      return 2;
    case ops::Precision::int8:
      return 1;
  }
  return 4;
}

// Says what a model needs before it is taken: weights by their precision, and a scratch of the same
// size while they are packed.
Result<void> check_memory(const LoadedModel& model, const NativeOptions& options) {
  std::size_t parameters = 0;
  for (const model::TensorSpec& tensor : model.checkpoint.weights.table()) {
    std::size_t elements = 1;
    for (const std::size_t size : tensor.shape) elements *= size;
    parameters += elements;
  }
  const std::size_t need = parameters * bytes_a_weight(options.precision);
  const std::size_t available = available_memory_bytes();
  if (need <= available) return {};
  return fail("engine/memory",
              fmt::format("{} in {} needs {} for its weights; {} are available", model.name,
                          ops::to_string(options.precision), format_bytes(double(need)),
                          format_bytes(double(available))),
              "use a lower --precision or a machine with more memory");
}

Result<std::unique_ptr<ops::Backend>> make_backend(const NativeOptions& options) {
  if (options.reference) return ops::make_reference_backend();
  return ops::make_cpu_backend(
      {.precision = options.precision, .instruction_set = options.instruction_set});
}

}  // namespace

Result<std::unique_ptr<Classifier>> make_native(const std::shared_ptr<const LoadedModel>& model,
                                                const NativeOptions& options) {
  BREAKEVEN_TRY_VOID(check_options(*model, options));
  BREAKEVEN_TRY_VOID(check_memory(*model, options));
  BREAKEVEN_TRY(auto backend, make_backend(options));
  const PackedCache::Key key{model.get(), options.device, options.precision,
                             options.instruction_set, options.reference};
  BREAKEVEN_TRY(auto packed, packed_cache().get(key, *backend, model->checkpoint.weights.view()));
  return std::make_unique<NativeClassifier>(*model, options, std::move(backend), std::move(packed));
}

std::vector<ops::Precision> native_precisions(const std::string& device) {
  if (device != "cpu") return {};
  return ops::cpu_precisions();
}

}  // namespace breakeven::engine

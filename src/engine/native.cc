#include "engine/native.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "base/cpus.h"
#include "base/memory.h"
#include "base/units.h"
#include "engine/batch_work.h"
#include "engine/native_classifier.h"
#include "engine/placement.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/device_list.h"
#include "ops/reference/reference.h"

namespace breakeven::engine {
namespace {

// Packed weights that some classifier still uses, by what they depend on.
class PackedCache {
 public:
  // Model, device, precision, reference?, the instruction set that runs, whose GEMM (GPU).
  using Key =
      std::tuple<const LoadedModel*, Device, ops::Precision, bool, std::string, std::string>;

  Result<std::shared_ptr<const ops::PackedModel>> get(
      const Key& key, const std::shared_ptr<const LoadedModel>& model, ops::Backend& backend) {
    const std::lock_guard lock(mutex_);
    Entry& entry = packed_[key];
    if (auto packed = entry.packed.lock(); packed && entry.model.lock() == model) return packed;
    BREAKEVEN_TRY(auto packed, backend.pack(model->checkpoint.weights.view()));
    entry = {model, packed};
    return packed;
  }

 private:
  struct Entry {
    // A classifier outlives the model that it was made of, and another model may come to lie where
    // that one lay.
    std::weak_ptr<const LoadedModel> model;
    std::weak_ptr<const ops::PackedModel> packed;
  };
  std::mutex mutex_;
  std::map<Key, Entry> packed_;
};

PackedCache& packed_cache() {
  static PackedCache cache;
  return cache;
}

// Each GPU of a device as a device of its own; the CPU alone.
std::vector<Device> parts_of(const Device& device) {
  if (device.is_cpu()) return {device};
  std::vector<Device> parts;
  for (const int gpu : device.gpus) parts.push_back({{gpu}});
  return parts;
}

Result<void> check(const LoadedModel& model, const Setup& setup) {
  if (!setup.device.is_cpu() && !ops::cuda_engine_built()) {
    return fail(
        "engine/device",
        fmt::format("the native engine has no device '{}' in this build", to_string(setup.device)),
        "use --device cpu");
  }
  if (setup.batch == 0) {
    return fail("engine/batch", "a batch of 0 texts cannot be run", "give --batch 1 or more");
  }
  if (setup.threads == 0) {
    return fail("engine/threads", "0 threads cannot compute anything",
                "give --threads 1 or more, or all");
  }
  const std::size_t positions = model.checkpoint.plan.positions;
  if (setup.max_length > positions) {
    return fail("engine/max-length",
                fmt::format("--max-length {} is over the model's {} positions", setup.max_length,
                            positions),
                fmt::format("give --max-length {} or less", positions));
  }
  if (setup.max_length < 2) {
    return fail("engine/max-length",
                fmt::format("--max-length {} leaves no room for [CLS] and [SEP]", setup.max_length),
                "give --max-length 2 or more");
  }
  return {};
}

std::size_t bytes_a_weight(ops::Precision precision) {
  switch (precision) {
    case ops::Precision::fp32:
    case ops::Precision::fp32x3:  // two halves of two bytes
      return 4;
    case ops::Precision::bf16:
    case ops::Precision::fp16:
      return 2;
    case ops::Precision::int8:
    case ops::Precision::fp8:
      return 1;
  }
  return 4;
}

// Says what a model needs before it is taken: weights by their precision, and a scratch of the same
// size while they are packed.
Result<void> check_memory(const LoadedModel& model, const Setup& setup) {
  if (!setup.device.is_cpu()) return {};  // the device's own allocator says what it has
  std::size_t parameters = 0;
  for (const model::TensorSpec& tensor : model.checkpoint.weights.table()) {
    std::size_t elements = 1;
    for (const std::size_t size : tensor.shape) elements *= size;
    parameters += elements;
  }
  const std::size_t need = parameters * bytes_a_weight(setup.precision);
  const MemoryLeft left = memory_left();
  if (need <= left.bytes) return {};
  return fail(
      "engine/memory",
      fmt::format("{} in {} needs {} for its weights, and {}", model.name,
                  ops::to_string(setup.precision), format_bytes(double(need)), left.to_string()),
      left.advice() + ", use a lower --precision or a machine with more memory");
}

Result<std::unique_ptr<ops::Backend>> make_backend(const NativeOptions& options,
                                                   const Device& device) {
  if (options.reference) return ops::make_reference_backend();
  if (!device.is_cpu()) {
    return ops::make_cuda_backend(
        {.device = device.gpus.front(), .precision = options.setup.precision});
  }
  return ops::make_cpu_backend(
      {.precision = options.setup.precision, .instruction_set = options.instruction_set});
}

// A device with the model's weights on it.
Result<Place> make_place(const std::shared_ptr<const LoadedModel>& model,
                         const NativeOptions& options, const Device& device) {
  Place place;
  place.device = to_string(device);
  BREAKEVEN_TRY(place.backend, make_backend(options, device));
  const ops::BackendInfo info = place.backend->info();
  const PackedCache::Key key{
      model.get(),          device,   options.setup.precision, options.reference,
      info.instruction_set, info.gemm};
  try {
    BREAKEVEN_TRY(place.packed, packed_cache().get(key, model, *place.backend));
  } catch (const ops::DeviceFailure& failure) {
    return tl::unexpected<Error>(device_failed(place.device, failure));
  }
  return place;
}

}  // namespace

Result<std::unique_ptr<Classifier>> make_native(const std::shared_ptr<const LoadedModel>& model,
                                                const NativeOptions& options) {
  BREAKEVEN_TRY_VOID(check(*model, options.setup));
  BREAKEVEN_TRY_VOID(check_memory(*model, options.setup));
  std::vector<Place> places;
  const InterleavedMemory spread(place(read_topology(usable_cpus().ids), options.setup.threads));
  for (const Device& device : parts_of(options.setup.device)) {
    BREAKEVEN_TRY(Place place, make_place(model, options, device));
    places.push_back(std::move(place));
  }
  return std::make_unique<NativeClassifier>(*model, options, std::move(places));
}

std::vector<ops::Precision> native_precisions(const Device& device,
                                              const std::string& instruction_set) {
  if (device.is_cpu()) return ops::cpu_precisions(instruction_set);
  if (!ops::cuda_engine_built()) return {};
  const ops::GpuList list = ops::list_gpus();
  std::vector<ops::Precision> common = all_of<ops::Precision>();
  for (const int index : device.gpus) {
    if (static_cast<std::size_t>(index) >= list.gpus.size()) return {};
    const ops::Gpu& gpu = list.gpus[static_cast<std::size_t>(index)];
    const auto own = ops::cuda_precisions(gpu.major, gpu.minor);
    std::erase_if(common, [&](ops::Precision precision) {
      return std::find(own.begin(), own.end(), precision) == own.end();
    });
  }
  return common;
}

Result<std::string> native_instruction_set(const std::string& instruction_set) {
  return ops::cpu_instruction_set(instruction_set);
}

struct TextReader::Inside {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  Reading reading;
  std::unique_ptr<text::Tokenizer::Scratch, void (*)(text::Tokenizer::Scratch*)> scratch;
};

TextReader::TextReader(const LoadedModel& model, const NativeOptions& options)
    : inside_(new Inside{model.tokenizer,
                         reading_of(*model.tokenizer, model.checkpoint.plan.token_types,
                                    options.pair_cut, options.whole_tokens),
                         model.tokenizer->make_scratch()}) {
  inside_->reading.max_length = options.setup.max_length;
}

TextReader::~TextReader() = default;

void TextReader::read(const Text& text, TokenIds& made) {
  make_ids(*inside_->tokenizer, inside_->reading, text, *inside_->scratch, made);
}

}  // namespace breakeven::engine

#include "runtimes/pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <utility>

#include "base/clock.h"
#include "base/files.h"
#include "base/memory.h"
#include "runtimes/environment.h"
#include "runtimes/process_classifier.h"
#include "runtimes/scripts.h"
#include "runtimes/worker.h"

namespace breakeven::runtimes {
namespace {

// Answers at once, for bench/runtimes: what is left is the harness. Any Python runs it.
constexpr std::string_view kNullRuntime = "null";

// Stopped workers end, the oldest first, while less than this is free.
std::size_t wanted_free_bytes(const std::string& root) {
  constexpr std::size_t kLeast = 2ULL << 30;
  constexpr double kShare = 0.15;
  return std::max(kLeast,
                  static_cast<std::size_t>(kShare * static_cast<double>(total_memory_bytes(root))));
}

bool on_cpu(const WorkerSpec& spec) {
  return spec.device.is_cpu();
}

// So that the peak after loading can be told from the one of loading; without it the two are one.
void reset_peak_rss(int pid) {
  std::ofstream("/proc/" + std::to_string(pid) + "/clear_refs") << "5";
}

std::string in_words(const Ability& ability) {
  return fmt::format("{} {} {} ({})", ability.variant, to_string(ability.device),
                     to_string(ability.precision), list_names(ability.paddings));
}

bool fits(const WorkerSpec& wanted, const Ability& ability) {
  return (wanted.runtime.variant.empty() || wanted.runtime.variant == ability.variant) &&
         wanted.device == ability.device && wanted.precision == ability.precision &&
         std::find(ability.paddings.begin(), ability.paddings.end(), wanted.padding) !=
             ability.paddings.end();
}

// `wanted` with its variant, if the runtime can do it.
Result<WorkerSpec> resolve(const WorkerSpec& wanted, const Capabilities& capabilities) {
  std::string known;
  for (const Ability& ability : capabilities.abilities) {
    if (fits(wanted, ability)) {
      WorkerSpec resolved = wanted;
      resolved.runtime.variant = ability.variant;
      return resolved;
    }
    known += (known.empty() ? "" : "; ") + in_words(ability);
  }
  return fail(
      "runtime/unsupported",
      fmt::format("runtime {} cannot do {}", wanted.runtime.name,
                  in_words({wanted.runtime.variant.empty() ? "any variant" : wanted.runtime.variant,
                            wanted.device,
                            wanted.precision,
                            {wanted.padding}})),
      known.empty() ? "" : "it can: " + known);
}

}  // namespace

std::span<const std::string_view> known_runtimes() {
  static constexpr std::array<std::string_view, 4> kNames = {"pytorch", "onnxruntime", "openvino",
                                                             "ctranslate2"};
  return kNames;
}

Pool::Pool(PoolOptions options) : options_(std::move(options)) {}

Pool::~Pool() {
  for (const auto& slot : slots_) end(*slot);
}

Result<std::string> Pool::interpreter_of(const std::string& runtime) const {
  const auto named = options_.interpreters.find(runtime);
  if (named != options_.interpreters.end()) return named->second;
  if (runtime == kNullRuntime) return "python3";
  return find_interpreter(runtime, {});
}

Result<std::unique_ptr<Worker>> Pool::start(const std::string& runtime) {
  std::string scripts = options_.scripts;
  if (scripts.empty()) {
    BREAKEVEN_TRY(scripts, scripts_folder());
  }
  const std::string script = (std::filesystem::path(scripts) / (runtime + ".py")).string();
  if (!is_there(script)) {
    return fail("runtime/unknown", fmt::format("there is no runtime '{}'", runtime),
                fmt::format("known are: native, {}", fmt::join(known_runtimes(), ", ")));
  }
  BREAKEVEN_TRY(const std::string interpreter, interpreter_of(runtime));
  const std::string pytorch = interpreter_of("pytorch").value_or("");
  make_room();
  return Worker::start(
      {runtime, interpreter, script, pytorch, options_.limits, options_.progress, options_.stop});
}

Result<Capabilities> Pool::capabilities(const std::string& runtime) {
  if (const auto known = capabilities_.find(runtime); known != capabilities_.end()) {
    return known->second;
  }
  auto worker = start(runtime);
  if (!worker) {
    Result<Capabilities> failed = propagate(std::move(worker));
    // Asked again it would be as slow to fail; an interruption is no property of the runtime.
    if (failed.error().code != "runtime/interrupted") capabilities_.emplace(runtime, failed);
    return failed;
  }
  // It has imported its libraries: the first that is to load a model goes on from here.
  Slot& slot = keep(*std::move(worker));
  const Capabilities found = slot.worker->capabilities();
  capabilities_.emplace(runtime, found);
  release(slot);
  return found;
}

Result<std::unique_ptr<Classifier>> Pool::make(const WorkerSpec& wanted) {
  BREAKEVEN_TRY(const Capabilities known, capabilities(wanted.runtime.name));
  BREAKEVEN_TRY(const WorkerSpec spec, resolve(wanted, known));
  BREAKEVEN_TRY(Slot* const slot, loaded_slot(spec));
  return std::make_unique<ProcessClassifier>(*slot->worker, [this, slot] { release(*slot); });
}

// A slot that is held and runs.
Result<Pool::Slot*> Pool::loaded_slot(const WorkerSpec& spec) {
  if (Slot* const slot = find(spec); slot != nullptr) {
    if (slot->held) {
      return fail("runtime/busy", fmt::format("runtime {}: a classifier of the same spec lives",
                                              spec.runtime.name));
    }
    if (slot->worker->running()) {
      slot->held = true;
      slot->worker->resume();
      return slot;
    }
    drop(*slot);  // it died while it was stopped
  }
  Slot* slot = find_unloaded(spec.runtime.name);
  if (slot == nullptr) {
    BREAKEVEN_TRY(auto worker, start(spec.runtime.name));
    slot = &keep(std::move(worker));
  }
  slot->held = true;
  slot->worker->resume();
  make_room();
  slot->loaded = true;
  if (auto loaded = slot->worker->load(spec); !loaded) {
    end(*slot);
    drop(*slot);
    return propagate(std::move(loaded));
  }
  slot->worker->compare_ids(options_.ids);
  return slot;
}

Result<FreshWorker> Pool::measure_fresh(const WorkerSpec& wanted, std::span<const Text> texts,
                                        bool stream) {
  BREAKEVEN_TRY(const Capabilities known, capabilities(wanted.runtime.name));
  BREAKEVEN_TRY(const WorkerSpec spec, resolve(wanted, known));
  BREAKEVEN_TRY(const auto worker, start(spec.runtime.name));
  BREAKEVEN_TRY_VOID(worker->load(spec));
  FreshWorker fresh;
  fresh.started_s = worker->started_s();
  fresh.loaded_s = monotonic_clock().now_s();
  fresh.weight_bytes = worker->loaded().weight_bytes.value_or(0);
  BREAKEVEN_TRY(const MemoryUse loading, worker->memory());
  fresh.loading_peak_rss_bytes = loading.peak_rss_bytes;
  reset_peak_rss(worker->pid());
  BREAKEVEN_TRY(const auto all, worker->indices_of(texts));
  const std::size_t step = stream ? all.size() : spec.batch;
  for (std::size_t begin = 0; begin < all.size(); begin += step) {
    const auto batch = std::span(all).subspan(begin, std::min(step, all.size() - begin));
    BREAKEVEN_TRY(const Classified classified,
                  stream ? worker->stream(batch, spec.batch) : worker->run(batch));
    if (begin == 0) fresh.first_label_s = classified.end_s;
  }
  BREAKEVEN_TRY(const MemoryUse peak, worker->memory());
  fresh.peak_rss_bytes = peak.peak_rss_bytes;
  fresh.device_peak_bytes = peak.device_peak_bytes;
  worker->end();
  return fresh;
}

Pool::Slot* Pool::find(const WorkerSpec& spec) {
  for (const auto& slot : slots_) {
    if (slot->loaded && slot->worker->spec() == spec) return slot.get();
  }
  return nullptr;
}

Pool::Slot* Pool::find_unloaded(const std::string& runtime) {
  for (const auto& slot : slots_) {
    if (!slot->loaded && slot->worker->capabilities().runtime == runtime &&
        slot->worker->running()) {
      return slot.get();
    }
  }
  return nullptr;
}

Pool::Slot& Pool::keep(std::unique_ptr<Worker> worker) {
  slots_.push_back(std::make_unique<Slot>());
  slots_.back()->worker = std::move(worker);
  return *slots_.back();
}

void Pool::release(Slot& slot) {
  slot.held = false;
  slot.used = ++releases_;
  if (slot.worker->running() && (!slot.loaded || on_cpu(slot.worker->spec()))) {
    slot.worker->pause();
    make_room();
  } else {
    end(slot);
    drop(slot);
  }
}

void Pool::end(Slot& slot) {
  slot.worker->resume();
  slot.worker->end();
}

void Pool::drop(const Slot& slot) {
  std::erase_if(slots_, [&](const auto& other) { return other.get() == &slot; });
}

void Pool::make_room() {
  const std::size_t wanted = wanted_free_bytes(options_.root);
  while (available_memory_bytes(options_.root) < wanted) {
    Slot* oldest = nullptr;
    for (const auto& slot : slots_) {
      if (!slot->held && (oldest == nullptr || slot->used < oldest->used)) oldest = slot.get();
    }
    if (oldest == nullptr) return;
    end(*oldest);
    drop(*oldest);
  }
}

}  // namespace breakeven::runtimes

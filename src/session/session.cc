#include "session/session.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>

#include "base/files.h"
#include "engine/export.h"
#include "engine/placement.h"

namespace breakeven::session {

Result<std::unique_ptr<Session>> Session::open(Options options) {
  std::unique_ptr<Session> session(new Session(std::move(options)));
  const Options& given = session->options_;
  const Wanted wanted{includes_native(given.runtimes), includes_others(given.runtimes)};
  const auto& devices = given.devices;
  if (wanted.native && std::find(devices.begin(), devices.end(), Device{}) != devices.end()) {
    BREAKEVEN_TRY_VOID(engine::native_instruction_set(given.instruction_set));
  }
  if (wanted.others) {
    runtimes::PoolOptions pool;
    pool.interpreters = given.interpreters;
    pool.stop = given.stop;
    pool.progress = [self = session.get()](std::string_view what, double done) {
      if (self->loading) self->loading(what, done);
    };
    pool.ids = [self = session.get()](const Text& text, std::uint64_t max_length) {
      return self->ids_of(text, max_length);
    };
    session->pool_ = std::make_unique<runtimes::Pool>(std::move(pool));
  }
  BREAKEVEN_TRY(session->model_, load_model(given.model, wanted));
  if (const std::string& why = session->model_.refusal; !why.empty()) {
    session->notes_.push_back(fmt::format("the native engine does not run this model ({})", why));
  }
  if (const auto& loaded = session->model_.loaded) session->notes_ = loaded->checkpoint.notes;
  session->axes_ = {native_axis(devices, given.instruction_set)};
  return session;
}

std::optional<std::uint32_t> Session::ids_of(const Text& text, std::uint64_t max_length) {
  if (native_model() == nullptr) return std::nullopt;
  const text::Tokenizer& tokenizer = *native_model()->tokenizer;
  text::EncodeOptions options;
  options.max_length = std::min<std::size_t>(max_length, facts().length_limit);
  std::vector<std::int32_t> ids;
  tokenizer.encode(text, options, *tokenizer.make_scratch(), ids);
  static_assert(std::endian::native == std::endian::little);
  return static_cast<std::uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(ids.data()), ids.size() * sizeof ids[0]));
}

Result<void> Session::ask_runtimes(std::uint64_t max_length) {
  if (!pool_) return {};
  BREAKEVEN_TRY(RuntimeAxes found,
                find_axes(options_.runtimes, options_.devices, options_.instruction_set, *pool_));
  axes_ = std::move(found.axes);
  for (std::string& note : found.notes) notes_.push_back(std::move(note));
  auto other = choose_other_judge(axes_);
  if (model_.loaded) {
    other_judge_ = std::move(other);
    return {};
  }
  if (!other) {
    return fail("runtime/no-judge",
                "none of these runtimes has fp32 on the CPU, which judges the outputs",
                "add --runtime pytorch");
  }
  judge_ = *std::move(other);
  study::Spec spec = judge_;
  spec.threads = engine::default_threads();
  spec.max_length = max_length;
  spec.batch = 8;  // the judge's: its worker is the one that will judge
  BREAKEVEN_TRY(const std::unique_ptr<Classifier> judge, make(spec));
  const ClassifierInfo info = judge->info();
  model_.facts.labels = info.labels;
  model_.facts.problem = info.problem;
  return {};
}

// What a worker must be told. Writes the model to the cache if it exists in memory only.
Result<runtimes::WorkerSpec> Session::worker_spec(const study::Spec& spec) const {
  runtimes::WorkerSpec worker{static_cast<const Setup&>(spec)};
  worker.model_folder = model_.facts.folder;
  if (model_.loaded) {
    BREAKEVEN_TRY(const std::string cache, cache_folder());
    BREAKEVEN_TRY(worker.model_folder,
                  engine::folder_for_others(*model_.loaded, cache + "/models"));
  }
  return worker;
}

Result<std::unique_ptr<Classifier>> Session::make(const study::Spec& spec,
                                                  const std::atomic<bool>* stop) const {
  if (!spec.runtime.is_native()) {
    BREAKEVEN_TRY(const runtimes::WorkerSpec worker, worker_spec(spec));
    return pool_->make(worker);
  }
  engine::NativeOptions options = native_options(spec, options_.instruction_set);
  options.stop = stop;
  return engine::make_native(model_.loaded, options);
}

Result<runtimes::FreshWorker> Session::measure_fresh(const study::Spec& spec,
                                                     std::span<const Text> texts,
                                                     bool stream) const {
  BREAKEVEN_TRY(const runtimes::WorkerSpec worker, worker_spec(spec));
  return pool_->measure_fresh(worker, texts, stream);
}

engine::NativeOptions native_options(const study::Spec& spec, const std::string& instruction_set) {
  return {.setup = static_cast<const Setup&>(spec),
          .instruction_set = instruction_set,
          .reference = spec.reference};
}

}  // namespace breakeven::session

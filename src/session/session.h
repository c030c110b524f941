// A model, the devices and the runtimes that may run it, put together: what `breakeven run`, a
// server and a Python module start from. Prints nothing, ends no process, keeps nothing outside of
// the object.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "classifier/classifier.h"
#include "engine/native.h"
#include "runtimes/pool.h"
#include "session/axes.h"
#include "session/model.h"
#include "study/plan.h"

namespace breakeven::session {

struct Options {
  std::string model{};  // as engine::ModelChoice has it
  std::vector<RuntimeChoice> runtimes = {RuntimeChoice{}};
  std::map<std::string, std::string> interpreters{};  // of other runtimes, by name
  std::vector<Device> devices = {Device{}};
  std::string instruction_set{};            // of the native engine; "" = the best here
  const std::atomic<bool>* stop = nullptr;  // ends a wait for another runtime
};

class Session {
 public:
  // Loads the model. A session of the native engine alone is then ready for make(). Errors: those
  // of load_model.
  static Result<std::unique_ptr<Session>> open(Options options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() = default;

  // Asks every runtime what it can do, which starts it, and settles who judges; a model that the
  // native engine refuses tells its labels, too. `max_length`: of the classifier asked for these.
  // Errors: those of find_axes and make(); runtime/no-judge.
  Result<void> ask_runtimes(std::uint64_t max_length);

  // A classifier of this program or of another runtime. Errors: those of engine::make_native and of
  // runtimes::Pool::make. `stop`: of this program's classifiers, as engine::NativeOptions has it.
  Result<std::unique_ptr<Classifier>> make(const study::Spec& spec,
                                           const std::atomic<bool>* stop = nullptr) const;
  // Of another runtime: a process that is there for this alone. Errors: as make().
  Result<runtimes::FreshWorker> measure_fresh(const study::Spec& spec, std::span<const Text> texts,
                                              bool stream) const;

  const Options& options() const { return options_; }
  const ModelFacts& facts() const { return model_.facts; }
  // null: the native engine refuses the model
  const engine::LoadedModel* native_model() const { return model_.loaded.get(); }
  const std::vector<study::RuntimeAxis>& axes() const { return axes_; }
  const study::Spec& judge() const { return judge_; }
  const std::optional<study::Spec>& other_judge() const { return other_judge_; }
  // What a person should know before anything is measured.
  const std::vector<std::string>& notes() const { return notes_; }

  // Where another runtime says what it does while it loads ("converting", 0.3); may be empty.
  std::function<void(std::string_view what, double done)> loading;

 private:
  explicit Session(Options options) : options_(std::move(options)) {}
  Result<runtimes::WorkerSpec> worker_spec(const study::Spec& spec) const;
  // As PoolOptions::ids; nothing without a native model.
  std::optional<std::uint32_t> ids_of(const Text& text, std::uint64_t max_length);

  Options options_;
  Model model_;
  std::unique_ptr<runtimes::Pool> pool_;  // null when only the native engine is asked for
  std::vector<study::RuntimeAxis> axes_;
  study::Spec judge_;
  std::optional<study::Spec> other_judge_;
  std::vector<std::string> notes_;
};

// What the native engine is told of a spec.
engine::NativeOptions native_options(const study::Spec& spec, const std::string& instruction_set);

}  // namespace breakeven::session

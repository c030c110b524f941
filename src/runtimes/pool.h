// Other runtimes as Classifiers: each is a process of its own that speaks the protocol of
// docs/runtimes.md over stdin and stdout. It times itself on the clock that we use, so that no pipe
// is inside a measured interval.
#pragma once

#include <atomic>
#include <cstdint>
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

namespace breakeven::runtimes {

class Worker;

// The names that `--runtime` knows beside "native".
std::span<const std::string_view> known_runtimes();  // pytorch, onnxruntime, openvino, ctranslate2

struct Capabilities {
  std::string runtime, version, tokenizer;
  std::vector<Ability> abilities;  // the first's variant is the default
};

// Its largest batch, and no mode.
struct WorkerSpec : Setup {
  std::string model_folder{};
  bool operator==(const WorkerSpec&) const = default;
};

// CRC-32 of a text's right token ids, cut at this length (docs/runtimes.md); nothing where they are
// not known.
using IdsOf =
    std::function<std::optional<std::uint32_t>(const Text& text, std::uint64_t max_length)>;

// Seconds after which a silent worker is given up, by what it was asked.
struct TimeLimits {
  double hello_s = 120;  // importing the libraries
  double load_s = 1800;  // converting, quantising and compiling; each progress line starts it anew
  double run_s = 600;    // one batch, one stream
  double shutdown_s = 5;
};

struct PoolOptions {
  // Interpreter by runtime, as the user named it; a runtime that is not in here is looked for in
  // its own environment (environment.h).
  std::map<std::string, std::string> interpreters{};
  TimeLimits limits{};
  // Where a worker says what it does while it loads: "converting", 0.3. May be empty.
  std::function<void(std::string_view what, double done)> progress{};
  IdsOf ids{};                              // empty: a worker's ids are not compared
  const std::atomic<bool>* stop = nullptr;  // set: a wait ends with runtime/interrupted
  std::string scripts{};   // the folder of the workers' NAME.py; "" = the program's own
  std::string root = "/";  // where the memory's files are read; another one in tests
};

// Memory and cold start of a worker that was made for this alone. Times on the monotonic clock.
struct FreshWorker {
  double started_s = 0, loaded_s = 0, first_label_s = 0;
  std::uint64_t weight_bytes = 0;  // 0 = the runtime does not say
  std::uint64_t peak_rss_bytes = 0, loading_peak_rss_bytes = 0;
  std::optional<std::uint64_t> device_peak_bytes;  // by the runtime's own count
};

// The workers of a study. A worker that nobody holds is stopped (CPU: SIGSTOP, so that it takes no
// time from others; the oldest end when memory gets short) or ended (GPU: it would hold device
// memory). Not thread-safe; outlives its classifiers.
class Pool {
 public:
  explicit Pool(PoolOptions options);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();  // ends every worker

  // What a runtime can do here; asked once. Errors: runtime/missing (not set up, with the line that
  // sets it up), those of a worker.
  Result<Capabilities> capabilities(const std::string& runtime);

  // A classifier on a worker of this spec, started or woken; a variant "" takes the first that can
  // do the rest. The worker stops or ends with the classifier; a
  // second one of the same spec while the first lives is runtime/busy. Errors, here and of the
  // classifier's calls, each with the last line of the worker's stderr: runtime/missing,
  // runtime/unsupported (also: what it can do), runtime/start, runtime/died, runtime/time-limit,
  // runtime/garbage (an answer that the protocol does not know), runtime/clock (times that cannot
  // be), runtime/refused (its own error; only after this, unsupported and missing does the
  // classifier go on), runtime/interrupted.
  Result<std::unique_ptr<Classifier>> make(const WorkerSpec& spec);

  // A new process that classifies `texts` once in batches of max_batch (`stream`: as a stream,
  // whose first label counts as there when the whole stream is). peak_rss_bytes is of the time
  // after loading. Errors: as make().
  Result<FreshWorker> measure_fresh(const WorkerSpec& spec, std::span<const Text> texts,
                                    bool stream);

 private:
  // A worker, and whether a classifier holds it.
  struct Slot {
    std::unique_ptr<Worker> worker;
    bool loaded = false, held = false;
    std::uint64_t used = 0;  // when it was last let go, as a running number
  };

  Result<std::string> interpreter_of(const std::string& runtime) const;
  Result<std::unique_ptr<Worker>> start(const std::string& runtime);
  Result<Slot*> loaded_slot(const WorkerSpec& spec);
  Slot* find(const WorkerSpec& spec);
  Slot* find_unloaded(const std::string& runtime);
  Slot& keep(std::unique_ptr<Worker> worker);
  void release(Slot& slot);
  void drop(const Slot& slot);
  void make_room();
  static void end(Slot& slot);

  PoolOptions options_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::map<std::string, Result<Capabilities>> capabilities_;
  std::uint64_t releases_ = 0;
};

}  // namespace breakeven::runtimes

// One worker: a process that runs one model on one runtime, asked by the protocol of
// docs/runtimes.md. Any failure but a refusal ends it; every later question gets the same error.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/process.h"
#include "base/result.h"
#include "base/text.h"
#include "runtimes/pool.h"
#include "runtimes/protocol.h"

namespace breakeven::runtimes {

struct WorkerOptions {
  std::string runtime;  // for messages, and what it must say that it is
  std::string interpreter, script;
  std::string pytorch;  // PyTorch's Python; "" = there is none
  TimeLimits limits{};
  std::function<void(std::string_view what, double done)> progress{};
  const std::atomic<bool>* stop = nullptr;
};

// When an answer is too late: `limit_s` after the question or after the last line of progress, but
// four times that after the question, whatever progress is told.
class AnswerDeadline {
 public:
  AnswerDeadline(double asked_s, double limit_s)
      : limit_s_(limit_s), last_s_(asked_s + kLimitsWithProgress * limit_s) {}
  double after(double told_s) const { return std::min(told_s + limit_s_, last_s_); }

 private:
  static constexpr double kLimitsWithProgress = 4;
  double limit_s_, last_s_;
};

// Errors of every question: runtime/died, runtime/time-limit, runtime/garbage, runtime/clock,
// runtime/refused, runtime/unsupported, runtime/interrupted. Not thread-safe.
class Worker {
 public:
  // Starts the process and says hello. Errors also: runtime/start.
  static Result<std::unique_ptr<Worker>> start(const WorkerOptions& options);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() = default;  // kills the process

  int pid() const { return process_->pid(); }
  double started_s() const { return started_s_; }  // right before the process was made
  const Capabilities& capabilities() const { return capabilities_; }

  // Once. `spec` with its variant.
  Result<void> load(const WorkerSpec& spec);
  const WorkerSpec& spec() const { return spec_; }
  const Loaded& loaded() const { return loaded_; }

  // Sends those texts that the worker does not have; a text is known by its content.
  Result<std::vector<std::uint32_t>> indices_of(std::span<const Text> texts);
  // From now on the ids of texts that are sent are compared; never of a worker whose first label is
  // timed, because it tokenizes them for that.
  void compare_ids(IdsOf right) { right_ids_ = std::move(right); }
  // Texts that the worker gave other token ids than the native tokenizer, among those that were
  // compared.
  std::size_t other_ids() const { return other_ids_; }
  std::size_t compared_ids() const { return compared_ids_; }
  Result<Classified> run(std::span<const std::uint32_t> indices);
  Result<Classified> stream(std::span<const std::uint32_t> indices, std::size_t batch);
  Result<MemoryUse> memory();

  bool running();  // it has not failed, and its process lives
  void pause() { process_->pause(); }
  void resume() { process_->resume(); }
  // Asks it to end, and kills it when it does not.
  void end();

 private:
  explicit Worker(const WorkerOptions& options) : options_(options) {}

  // Which request, for messages, and how long its answer may take.
  struct Question {
    const char* name;
    double limit_s;
  };
  Result<Reply> ask(const Question& question, const std::string& request);
  // Hands a value on, or fails for good with what is wrong with it.
  template <class T>
  Result<T> settle(const Question& question, Result<T> value);
  Result<Classified> classify(const Question& question, const std::string& request,
                              std::size_t texts, bool stream);
  Result<void> send_texts(std::span<const Text> texts);
  std::string in_words(const Question& question, const std::string& what) const;
  Error failure_of(AskEnd end, const Question& question) const;
  Error fail_for_good(Error error);

  WorkerOptions options_;
  std::unique_ptr<Process> process_;
  double started_s_ = 0;
  double sent_s_ = 0, received_s_ = 0;  // of the last question
  std::uint64_t id_ = 0;                // of the last request
  IdsOf right_ids_;                     // may be empty
  std::size_t other_ids_ = 0, compared_ids_ = 0;
  Capabilities capabilities_;
  WorkerSpec spec_;
  Loaded loaded_;
  struct TextKey {
    std::size_t hash, bytes;
    bool operator==(const TextKey&) const = default;
  };
  static TextKey key_of(const Text& text);
  struct HashOfKey {
    std::size_t operator()(const TextKey& key) const { return key.hash; }
  };
  std::unordered_map<TextKey, std::uint32_t, HashOfKey> index_of_;
  std::optional<Error> failure_;
};

}  // namespace breakeven::runtimes

// What Python's pipeline does, without Python: a model on a device, calls that take turns on it,
// and counts of what went through.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/problem_type.h"
#include "base/result.h"
#include "base/text.h"
#include "classifier/classifier.h"
#include "record/record.h"
#include "session/session.h"

namespace breakeven::python {

struct PipelineOptions {
  std::string model{};  // as engine::ModelChoice has it
  std::string device = "auto";
  std::string precision = "fp32";
  std::uint64_t threads = 0;     // 0 = those that make sense here
  std::uint64_t max_length = 0;  // tokens at which texts are cut; 0 = the model's, 512 at most
  std::uint64_t batch = 32;      // texts a batch at most
};

// Of n texts and C labels.
struct Answers {
  std::vector<float> logits;          // [n, C]
  std::vector<std::uint32_t> labels;  // [n] index of the highest score
  std::vector<float> scores;          // [n]
};

// Since the pipeline was made.
struct Stats {
  std::uint64_t texts = 0, tokens = 0;  // tokens: after truncation
  std::uint64_t truncated = 0;          // texts
  double seconds = 0;                   // text to label, of all calls
};

// One call of Python's: one run() or several, which Pipeline::interrupt() ends.
class Call {
 public:
  bool stopped() const { return stop_; }

 private:
  friend class Pipeline;
  std::atomic<bool> stop_{false};
  Stats done_;  // of its runs so far
};

class Pipeline {
 public:
  // Loads the model and packs its weights. Errors: those of ops::select_devices, device/one,
  // precision/unknown, session::Session::open and Session::make.
  static Result<std::shared_ptr<Pipeline>> open(const PipelineOptions& options);

  // From any thread; callers take turns, and each has the whole device. Errors: engine/stopped,
  // those of Classifier::run_stream.
  Result<void> run(std::span<const Text> texts, Answers& out, Call& call);
  // What went through in a call whose runs all went well counts from now on.
  void count(const Call& call);
  // By another thread than the one that is in run(): it ends within one op of a layer.
  void interrupt(Call& call);

  const ClassifierInfo& info() const { return info_; }
  const std::vector<std::string>& notes() const { return notes_; }
  const std::string& folder() const { return folder_; }  // where the model's files lie
  ScoreFunction function() const { return function_; }   // the model's own
  Stats stats() const;
  // What a record says of it before anything is timed.
  const record::Record& prototype() const { return prototype_; }

 private:
  Pipeline() = default;
  Result<void> take_turn(Call& call);
  void end_turn(Call& call);

  std::unique_ptr<Classifier> classifier_;
  ClassifierInfo info_;
  record::Record prototype_;
  std::vector<std::string> notes_;
  std::string folder_;
  ScoreFunction function_ = ScoreFunction::softmax;
  StreamResult stream_;  // of the call whose turn it is, as are batch_ and stop_
  BatchResult batch_;
  std::atomic<bool> stop_{false};

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable turn_;
  Call* current_ = nullptr;
  Stats stats_;
};

}  // namespace breakeven::python

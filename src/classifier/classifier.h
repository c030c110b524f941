// What the measuring side knows of an engine: texts in host memory go in, labels in host memory
// come out, and every stage on the way has a time. The native engine and every other runtime are
// Classifiers; nothing in measure/, study/ or report/ knows more about them than this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/problem_type.h"
#include "base/result.h"
#include "base/text.h"
#include "setup/setup.h"

namespace breakeven {

// `batch` is the largest one it takes; the mode, and what only paced mode has, are the caller's.
struct ClassifierInfo : Setup {
  std::string instruction_set{};  // what ran: "avx512_core_amx"
  std::string model_name{};
  std::string tokenizer{};  // who tokenised: "breakeven", "tokenizers 0.22.2"
  ProblemType problem = ProblemType::single_label;
  std::vector<std::string> labels{};  // by index
  std::size_t weight_bytes = 0;       // packed weights
  std::size_t activation_bytes = 0;   // arenas of all lanes
  // Device memory that the engine's own allocator had handed out at most; absent on the CPU, where
  // weights and activations are host memory.
  std::optional<std::size_t> device_peak_bytes{};
  double other_ids = 0;  // share of the texts whose token ids are not the native tokenizer's
  std::map<std::string, std::string> settings{};  // a runtime's version, hints, streams ...
  std::vector<int> processes{};  // that do its work beside this one: their CPU time is not foreign
};

// Seconds spent in each stage of one batch. In serial mode they add up to the batch's total.
struct StageSeconds {
  double tokenize = 0;
  double pack = 0;    // choose groups, copy ids
  double upload = 0;  // host -> device; 0 on the CPU
  double compute = 0;
  double download = 0;  // device -> host; 0 on the CPU
  double decode = 0;    // logits -> label and score
  // Of compute, by the device's own events, where it has them: the rest is launches and waiting.
  double device_compute = 0;
  double sum() const { return tokenize + pack + upload + compute + download + decode; }
};

// The answer to one batch of B texts. Buffers are reused from batch to batch.
struct BatchResult {
  std::vector<float> logits;          // [B, C]
  std::vector<std::uint32_t> labels;  // [B] index of the label with the highest score
  std::vector<float> scores;          // [B]
  std::vector<std::uint32_t> tokens;  // [B] real tokens of each text, [CLS] and [SEP] included
  std::vector<std::uint8_t> cut;      // [B] 1 where the text had more tokens than max_length
  std::vector<std::uint32_t> whole_tokens;  // [B] before it was cut, where the maker asked for it
  std::size_t computed_tokens = 0;          // rows really computed, padding included
  StageSeconds stages;
  // Text to label by the clock of the process that did it (CLOCK_MONOTONIC, as ours), so that no
  // pipe is inside; 0 = the caller times the call.
  double seconds = 0;
};

// What came of classifying many texts with several batches in flight.
struct StreamResult {
  std::vector<float> logits;          // [n, C] in the order of the texts
  std::vector<std::uint32_t> labels;  // [n]
  std::vector<float> scores;          // [n]
  std::vector<std::uint32_t> tokens;  // [n]
  std::vector<std::uint8_t> cut;      // [n]
  std::size_t computed_tokens = 0;
  unsigned batches_in_flight = 0;  // at most
  StageSeconds busy;               // summed over all workers; may exceed the wall time
  double seconds = 0;              // as BatchResult's, of all texts
};

class Classifier {
 public:
  Classifier() = default;
  Classifier(const Classifier&) = delete;
  Classifier& operator=(const Classifier&) = delete;
  virtual ~Classifier() = default;

  virtual ClassifierInfo info() const = 0;

  // One batch, alone on the machine, all threads on it: text in host memory -> label in host
  // memory. texts.size() may be anything from 1 to the batch size that the classifier was made for.
  virtual Result<void> run_batch(std::span<const Text> texts, BatchResult& out) = 0;

  // All texts, cut into batches of `batch` in their order, pipelined over the classifier's workers.
  virtual Result<void> run_stream(std::span<const Text> texts, std::size_t batch,
                                  StreamResult& out) = 0;
};

}  // namespace breakeven

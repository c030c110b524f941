// The native Classifier: tokenizer, packer, lanes, one forward pass on the chosen device.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "classifier/classifier.h"
#include "engine/load.h"
#include "ops/ops.h"

namespace breakeven::engine {

struct NativeOptions {
  Setup setup{};  // without runtime and mode; several GPUs: one stream of batches on all of them
  text::PairCut pair_cut = text::PairCut::longest_first;
  std::string instruction_set{};  // force one ("avx2", "avx512_core" ...); "" = the best here
  bool whole_tokens = false;      // BatchResult has them: a text that is cut is read to its end
  bool reference = false;         // the plain fp32 loops, the judge of all others
  const Clock* clock = &monotonic_clock();  // of the stages' seconds
  // Whoever sets it ends the run that is under way, with engine/stopped: on a CPU between two ops
  // of a layer, on a GPU between two groups. null: a run ends by itself only.
  const std::atomic<bool>* stop = nullptr;
  bool stopped() const { return stop != nullptr && stop->load(std::memory_order_relaxed); }
};

// The classifier keeps the packed weights and the tokenizer, but not the model's fp32 weights: drop
// `model` to free them. Classifiers of the same model, device, precision and instruction set that
// live at the same time share their packed weights. Lanes (arenas and threads) are made by the
// first batch of each mode, so that a cell's arena is sized for that cell; after that a pass
// allocates nothing. Errors: engine/device, engine/max-length (over the model's positions),
// engine/batch, engine/threads, engine/memory, ops/unsupported, device/failed (a GPU).
Result<std::unique_ptr<Classifier>> make_native(const std::shared_ptr<const LoadedModel>& model,
                                                const NativeOptions& options);

// Makes ids as a classifier of the model and the options makes them, while that one computes: for
// Text::ready. For one thread at a time.
class TextReader {
 public:
  TextReader(const LoadedModel& model, const NativeOptions& options);
  ~TextReader();
  TextReader(const TextReader&) = delete;
  TextReader& operator=(const TextReader&) = delete;
  void read(const Text& text, TokenIds& made);

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

// Precisions that the device can really run fast (no emulation), in the order fp32, fp32x3, bf16,
// fp16, int8; of several GPUs those that all of them have.
// `instruction_set`: of the CPU, as NativeOptions has it.
std::vector<ops::Precision> native_precisions(const Device& device,
                                              const std::string& instruction_set = "");

// The set that `instruction_set` ("" = the best here) means on this CPU below BREAKEVEN_ISA.
// Errors: ops/unsupported (no AVX2), ops/instruction-set.
Result<std::string> native_instruction_set(const std::string& instruction_set = "");

}  // namespace breakeven::engine

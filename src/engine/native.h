// The native Classifier: tokenizer, packer, lanes, one forward pass on the chosen device.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "classifier/classifier.h"
#include "model/checkpoint.h"
#include "ops/ops.h"
#include "text/tokenizer.h"

namespace breakeven::engine {

// A model as loaded: fp32 weights and its tokenizer. Shared by every cell that runs it.
struct LoadedModel {
  std::string
      name;  // "distilbert-base-uncased-finetuned-sst-2-english", "builtin (6 x 768)", a folder
  std::string folder;  // where its files lie
  std::string
      note;  // what a reader must know ("the real model is not in the cache: ..."); may be empty
  model::Checkpoint checkpoint;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  bool widened = false;  // in memory only: `folder` holds the narrow one (engine/export.h)
};

struct ModelChoice {
  // "" = the default model if the Hugging Face cache has it, else the built-in one; "builtin",
  // "builtin-narrow"; a folder; or a name in the cache.
  std::string model;
};
// Errors: those of hub/, model/ and text/; model/vocabulary when the tokenizer does not fit the
// embedding.
Result<std::shared_ptr<const LoadedModel>> load_model(const ModelChoice& choice);

// Where the files of a model lie that this engine may refuse: a folder, or a name in the cache.
// Errors: those of hub::find_cached.
Result<std::string> find_folder(const std::string& model);

// The tokenizer alone, for those who need no weights: what load_model would give, in milliseconds.
struct LoadedTokenizer {
  std::string folder;
  std::string note;  // as LoadedModel's
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::size_t max_length = 0;  // default_max_length() of the model
};
// A folder needs tokenizer files only. Errors: those of hub/ and text/, model/no-builtin.
Result<LoadedTokenizer> load_tokenizer(const ModelChoice& choice);

// Tokens at which a text is cut when nobody says where: 512, or what the tokenizer's files or the
// model's positions allow if that is less.
std::size_t default_max_length(const text::TokenizerInfo& tokenizer, std::size_t positions);

struct NativeOptions {
  Device device{};  // several GPUs: one stream of batches on all of them
  ops::Precision precision = ops::Precision::fp32;
  unsigned threads = 1;
  std::size_t max_length = 512;
  std::size_t max_batch = 1;
  Padding padding = Padding::none;
  std::string instruction_set{};  // force one ("avx2", "avx512_core" ...); "" = the best here
  bool reference = false;         // the plain fp32 loops, the judge of all others
  const Clock* clock = &monotonic_clock();  // of the stages' seconds
};

// The classifier keeps the packed weights and the tokenizer, but not the model's fp32 weights: drop
// `model` to free them. Classifiers of the same model, device, precision and instruction set that
// live at the same time share their packed weights. Lanes (arenas and threads) are made by the
// first batch of each mode, so that a cell's arena is sized for that cell; after that a pass
// allocates nothing. Errors: engine/device, engine/max-length (over the model's positions),
// engine/batch, engine/threads, engine/memory, ops/unsupported, device/failed (a GPU).
Result<std::unique_ptr<Classifier>> make_native(const std::shared_ptr<const LoadedModel>& model,
                                                const NativeOptions& options);

// Precisions that the device can really run fast (no emulation), in the order fp32, fp32x3, bf16,
// fp16, int8; of several GPUs those that all of them have.
// `instruction_set`: of the CPU, as NativeOptions has it.
std::vector<ops::Precision> native_precisions(const Device& device,
                                              const std::string& instruction_set = "");

// The set that `instruction_set` ("" = the best here) means on this CPU below BREAKEVEN_ISA.
// Errors: ops/unsupported (no AVX2), ops/instruction-set.
Result<std::string> native_instruction_set(const std::string& instruction_set = "");

}  // namespace breakeven::engine

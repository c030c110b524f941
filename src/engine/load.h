// Finds a model by what the user typed, loads it with its tokenizer, and checks that the two belong
// together.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"
#include "model/checkpoint.h"
#include "model/plan.h"
#include "text/tokenizer.h"

namespace breakeven::engine {

// A model as loaded: fp32 weights and its tokenizer. Shared by every cell that runs it.
struct LoadedModel {
  std::string name;    // "distilbert-base-uncased-finetuned-sst-2-english", "builtin (6 x 768)"
  std::string folder;  // where its files lie
  std::string note;    // lines that a user must read ("the real model is not in the cache"), or ""
  model::Checkpoint checkpoint;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  bool widened = false;  // in memory only: `folder` holds the narrow one (engine/export.h)
};

struct ModelChoice {
  // "" = the default model if the Hugging Face cache has it, else the built-in one; "builtin",
  // "builtin-narrow"; a folder; or a name in the cache.
  std::string model;
};
// Errors: those of hub/, model/ and text/; model/vocabulary and model/token-types when the
// tokenizer does not fit the embeddings.
Result<std::shared_ptr<const LoadedModel>> load_model(const ModelChoice& choice);

// What the native engine would run in `folder`, by config.json and the tokenizer's files alone: of
// the weights nothing is read, and they may be missing. Errors: those of load_model that need no
// weights.
Result<model::EncoderPlan> plan_without_weights(const std::string& folder);

// Where the files of a model lie that this engine may refuse: a folder, or a name in the cache.
// Errors: those of hub::find_cached.
Result<std::string> find_folder(const std::string& model);

// The tokenizer alone, for those who need no weights: what load_model would give, in milliseconds.
struct LoadedTokenizer {
  std::string folder;
  std::string note;  // as LoadedModel's
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::size_t length_limit = 0;  // length_limit() of the model
};
// A folder or a model of the cache needs tokenizer files only. Errors: those of hub/ and text/,
// model/no-builtin.
Result<LoadedTokenizer> load_tokenizer(const ModelChoice& choice);

// Tokens at which a text is cut when nobody says where, if the model takes so many.
inline constexpr std::size_t kDefaultMaxLength = 512;
// Tokens that a text may have: as many as the model has positions, or fewer if the tokenizer's
// files say so. Nobody cuts later than there.
std::size_t length_limit(const text::TokenizerInfo& tokenizer, std::size_t positions);

}  // namespace breakeven::engine

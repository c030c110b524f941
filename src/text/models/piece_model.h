// How a word becomes ids of the vocabulary. tokenizer.json names one kind as its "model"; each has
// a file of its own beside this one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/id_sink.h"

namespace breakeven::text {

class PieceModel {
 public:
  virtual ~PieceModel() = default;
  // Appends the ids of one word of `chars` code points.
  virtual void word_to_ids(std::string_view word, std::size_t chars, IdSink& ids) const = 0;
  // The vocabulary entry of an id; empty for an id that has none.
  virtual std::string_view entry(std::int32_t id) const = 0;
};

struct ModelSpec;
struct ModelKind {
  std::string_view type;                                           // "WordPiece"
  Result<void> (*read)(const JsonObject& model, ModelSpec& spec);  // all but vocab
  std::unique_ptr<PieceModel> (*make)(const ModelSpec& spec);
};
extern const ModelKind kWordPiece;

// A model as its files describe it, with every default filled in.
struct ModelSpec {
  const ModelKind* kind = &kWordPiece;
  std::vector<std::pair<std::string, std::int32_t>> vocabulary;  // entry, id; no entry twice
  std::string unknown_token = "[UNK]";
  std::int32_t unknown_id = 0;
  std::string continuing_prefix = "##";
  std::size_t max_chars_per_word = 100;
};

// The part "model" of tokenizer.json into `spec`, but for unknown_id. Errors: tokenizer/json,
// tokenizer/unsupported, tokenizer/vocabulary.
Result<void> read_model(const JsonObject& root, ModelSpec& spec);

}  // namespace breakeven::text

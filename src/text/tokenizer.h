// BERT's WordPiece, RoBERTa's byte-level BPE and XLM-RoBERTa's Unigram, id for id the same as
// Hugging Face's fast tokenizers. Immutable after loading; one Scratch a thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/text.h"

namespace breakeven::text {

enum class TruncationSide : std::uint8_t { right, left };

// Which text of a pair that is too long gives up its ids, by the names of Hugging Face's
// truncation strategies.
enum class PairCut : std::uint8_t {
  longest_first,  // the longer one, then both
  // The first alone, of which one id stays at least. Where the second leaves no room for that,
  // Hugging Face fails, and here both give as in longest_first.
  only_first
};

// Which code turns the text into ids. Both give the same ids; the tests compare them.
enum class Route : std::uint8_t {
  fastest,   // one pass over the bytes wherever the tokenizer allows it (TokenizerInfo::one_pass)
  by_stages  // normalise, split and look up one after the other, by the definition
};

// How one call cuts its ids and which special ids it adds.
struct EncodeOptions {
  // Ids at most, special tokens included. Below the number of special tokens (0 and 1; 2 for a
  // pair) nothing is cut, as in HF.
  std::size_t max_length = 512;
  bool truncate = true;
  TruncationSide truncation_side = TruncationSide::right;
  PairCut pair_cut = PairCut::longest_first;
  bool add_special_tokens = true;
  // Set: all of the text is read, and the number of ids that it has uncut put there.
  std::size_t* whole = nullptr;
  Route route = Route::fastest;
};

// What the tokenizer files say about themselves.
struct TokenizerInfo {
  std::size_t vocabulary = 0;  // highest id + 1
  // Ids a text may have, as tokenizer_config.json says; the largest number where it says nothing or
  // "no limit" (HF writes 1e30).
  std::size_t model_max_length = static_cast<std::size_t>(-1);
  TruncationSide truncation_side = TruncationSide::right;
  std::size_t special_ids = 2, pair_special_ids = 3;  // around a text, around a pair
  std::size_t token_types = 1;                        // highest token type of a text or a pair + 1
  bool model_takes_types = true;  // HF gives them to the model (model_input_names, or the class)
  bool one_pass = false;          // whether Route::fastest is more than Route::by_stages
  std::string one_pass_refusal;   // why not; empty where one_pass
};

class Tokenizer {
 public:
  // Per-thread memory; reused from text to text so that encoding allocates nothing once it is warm.
  // Belongs to the tokenizer that made it.
  class Scratch;

  // Reads tokenizer.json, or else vocab.txt (BERT) or vocab.json and merges.txt (RoBERTa), and the
  // small files beside it, from a model folder. docs/tokenizers.md says which file decides what.
  // `rows` of the model's embedding: HF gives a special token that a file or the class names and
  // the vocabulary has not an id behind the vocabulary; without a row for it, it is text here.
  // Errors: tokenizer/missing, tokenizer/json, tokenizer/unsupported (another kind, by name),
  // tokenizer/vocabulary.
  static Result<Tokenizer> load(const std::string& folder,
                                std::size_t rows = static_cast<std::size_t>(-1));

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  const TokenizerInfo& info() const;
  std::unique_ptr<Scratch, void (*)(Scratch*)> make_scratch() const;

  // Appends the ids of `text` to `ids`, as many token types to `token_types` unless it is null, and
  // returns whether it cut the text: whether there were more than max_length. A pair is [CLS] first
  // [SEP] second [SEP], or what the files' template says; it is cut as options.pair_cut says. Any
  // bytes are accepted, invalid UTF-8 counts as U+FFFD (which BERT's clean_text removes). Time is
  // linear in the bytes that are read; of a text alone, truncation on the right stops reading once
  // there is an id too many.
  bool encode(const Text& text, const EncodeOptions& options, Scratch& scratch,
              std::vector<std::int32_t>& ids,
              std::vector<std::int32_t>* token_types = nullptr) const;
  // The vocabulary entry of an id; empty for an id that has none.
  std::string_view token(std::int32_t id) const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace breakeven::text

// BERT WordPiece, id for id the same as Hugging Face's fast tokenizer (BertNormalizer,
// BertPreTokenizer, WordPiece, TemplateProcessing). Immutable after loading; one Scratch a thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace breakeven::text {

enum class TruncationSide : std::uint8_t { right, left };

// How one call cuts and dresses its ids.
struct EncodeOptions {
  std::size_t max_length =
      512;  // ids at most, special tokens included; 0 and 1 do not truncate, as in HF
  bool truncate = true;
  TruncationSide truncation_side = TruncationSide::right;
  bool add_special_tokens = true;
};

// What the tokenizer files say about themselves.
struct TokenizerInfo {
  std::size_t vocabulary = 0;  // highest id + 1
  std::int32_t pad_id = 0, unk_id = 0, cls_id = 0, sep_id = 0;
  bool lowercase = true;
  std::size_t model_max_length = 512;
  TruncationSide truncation_side = TruncationSide::right;
};

class Tokenizer {
 public:
  // Per-thread memory; reused from text to text so that encoding allocates nothing once it is warm.
  class Scratch;

  // Reads tokenizer.json, or vocab.txt with tokenizer_config.json, from a model folder.
  // Errors: tokenizer/missing, tokenizer/json, tokenizer/unsupported (another kind, by name),
  // tokenizer/vocabulary.
  static Result<Tokenizer> load(const std::string& folder);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  const TokenizerInfo& info() const;
  std::unique_ptr<Scratch, void (*)(Scratch*)> make_scratch() const;

  // Appends the ids of `text` to `ids`; any bytes are accepted, invalid UTF-8 counts as U+FFFD
  // (which is removed).
  void encode(std::string_view text, const EncodeOptions& options, Scratch& scratch,
              std::vector<std::int32_t>& ids) const;
  // A pair: [CLS] first [SEP] second [SEP], token types 0 and 1; truncation longest_first.
  void encode_pair(std::string_view first, std::string_view second, const EncodeOptions& options,
                   Scratch& scratch, std::vector<std::int32_t>& ids,
                   std::vector<std::int32_t>& token_types) const;
  // The vocabulary entry of an id; empty for an id that has none.
  std::string_view token(std::int32_t id) const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace breakeven::text

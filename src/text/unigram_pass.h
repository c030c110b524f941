// The map of characters, Metaspace and Unigram as one piece: one pass over the bytes with the same
// ids as by_stages.h. What stands between two blanks is a word as it is wherever its characters
// stay what they are, and most words are one look-up in the thread's cache; others are normalised
// alone. Built only for the normalisers that files of this kind have; build() says why not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/by_stages.h"
#include "text/id_sink.h"
#include "text/models/unigram.h"
#include "text/pre_tokenizers/metaspace.h"
#include "text/spec.h"
#include "text/token_matcher.h"
#include "text/word_cache.h"

namespace breakeven::text {

class UnigramPass {
 public:
  // One a thread.
  struct Buffers {
    WordCache cache;
    ModelBuffers model;
    NormalizerBuffers normalizer;
    std::u32string normalized, step, segment;
    std::string run, word;
    ByStages::Buffers by_stages;
  };

  // All three must outlive the pass. Errors: text/not-one-pass, with the reason.
  static Result<UnigramPass> build(const TokenizerSpec& spec, const PieceModel& model,
                                   const ByStages& by_stages);

  void encode(std::string_view text, Buffers& buffers, IdSink& sink) const;

 private:
  using Byte = unsigned char;
  // What a code point does to its neighbourhood. A mark belongs to what stands before it, even to a
  // blank, and to a prepended one belongs what stands behind it.
  enum class Kind : std::uint8_t { plain, changed, mark, prepended };
  // From one blank to the next that is none of a cluster.
  struct Chunk {
    const Byte* end;
    bool plain;  // no code point of it changes
  };
  class Words;  // what becomes of the normalised text

  Result<void> take_normalizer(const Normalizer& normalizer);
  Result<void> take_added_tokens(const Normalizer& normalizer);
  Result<void> find_kinds();
  Kind kind(const Byte* at, const Byte* end, unsigned& bytes) const;
  bool is_blank(const Byte* at, const Byte* end) const;
  Chunk next_chunk(const Byte* at, const Byte* end) const;
  const std::u32string& normalized(std::string_view chunk, Buffers& buffers) const;
  bool encode_chunk(std::string_view chunk, bool plain, bool padded, Words& words) const;
  bool encode_words(std::string_view text, Words& words) const;
  std::optional<std::string_view> stripped(std::string_view text) const;
  void segment(std::string_view text, bool starts_text, Buffers& buffers, IdSink& sink) const;

  const Unigram* unigram_ = nullptr;
  const ByStages* by_stages_ = nullptr;
  const std::vector<AddedToken>* added_ = nullptr;
  TokenMatcher<char> in_raw_text_;
  std::u32string token_starts_;  // of the tokens that are looked for in the normalised text
  std::vector<const Normalizer*> by_character_;      // lower case and the map, in this order
  bool strips_left_ = false, strips_right_ = false;  // of the raw text
  bool strips_normalized_ = false;                   // the end of the normalised text
  bool joins_blanks_ = false;
  bool splits_first_ = false;  // at white space, and each part then starts with a blank
  Metaspace::Prepend prepend_ = Metaspace::Prepend::always;
  char32_t replacement_ = 0;
  std::string replacement_bytes_;
  std::vector<Kind> kinds_;     // of every code point
  std::string odd_printables_;  // printable ASCII that is not plain
  std::string blanks_at_end_;   // ASCII that the steps by character make a blank of
};

}  // namespace breakeven::text

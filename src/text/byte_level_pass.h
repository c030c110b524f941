// ByteLevel and BPE as one piece: one pass over the bytes with the same ids as by_stages.h, a word
// a view into the text, almost every word one hash look-up of a key in registers. Built only where
// no normaliser changes the text; build() says why not.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/id_sink.h"
#include "text/key_table.h"
#include "text/models/bpe.h"
#include "text/spec.h"
#include "text/token_matcher.h"
#include "text/word_cache.h"

namespace breakeven::text {

class ByteLevelPass {
 public:
  // One a thread.
  struct Buffers {
    WordCache cache;
    ModelBuffers model;
    std::string word;  // one that does not stand in the text as it is
  };

  // Errors: text/not-one-pass, with the reason.
  static Result<ByteLevelPass> build(const TokenizerSpec& spec, const PieceModel& model);

  void encode(std::string_view text, Buffers& buffers, IdSink& sink) const;

 private:
  using Byte = unsigned char;
  enum class Class : std::uint8_t { letter, number, space, other };
  struct Piece {
    const Byte* end;
    bool valid;  // it is well-formed UTF-8
  };
  struct Character {
    Class kind;
    unsigned bytes;
    bool valid;
  };

  Character character(const Byte* at, const Byte* end) const;
  const Byte* run(const Byte* at, const Byte* end, Class kind, bool& valid) const;
  Piece white_space(const Byte* at, const Byte* end) const;
  Piece next_piece(const Byte* at, const Byte* end) const;
  void segment(std::string_view text, Buffers& buffers, IdSink& sink) const;
  const Byte* prefixed_piece(const Byte* at, const Byte* end, Buffers& buffers, IdSink& sink) const;
  void repaired_ids(std::string_view word, Buffers& buffers, IdSink& sink) const;
  // 16 bytes can be read at `word` where `padded` is set.
  void ids_of(const char* word, std::size_t length, bool padded, Buffers& buffers,
              IdSink& sink) const;

  const Bpe* bpe_ = nullptr;
  const std::vector<AddedToken>* added_ = nullptr;
  TokenMatcher<char> in_raw_text_, in_normalized_text_;
  bool add_prefix_space_ = false;
  std::array<Class, 128> ascii_{};
  std::vector<Class> classes_;  // of every code point
  KeyTable words_;
};

}  // namespace breakeven::text

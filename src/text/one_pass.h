// BertNormalizer, BertPreTokenizer and WordPiece as one piece: one pass over the bytes, with the
// same ids as by_stages.h, no normalised copy, no offsets, almost every word one hash look-up of a
// key in registers. Built only where the vocabulary and the added tokens allow it; build() says why
// not.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/code_point_table.h"
#include "text/id_sink.h"
#include "text/key_table.h"
#include "text/models/word_piece.h"
#include "text/spec.h"
#include "text/token_matcher.h"
#include "text/word_cache.h"

namespace breakeven::text {

class OnePass {
 public:
  // Remembers words of several pieces; one a thread.
  class Buffers {
   public:
    Buffers();

   private:
    friend class OnePass;
    // Room to read a block and a register from each of the last bytes of a text.
    static constexpr std::size_t kReadAhead = 64 + PieceKey::kMaxBytes;
    WordCache cache_;
    std::vector<char> word_;  // the bytes of one word, PieceKey::kMaxBytes readable after them
    std::array<unsigned char, 2 * kReadAhead> tail_{};
  };

  // Errors: text/not-one-pass, with the reason.
  static Result<OnePass> build(const TokenizerSpec& spec, const PieceModel& model);

  void encode(std::string_view text, Buffers& buffers, IdSink& sink) const;

 private:
  using Byte = unsigned char;
  // What a byte does outside a run of letters and digits.
  enum class ByteClass : std::uint8_t { word, unknown, space, punctuation, added, removed, lead };
  // 64 bytes of text, bit i for byte i.
  struct Block {
    std::uint64_t word;       // letters and digits
    std::uint64_t tokens;     // first bytes of words, and punctuation
    std::uint64_t irregular;  // what needs a look of its own: not ASCII, control, added tokens
  };
  struct Cursor {
    const Byte* at;
    std::int32_t* out;
  };
  struct Piece {
    std::int32_t id;
    std::size_t length;
  };
  struct Word {
    std::size_t length, chars;
    bool unknown;
  };

  void classify_bytes();
  Block look_at(const Byte* at) const;
  // Reads tokens until `at` reaches `limit` or `out` reaches `stop`; Buffers::kReadAhead bytes can
  // be read at each place before `limit`. `end` is where the text ends.
  template <bool Lowercase>
  Cursor scan(Cursor cursor, const Byte* limit, const Byte* end, const std::int32_t* stop,
              Buffers& buffers) const;
  template <bool Lowercase>
  std::int32_t* regular_tokens(const Byte* at, const Byte* end, std::uint64_t tokens,
                               std::uint64_t word, std::int32_t* out, Buffers& buffers) const;
  std::int32_t* look_up(std::span<const PieceKey> keys, std::int32_t* out, Buffers& buffers) const;
  Cursor separator(Cursor cursor, const Byte* end, Buffers& buffers) const;
  Cursor irregular_word(Cursor cursor, const Byte* end, Buffers& buffers) const;
  Word read_word(const Byte*& at, const Byte* end, Buffers& buffers) const;
  std::int32_t* several_pieces(PieceKey key, std::int32_t* out, Buffers& buffers) const;
  Piece longest_piece(const char* at, std::size_t left, bool start) const;
  std::int32_t* greedy(const char* word, std::size_t length, std::size_t chars,
                       std::int32_t* out) const;
  // Scans up to `limit` into the sink, as far as the sink wants; returns where it stopped.
  const Byte* run(const Byte* at, const Byte* limit, const Byte* end, Buffers& buffers,
                  IdSink& sink) const;

  const WordPiece* word_piece_ = nullptr;
  CodePointTable code_points_;
  std::array<ByteClass, 256> byte_class_{};
  std::array<char, 128> folded_{};            // what a word byte becomes
  std::array<std::int32_t, 256> alone_id_{};  // of punctuation
  KeyTable starts_, continuations_;
  LengthFilter start_lengths_, continuation_lengths_;
  TokenMatcher<char> added_;
  std::vector<std::int32_t> added_ids_;
  // First bytes of the added tokens; unused places repeat the first one, or hold NUL.
  static constexpr std::size_t kMaxAddedFirst = 4;
  std::array<char, kMaxAddedFirst> added_first_{};
  bool lowercase_ = true;
};

}  // namespace breakeven::text

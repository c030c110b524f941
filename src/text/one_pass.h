// The tokenizer in one pass over the bytes, with the same ids as by_stages.h: no normalised copy,
// no offsets, almost every word one hash look-up of a key in registers. Built only where the
// vocabulary and the added tokens allow it; build() says why not.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/code_point_table.h"
#include "text/id_sink.h"
#include "text/key_table.h"
#include "text/spec.h"
#include "text/token_matcher.h"
#include "text/vocabulary.h"

namespace breakeven::text {

class OnePass {
 public:
  // Remembers words of several pieces; one a thread.
  class Buffers {
   public:
    Buffers();

   private:
    friend class OnePass;
    static constexpr std::size_t kSlotBits = 12, kMaxPieces = 11;
    struct alignas(64) Slot {
      PieceKey key;
      std::int32_t count = 0;
      std::int32_t ids[kMaxPieces] = {};
    };
    std::vector<Slot> slots_;
    std::vector<char> word_;  // the bytes of one word, PieceKey::kMaxBytes readable behind them
    std::array<unsigned char, 2 * PieceKey::kMaxBytes> tail_{};
  };

  // Errors: text/not-one-pass, with the reason.
  static Result<OnePass> build(const TokenizerSpec& spec, const Vocabulary& vocabulary);

  void encode(std::string_view text, Buffers& buffers, IdSink& sink) const;

 private:
  using Byte = unsigned char;
  // What a byte does outside a run of letters and digits.
  enum class ByteClass : std::uint8_t { word, unknown, space, punctuation, added, removed, lead };
  struct Cursor {
    const Byte* at;
    std::int32_t* out;
  };
  struct Word {
    std::size_t length, chars;
    bool unknown;
  };

  void classify_bytes(const TokenizerSpec& spec);
  void build_tables();
  // Reads words until fewer than `margin` bytes are left or `out` reaches `stop`.
  template <bool Lowercase>
  Cursor scan(Cursor cursor, const Byte* end, std::size_t margin, const std::int32_t* stop,
              Buffers& buffers) const;
  Cursor separator(Cursor cursor, const Byte* end, Buffers& buffers) const;
  Cursor irregular_word(Cursor cursor, const Byte* end, Buffers& buffers) const;
  Word read_word(const Byte*& at, const Byte* end, Buffers& buffers) const;
  std::int32_t* several_pieces(__m128i padded, PieceKey key, std::size_t length, std::int32_t* out,
                               Buffers& buffers) const;
  std::int32_t* greedy(const char* word, std::size_t length, std::size_t chars,
                       std::int32_t* out) const;
  void run(const Byte* begin, const Byte* end, std::size_t margin, const Byte*& rest,
           Buffers& buffers, IdSink& sink) const;

  const Vocabulary* vocabulary_ = nullptr;
  CodePointTable code_points_;
  std::array<ByteClass, 256> byte_class_{};
  std::array<char, 128> folded_{};            // what a word byte becomes
  std::array<std::int32_t, 128> alone_id_{};  // of punctuation
  KeyTable starts_, continuations_;
  TokenMatcher<char> added_;
  std::vector<std::int32_t> added_ids_;
  bool lowercase_ = true;
};

}  // namespace breakeven::text

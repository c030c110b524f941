// What every code point does to the word that is being read, worked out once for a vocabulary and a
// set of normaliser flags. Exact because, under the conditions that build() checks, the normaliser
// treats each code point on its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/models/word_piece.h"
#include "text/normalizers/bert.h"

namespace breakeven::text {

class CodePointTable {
 public:
  enum class Effect : std::uint8_t {
    unknown,   // belongs to the word and makes it unknown: no entry has it
    removed,   // leaves no trace; the word goes on
    space,     // ends the word
    isolated,  // ends the word and is a word of its own, of one known id
    bytes      // adds these bytes to the word
  };
  // One code point's effect, packed: 3 bits of Effect; then the id of an isolated one, or for
  // bytes 3 bits of code points, 4 bits of length and the rest offset.
  class Action {
   public:
    Action() = default;
    static Action plain(Effect effect) { return Action(static_cast<std::uint32_t>(effect)); }
    static Action isolated(std::int32_t id) {
      return Action(static_cast<std::uint32_t>(Effect::isolated) | static_cast<std::uint32_t>(id)
                                                                       << 3);
    }
    static Action bytes(std::size_t chars, std::size_t length, std::size_t offset) {
      return Action(static_cast<std::uint32_t>(Effect::bytes) |
                    static_cast<std::uint32_t>(chars << 3 | length << 6 | offset << 10));
    }
    Effect effect() const { return static_cast<Effect>(value_ & 7); }
    std::int32_t id() const { return static_cast<std::int32_t>(value_ >> 3); }
    unsigned chars() const { return value_ >> 3 & 7; }
    unsigned length() const { return value_ >> 6 & 15; }
    unsigned offset() const { return value_ >> 10; }
    friend bool operator==(Action, Action) = default;

   private:
    explicit Action(std::uint32_t value) : value_(value) {}
    std::uint32_t value_ = 0;
  };
  static constexpr std::size_t kMaxBytes = 15;  // of one code point's action

  // Errors: text/not-one-pass, with the reason, where code points cannot be treated one by one.
  static Result<CodePointTable> build(const BertNormalizer& normalizer,
                                      const WordPiece& word_piece);

  Action action(char32_t c) const { return pages_[page_of_[c >> kPageBits] + (c & kPageMask)]; }
  // kMaxBytes + 1 bytes are readable there.
  const char* bytes(Action action) const { return pool_.data() + action.offset(); }

 private:
  static constexpr unsigned kPageBits = 8;
  static constexpr std::size_t kPageSize = 1U << kPageBits, kPages = 0x110000 >> kPageBits;
  static constexpr char32_t kPageMask = kPageSize - 1;
  class Builder;

  std::vector<std::uint32_t> page_of_;  // offset of each page in pages_
  std::vector<Action> pages_;
  std::string pool_;
};

}  // namespace breakeven::text

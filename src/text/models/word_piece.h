// WordPiece by its definition: a vocabulary of entries that start a word and of entries that go on
// with one, and a greedy search over it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/models/piece_model.h"

namespace breakeven::text {

class WordPiece final : public PieceModel {
 public:
  explicit WordPiece(const ModelSpec& spec);  // no entry and no id twice
  WordPiece(const WordPiece&) = delete;       // the maps point into the entries
  WordPiece& operator=(const WordPiece&) = delete;

  std::size_t size() const { return entries_.size(); }  // highest id + 1
  std::string_view entry(std::int32_t id) const override;
  std::int32_t unknown_id() const { return unknown_id_; }
  std::size_t max_chars_per_word() const { return max_chars_per_word_; }

  // Ids of entries that can start a word, and of those that can continue one (without the prefix);
  // -1 where there is none.
  std::int32_t find_start(std::string_view piece) const { return find(starts_, piece); }
  std::int32_t find_continuation(std::string_view piece) const {
    return find(continuations_, piece);
  }
  // Every entry that can match some piece of a word, with its id; continuations without prefix.
  using Pieces = std::unordered_map<std::string_view, std::int32_t>;
  const Pieces& starts() const { return starts_; }
  const Pieces& continuations() const { return continuations_; }
  std::size_t longest_start_bytes() const { return longest_start_bytes_; }
  std::size_t longest_continuation_bytes() const { return longest_continuation_bytes_; }

  void word_to_ids(std::string_view word, std::size_t chars, ModelBuffers& /*buffers*/,
                   IdSink& ids) const override {
    append_pieces(word, chars, ids);
  }
  // The pieces of one normalised word: the longest match from the left, again and again; one
  // unknown id if there is none somewhere or the word is too long.
  template <class Ids>
  void append_pieces(std::string_view word, std::size_t chars, Ids& ids) const {
    const std::size_t before = ids.size();
    bool known = chars <= max_chars_per_word_;
    for (std::size_t at = 0; known && at < word.size();) {
      const std::size_t longest = at == 0 ? longest_start_bytes_ : longest_continuation_bytes_;
      std::int32_t id = -1;
      std::size_t length = word.size() - at < longest ? word.size() - at : longest;
      for (; length > 0; --length) {
        if (at + length < word.size() && is_inside_code_point(word[at + length])) continue;
        const std::string_view piece = word.substr(at, length);
        id = at == 0 ? find_start(piece) : find_continuation(piece);
        if (id >= 0) break;
      }
      known = id >= 0;
      if (known) ids.push_back(id);
      at += length;
    }
    if (known) return;
    ids.resize(before);
    ids.push_back(unknown_id_);
  }

 private:
  static bool is_inside_code_point(char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
  }
  static std::int32_t find(const Pieces& pieces, std::string_view piece) {
    const auto at = pieces.find(piece);
    return at == pieces.end() ? -1 : at->second;
  }

  std::vector<std::string> entries_;  // by id; empty where an id has no entry
  Pieces starts_, continuations_;
  std::size_t longest_start_bytes_ = 0, longest_continuation_bytes_ = 0;
  std::int32_t unknown_id_;
  std::size_t max_chars_per_word_;
};

}  // namespace breakeven::text

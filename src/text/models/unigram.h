// Unigram, as SentencePiece trains it and Hugging Face's `tokenizers` runs it: of all ways to cut a
// word into entries, the one with the highest sum of scores; what no entry covers is unknown, one
// id for a run of it, or its bytes where the vocabulary has entries for them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/models/piece_model.h"

namespace breakeven::text {

// The entries of a vocabulary by their bytes: a node for every beginning of one, in one hash table
// of (node, byte).
class PieceTrie {
 public:
  static constexpr std::uint32_t kRoot = 0, kNone = static_cast<std::uint32_t>(-1);
  static constexpr std::size_t kMostNodes = std::size_t{1} << 24;

  // `entries` by id; at most kMostNodes - 1 bytes of them.
  void build(const std::vector<std::string>& entries);

  std::uint32_t child(std::uint32_t node, unsigned char byte) const {
    const std::uint32_t key = node << 8 | byte;
    for (std::size_t at = place(key);; ++at) {
      const Slot& slot = slots_[at];
      if (slot.child == 0) return kNone;
      if (slot.key == key) return slot.child;
    }
  }
  // The entry that ends at a node; -1: none does.
  std::int32_t id(std::uint32_t node) const { return ids_[node]; }
  std::int32_t find(std::string_view entry) const;

 private:
  struct Slot {
    std::uint32_t key = 0, child = 0;  // child 0, which no node has: free
  };
  std::size_t place(std::uint32_t key) const { return key * std::uint32_t{0x9E3779B1} >> shift_; }

  std::vector<Slot> slots_;
  std::vector<std::int32_t> ids_;  // by node
  unsigned shift_ = 31;
};

class Unigram final : public PieceModel {
 public:
  explicit Unigram(const ModelSpec& spec);

  void word_to_ids(std::string_view word, std::size_t chars, ModelBuffers& buffers,
                   IdSink& ids) const override;
  std::string_view entry(std::int32_t id) const override;

  // The ids of a word, which is UTF-8; they live in `buffers`.
  std::span<const std::int32_t> cut(std::string_view word, ModelBuffers& buffers) const;

 private:
  void reach_all(std::string_view word, std::vector<ModelBuffers::Reached>& reached) const;
  void append_unknown(std::string_view part, std::vector<std::int32_t>& ids) const;

  std::vector<std::string> entries_;  // by id
  std::vector<double> scores_;        // by id
  PieceTrie trie_;
  std::int32_t unknown_id_;
  double unknown_score_;
  std::array<std::int32_t, 256> byte_ids_{};  // byte_fallback: of <0x00> ...; -1: there is none
};

}  // namespace breakeven::text

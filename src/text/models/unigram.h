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
#include <unordered_set>
#include <utility>
#include <vector>

#include "text/models/piece_model.h"
#include "text/models/piece_trie.h"

namespace breakeven::text {

// Adds entries with their scores, in the order of their ids, to a spec.
class UnigramEntries {
 public:
  UnigramEntries(std::string where, ModelSpec& spec) : where_(std::move(where)), spec_(spec) {}
  // Errors: tokenizer/vocabulary for an entry that is there already.
  Result<void> add(std::string_view entry, double score);
  // After the last one. Errors: tokenizer/unsupported.
  Result<void> check_size() const;

 private:
  std::string where_;
  ModelSpec& spec_;
  std::unordered_set<std::string> entries_;
  std::size_t bytes_ = 0;
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

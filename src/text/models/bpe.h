// Byte-level BPE: a word is its bytes, and the neighbours of the lowest rank merge until no two
// have one. Entries are spelled in the file with a printable character for each byte.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/models/piece_model.h"

namespace breakeven::text {

// "a b"; nothing where it is not two entries with a blank between them.
std::optional<std::pair<std::string, std::string>> split_merge(std::string_view line);

// Adds merges, in the order of their ranks, to a spec that has its vocabulary.
class MergeReader {
 public:
  MergeReader(std::string where, ModelSpec& spec);  // `where`: of errors
  // Errors: tokenizer/vocabulary where an entry is missing.
  Result<void> add(const std::string& left, const std::string& right);

 private:
  std::string where_;
  ModelSpec& spec_;
  std::unordered_map<std::string_view, std::int32_t> ids_;
};

class Bpe final : public PieceModel {
 public:
  explicit Bpe(const ModelSpec& spec);

  void word_to_ids(std::string_view word, std::size_t chars, ModelBuffers& buffers,
                   IdSink& ids) const override;
  std::string_view entry(std::int32_t id) const override;

  // The ids of a word; they live in `buffers`.
  std::span<const std::int32_t> merge(std::string_view word, ModelBuffers& buffers) const;
  // The words that are one id, and this id.
  std::vector<std::pair<std::string, std::int32_t>> single_words() const;

 private:
  struct Merged {
    std::uint32_t rank = kNoRank;
    std::int32_t id = -1;
  };
  struct Slot {
    std::uint64_t pair = kFree;
    Merged merged;
  };
  static constexpr std::uint32_t kNoRank = static_cast<std::uint32_t>(-1);
  static constexpr std::uint64_t kFree = static_cast<std::uint64_t>(-1);

  static std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  Slot& slot_of(std::uint64_t pair);
  Merged find(std::int32_t left, std::int32_t right) const;
  void start(std::string_view word, std::vector<std::int32_t>& ids) const;
  void merge_short(ModelBuffers& buffers) const;
  void merge_long(ModelBuffers& buffers) const;

  std::vector<std::string> entries_;                           // by id, as the file spells them
  std::unordered_map<std::string, std::int32_t> whole_words_;  // ignore_merges: by bytes
  std::array<std::int32_t, 256> byte_ids_{};                   // -1: the byte is no entry
  std::vector<Slot> slots_;                                    // open addressing, a power of two
  unsigned shift_ = 63;
  std::int32_t unknown_id_;  // -1: what is unknown vanishes
  bool fuse_unknown_;
};

}  // namespace breakeven::text

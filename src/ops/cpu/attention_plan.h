// Which part of attention a member of a lane's team does in one go: the queries, keys and values of
// some heads of some sequences, and then their contexts, so that the former never leave its L2.
// docs/cpu.md says what that gains.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace breakeven::ops::cpu {

struct AttentionBlock {
  std::uint32_t sequence_begin = 0;
  std::uint32_t sequence_end = 0;
  std::uint32_t head_begin = 0;
  std::uint32_t head_end = 0;
  std::size_t offset = 0;   // of its first row in the planes of q, k and v, elements
  std::size_t columns = 0;  // of its rows in the planes: its heads, after the last one the padding
};

struct AttentionShape {
  std::size_t heads = 0;
  std::size_t head_size = 0;
  std::size_t hidden_padded = 0;  // a multiple of kPanel
  std::size_t value_bytes = 0;    // of one query, key or value: 2 or 4
  unsigned threads = 1;
};

// Cuts a group into blocks of at most 512 rows (a longer sequence is one of its own) and of as many
// heads as 768 KiB have room for; for a team into two or more a member. `out` stays empty
// where the blocks would leave members of the team idle: q, k and v are then better computed first.
// cu_seqlens: [sequences + 1] first rows. One thread's blocks lie at offset 0 of the planes, one
// after the other; a team's lie side by side. Allocates only while `out` grows.
void plan_attention(const AttentionShape& shape, std::span<const std::int32_t> cu_seqlens,
                    std::vector<AttentionBlock>& out);

// The most elements that a block can have, for groups of up to `rows` rows.
std::size_t largest_attention_block(const AttentionShape& shape, std::size_t rows);
// The most blocks of such a group.
std::size_t most_attention_blocks(const AttentionShape& shape, std::size_t sequences);

}  // namespace breakeven::ops::cpu

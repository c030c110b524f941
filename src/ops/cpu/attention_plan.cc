#include "ops/cpu/attention_plan.h"

#include <algorithm>
#include <numeric>

#include "ops/cpu/panels.h"

namespace breakeven::ops::cpu {
namespace {

// What q, k and v of a block may take of a core's L2, beside the rows and weights that pass through
// it. A core that shares its 2 MiB with another hyperthread has half of them.
constexpr std::size_t kBlockBytes = std::size_t{768} << 10;
constexpr std::size_t kBlockRows = 512;

// A block's first column starts a panel of weights.
std::size_t least_heads(const AttentionShape& shape) {
  return std::min(shape.heads, kPanel / std::gcd(kPanel, shape.head_size));
}

std::size_t heads_a_block(const AttentionShape& shape, std::size_t rows) {
  const std::size_t least = least_heads(shape);
  const std::size_t head_bytes = 3 * rows * shape.head_size * shape.value_bytes;
  std::size_t most = std::clamp(kBlockBytes / head_bytes, std::size_t{1}, shape.heads);
  if (shape.threads > 1) most = std::min(most, shape.heads / (std::size_t{2} * shape.threads));
  most = std::max(most / least * least, least);
  // As few blocks, but all of about the same size.
  const std::size_t blocks = (shape.heads + most - 1) / most;
  const std::size_t even = (shape.heads + blocks - 1) / blocks;
  return std::min((even + least - 1) / least * least, most);
}

// Do all members of a team end at about the same time?
bool shared_evenly(std::size_t blocks, unsigned threads) {
  const std::size_t rounds = (blocks + threads - 1) / threads;
  return rounds * threads * 7 <= blocks * 8;
}

}  // namespace

void plan_attention(const AttentionShape& shape, std::span<const std::int32_t> cu_seqlens,
                    std::vector<AttentionBlock>& out) {
  out.clear();
  const std::size_t sequences = cu_seqlens.size() - 1;
  const auto first_row = [&](std::size_t s) { return static_cast<std::size_t>(cu_seqlens[s]); };
  for (std::size_t begin = 0; begin < sequences;) {
    std::size_t end = begin + 1;
    while (end < sequences && first_row(end + 1) - first_row(begin) <= kBlockRows) ++end;
    const std::size_t rows = first_row(end) - first_row(begin);
    const std::size_t step = heads_a_block(shape, rows);
    for (std::size_t head = 0; head < shape.heads; head += step) {
      const std::size_t last = std::min(head + step, shape.heads);
      const std::size_t column = head * shape.head_size;
      AttentionBlock block;
      block.sequence_begin = static_cast<std::uint32_t>(begin);
      block.sequence_end = static_cast<std::uint32_t>(end);
      block.head_begin = static_cast<std::uint32_t>(head);
      block.head_end = static_cast<std::uint32_t>(last);
      block.columns = (last == shape.heads ? shape.hidden_padded : last * shape.head_size) - column;
      if (shape.threads > 1) block.offset = first_row(begin) * shape.hidden_padded + column * rows;
      out.push_back(block);
    }
    begin = end;
  }
  if (!shared_evenly(out.size(), shape.threads)) out.clear();
}

std::size_t largest_attention_block(const AttentionShape& shape, std::size_t rows) {
  if (shape.threads > 1) return rows * shape.hidden_padded;
  const std::size_t padding = shape.hidden_padded - shape.heads * shape.head_size;
  // Rows times columns is largest either where the bytes are the limit or, for more rows than they
  // have room for, at the longest block of the fewest heads.
  const std::size_t by_bytes = kBlockBytes / (3 * shape.value_bytes);
  const std::size_t by_rows = rows * least_heads(shape) * shape.head_size;
  return std::min(std::max(by_bytes, by_rows) + rows * padding, rows * shape.hidden_padded);
}

std::size_t most_attention_blocks(const AttentionShape& shape, std::size_t sequences) {
  return sequences * ((shape.heads + least_heads(shape) - 1) / least_heads(shape));
}

}  // namespace breakeven::ops::cpu

#include "text/key_table.h"

#include "base/check.h"

namespace breakeven::text {
namespace {

// At most half full, so that most look-ups end in the first slot.
unsigned shift_for(std::size_t entries) {
  return 64 - static_cast<unsigned>(std::bit_width(2 * entries | 1));
}

template <class Slot>
Slot& claim(std::vector<Slot>& slots, std::size_t at) {
  while (at < slots.size() && slots[at].low != 0) ++at;
  if (at + 1 >= slots.size()) slots.resize(at + 2);
  return slots[at];
}

}  // namespace

void KeyTable::build(const std::vector<std::pair<PieceKey, std::int32_t>>& entries) {
  std::size_t short_entries = 0;
  for (const auto& [key, id] : entries) short_entries += key.high == 0 ? 1 : 0;
  short_shift_ = shift_for(short_entries);
  long_shift_ = shift_for(entries.size() - short_entries);
  short_slots_.assign((std::size_t{1} << (64 - short_shift_)) + 1, {});
  long_slots_.assign((std::size_t{1} << (64 - long_shift_)) + 1, {});
  for (const auto& [key, id] : entries) {
    BREAKEVEN_CHECK(key.low != 0 && id >= 0, "low={} id={}", key.low, id);
    if (key.high == 0) {
      claim(short_slots_, short_place(key.low)) = {key.low, id};
    } else {
      claim(long_slots_, long_place(key)) = {key.low, key.high, id, 0};
    }
  }
}

void LengthFilter::build(const std::vector<std::pair<PieceKey, std::int32_t>>& entries) {
  constexpr std::uint32_t kShorterThanThePrefix = 0b110;
  lengths_.assign(std::size_t{1} << kBits, kShorterThanThePrefix);
  for (const auto& [key, id] : entries) {
    lengths_[slot(key)] |= 1U << key.length();
  }
}

}  // namespace breakeven::text

// Hash tables from pieces of at most 16 bytes to ids, with the piece itself in two registers as the
// key: no string is compared, no pointer followed.
#pragma once

#include <emmintrin.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace breakeven::text {

// A piece of 1 to kMaxBytes bytes without NUL, zero-padded; `low` has the first 8 bytes.
struct PieceKey {
  static constexpr std::size_t kMaxBytes = 16;
  std::uint64_t low, high;  // no initial value: an array of keys costs nothing

  static PieceKey of(__m128i padded) {
    return {static_cast<std::uint64_t>(_mm_cvtsi128_si64(padded)),
            static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(padded, padded)))};
  }
  // 16 bytes at `bytes` are readable; the first `length` (1..16) count.
  static PieceKey load(const char* bytes, std::size_t length) {
    return of(_mm_and_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)),
                            first_bytes(length)));
  }
  __m128i padded() const {
    return _mm_set_epi64x(static_cast<std::int64_t>(high), static_cast<std::int64_t>(low));
  }
  // Bytes of the piece; it does not end with NUL.
  std::size_t length() const {
    const std::uint64_t last = high != 0 ? high : low;
    return (high != 0 ? 16U : 8U) - static_cast<std::size_t>(std::countl_zero(last)) / 8;
  }
  // A mask of the first `length` bytes, 0..16.
  static __m128i first_bytes(std::size_t length) {
    alignas(16) static constexpr std::uint8_t kMask[32] = {
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0,    0,    0,    0,    0,    0,
        0,    0,    0,    0,    0,    0,    0,    0,    0,    0};
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(kMask + kMaxBytes - length));
  }
};

inline constexpr std::uint64_t kHashLow = 0x9E3779B97F4A7C15ULL, kHashHigh = 0xC2B2AE3D27D4EB4FULL;

// Two open-addressing tables, because nine of ten words of running text fit into 8 bytes and their
// slots take half the cache.
class KeyTable {
 public:
  void build(const std::vector<std::pair<PieceKey, std::int32_t>>& entries);

  // Starts to bring the place of `key` into the cache.
  void prefetch(PieceKey key) const {
    if (key.high == 0) {
      __builtin_prefetch(&short_slots_[short_place(key.low)]);
    } else {
      __builtin_prefetch(&long_slots_[long_place(key)]);
    }
  }

  // -1 where there is none.
  std::int32_t find(PieceKey key) const {
    return key.high == 0 ? find_short(key.low) : find_long(key);
  }

 private:
  struct ShortSlot {
    std::uint64_t low = 0;  // 0: free
    std::int64_t id = -1;
  };
  struct LongSlot {
    std::uint64_t low = 0, high = 0;  // low 0: free
    std::int64_t id = -1, unused = 0;
  };

  std::size_t short_place(std::uint64_t low) const { return low * kHashLow >> short_shift_; }
  std::size_t long_place(PieceKey key) const {
    return (key.low * kHashLow ^ key.high * kHashHigh) >> long_shift_;
  }

  std::int32_t find_short(std::uint64_t low) const {
    for (std::size_t at = short_place(low);; ++at) {
      const ShortSlot& slot = short_slots_[at];
      if (slot.low == low || slot.low == 0) return static_cast<std::int32_t>(slot.id);
    }
  }
  std::int32_t find_long(PieceKey key) const {
    for (std::size_t at = long_place(key);; ++at) {
      const LongSlot& slot = long_slots_[at];
      if ((slot.low == key.low && slot.high == key.high) || slot.low == 0)
        return static_cast<std::int32_t>(slot.id);
    }
  }

  // Probing runs past the end into as many spare slots as the longest probe needs, instead of
  // wrapping around; the last one stays free.
  std::vector<ShortSlot> short_slots_ = std::vector<ShortSlot>(2);
  std::vector<LongSlot> long_slots_ = std::vector<LongSlot>(2);
  unsigned short_shift_ = 63, long_shift_ = 63;
};

// Which lengths pieces have that begin with the same three bytes: spares a greedy search most of
// its look-ups. May name a length that no piece has, never the other way round.
class LengthFilter {
 public:
  void build(const std::vector<std::pair<PieceKey, std::int32_t>>& entries);

  // Bit n is set where a piece of n bytes (0 < n <= kMaxBytes) may start like `key`.
  std::uint32_t lengths(PieceKey key) const { return lengths_[slot(key)]; }

 private:
  static constexpr unsigned kBits = 12;
  static std::size_t slot(PieceKey key) { return (key.low & 0xFFFFFF) * kHashLow >> (64 - kBits); }
  std::vector<std::uint32_t> lengths_ = std::vector<std::uint32_t>(std::size_t{1} << kBits);
};

}  // namespace breakeven::text

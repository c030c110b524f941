// Random numbers that are the same bits on every machine: integer arithmetic, and the five IEEE
// operations of double only. The standard library's distributions and libm's functions differ from
// one version to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

namespace breakeven {

// One stream of numbers (SplitMix64: Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  // One of many independent streams, named by a seed and a path of numbers, so that each row of a
  // matrix has its own and the order in which threads fill rows changes nothing.
  Random(std::uint64_t seed, std::initializer_list<std::uint64_t> path);

  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15ULL;
    return mix(state_);
  }
  // Uniform in [low, high), in steps of 2^-53 of its width.
  double uniform(double low, double high) {
    return low + (high - low) * (static_cast<double>(next() >> 11) * 0x1.0p-53);
  }
  // Uniform in [0, bound), without bias; bound >= 1.
  std::uint64_t below(std::uint64_t bound);
  // The same by one product, other numbers, with a bias below bound / 2^64: what texts are drawn
  // with, so that a record's texts can be had again.
  std::size_t scaled_below(std::size_t bound) {
    return static_cast<std::size_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }
  // Standard normal (Marsaglia's polar method).
  double normal();
  // Shuffles in place (Fisher and Yates), by below() or by scaled_below().
  void shuffle(std::span<std::size_t> values);
  template <class T>
  void scaled_shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[scaled_below(i)]);
  }

 private:
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

// The natural logarithm of a positive, normal x, to about 1e-16 relative; the same bits everywhere.
double portable_log(double x);

// A random rotation or reflection of `size` dimensions, row-major [size, size], uniform over all of
// them (Haar's measure): rows of normal numbers made orthonormal one after the other.
std::vector<double> random_rotation(std::size_t size, Random& random);

}  // namespace breakeven

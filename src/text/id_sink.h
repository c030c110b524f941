// Where a text's ids gather before they are cut and special ids are added: knows when a cut on the
// right makes further reading pointless, and forgets what a cut on the left will drop.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "text/tokenizer.h"

namespace breakeven::text {

inline constexpr std::size_t kNoLimit = static_cast<std::size_t>(-1);

class IdSink {
 public:
  // Forgets everything; keeps the memory.
  void start(std::size_t limit, TruncationSide side) {
    limit_ = limit;
    side_ = side;
    size_ = forgotten_ = 0;
  }

  std::size_t size() const { return size_; }                // ids held
  std::size_t total() const { return forgotten_ + size_; }  // ids that there were
  bool full() const { return side_ == TruncationSide::right && size_ >= limit_; }
  // How many more ids are worth reading; never 0 unless full().
  std::size_t wanted() const {
    return side_ == TruncationSide::left || limit_ == kNoLimit ? kNoLimit : limit_ - size_;
  }

  void push_back(std::int32_t id) {
    if (size_ == storage_.size()) storage_.resize(2 * size_ + kChunk);
    storage_[size_++] = id;
  }
  void resize(std::size_t size) { size_ = size; }

  // Room for `count` more ids at the returned place; resize() then says how many there are.
  std::int32_t* room(std::size_t count) {
    if (storage_.size() < size_ + count) storage_.resize(std::max(2 * size_, size_ + count));
    return storage_.data() + size_;
  }

  // Call between words: keeps memory bounded for a cut on the left.
  void forget() {
    if (side_ != TruncationSide::left || limit_ == kNoLimit || size_ < 2 * limit_ + kChunk) return;
    const std::size_t drop = size_ - limit_;
    std::copy(storage_.begin() + static_cast<std::ptrdiff_t>(drop),
              storage_.begin() + static_cast<std::ptrdiff_t>(size_), storage_.begin());
    size_ = limit_;
    forgotten_ += drop;
  }

  // The first or last `count` ids, or all of them if there are fewer.
  std::span<const std::int32_t> cut(std::size_t count, TruncationSide side) const {
    const std::span<const std::int32_t> all(storage_.data(), size_);
    if (count >= size_) return all;
    return side == TruncationSide::right ? all.first(count) : all.last(count);
  }

 private:
  static constexpr std::size_t kChunk = 4096;
  std::vector<std::int32_t> storage_;
  std::size_t size_ = 0, forgotten_ = 0, limit_ = kNoLimit;
  TruncationSide side_ = TruncationSide::right;
};

}  // namespace breakeven::text

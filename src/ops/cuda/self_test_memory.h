// What the known-answer test (self_test.cc) has on a device: random numbers to read, memory to
// write.
#pragma once

#include <cstddef>
#include <memory>
#include <random>
#include <vector>

#include "ops/cuda/arena.h"
#include "ops/cuda/kernels/number.h"
#include "ops/cuda/runtime.h"

namespace breakeven::ops::cuda {

class TestMemory {
 public:
  explicit TestMemory(Runtime& runtime) : runtime_(runtime) {}

 protected:
  // Loads the kernels, makes a stream and takes memory. Errors: ops/memory.
  Result<void> prepare(Precision precision) {
    runtime_.load_kernels(precision);
    constexpr std::size_t kMemory_bytes = std::size_t{2} << 20;
    constexpr std::size_t kWorkspace_bytes = std::size_t{4} << 20;
    BREAKEVEN_TRY(memory_, runtime_.allocate(kMemory_bytes, Purpose::library));
    BREAKEVEN_TRY(workspace_, runtime_.allocate(kWorkspace_bytes, Purpose::library));
    stream_ = runtime_.make_stream();
    return {};
  }
  // All memory is free again, and the same numbers come.
  void start_anew() {
    random_.seed(7);
    arena_ = Arena(memory_->data);
    held_.clear();
  }

  // Random numbers on the device. The host's copy lives until the device has read it.
  template <class V>
  V* numbers(std::size_t count, float mean = 0) {
    std::normal_distribution<float> normal(mean, 1);
    std::vector<V> values(count);
    for (V& value : values) value = from_float<V>(normal(random_));
    return place(values);
  }
  // Random codes, of s8 or of e4m3.
  std::vector<std::uint8_t> codes(std::size_t count, bool whole) {
    std::normal_distribution<float> normal(0, kLargestE4m3 / 4);
    std::vector<std::uint8_t> codes(count);
    for (std::uint8_t& code : codes) {
      code = whole ? static_cast<std::uint8_t>(static_cast<int>(random_() % 255) - 127)
                   : from_float<E4m3>(normal(random_)).bits;
    }
    return codes;
  }
  template <class V>
  V* place(const std::vector<V>& values) {
    const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
    const auto& kept = held_.emplace_back(
        std::make_unique<std::vector<std::byte>>(bytes, bytes + values.size() * sizeof(V)));
    V* at = arena_.take<V>(values.size());
    runtime_.copy_to_device(*stream_, at, kept->data(), kept->size());
    return at;
  }
  template <class V>
  V* empty(std::size_t count) {
    V* at = arena_.take<V>(count);
    runtime_.fill_zero(*stream_, at, count * sizeof(V));
    return at;
  }

  Runtime& runtime_;
  std::mt19937 random_;
  std::unique_ptr<Runtime::Memory> memory_, workspace_;
  std::unique_ptr<Runtime::Stream> stream_;

 private:
  Arena arena_;
  std::vector<std::unique_ptr<std::vector<std::byte>>> held_;
};

}  // namespace breakeven::ops::cuda

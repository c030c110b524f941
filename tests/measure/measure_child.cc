// The process that child_test starts: takes known amounts of memory and says what was counted.
#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "measure/memory.h"

namespace {

constexpr std::size_t kMegabyte = 1U << 20;

// Keeps the compiler from leaving an unused allocation out.
void touch(void* block, std::size_t bytes) {
  std::memset(block, 1, bytes);
  asm volatile("" : : "r"(block) : "memory");
}

// 10 MB by new, then 20 MB aligned, then 5 MB mapped; all given back but the first.
void take_and_give_back(std::vector<char>& kept) {
  kept.resize(10 * kMegabyte);
  touch(kept.data(), kept.size());
  void* aligned = nullptr;
  if (::posix_memalign(&aligned, 64, 20 * kMegabyte) == 0) touch(aligned, 20 * kMegabyte);
  void* mapped =
      ::mmap(nullptr, 5 * kMegabyte, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  touch(mapped, 5 * kMegabyte);
  ::munmap(mapped, 5 * kMegabyte);
  std::free(aligned);
  // A block that grows counts once.
  void* grown = std::malloc(kMegabyte);
  touch(grown, kMegabyte);
  grown = std::realloc(grown, 3 * kMegabyte);
  touch(grown, 3 * kMegabyte);
  std::free(grown);
}

}  // namespace

int main() {
  using namespace breakeven::measure;
  const bool counting = start_counting_allocations();
  std::vector<char> kept;
  take_and_give_back(kept);
  breakeven::ClassifierInfo info;
  info.weight_bytes = 8 * kMegabyte;
  info.activation_bytes = 20 * kMegabyte;
  const auto memory = memory_of(info);
  const auto now = allocated_bytes();
  reset_peak_allocated();
  fmt::print(
      "{{\"counting\": {}, \"peak\": {}, \"library\": {}, \"now\": {}, \"reset_peak\": {}, "
      "\"rss\": {}, \"at_s\": {}}}\n",
      counting, memory.peak_allocated_bytes, memory.library_bytes, now, peak_allocated_bytes(),
      memory.peak_rss_bytes, breakeven::monotonic_clock().now_s());
  return 0;
}

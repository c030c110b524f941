#include "measure/memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "measure/allocation_counter.h"

namespace breakeven::measure {
namespace {

std::uint64_t status_bytes(const std::string& root, const std::string& wanted) {
  std::ifstream in(std::filesystem::path(root) / "proc/self/status");
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string name;
    std::uint64_t kilobytes = 0;
    if (fields >> name >> kilobytes && name == wanted) return kilobytes * 1024;
  }
  return 0;
}

std::uint64_t at_least_zero(std::int64_t bytes) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, bytes));
}

}  // namespace

constinit AllocationCounter allocation_counter;
constinit std::atomic<bool> allocation_hooks_present{false};

bool start_counting_allocations() {
  if (!allocation_hooks_present) return false;
  allocation_counter.allocated = 0;
  allocation_counter.peak = 0;
  allocation_counter.counting = true;
  return true;
}

bool counting_allocations() {
  return allocation_counter.counting;
}

std::uint64_t allocated_bytes() {
  return at_least_zero(allocation_counter.allocated);
}

std::uint64_t peak_allocated_bytes() {
  return at_least_zero(allocation_counter.peak);
}

void reset_peak_allocated() {
  allocation_counter.peak = allocation_counter.allocated.load();
}

std::uint64_t peak_rss_bytes(const std::string& root) {
  return status_bytes(root, "VmHWM:");
}

bool reset_peak_rss(const std::string& root) {
  // 5 resets the high-water mark (proc(5), clear_refs).
  std::ofstream out(std::filesystem::path(root) / "proc/self/clear_refs");
  out << "5" << std::flush;
  return out.good();
}

record::Memory memory_of(const ClassifierInfo& info) {
  record::Memory memory;
  memory.weight_bytes = info.weight_bytes;
  memory.activation_bytes = info.activation_bytes;
  memory.peak_rss_bytes = peak_rss_bytes();
  if (counting_allocations()) {
    memory.peak_allocated_bytes = peak_allocated_bytes();
    memory.method = "malloc and anonymous mmap, counted";
    const std::uint64_t known =
        info.device_peak_bytes ? 0 : memory.weight_bytes + memory.activation_bytes;
    memory.library_bytes =
        memory.peak_allocated_bytes > known ? memory.peak_allocated_bytes - known : 0;
  }
  return memory;
}

}  // namespace breakeven::measure

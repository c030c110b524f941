// How much memory this process may take, and may still take.
#pragma once

#include <cstddef>
#include <string>

namespace breakeven {

// Bytes that can be taken without swapping: the kernel's MemAvailable, cut by what the cgroup (v2
// memory.max, v1 limit_in_bytes) has left. `root` is "/" but for tests, which bring their own tree.
std::size_t available_memory_bytes(const std::string& root = "/");

// What this process can still take: the above, cut by limits of its own.
struct MemoryLeft {
  std::size_t bytes = 0;
  // "`ulimit -v` lets this process have 266 MB, and 250 MB are taken"; "" = no limit of its own is
  // the narrowest.
  std::string limit;

  std::string to_string() const;  // "23.2 GB are free"; with the limit that makes it so
  std::string advice() const;     // "close other programs", or to raise the limit
};
MemoryLeft memory_left(const std::string& root = "/");

// The machine's memory, cut by the cgroup's limit.
std::size_t total_memory_bytes(const std::string& root = "/");

}  // namespace breakeven

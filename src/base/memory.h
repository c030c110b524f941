// How much memory this process may take, and may still take.
#pragma once

#include <cstddef>
#include <string>

namespace breakeven {

// Bytes that can be taken without swapping: the kernel's MemAvailable, cut by what the cgroup (v2
// memory.max, v1 limit_in_bytes) has left. `root` is "/" but for tests, which bring their own tree.
std::size_t available_memory_bytes(const std::string& root = "/");

// The machine's memory, cut by the cgroup's limit.
std::size_t total_memory_bytes(const std::string& root = "/");

}  // namespace breakeven

// What the executor knows of memory that kernels may touch: where it begins and ends, what was
// written, and who touched it last, two bytes at a time (the smallest number that kernels handle).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <source_location>
#include <string>
#include <vector>

namespace breakeven::emulator {

// Everything that a launch, or a whole run, did wrong; and what it cost in shared memory.
struct Report {
  std::vector<std::string> findings;  // each said once
  std::size_t launches = 0;
  std::size_t barriers = 0;
  std::size_t shared_accesses = 0;  // of whole warps
  std::size_t bank_conflicts = 0;   // further turns that they took
  std::set<std::string> kernels;    // names of those that ran
  void add(const std::string& finding);
};

// Who touches memory, and when: accesses in the same epoch of a block are not ordered between its
// warps, and those in the same epoch of a warp not between its lanes.
struct Moment {
  std::uint32_t launch = 0;
  std::uint32_t block = 0;
  std::uint32_t thread = 0;
  std::uint32_t block_epoch = 0;
  std::uint32_t warp_epoch = 0;
};

class Shadow {
 public:
  explicit Shadow(Report& report) : report_(report) {}

  // A piece of memory, not yet written. `per_block`: shared memory, which only one block sees.
  void add(const void* begin, std::size_t bytes, const char* what);
  void remove(const void* begin);
  // Forgets what was written, as at the start of a block.
  void reset(const void* begin);
  // Written by something that is no kernel: a copy, a matrix product.
  void set_written(const void* at, std::size_t bytes, const char* by);
  void require_written(const void* at, std::size_t bytes, const char* by);

  // False when the access is outside of everything and must not be made.
  bool read(const void* at, std::size_t bytes, const Moment& now,
            const std::source_location& where);
  bool write(const void* at, std::size_t bytes, const Moment& now,
             const std::source_location& where);
  // An asynchronous copy is under way to `at`: nobody may read it until it has landed.
  void set_pending(const void* at, std::size_t bytes, bool pending);

 private:
  static constexpr std::size_t kGranule_bytes = 2;
  struct Access {
    Moment moment;
    bool several_lanes = false;  // of one warp, in its epoch
    bool several_warps = false;
    bool several_blocks = false;
  };
  struct Cell {
    Access read, written;
    bool initialised = false;
    bool pending = false;
  };
  struct Region {
    std::size_t bytes = 0;
    std::string what;
    Cell* cells = nullptr;  // zero pages until they are touched
  };
  struct Free {
    void operator()(Cell* cells) const;
  };

  // Who does it, in words that are only made when there is something to say.
  struct Actor {
    const char* name = nullptr;
    const std::source_location* where = nullptr;
    bool writes = false;
    std::string text() const;
  };
  // The region that holds all of it, or null with a finding.
  Region* find(const void* at, std::size_t bytes, const Actor& who, std::size_t& offset);
  bool check(bool is_write, const void* at, std::size_t bytes, const Moment& now,
             const std::source_location& where);
  static bool ordered(const Access& before, const Moment& now, bool both_read);

  Report& report_;
  std::map<std::uintptr_t, Region> regions_;
  std::vector<std::unique_ptr<Cell, Free>> storage_;
};

std::string place_of(const std::source_location& where);

}  // namespace breakeven::emulator

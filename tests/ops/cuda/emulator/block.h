// Executes a kernel of src/ops/cuda/kernels on the CPU, block after block: every lane is a fiber,
// warps and lanes run in random order, and calls of a whole warp and barriers wait for each other
// as on a GPU. Every access goes past the Shadow.
#pragma once

#include <array>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <source_location>
#include <vector>

#include "ops/cuda/emulator/fiber.h"
#include "ops/cuda/emulator/fragments.h"
#include "ops/cuda/emulator/shadow.h"
#include "ops/cuda/kernels/access.h"
#include "ops/cuda/kernels/call.h"

namespace breakeven::emulator {

using Where = std::source_location;

// A call that all 32 lanes of a warp make together.
struct WarpCall {
  enum class Kind { shuffle, sync, matrices, matrices_transposed, product_half, product_bf16 };
  Kind kind = Kind::sync;
  Where where;
  std::uint32_t value = 0;  // shuffle: in and out
  unsigned from_lane = 0;
  const void* row = nullptr;           // matrices
  std::uint32_t* registers = nullptr;  // matrices: four
  float* sums = nullptr;               // product: four
  const std::uint32_t* a = nullptr;    // four
  const std::uint32_t* b = nullptr;    // two
};

class EmulatedThread;

class BlockExecutor {
 public:
  BlockExecutor(Shadow& shadow, Report& report, std::uint32_t seed)
      : shadow_(shadow), report_(report), random_(seed) {}

  // `body` is what one thread does.
  void run(const ops::cuda::Grid& grid, unsigned threads, const char* name,
           const std::function<void(EmulatedThread&)>& body);

 private:
  friend class EmulatedThread;
  enum class State { ready, at_barrier, in_warp_call, done };
  struct SharedAccess {
    unsigned line = 0;
    std::uintptr_t at = 0;
    unsigned bytes = 0;
  };
  struct PendingCopy {
    void* to = nullptr;
    std::array<std::byte, 16> data{};
    unsigned group = 0;
    Where where;
  };
  struct Lane {
    Fiber fiber;
    State state = State::done;
    WarpCall* call = nullptr;
    std::vector<SharedAccess> accesses;  // since the warp last came together
    std::deque<PendingCopy> copies;
    unsigned copy_group = 0;
  };

  void run_block(unsigned threads, const std::function<void(EmulatedThread&)>& body);
  bool step();  // false when nothing can go on
  void meet(unsigned warp);
  void answer(unsigned warp);
  void load_matrices(unsigned warp, bool transposed);
  void multiply(unsigned warp, bool bf16);
  void count_conflicts(unsigned warp);
  void count_matrix_conflicts(unsigned warp);
  Lane& lane(unsigned warp, unsigned index) { return *lanes_[warp * 32 + index]; }
  Moment moment(unsigned thread) const;

  Shadow& shadow_;
  Report& report_;
  std::mt19937 random_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::uint32_t> warp_epochs_;
  std::unique_ptr<std::byte[]> shared_storage_;
  std::byte* shared_ = nullptr;
  std::size_t shared_bytes_ = 0;
  const char* name_ = "";
  unsigned threads_ = 0;
  std::uint32_t launch_ = 0;
  std::uint32_t block_ = 0;
  std::uint32_t block_epoch_ = 0;
  std::array<unsigned, 3> block_at_{};
};

// The Thread of kernels/access.h.
class EmulatedThread {
 public:
  EmulatedThread(BlockExecutor& block, unsigned thread) : block_(block), thread_(thread) {}

  unsigned thread() const { return thread_; }
  unsigned warp() const { return thread_ / 32; }
  unsigned lane() const { return thread_ % 32; }
  unsigned block_x() const { return block_.block_at_[0]; }
  unsigned block_y() const { return block_.block_at_[1]; }
  unsigned block_z() const { return block_.block_at_[2]; }
  std::byte* shared() const { return block_.shared_; }

  template <class V>
  V load(const V* from, Where where = Where::current()) {
    V value{};
    note_shared(from, sizeof(V), where);
    if (block_.shadow_.read(from, sizeof(V), block_.moment(thread_), where)) {
      std::memcpy(&value, from, sizeof(V));
    }
    return value;
  }
  template <class V>
  void store(V* to, const V& value, Where where = Where::current()) {
    note_shared(to, sizeof(V), where);
    if (block_.shadow_.write(to, sizeof(V), block_.moment(thread_), where)) {
      std::memcpy(to, &value, sizeof(V));
    }
  }

  void copy_async16(void* to, const void* from, bool keep, Where where = Where::current());
  void commit_copies() { ++own().copy_group; }
  template <unsigned kInFlight>
  void wait_copies() {
    land_copies(kInFlight);
  }

  void sync(Where where = Where::current());
  void sync_warp(Where where = Where::current()) {
    WarpCall call{.kind = WarpCall::Kind::sync, .where = where};
    make(call);
  }
  float shuffle(float value, unsigned lane, Where where = Where::current());
  float shuffle_xor(float value, unsigned mask, Where where = Where::current()) {
    return shuffle(value, lane() ^ mask, where);
  }
  void load_matrices(std::uint32_t (&registers)[4], const void* row,
                     Where where = Where::current()) {
    WarpCall call{.kind = WarpCall::Kind::matrices, .where = where, .row = row};
    call.registers = registers;
    make(call);
  }
  void load_matrices_transposed(std::uint32_t (&registers)[4], const void* row,
                                Where where = Where::current()) {
    WarpCall call{.kind = WarpCall::Kind::matrices_transposed, .where = where, .row = row};
    call.registers = registers;
    make(call);
  }
  template <class T>
  void multiply(float (&sums)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                Where where = Where::current()) {
    constexpr bool kBf16 = std::is_same_v<T, ops::cuda::Bf16>;
    WarpCall call{.kind = kBf16 ? WarpCall::Kind::product_bf16 : WarpCall::Kind::product_half,
                  .where = where};
    call.sums = sums;
    call.a = a;
    call.b = b;
    make(call);
  }

 private:
  BlockExecutor::Lane& own() { return *block_.lanes_[thread_]; }
  void make(WarpCall& call);
  void land_copies(unsigned groups_in_flight);
  void note_shared(const void* at, std::size_t bytes, const Where& where);

  BlockExecutor& block_;
  unsigned thread_;
};

}  // namespace breakeven::emulator

#include "ops/cuda/emulator/block.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <numeric>
#include <set>

#include "base/check.h"

namespace breakeven::emulator {
namespace {

constexpr unsigned kLanes = 32;
constexpr unsigned kBanks = 32;
constexpr std::size_t kSharedAlignment_bytes = 128;

float widen(std::uint16_t bits, bool bf16) {
  return bf16 ? ops::cuda::to_float(ops::cuda::Bf16{bits})
              : ops::cuda::to_float(ops::cuda::Half{bits});
}

// Turns that the banks need for one request: the most different words in one bank.
std::size_t turns(const std::set<std::uintptr_t>& words) {
  std::array<std::size_t, kBanks> in_bank{};
  for (const std::uintptr_t word : words) ++in_bank[word % kBanks];
  return *std::max_element(in_bank.begin(), in_bank.end());
}

}  // namespace

void BlockExecutor::run(const ops::cuda::Grid& grid, unsigned threads, const char* name,
                        const std::function<void(EmulatedThread&)>& body) {
  BREAKEVEN_CHECK(threads % kLanes == 0 && threads > 0 && threads <= 1024, "threads={}", threads);
  ++launch_;
  ++report_.launches;
  report_.kernels.insert(name);
  name_ = name;
  threads_ = threads;
  shared_bytes_ = grid.shared_bytes;
  shared_storage_ = std::make_unique<std::byte[]>(shared_bytes_ + kSharedAlignment_bytes);
  // Never one past the end of the storage, where another piece of memory may begin: with no bytes
  // of its own it took that one's place in the shadow.
  const auto raw = reinterpret_cast<std::uintptr_t>(shared_storage_.get());
  shared_ = shared_storage_.get() + (0 - raw) % kSharedAlignment_bytes;
  shadow_.add(shared_, shared_bytes_, "shared memory");
  while (lanes_.size() < threads) lanes_.push_back(std::make_unique<Lane>());

  std::vector<std::uint32_t> order(grid.x * grid.y * grid.z);
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), random_);
  for (const std::uint32_t index : order) {
    block_ = index;
    block_at_ = {static_cast<unsigned>(index % grid.x),
                 static_cast<unsigned>(index / grid.x % grid.y),
                 static_cast<unsigned>(index / grid.x / grid.y)};
    run_block(threads, body);
  }
  shadow_.remove(shared_);
}

void BlockExecutor::run_block(unsigned threads, const std::function<void(EmulatedThread&)>& body) {
  shadow_.reset(shared_);
  std::fill_n(shared_, shared_bytes_, std::byte{0xFF});  // not a number, in every format
  block_epoch_ = 0;
  warp_epochs_.assign(threads / kLanes, 0);
  for (unsigned i = 0; i < threads; ++i) {
    Lane& lane = *lanes_[i];
    lane.state = State::ready;
    lane.accesses.clear();
    lane.copies.clear();
    lane.copy_group = 0;
    lane.fiber.start([this, i, &lane, &body] {
      EmulatedThread thread(*this, i);
      body(thread);
      if (!lane.copies.empty()) {
        report_.add(fmt::format("{}: a thread ends with a copy of {} under way", name_,
                                place_of(lane.copies.front().where)));
      }
      lane.state = State::done;
    });
  }
  while (step()) {
  }
  const auto stuck = [this](unsigned i) { return lanes_[i]->state != State::done; };
  for (unsigned i = 0; i < threads; ++i) {
    if (!stuck(i)) continue;
    report_.add(fmt::format(
        "{}: stuck, because not every lane comes to {}", name_,
        lanes_[i]->state == State::at_barrier ? "a barrier" : place_of(lanes_[i]->call->where)));
    lanes_[i] = std::make_unique<Lane>();  // its fiber cannot be started again
  }
}

// Runs one warp as far as it goes; barriers open when all warps have come to them.
bool BlockExecutor::step() {
  const unsigned warps = threads_ / kLanes;
  std::vector<unsigned> runnable;
  std::size_t waiting = 0;
  for (unsigned w = 0; w < warps; ++w) {
    bool ready = false;
    for (unsigned l = 0; l < kLanes; ++l) {
      ready |= lane(w, l).state == State::ready;
      waiting += lane(w, l).state == State::at_barrier ? 1U : 0U;
    }
    if (ready) runnable.push_back(w);
  }
  if (runnable.empty()) {
    if (waiting != threads_) return false;
    ++block_epoch_;
    ++report_.barriers;
    for (unsigned i = 0; i < threads_; ++i) lanes_[i]->state = State::ready;
    return true;
  }
  const unsigned warp = runnable[random_() % runnable.size()];
  std::array<unsigned, kLanes> order{};
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), random_);
  for (const unsigned l : order) {
    if (lane(warp, l).state == State::ready) lane(warp, l).fiber.resume();
  }
  meet(warp);
  return true;
}

// All lanes of the warp have gone as far as they can.
void BlockExecutor::meet(unsigned warp) {
  count_conflicts(warp);
  unsigned calling = 0;
  for (unsigned l = 0; l < kLanes; ++l) {
    calling += lane(warp, l).state == State::in_warp_call ? 1U : 0U;
  }
  if (calling != kLanes) return;  // all at a barrier, all done, or stuck
  const WarpCall& first = *lane(warp, 0).call;
  for (unsigned l = 1; l < kLanes; ++l) {
    const WarpCall& other = *lane(warp, l).call;
    if (other.kind != first.kind || other.where.line() != first.where.line()) {
      report_.add(fmt::format("{}: lanes of one warp make different calls, {} and {}", name_,
                              place_of(first.where), place_of(other.where)));
      return;
    }
  }
  answer(warp);
  for (unsigned l = 0; l < kLanes; ++l) lane(warp, l).state = State::ready;
}

void BlockExecutor::answer(unsigned warp) {
  switch (lane(warp, 0).call->kind) {
    case WarpCall::Kind::sync:
      ++warp_epochs_[warp];
      return;
    case WarpCall::Kind::shuffle: {
      std::array<std::uint32_t, kLanes> values{};
      for (unsigned l = 0; l < kLanes; ++l) values[l] = lane(warp, l).call->value;
      for (unsigned l = 0; l < kLanes; ++l) {
        WarpCall& call = *lane(warp, l).call;
        call.value = values[call.from_lane % kLanes];
      }
      return;
    }
    case WarpCall::Kind::matrices:
      return load_matrices(warp, false);
    case WarpCall::Kind::matrices_transposed:
      return load_matrices(warp, true);
    case WarpCall::Kind::product_half:
      return multiply(warp, false);
    case WarpCall::Kind::product_bf16:
      return multiply(warp, true);
  }
}

void BlockExecutor::load_matrices(unsigned warp, bool transposed) {
  constexpr std::size_t kRow_bytes = 16;
  count_matrix_conflicts(warp);
  std::array<std::array<std::uint16_t, 8>, kLanes> rows{};
  for (unsigned l = 0; l < kLanes; ++l) {
    const WarpCall& call = *lane(warp, l).call;
    const auto* at = static_cast<const std::byte*>(call.row);
    if (at < shared_ || at + kRow_bytes > shared_ + shared_bytes_) {
      report_.add(fmt::format("out of bounds: {} reads a matrix outside of shared memory",
                              place_of(call.where)));
    } else if (shadow_.read(at, kRow_bytes, moment(warp * kLanes + l), call.where)) {
      std::memcpy(rows[l].data(), at, kRow_bytes);
    }
  }
  for (unsigned l = 0; l < kLanes; ++l) {
    for (unsigned i = 0; i < 4; ++i) {
      std::uint32_t packed = 0;
      for (unsigned half = 0; half < 2; ++half) {
        const Element element = element_of_matrix(l, half, transposed);
        packed |= std::uint32_t{rows[8 * i + element.row][element.column]} << (16 * half);
      }
      lane(warp, l).call->registers[i] = packed;
    }
  }
}

void BlockExecutor::multiply(unsigned warp, bool bf16) {
  float a[16][16];
  float b[16][8];
  for (unsigned l = 0; l < kLanes; ++l) {
    const WarpCall& call = *lane(warp, l).call;
    for (unsigned half = 0; half < 2; ++half) {
      const auto value = [&](std::uint32_t packed) {
        return widen(static_cast<std::uint16_t>(packed >> (16 * half)), bf16);
      };
      for (unsigned reg = 0; reg < 4; ++reg) {
        const Element element = element_of_a(l, reg, half);
        a[element.row][element.column] = value(call.a[reg]);
      }
      for (unsigned reg = 0; reg < 2; ++reg) {
        const Element element = element_of_b(l, reg, half);
        b[element.row][element.column] = value(call.b[reg]);
      }
    }
  }
  for (unsigned l = 0; l < kLanes; ++l) {
    for (unsigned reg = 0; reg < 4; ++reg) {
      const Element element = element_of_c(l, reg);
      float& sum = lane(warp, l).call->sums[reg];
      double total = static_cast<double>(sum);
      for (unsigned k = 0; k < 16; ++k) {
        total += static_cast<double>(a[element.row][k]) * static_cast<double>(b[k][element.column]);
      }
      sum = static_cast<float>(total);
    }
  }
}

// The n-th access of a source line by each lane is one request of the warp. Requests of 8 and 16
// bytes a lane are served in halves and quarters of the warp.
void BlockExecutor::count_conflicts(unsigned warp) {
  std::map<std::pair<unsigned, unsigned>, std::array<SharedAccess, kLanes>> requests;
  for (unsigned l = 0; l < kLanes; ++l) {
    std::map<unsigned, unsigned> seen;
    for (const SharedAccess& access : lane(warp, l).accesses) {
      requests[{access.line, seen[access.line]++}][l] = access;
    }
    lane(warp, l).accesses.clear();
  }
  for (const auto& [key, request] : requests) {
    unsigned bytes = 4;
    for (const SharedAccess& access : request) bytes = std::max(bytes, access.bytes);
    const unsigned together = kLanes * 4 / bytes;
    ++report_.shared_accesses;
    for (unsigned first = 0; first < kLanes; first += together) {
      std::set<std::uintptr_t> words;
      for (unsigned l = first; l < first + together; ++l) {
        for (unsigned at = 0; at < request[l].bytes; at += 4)
          words.insert((request[l].at + at) / 4);
      }
      if (!words.empty()) report_.bank_conflicts += turns(words) - 1;
    }
  }
}

void BlockExecutor::count_matrix_conflicts(unsigned warp) {
  ++report_.shared_accesses;
  for (unsigned first = 0; first < kLanes; first += 8) {
    std::set<std::uintptr_t> words;
    for (unsigned l = first; l < first + 8; ++l) {
      const auto at = reinterpret_cast<std::uintptr_t>(lane(warp, l).call->row);
      for (unsigned word = 0; word < 4; ++word) words.insert(at / 4 + word);
    }
    report_.bank_conflicts += turns(words) - 1;
  }
}

Moment BlockExecutor::moment(unsigned thread) const {
  return {launch_, block_, thread, block_epoch_, warp_epochs_[thread / kLanes]};
}

void EmulatedThread::note_shared(const void* at, std::size_t bytes, const Where& where) {
  const auto* byte = static_cast<const std::byte*>(at);
  if (byte < block_.shared_ || byte >= block_.shared_ + block_.shared_bytes_) return;
  own().accesses.push_back(
      {where.line(), reinterpret_cast<std::uintptr_t>(at), static_cast<unsigned>(bytes)});
}

void EmulatedThread::copy_async16(void* to, const void* from, bool keep, Where where) {
  BlockExecutor::PendingCopy copy{.to = to, .group = own().copy_group, .where = where};
  const Moment now = block_.moment(thread_);
  const bool readable =
      keep && block_.shadow_.read(static_cast<const ops::cuda::Line*>(from), 16, now, where);
  if (readable) std::memcpy(copy.data.data(), from, copy.data.size());
  note_shared(to, 16, where);
  if (!block_.shadow_.write(to, 16, now, where)) return;
  // It may land at any time from now on: what was there is gone.
  std::memset(to, 0xFF, copy.data.size());
  block_.shadow_.set_pending(to, 16, true);
  own().copies.push_back(copy);
}

void EmulatedThread::land_copies(unsigned groups_in_flight) {
  auto& copies = own().copies;
  while (!copies.empty() && copies.front().group + groups_in_flight < own().copy_group) {
    const BlockExecutor::PendingCopy& copy = copies.front();
    block_.shadow_.set_pending(copy.to, 16, false);
    block_.shadow_.write(copy.to, 16, block_.moment(thread_), copy.where);
    std::memcpy(copy.to, copy.data.data(), copy.data.size());
    copies.pop_front();
  }
}

void EmulatedThread::sync(Where /*where*/) {
  own().state = BlockExecutor::State::at_barrier;
  own().fiber.suspend();
}

float EmulatedThread::shuffle(float value, unsigned from, Where where) {
  WarpCall call{.kind = WarpCall::Kind::shuffle, .where = where};
  call.value = std::bit_cast<std::uint32_t>(value);
  call.from_lane = from;
  make(call);
  return std::bit_cast<float>(call.value);
}

void EmulatedThread::make(WarpCall& call) {
  own().call = &call;
  own().state = BlockExecutor::State::in_warp_call;
  own().fiber.suspend();
}

}  // namespace breakeven::emulator

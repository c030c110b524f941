#include "peaks.h"

#include <immintrin.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/thread_team.h"
#include "ops/cpu/arena.h"

namespace breakeven::bench {

double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

namespace {

constexpr int kRounds = 10000;
constexpr int kTileRounds = 2000;
constexpr int kTries = 15;

// Operations a second of the fastest of some tries.
template <class Loop>
double fastest(double operations, const Loop& loop) {
  double best = 1e30;
  for (int i = 0; i < kTries; ++i) {
    const double begin = thread_seconds();
    loop();
    best = std::min(best, thread_seconds() - begin);
  }
  return operations / best;
}

// Independent sums, numbers \\n, hide the latency of a product: multiply-adds take 4 cycles on 2
// ports, products of bf16 more. Register 12 holds zeros, 13 is free.
constexpr int kSums256 = 12;
constexpr int kSums512 = 26;
#define BREAKEVEN_SUMS_256 "0,1,2,3,4,5,6,7,8,9,10,11"
#define BREAKEVEN_SUMS_512 BREAKEVEN_SUMS_256 ",14,15,16,17,18,19,20,21,22,23,24,25,26,27"
#define BREAKEVEN_CHANGED_256                                                              \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13"
#define BREAKEVEN_CHANGED_512                                                                    \
  BREAKEVEN_CHANGED_256, "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", \
      "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27"
#define BREAKEVEN_LOOP(name, instructions, sums, zero, vector, body, ...)                 \
  __attribute__((target(instructions))) void name() {                                     \
    __asm__ volatile(zero " %%" vector "12, %%" vector "12, %%" vector "12\n.irp n," sums \
                          "\n" zero " %%" vector "\\n, %%" vector "\\n, %%" vector        \
                          "\\n\n.endr\nmov %0, %%ecx\n1:\n.irp n," sums "\n" body         \
                          "\n.endr\ndec %%ecx\njnz 1b\n" ::"i"(kRounds)                   \
                     : "ecx", __VA_ARGS__);                                               \
  }                                                                                       \
  static_assert(true)
#define BREAKEVEN_LOOP_256(name, instructions, body)                           \
  BREAKEVEN_LOOP(name, instructions, BREAKEVEN_SUMS_256, "vpxor", "ymm", body, \
                 BREAKEVEN_CHANGED_256)
#define BREAKEVEN_LOOP_512(name, body) \
  BREAKEVEN_LOOP(name, "avx512f", BREAKEVEN_SUMS_512, "vpxord", "zmm", body, BREAKEVEN_CHANGED_512)
#define BREAKEVEN_SMALL_BYTES(vector)                    \
  "vpmaddubsw %%" vector "12, %%" vector "12, %%" vector \
  "13\n"                                                 \
  "vpmaddwd %%" vector "13, %%" vector "12, %%" vector   \
  "13\n"                                                 \
  "vpaddd %%" vector "13, %%" vector "\\n, %%" vector "\\n"
BREAKEVEN_LOOP_256(fma_256, "avx2,fma", "vfmadd231ps %%ymm12, %%ymm12, %%ymm\\n");
BREAKEVEN_LOOP_512(fma_512, "vfmadd231ps %%zmm12, %%zmm12, %%zmm\\n");
BREAKEVEN_LOOP_256(bytes_256, "avx2", "%{vex%} vpdpbusd %%ymm12, %%ymm12, %%ymm\\n");
BREAKEVEN_LOOP_512(bytes_512, "vpdpbusd %%zmm12, %%zmm12, %%zmm\\n");
BREAKEVEN_LOOP_256(small_bytes_256, "avx2", BREAKEVEN_SMALL_BYTES("ymm"));
BREAKEVEN_LOOP_512(small_bytes_512, BREAKEVEN_SMALL_BYTES("zmm"));
BREAKEVEN_LOOP_512(pairs_512, "vdpbf16ps %%zmm12, %%zmm12, %%zmm\\n");

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
alignas(64) std::uint8_t tiles[4 * 1024];

#define BREAKEVEN_FOUR_PRODUCTS(op)                                                               \
  op " %%tmm6, %%tmm4, %%tmm0\n" op " %%tmm7, %%tmm4, %%tmm1\n" op " %%tmm6, %%tmm5, %%tmm2\n" op \
     " %%tmm7, %%tmm5, %%tmm3\n"
// A load waits for what the tile held.
#define BREAKEVEN_FOUR_ZEROS "tilezero %%tmm4\ntilezero %%tmm5\ntilezero %%tmm6\ntilezero %%tmm7\n"
#define BREAKEVEN_FOUR_LOADS                                       \
  BREAKEVEN_FOUR_ZEROS                                             \
  "tileloadd (%1,%2,1), %%tmm4\ntileloadd 1024(%1,%2,1), %%tmm5\n" \
  "tileloadd 2048(%1,%2,1), %%tmm6\ntileloadd 3072(%1,%2,1), %%tmm7\n"
#define BREAKEVEN_TILE_LOOP(loads, op)                                  \
  __asm__ volatile("mov %0, %%ecx\n1:\n" loads BREAKEVEN_FOUR_PRODUCTS( \
                       op) "dec %%ecx\njnz 1b\n" ::"i"(kTileRounds),    \
                   "r"(tiles), "r"(std::size_t{64})                     \
                   : "ecx", "memory")

// The same loop over `tile_memory`, four tiles further each time, `passes` times.
#define BREAKEVEN_TILE_WALK(op)                                                            \
  for (int pass = 0; pass < kWalkPasses; ++pass) {                                         \
    for (std::size_t at = 0; at < kWalkBytes; at += 4096) {                                \
      __asm__ volatile(BREAKEVEN_WALK_LOADS BREAKEVEN_FOUR_PRODUCTS(op)::"r"(memory + at), \
                       "r"(std::size_t{64})                                                \
                       : "memory");                                                        \
    }                                                                                      \
  }
#define BREAKEVEN_WALK_LOADS                                       \
  BREAKEVEN_FOUR_ZEROS                                             \
  "tileloadd (%0,%1,1), %%tmm4\ntileloadd 1024(%0,%1,1), %%tmm5\n" \
  "tileloadd 2048(%0,%1,1), %%tmm6\ntileloadd 3072(%0,%1,1), %%tmm7\n"
constexpr std::size_t kWalkBytes = std::size_t{512} << 10;
constexpr int kWalkPasses = 16;

// A byte of every line, which brings the line; four sums hide the latency of an addition.
std::uint64_t touch(const std::byte* from, std::size_t bytes) {
  std::uint64_t sums[4] = {};
  for (std::size_t at = 0; at + 256 <= bytes; at += 256) {
    for (std::size_t i = 0; i < 4; ++i) sums[i] += static_cast<std::uint64_t>(from[at + 64 * i]);
  }
  return sums[0] + sums[1] + sums[2] + sums[3];
}

// Of a loop of multiply-adds.
double operations_of_floats(bool avx512) {
  return 2.0 * kRounds * (avx512 ? 16 * kSums512 : 8 * kSums256);
}

}  // namespace

double read_bandwidth(std::size_t bytes, unsigned threads) {
  ops::cpu::Arena arena = ops::cpu::Arena::allocate(bytes).value();
  auto* memory = arena.take<std::byte>(bytes);
  std::fill_n(memory, bytes, std::byte{1});
  ThreadTeam team(threads);
  const std::size_t part = bytes / threads / 256 * 256;
  std::atomic<std::uint64_t> sum{0};
  double best = 1e30;
  for (int i = 0; i < kTries; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    team.run([&](unsigned member) { sum += touch(memory + member * part, part); });
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    best = std::min(best, passed.count());
  }
  return sum == 0 ? 0 : static_cast<double>(part * threads) / best;
}

double fma_rate(bool avx512) {
  const double begin = thread_seconds();
  avx512 ? fma_512() : fma_256();
  return operations_of_floats(avx512) / (thread_seconds() - begin);
}

Peaks measure_peaks(InstructionSet set) {
  Peaks peaks;
  const bool avx512 = has_avx512(set);
  const double floats = operations_of_floats(avx512);
  peaks.fp32 = fastest(floats, avx512 ? fma_512 : fma_256);
  if (!has_amx(set)) {
    const bool vnni = has_vnni(set);
    peaks.int8 = fastest(4 * floats, avx512 ? (vnni ? bytes_512 : small_bytes_512)
                                            : (vnni ? bytes_256 : small_bytes_256));
    if (has_bf16(set)) peaks.bf16 = fastest(2 * floats, pairs_512);
    return peaks;
  }
  static const TileConfig kConfig{};
  __asm__ volatile("ldtilecfg %0" ::"m"(kConfig) : "memory");
  // Tiles that were never loaded are known to be zero, and multiplied faster on a busy core.
  std::fill(std::begin(tiles), std::end(tiles), std::uint8_t{0x3F});
  __asm__ volatile(
      "tileloadd (%0,%1,1), %%tmm4\ntileloadd (%0,%1,1), %%tmm5\ntileloadd (%0,%1,1), %%tmm6\n"
      "tileloadd (%0,%1,1), %%tmm7\n" ::"r"(tiles),
      "r"(std::size_t{64})
      : "memory");
  const double products = 4.0 * kTileRounds;
  const double bf16 = 2.0 * 16 * 16 * 32 * products;
  const double int8 = 2.0 * 16 * 16 * 64 * products;
  peaks.bf16 = fastest(bf16, [] { BREAKEVEN_TILE_LOOP("", "tdpbf16ps"); });
  peaks.int8 = fastest(int8, [] { BREAKEVEN_TILE_LOOP("", "tdpbusd"); });
  peaks.bf16_loads = fastest(bf16, [] { BREAKEVEN_TILE_LOOP(BREAKEVEN_FOUR_LOADS, "tdpbf16ps"); });
  peaks.int8_loads = fastest(int8, [] { BREAKEVEN_TILE_LOOP(BREAKEVEN_FOUR_LOADS, "tdpbusd"); });
  std::vector<std::byte> storage(kWalkBytes + 64, std::byte{1});
  const std::byte* memory =
      storage.data() + (64 - reinterpret_cast<std::uintptr_t>(storage.data()) % 64) % 64;
  const double walk = static_cast<double>(kWalkBytes / 4096 * kWalkPasses) / kTileRounds;
  peaks.bf16_l2 = fastest(bf16 * walk, [=] { BREAKEVEN_TILE_WALK("tdpbf16ps") });
  peaks.int8_l2 = fastest(int8 * walk, [=] { BREAKEVEN_TILE_WALK("tdpbusd") });
  __asm__ volatile("tilerelease" ::);
  return peaks;
}

}  // namespace breakeven::bench

// The host executor itself: it finds what it is there to find. Each planted bug is a kernel that
// gives the right result in most orders.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "ops/cuda/emulator/block.h"
#include "ops/cuda/emulator/host_runtime.h"

namespace breakeven::emulator {
namespace {

using ops::cuda::Bf16;
using ops::cuda::Half;
using ops::cuda::Line;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// One piece of global memory and an executor.
struct Machine {
  explicit Machine(std::size_t values, std::uint32_t seed = 1)
      : memory(values), shadow(report), executor(shadow, report, seed) {
    shadow.add(memory.data(), values * sizeof(float), "global memory");
    std::iota(memory.begin(), memory.end(), 0.0F);
  }
  void set_written() {
    shadow.set_written(memory.data(), memory.size() * sizeof(float), "the test");
  }
  std::vector<float> memory;
  Report report;
  Shadow shadow;
  BlockExecutor executor;
};

// Every thread writes its number to shared memory and reads its neighbour's in another warp.
void exchange(EmulatedThread& t, float* out, bool with_barrier) {
  auto* shared = reinterpret_cast<float*>(t.shared());
  t.store(shared + t.thread(), static_cast<float>(t.thread()));
  if (with_barrier) t.sync();
  t.store(out + t.thread(), t.load(shared + (t.thread() + 32) % 64));
}

TEST(HostExecutor, BarriersOrderSharedMemory) {
  Machine machine(64);
  machine.executor.run({.shared_bytes = 256}, 64, "exchange",
                       [&](EmulatedThread& t) { exchange(t, machine.memory.data(), true); });
  EXPECT_THAT(machine.report.findings, IsEmpty());
  EXPECT_EQ(machine.report.barriers, 1U);
  for (unsigned i = 0; i < 64; ++i) EXPECT_EQ(machine.memory[i], static_cast<float>((i + 32) % 64));
}

TEST(HostExecutor, AMissingBarrierIsFoundInEveryOrder) {
  for (std::uint32_t seed = 1; seed <= 10; ++seed) {
    Machine machine(64, seed);
    machine.executor.run({.shared_bytes = 256}, 64, "exchange",
                         [&](EmulatedThread& t) { exchange(t, machine.memory.data(), false); });
    EXPECT_THAT(machine.report.findings,
                Contains(AllOf(HasSubstr("race"), HasSubstr("emulator_test.cc"))))
        << "seed " << seed;
  }
}

TEST(HostExecutor, AMissingWarpBarrierIsFound) {
  for (const bool with_barrier : {true, false}) {
    Machine machine(32);
    machine.executor.run({.shared_bytes = 128}, 32, "warp", [&](EmulatedThread& t) {
      auto* shared = reinterpret_cast<float*>(t.shared());
      t.store(shared + t.lane(), 1.0F);
      if (with_barrier) t.sync_warp();
      t.store(machine.memory.data() + t.lane(), t.load(shared + (t.lane() + 1) % 32));
    });
    EXPECT_EQ(machine.report.findings.empty(), with_barrier);
  }
}

TEST(HostExecutor, AnIndexOutOfBoundsIsFoundAndNotFollowed) {
  Machine machine(64);
  machine.set_written();
  machine.executor.run({.x = 2}, 32, "shift", [&](EmulatedThread& t) {
    float* at = machine.memory.data() + t.block_x() * 32 + t.lane();
    t.store(at + 1, 5.0F);  // the last lane of the last block is one too far
  });
  EXPECT_THAT(machine.report.findings,
              ElementsAre(AllOf(HasSubstr("out of bounds"), HasSubstr("at 256 of global memory's "
                                                                      "256"))));
}

TEST(HostExecutor, SharedMemoryOutOfBoundsIsFound) {
  Machine machine(1);
  machine.executor.run({.shared_bytes = 64}, 32, "beyond", [&](EmulatedThread& t) {
    t.store(reinterpret_cast<float*>(t.shared()) + t.lane(), 1.0F);
  });
  EXPECT_THAT(machine.report.findings, Contains(HasSubstr("shared memory's 64")));
}

TEST(HostExecutor, BlocksThatWriteTheSamePlaceAreFound) {
  Machine machine(1);
  machine.executor.run({.x = 2}, 32, "both", [&](EmulatedThread& t) {
    if (t.lane() == 0) t.store(machine.memory.data(), 1.0F);
  });
  EXPECT_THAT(machine.report.findings, Contains(HasSubstr("race")));
}

TEST(HostExecutor, ReadingWhatNobodyWroteIsFound) {
  Machine machine(1);
  machine.executor.run({}, 32, "early", [&](EmulatedThread& t) { t.load(machine.memory.data()); });
  EXPECT_THAT(machine.report.findings, ElementsAre(HasSubstr("not written")));
}

TEST(HostExecutor, MisalignedAccessIsFound) {
  Machine machine(8);
  machine.set_written();
  machine.executor.run({}, 32, "askew", [&](EmulatedThread& t) {
    t.load(reinterpret_cast<const Line*>(machine.memory.data() + 1));
  });
  EXPECT_THAT(machine.report.findings, Contains(HasSubstr("misaligned")));
}

TEST(HostExecutor, ACopyIsNotThereBeforeItWasWaitedFor) {
  for (const bool waits : {true, false}) {
    Machine machine(4);
    machine.set_written();
    float seen = 0;
    machine.executor.run({.shared_bytes = 16}, 32, "copy", [&](EmulatedThread& t) {
      if (t.lane() != 0) return;
      t.copy_async16(t.shared(), machine.memory.data(), true);
      t.commit_copies();
      if (waits) t.wait_copies<0>();
      seen = t.load(reinterpret_cast<const float*>(t.shared()) + 3);
      if (!waits) t.wait_copies<0>();
    });
    EXPECT_EQ(machine.report.findings.empty(), waits);
    EXPECT_EQ(seen == 3.0F, waits);
  }
}

TEST(HostExecutor, LanesThatDoNotComeTogetherAreFound) {
  Machine machine(1);
  machine.executor.run({}, 32, "part", [&](EmulatedThread& t) {
    if (t.lane() < 16) t.shuffle_xor(1.0F, 1);
  });
  EXPECT_THAT(machine.report.findings, Contains(HasSubstr("stuck")));
  // The executor can still be used.
  machine.executor.run({}, 32, "whole", [&](EmulatedThread& t) { t.shuffle_xor(1.0F, 1); });
  EXPECT_EQ(machine.report.findings.size(), 1U);
}

TEST(HostExecutor, ABarrierThatOnlySomeReachIsFound) {
  Machine machine(1);
  machine.executor.run({}, 64, "half", [&](EmulatedThread& t) {
    if (t.warp() == 0) t.sync();
  });
  EXPECT_THAT(machine.report.findings, Contains(HasSubstr("not every lane comes to a barrier")));
}

TEST(HostExecutor, ShufflesGiveTheOtherLanesValue) {
  Machine machine(32);
  machine.executor.run({}, 32, "shuffle", [&](EmulatedThread& t) {
    const float other = t.shuffle_xor(static_cast<float>(t.lane()), 5);
    t.store(machine.memory.data() + t.lane(), t.shuffle(other, 7));
  });
  EXPECT_THAT(machine.report.findings, IsEmpty());
  EXPECT_THAT(machine.memory, testing::Each(7 ^ 5));
}

// Columns of a [32, 32] matrix lie in one bank; one value more a row spreads them.
TEST(HostExecutor, BankConflictsAreCounted) {
  for (const unsigned stride : {32U, 33U}) {
    Machine machine(1);
    machine.executor.run({.shared_bytes = 33 * 32 * 4}, 32, "column", [&](EmulatedThread& t) {
      t.store(reinterpret_cast<float*>(t.shared()) + t.lane() * stride, 1.0F);
    });
    EXPECT_EQ(machine.report.shared_accesses, 1U);
    EXPECT_EQ(machine.report.bank_conflicts, stride == 32 ? 31U : 0U);
  }
}

// A product of two matrices by way of ldmatrix and mma, as the attention kernel makes it.
template <class T>
void expect_product() {
  std::mt19937 random(3);
  std::uniform_int_distribution<int> digit(-4, 4);
  std::vector<T> a(16 * 16);
  std::vector<T> b(16 * 16);  // [k][n]; the product takes columns 0 .. 7
  for (T& value : a) value = ops::cuda::from_float<T>(static_cast<float>(digit(random)));
  for (T& value : b) value = ops::cuda::from_float<T>(static_cast<float>(digit(random)));
  Machine machine(16 * 8);
  machine.executor.run({.shared_bytes = 1024}, 32, "product", [&](EmulatedThread& t) {
    auto* left = reinterpret_cast<T*>(t.shared());
    T* right = left + 256;
    for (unsigned i = t.lane(); i < 256; i += 32) {
      t.store(left + i, a[i]);
      t.store(right + i, b[i]);
    }
    t.sync_warp();
    std::uint32_t first[4];
    std::uint32_t second[4];
    t.load_matrices(first, left + t.lane() % 16 * 16 + t.lane() / 16 * 8);
    t.load_matrices_transposed(second, right + t.lane() % 16 * 16 + t.lane() / 16 * 8);
    float sums[4] = {};
    const std::uint32_t low[2] = {second[0], second[1]};
    t.multiply<T>(sums, first, low);
    for (unsigned reg = 0; reg < 4; ++reg) {
      const Element at = element_of_c(t.lane(), reg);
      t.store(machine.memory.data() + at.row * 8 + at.column, sums[reg]);
    }
  });
  EXPECT_THAT(machine.report.findings, IsEmpty());
  for (unsigned row = 0; row < 16; ++row) {
    for (unsigned column = 0; column < 8; ++column) {
      float sum = 0;
      for (unsigned k = 0; k < 16; ++k) {
        sum += ops::cuda::to_float(a[row * 16 + k]) * ops::cuda::to_float(b[k * 16 + column]);
      }
      EXPECT_EQ(machine.memory[row * 8 + column], sum) << row << " " << column;
    }
  }
}

TEST(HostExecutor, MatrixLoadsAndProductsMakeAMatrixProduct) {
  expect_product<Half>();
  expect_product<Bf16>();
}

TEST(Numbers, HalfRoundsToTheNearestEvenAndBack) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const Half half{static_cast<std::uint16_t>(bits)};
    const float value = ops::cuda::to_float(half);
    if (std::isnan(value)) continue;
    EXPECT_EQ(ops::cuda::from_float<Half>(value).bits, half.bits) << bits;
  }
  const auto round = [](float value) {
    return ops::cuda::to_float(ops::cuda::from_float<Half>(value));
  };
  EXPECT_EQ(round(1.0F + 0x1p-11F), 1.0F);  // half way: to the even one
  EXPECT_EQ(round(1.0F + 0x1.8p-10F), 1.0F + 0x1p-9F);
  EXPECT_EQ(round(65519.0F), 65504.0F);
  EXPECT_EQ(round(65520.0F), INFINITY);
  EXPECT_EQ(round(-0x1p-25F), 0.0F);
  EXPECT_EQ(round(0x1.8p-25F), 0x1p-24F);
  EXPECT_EQ(round(0x1.8p-24F), 0x1p-23F);
  EXPECT_TRUE(std::isnan(round(NAN)));
}

TEST(Numbers, Bf16RoundsToTheNearestEven) {
  const auto round = [](float value) {
    return ops::cuda::to_float(ops::cuda::from_float<Bf16>(value));
  };
  EXPECT_EQ(round(1.0F + 0x1p-8F), 1.0F);
  EXPECT_EQ(round(1.0F + 0x1.8p-7F), 1.0F + 0x1p-6F);
  EXPECT_EQ(round(-3.0F), -3.0F);
  EXPECT_EQ(round(3.4e38F), INFINITY);
  EXPECT_TRUE(std::isnan(round(NAN)));
}

}  // namespace
}  // namespace breakeven::emulator

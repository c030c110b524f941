// Attention of one head against double, on vectors and on tiles, between guard pages: the
// sanitizers do not see what tile loads and stores touch.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/limits.h"
#include "guarded.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/tile_pack.h"
#include "tile_sets.h"

namespace breakeven::ops::cpu {
namespace {

struct HeadCase {
  std::size_t rows, keys, head_size;
};

float as_float(float value) {
  return value;
}
float as_float(Bf16 value) {
  return from_bf16(value);
}
void narrow(float value, float& to) {
  to = value;
}
void narrow(float value, Bf16& to) {
  to = to_bf16(value);
}

// One head's operands. `q_rows` and `q_spare`: rows and elements of q that a kernel may read.
template <class Element>
struct Head {
  HeadCase shape;
  testing::Guarded<Element> q, k, v, ctx;
  testing::Guarded<std::byte> scratch;
  std::vector<float> distance_keys, distance_queries;  // [distances, D]
  std::vector<std::int32_t> distance_rows;
  AttentionTaskOf<Element> task;

  Head(const HeadCase& c, std::size_t q_rows, std::size_t q_spare, std::size_t scratch_bytes,
       std::size_t k_rows = 0)
      : shape(c),
        q(q_rows * c.head_size + q_spare),
        // Without distances nothing behind the last key may be read.
        k(k_rows == 0 ? c.keys * c.head_size : k_rows * c.head_size + q_spare),
        v(c.keys * c.head_size),
        ctx(c.rows * c.head_size),
        scratch(scratch_bytes) {
    std::mt19937 random(20);
    std::normal_distribution<float> distribution;
    const auto fill = [&](Element* to, std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) narrow(distribution(random), to[i]);
    };
    fill(q.data(), c.rows * c.head_size);
    fill(k.data(), c.keys * c.head_size);
    fill(v.data(), c.keys * c.head_size);
    // One head: what lies behind it is the guard.
    task = {q.data(),    k.data(),
            v.data(),    c.head_size,
            c.head_size, 0,
            c.rows,      c.keys,
            c.head_size, 1.0F / std::sqrt(static_cast<float>(c.head_size)),
            ctx.data(),  scratch.data()};
  }

  // From now on scores have the terms of relative positions. `panels` keeps what the task points
  // to.
  void add_distances(testing::Guarded<std::byte>& memory, bool tiles) {
    const RelativeDistances distances{.span = kDistances / 2, .near = 9, .farthest = 60};
    const std::size_t longest = std::max(shape.rows, shape.keys);
    const std::size_t size = shape.head_size;
    const std::size_t depth = padded(size, tiles ? 32 : kDepthStep);
    const std::size_t columns = padded(kDistances, kPanel);
    distance_rows = distances.rows(longest);
    std::mt19937 random(21);
    std::normal_distribution<float> distribution;
    std::byte* to = memory.data();
    for (std::vector<float>* made : {&distance_keys, &distance_queries}) {
      made->resize(kDistances * size);
      for (float& value : *made) value = from_bf16(to_bf16(distribution(random)));
      std::vector<float> rows(columns * depth);
      for (std::size_t r = 0; r < kDistances; ++r) {
        std::copy_n(made->data() + r * size, size, rows.data() + r * depth);
      }
      if (tiles) {
        pack_tiles(rows.data(), columns, depth, to);
      } else {
        pack_panels(rows.data(), columns, depth, WeightFormat::f32, to);
      }
      to += rows.size() * (tiles ? sizeof(Bf16) : sizeof(float));
    }
    task.distances = {memory.data(), memory.data() + distance_bytes(size, tiles) / 2,
                      distance_rows.data() + longest - 1};
    task.scale = 1.0F / std::sqrt(3.0F * static_cast<float>(size));
  }
  static constexpr std::size_t kDistances = 42;
  static std::size_t distance_bytes(std::size_t size, bool tiles) {
    return 2 * padded(kDistances, kPanel) *
           (tiles ? padded(size, 32) * sizeof(Bf16) : padded(size, kDepthStep) * sizeof(float));
  }

  // softmax(scale * q k^T) v of one row, in double.
  std::vector<double> exact(std::size_t query) const {
    const std::size_t size = shape.head_size;
    std::vector<double> shares(shape.keys);
    double total = 0;
    for (std::size_t j = 0; j < shape.keys; ++j) {
      double score = 0;
      for (std::size_t d = 0; d < size; ++d) {
        score += double{as_float(q.data()[query * size + d])} * as_float(k.data()[j * size + d]);
      }
      if (!distance_rows.empty()) {
        const std::size_t longest = (distance_rows.size() + 1) / 2;
        const auto row = static_cast<std::size_t>(distance_rows[longest - 1 + j - query]);
        for (std::size_t d = 0; d < size; ++d) {
          score += double{as_float(q.data()[query * size + d])} * distance_keys[row * size + d];
          score += double{as_float(k.data()[j * size + d])} * distance_queries[row * size + d];
        }
      }
      shares[j] = std::exp(score * static_cast<double>(task.scale));
      total += shares[j];
    }
    std::vector<double> out(size);
    for (std::size_t d = 0; d < size; ++d) {
      for (std::size_t j = 0; j < shape.keys; ++j) {
        out[d] += shares[j] / total * as_float(v.data()[j * size + d]);
      }
    }
    return out;
  }

  void check(double most) const {
    for (std::size_t row = 0; row < shape.rows; row += std::max<std::size_t>(1, shape.rows / 9)) {
      const auto wanted = exact(row);
      for (std::size_t d = 0; d < shape.head_size; ++d) {
        ASSERT_NEAR(as_float(ctx.data()[row * shape.head_size + d]), wanted[d], most)
            << "rows " << shape.rows << " keys " << shape.keys << " D " << shape.head_size << " at "
            << row << "," << d;
      }
    }
  }
};

template <class Check>
void for_each_shape(const Check& check) {
  for (const std::size_t head_size : {5U, 8U, 24U, 32U, 40U, 64U, 80U, 128U}) {
    for (const std::size_t rows : {1U, 2U, 13U, 15U, 16U, 17U, 29U, 31U, 32U, 33U, 63U, 65U}) {
      check(HeadCase{rows, rows, head_size});
      if (rows > 3) check(HeadCase{rows, rows / 3, head_size});
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
  check(HeadCase{512, 512, 64});
  check(HeadCase{511, 97, 32});
}

template <class Element>
using Kernel = void (*)(const AttentionTaskOf<Element>&);

template <class Element>
void check_vectors(Kernel<Element> kernel, double most, bool with_distances = false) {
  for_each_shape([&](const HeadCase& c) {
    const std::size_t distances = with_distances ? Head<Element>::kDistances : 0;
    const std::size_t bytes =
        attention_scratch_bytes(std::max(c.rows, c.keys), c.head_size, distances);
    ASSERT_EQ(bytes % 64, 0U);
    Head<Element> head(c, c.rows, 0, bytes);
    testing::Guarded<std::byte> memory(Head<Element>::distance_bytes(c.head_size, false));
    if (with_distances) head.add_distances(memory, false);
    kernel(head.task);
    head.check(most);
    // Rows by themselves and in other company: the same bits.
    const std::vector<Element> together(head.ctx.data(), head.ctx.data() + c.rows * c.head_size);
    for (std::size_t begin = 0, step = 1; begin < c.rows; begin += step, step = step % 17 + 3) {
      head.task.query_begin = begin;
      head.task.query_end = std::min(begin + step, c.rows);
      kernel(head.task);
    }
    ASSERT_EQ(0, std::memcmp(together.data(), head.ctx.data(), together.size() * sizeof(Element)))
        << "rows " << c.rows << " keys " << c.keys << " D " << c.head_size;
  });
}

class VectorAttention : public ::testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    const std::string reason = breakeven::testing::missing(GetParam());
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
};

TEST_P(VectorAttention, StaysInsideItsMemoryForEveryShape) {
  const Kernels& kernels = kernels_for(has_avx512(GetParam()));
  if (has_bf16(GetParam())) {
    check_vectors<Bf16>(kernels.attention_bf16, limit("ops/cpu/tiles_abs_max"));
  } else {
    check_vectors<float>(kernels.attention, 1e-5);
  }
}

TEST_P(VectorAttention, AddsDistancesInsideItsMemory) {
  const Kernels& kernels = kernels_for(has_avx512(GetParam()));
  if (has_bf16(GetParam())) {
    check_vectors<Bf16>(kernels.attention_widened, limit("ops/cpu/tiles_abs_max"), true);
  } else {
    check_vectors<float>(kernels.attention, 2e-5, true);
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, VectorAttention,
                         ::testing::Values(InstructionSet::avx2, InstructionSet::avx512_core,
                                           InstructionSet::avx512_core_bf16),
                         [](const auto& of) { return std::string(to_string(of.param)); });

class TileAttention : public ::testing::TestWithParam<breakeven::testing::Tiles> {};

TEST_P(TileAttention, StaysInsideItsMemoryForEveryShape) {
  using breakeven::testing::Tiles;
  const std::string reason = breakeven::testing::missing(GetParam());
  if (!reason.empty()) GTEST_SKIP() << reason;
  for_each_shape([](const HeadCase& c) {
    if (c.head_size % 8 != 0) return;
    const auto run = [&](Head<Bf16>& head, const TileKernels& tiles) {
      tiles.attention(head.task);
      tiles.release();
    };
    const std::size_t bytes = tile_attention_scratch_bytes(c.keys, c.head_size);
    Head<Bf16> head(c, padded(c.rows, 32), 32, bytes);
    run(head, breakeven::testing::kernels_of(GetParam()));
    head.check(limit("ops/cpu/tiles_abs_max"));
    if (GetParam() == Tiles::emulated) return;
    Head<Bf16> emulated(c, padded(c.rows, 32), 32, bytes);
    run(emulated, breakeven::testing::emulated_tiles());
    EXPECT_EQ(
        0, std::memcmp(head.ctx.data(), emulated.ctx.data(), c.rows * c.head_size * sizeof(Bf16)))
        << "rows " << c.rows << " keys " << c.keys << " D " << c.head_size;
  });
}

TEST_P(TileAttention, AddsDistancesInsideItsMemory) {
  const std::string reason = breakeven::testing::missing(GetParam());
  if (!reason.empty()) GTEST_SKIP() << reason;
  const TileKernels& tiles = breakeven::testing::kernels_of(GetParam());
  for_each_shape([&](const HeadCase& c) {
    if (c.head_size % 8 != 0) return;
    const std::size_t bytes =
        tile_attention_scratch_bytes(std::max(c.rows, c.keys), c.head_size, Head<Bf16>::kDistances);
    Head<Bf16> head(c, padded(c.rows, 32), 32, bytes, padded(c.keys, 32));
    testing::Guarded<std::byte> memory(Head<Bf16>::distance_bytes(c.head_size, true));
    head.add_distances(memory, true);
    tiles.attention(head.task);
    tiles.release();
    head.check(limit("ops/cpu/tiles_abs_max"));
  });
}

INSTANTIATE_TEST_SUITE_P(Tiles, TileAttention,
                         ::testing::Values(breakeven::testing::Tiles::emulated,
                                           breakeven::testing::Tiles::hardware),
                         [](const auto& of) { return breakeven::testing::name_of(of.param); });

}  // namespace
}  // namespace breakeven::ops::cpu

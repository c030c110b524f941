// A forward pass allocates nothing: every operator new of the process comes through here while the
// test counts.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "harness.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<long> allocations{0};

void* count_and_allocate(std::size_t bytes, std::size_t alignment) {
  if (counting.load(std::memory_order_relaxed)) {
    allocations++;
  }
  void* memory = std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) {
  return count_and_allocate(bytes, alignof(std::max_align_t));
}
void* operator new[](std::size_t bytes) {
  return count_and_allocate(bytes, alignof(std::max_align_t));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return count_and_allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace breakeven {
namespace {

TEST(Allocations, TheCounterCounts) {
  allocations = 0;
  counting = true;
  auto* volatile made = new int(3);
  counting = false;
  delete made;
  EXPECT_EQ(allocations.load(), 1);
}

class ForwardPass : public ::testing::TestWithParam<ops::Precision> {
 protected:
  static void expect_no_allocation(testing::EncoderShape shape);
};

TEST_P(ForwardPass, AllocatesNothing) {
  expect_no_allocation({});
}

TEST_P(ForwardPass, OfAModernEncoderAllocatesNothing) {
  testing::EncoderShape shape;
  using Form = ops::EncoderForm;
  shape.form = {.norm = Form::Norm::pre,
                .position = Form::Position::rotary,
                .ffn = Form::Ffn::gated,
                .attention = Form::Attention::windowed};
  shape.window = 40;
  expect_no_allocation(shape);
}

void ForwardPass::expect_no_allocation(testing::EncoderShape shape) {
  auto backend = ops::make_cpu_backend({GetParam(), ""});
  if (!backend) GTEST_SKIP() << "SKIPPED: " << backend.error().to_string();
  shape.hidden = 128;
  shape.heads = 2;
  shape.intermediate = 512;
  shape.positions = 300;
  shape.layers = 3;
  const testing::RandomEncoder encoder(shape);
  const testing::RandomBatch large(shape, {{300, 300}, {7, 7}, {40, 64}});
  const testing::RandomBatch small(shape, {{33, 33}});
  testing::Runner runner(*std::move(backend), encoder.weights, {large.ids.size(), 3, 2});
  const auto pass = [&](const ops::Batch& batch) {
    ops::Backend& b = *runner.backend;
    b.upload(*runner.lane, batch);
    const auto body = [&] {
      b.embed_ln(*runner.lane);
      for (std::size_t layer = 0; layer < 2; ++layer) {
        b.attention(*runner.lane, layer);
        b.project_ln(*runner.lane, layer, ops::Act::x);
        b.ffn_ln(*runner.lane, layer, ops::Act::x);
      }
      b.cls_attention(*runner.lane, 2);
      b.project_ln(*runner.lane, 2, ops::Act::x_cls);
      b.ffn_ln(*runner.lane, 2, ops::Act::x_cls);
      b.head(*runner.lane);
    };
    b.run(*runner.lane, std::cref(body));
    return b.wait(*runner.lane)[0];
  };
  pass(large.batch());
  allocations = 0;
  counting = true;
  const float first = pass(large.batch());
  const float second = pass(small.batch());
  counting = false;
  EXPECT_TRUE(std::isfinite(first + second));
  EXPECT_EQ(allocations.load(), 0);
}

INSTANTIATE_TEST_SUITE_P(Precisions, ForwardPass,
                         ::testing::Values(ops::Precision::fp32, ops::Precision::bf16,
                                           ops::Precision::int8, ops::Precision::fp32x3),
                         [](const auto& of) { return std::string(to_string(of.param)); });

}  // namespace
}  // namespace breakeven

#include "ops/cuda/emulator/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>

#include "base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

// Saves what the calling convention says a call keeps, changes stacks, and restores the same.
extern "C" void breakeven_switch_stacks(void** save, void* load);
asm(R"(
.text
.type breakeven_switch_stacks, @function
breakeven_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  subq $8, %rsp
  stmxcsr (%rsp)
  fnstcw 4(%rsp)
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  ldmxcsr (%rsp)
  fldcw 4(%rsp)
  addq $8, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size breakeven_switch_stacks, .-breakeven_switch_stacks
)");

namespace breakeven::emulator {
namespace {

thread_local Fiber* entering = nullptr;

}  // namespace

Fiber::Fiber() {
  void* memory = ::mmap(nullptr, kStack_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  BREAKEVEN_CHECK(memory != MAP_FAILED);
  stack_ = static_cast<std::byte*>(memory);
#if defined(__SANITIZE_ADDRESS__)
  // The frames of a fiber that was given up may have lain here.
  __asan_unpoison_memory_region(stack_, kStack_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
  tsan_fiber_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(tsan_fiber_);
#endif
  ::munmap(stack_, kStack_bytes);
}

void Fiber::start(const std::function<void()>& body) {
  BREAKEVEN_CHECK(done_);
  body_ = body;
  done_ = false;
  // What the switch restores: control words, six registers, and main() as the place to return to,
  // with the stack as if main() had been called.
  auto* top = reinterpret_cast<std::uint64_t*>(stack_ + kStack_bytes) - 1;
  *--top = reinterpret_cast<std::uint64_t>(&Fiber::main);
  for (int i = 0; i < 6; ++i) *--top = 0;
  std::uint32_t controls[2] = {0, 0};
  asm volatile("stmxcsr %0; fnstcw %1" : "=m"(controls[0]), "=m"(controls[1]));
  --top;
  std::memcpy(top, controls, sizeof(controls));
  pointer_ = top;
}

void Fiber::main() {
  Fiber& self = *entering;
  self.enter(false);
  self.body_();
  self.done_ = true;
  self.enter(true);
  breakeven_switch_stacks(&self.pointer_, self.caller_);
}

// Tells the sanitizers that the fiber's stack was just entered, or is about to be left.
void Fiber::enter(bool leaving) {
#if defined(__SANITIZE_ADDRESS__)
  if (leaving) {
    __sanitizer_start_switch_fiber(done_ ? nullptr : &fake_stack_, caller_bottom_, caller_size_);
  } else {
    __sanitizer_finish_switch_fiber(fake_stack_, &caller_bottom_, &caller_size_);
  }
#endif
#if defined(__SANITIZE_THREAD__)
  if (leaving) __tsan_switch_to_fiber(tsan_caller_, 0);
#endif
  (void)leaving;
}

void Fiber::resume() {
  BREAKEVEN_CHECK(!done_);
  entering = this;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&caller_fake_stack_, stack_, kStack_bytes);
#endif
#if defined(__SANITIZE_THREAD__)
  tsan_caller_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(tsan_fiber_, 0);
#endif
  breakeven_switch_stacks(&caller_, pointer_);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(caller_fake_stack_, nullptr, nullptr);
#endif
}

void Fiber::suspend() {
  enter(true);
  breakeven_switch_stacks(&pointer_, caller_);
  enter(false);
}

}  // namespace breakeven::emulator

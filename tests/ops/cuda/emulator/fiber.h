// A thread of execution with a stack of its own that runs when it is told to and stops where it
// says: one lane of an emulated block. x86-64 only, as the project is.
#pragma once

#include <cstddef>
#include <functional>

namespace breakeven::emulator {

class Fiber {
 public:
  Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  // Prepares to run `body` from its beginning; the stack is used again. Not while one is under way.
  void start(const std::function<void()>& body);
  // Runs until the body calls suspend() or returns.
  void resume();
  // Called by the body: back to whoever called resume().
  void suspend();
  bool done() const { return done_; }

 private:
  static void main();
  void enter(bool leaving);

  static constexpr std::size_t kStack_bytes = std::size_t{256} << 10;
  std::byte* stack_ = nullptr;
  void* pointer_ = nullptr;  // the fiber's stack pointer while it is stopped
  void* caller_ = nullptr;   // the caller's while the fiber runs
  std::function<void()> body_;
  bool done_ = true;
  // For the sanitizers, which must be told of every change of stacks.
  void* fake_stack_ = nullptr;
  void* caller_fake_stack_ = nullptr;
  const void* caller_bottom_ = nullptr;
  std::size_t caller_size_ = 0;
  void* tsan_fiber_ = nullptr;
  void* tsan_caller_ = nullptr;
};

}  // namespace breakeven::emulator

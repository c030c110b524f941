// A child process and its three streams: write to it, read a line or everything from it, with a
// deadline and a flag that ends the wait; pause, resume and kill it. The last line of its
// stderr is kept. Trusts nothing that the child does.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace breakeven {

struct ProcessOptions {
  std::string program;                   // a path, or a name to be found in $PATH
  std::vector<std::string> arguments{};  // without the program's name
  // A process group of its own: Ctrl-C at the terminal does not reach it, and what pause(),
  // resume() and kill() do holds for the processes that it started too.
  bool own_group = false;
};

// Why a wait for an answer ended. After time_limit, interrupted, too_long and closed the child
// still runs.
enum class AskEnd : std::uint8_t {
  answered,     // Until::line: the line is there
  exited,       // the child has ended; with Until::end that is what was waited for
  time_limit,   // the deadline passed
  interrupted,  // the stop flag is set
  too_long,     // more bytes than answer_bytes without an end
  closed,       // it closed its stdout and goes on
};

struct AskLimits {
  double deadline_s = 0;  // on the monotonic clock
  const std::atomic<bool>* stop = nullptr;
  std::size_t answer_bytes = 256U << 20;
};

enum class Until : std::uint8_t { line, end };

// Not thread-safe.
class Process {
 public:
  // The child dies with the thread that called this, whatever kills it (PR_SET_PDEATHSIG), a paused
  // one too. Errors: process/spawn.
  static Result<std::unique_ptr<Process>> start(const ProcessOptions& options);

  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();  // kills it

  int pid() const;

  // Writes `request` to its stdin and reads from its stdout: the next line, without its newline
  // (what follows is kept for the next question), or with Until::end, which closes its stdin after
  // the request, all that it prints until it has ended. A child that reads nothing is no error: its
  // exit tells why.
  AskEnd ask(std::string_view request, Until until, const AskLimits& limits, std::string& answer);

  bool running();  // looks
  // SIGSTOP, and waits until it has really stopped; SIGCONT.
  void pause();
  void resume();
  // SIGKILL, and waits for its end. Harmless when it has ended.
  void kill();
  // Closes its stdin and waits; true when it has ended by then.
  bool wait_for_end(const AskLimits& limits);

  // Of a child that has ended.
  bool ended_well() const;  // exit code 0
  std::optional<int> ending_signal() const;
  std::string ending() const;  // "ended with exit code 3", "was killed by signal 11 (...)"
  // The last line on its stderr that says something, without control characters, at most 300 bytes
  // of it; "" when there is none.
  std::string last_error() const;
  // "message; the last line of its stderr: ..."; the message alone when there is none.
  std::string with_last_error(const std::string& message) const;

 private:
  struct State;
  explicit Process(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// `text` with every control character as a space, its outer spaces removed, cut to `most` bytes
// (the end is kept, after "..."): words of another program that are to stand in one line of ours.
std::string printable(std::string_view text, std::size_t most = 300);

}  // namespace breakeven

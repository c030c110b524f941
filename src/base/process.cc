#include "base/process.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/process_start.h"

namespace breakeven {
namespace {

constexpr std::size_t kErrorBytes = 4096;
// How often a wait looks at its deadline, at the flag and at the child: a child that has ended may
// have left its streams to a grandchild.
constexpr int kLookEvery_ms = 20;
constexpr double kStreamsOutliveBy_s = 1;

// Reads what is there, at most `most` bytes of it; closes at the end of the stream.
void drain(Descriptor& from, std::string& text, std::size_t most) {
  std::array<char, 65536> buffer{};
  while (from.is_open() && most > 0) {
    const ssize_t got = ::read(from.get(), buffer.data(), std::min(buffer.size(), most));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return from.close();
    text.append(buffer.data(), static_cast<std::size_t>(got));
    most -= static_cast<std::size_t>(got);
  }
}

void feed(Descriptor& into, std::string_view& rest) {
  while (into.is_open() && !rest.empty()) {
    const ssize_t sent = ::send(into.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) return into.close();  // it reads no more: its exit tells why
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

struct Process::State {
  ProcessStreams streams;
  pid_t pid = -1;
  bool own_group = false;
  bool paused = false;
  std::optional<int> status;  // of waitpid, once it has ended
  std::string received;       // of its stdout, not yet handed out
  std::size_t searched = 0;   // bytes of `received` known to hold no newline
  std::string errors;         // the end of its stderr

  void signal(int number) const {
    if (!status) ::kill(own_group ? -pid : pid, number);
  }

  // With WUNTRACED true also when it has stopped.
  bool reap(int flags) {
    if (status) return true;
    int now = 0;
    pid_t seen = 0;
    do {
      seen = ::waitpid(pid, &now, flags);
    } while (seen < 0 && errno == EINTR);
    if (seen == pid && !WIFSTOPPED(now)) status = now;
    if (seen < 0) status = 0;  // somebody else reaped it: nothing more is known
    if (status && own_group) ::kill(-pid, SIGKILL);  // what it started and left behind
    return seen != 0;
  }

  void read_errors() {
    constexpr std::size_t kAtOnce = 1U << 20;  // a flood must not keep us from the deadline
    drain(streams.err, errors, kAtOnce);
    if (errors.size() > kErrorBytes) errors.erase(0, errors.size() - kErrorBytes);
  }

  void exchange(std::string_view& rest, std::size_t answer_bytes) {
    // Closed streams are negative and ignored.
    std::array<pollfd, 3> fds = {pollfd{rest.empty() ? -1 : streams.in.get(), POLLOUT, 0},
                                 pollfd{streams.out.get(), POLLIN, 0},
                                 pollfd{streams.err.get(), POLLIN, 0}};
    ::poll(fds.data(), fds.size(), kLookEvery_ms);
    feed(streams.in, rest);
    read_all(answer_bytes);
  }

  void read_all(std::size_t answer_bytes) {
    const std::size_t most = answer_bytes + 1;
    drain(streams.out, received, most - std::min(most, received.size()));
    read_errors();
  }

  bool take_line(std::string& line) {
    const std::size_t newline = received.find('\n', searched);
    searched = newline == std::string::npos ? received.size() : 0;
    if (newline == std::string::npos) return false;
    line.assign(received, 0, newline);
    received.erase(0, newline + 1);
    return true;
  }
};

Process::Process(std::unique_ptr<State> state) : state_(std::move(state)) {}

Process::~Process() {
  kill();
}

Result<std::unique_ptr<Process>> Process::start(const ProcessOptions& options) {
  auto state = std::make_unique<State>();
  BREAKEVEN_TRY(state->pid, start_process(options, state->streams));
  state->own_group = options.own_group;
  return std::unique_ptr<Process>(new Process(std::move(state)));
}

int Process::pid() const {
  return state_->pid;
}

AskEnd Process::ask(std::string_view request, Until until, const AskLimits& limits,
                    std::string& answer) {
  State& state = *state_;
  double closed_s = 0;  // since when its stdout is closed
  while (true) {
    if (until == Until::line && request.empty() && state.take_line(answer)) {
      return AskEnd::answered;
    }
    if (until == Until::end && request.empty()) state.streams.in.close();
    if (!state.streams.in.is_open()) request = {};
    if (state.reap(WNOHANG)) {
      state.read_all(limits.answer_bytes);
      if (until == Until::line && state.take_line(answer)) return AskEnd::answered;
      if (until == Until::end) answer = std::exchange(state.received, {});
      return answer.size() > limits.answer_bytes ? AskEnd::too_long : AskEnd::exited;
    }
    if (state.received.size() > limits.answer_bytes) return AskEnd::too_long;
    const double now = monotonic_clock().now_s();
    if (now >= limits.deadline_s) return AskEnd::time_limit;
    if (limits.stop != nullptr && limits.stop->load(std::memory_order_relaxed)) {
      return AskEnd::interrupted;
    }
    if (until == Until::line && !state.streams.out.is_open()) {
      if (closed_s == 0) closed_s = now;
      if (now > closed_s + kStreamsOutliveBy_s) return AskEnd::closed;
    }
    state.exchange(request, limits.answer_bytes);
  }
}

bool Process::running() {
  return !state_->reap(WNOHANG);
}

void Process::pause() {
  if (state_->paused || !running()) return;
  state_->signal(SIGSTOP);
  state_->reap(WUNTRACED);
  state_->paused = true;
}

void Process::resume() {
  state_->signal(SIGCONT);
  state_->paused = false;
}

void Process::kill() {
  state_->signal(SIGKILL);
  state_->reap(0);
  state_->read_all(0);
}

bool Process::wait_for_end(const AskLimits& limits) {
  std::string rest;
  return ask({}, Until::end, limits, rest) == AskEnd::exited;
}

bool Process::ended_well() const {
  return state_->status && WIFEXITED(*state_->status) && WEXITSTATUS(*state_->status) == 0;
}

std::optional<int> Process::ending_signal() const {
  if (!state_->status || !WIFSIGNALED(*state_->status)) return std::nullopt;
  return WTERMSIG(*state_->status);
}

std::string Process::ending() const {
  if (!state_->status) return "has not ended";
  if (const auto signal = ending_signal()) {
    return fmt::format("was killed by signal {} ({})", *signal, ::strsignal(*signal));
  }
  return fmt::format("ended with exit code {}", WEXITSTATUS(*state_->status));
}

std::string Process::last_error() const {
  std::string_view errors = state_->errors;
  const auto is_blank = [](char c) { return (c >= 0 && c <= ' ') || c == 127; };
  while (!errors.empty() && is_blank(errors.back())) errors.remove_suffix(1);
  const auto newline = errors.rfind('\n');
  if (newline != std::string_view::npos) errors.remove_prefix(newline + 1);
  return printable(errors);
}

std::string Process::with_last_error(const std::string& message) const {
  const std::string line = last_error();
  return line.empty() ? message : fmt::format("{}; the last line of its stderr: {}", message, line);
}

std::string printable(std::string_view text, std::size_t most) {
  std::string clean(text);
  for (char& c : clean) {
    if ((c >= 0 && c < ' ') || c == 127) c = ' ';
  }
  while (!clean.empty() && clean.back() == ' ') clean.pop_back();
  clean.erase(0, std::min(clean.size(), clean.find_first_not_of(' ')));
  if (clean.size() > most) clean = "..." + clean.substr(clean.size() - most);
  return clean;
}

}  // namespace breakeven

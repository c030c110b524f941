#include "measure/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "measure/clock.h"

namespace breakeven::measure {
namespace {

constexpr std::size_t kMaxAnswerBytes = 256U << 20;
constexpr std::size_t kLastWordsBytes = 4096;

// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void set(int fd) {
    close();
    fd_ = fd;
  }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

std::string reason(int error_number) {
  return std::generic_category().message(error_number);
}

// The child and our ends of its three streams. stdin is a socket, because writing to a pipe whose
// reader has died raises SIGPIPE.
struct Child {
  pid_t pid = -1;
  Descriptor in, out, err;
};

struct Ends {
  Descriptor in, out, err;  // the child's
};

bool make_streams(Child& child, Ends& ends) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) return false;
  child.in.set(pair[0]);
  ends.in.set(pair[1]);
  if (::pipe2(pair.data(), O_CLOEXEC) != 0) return false;
  child.out.set(pair[0]);
  ends.out.set(pair[1]);
  if (::pipe2(pair.data(), O_CLOEXEC) != 0) return false;
  child.err.set(pair[0]);
  ends.err.set(pair[1]);
  // Only our ends: the child gets ordinary blocking streams.
  for (const int fd : {child.in.get(), child.out.get(), child.err.get()}) {
    if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return false;
  }
  return true;
}

// 0 or an errno.
int spawn(const std::string& program, const std::vector<std::string>& arguments, const Ends& ends,
          pid_t& pid) {
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&actions, ends.in.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends.out.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends.err.get(), STDERR_FILENO);
  sigset_t none;
  sigset_t defaults;
  ::sigemptyset(&none);
  ::sigemptyset(&defaults);
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE}) ::sigaddset(&defaults, signal);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int failed =
      ::posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  return failed;
}

// Reads what is there; closes at the end of the stream. keep = 0 keeps everything, else the last
// bytes only.
void drain(Descriptor& from, std::string& text, std::size_t keep) {
  std::array<char, 65536> buffer{};
  while (from.is_open() && text.size() <= kMaxAnswerBytes) {
    const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return from.close();
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (keep > 0 && text.size() > keep) text.erase(0, text.size() - keep);
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
  into.close();
}

// Why the talk ended.
enum class End : std::uint8_t { exited, time_limit, interrupted, too_long };

struct Talk {
  std::string answer, last_words;
  int status = 0;
  End end = End::exited;
};

Talk talk_to(Child& child, std::string_view request, double deadline_s,
             const std::atomic<bool>* stop) {
  Talk talk;
  while (true) {
    std::array<pollfd, 3> streams = {pollfd{child.in.get(), POLLOUT, 0},
                                     pollfd{child.out.get(), POLLIN, 0},
                                     pollfd{child.err.get(), POLLIN, 0}};
    // Closed streams are negative and ignored. Short sleeps, because a child that has ended may
    // have left its streams to a grandchild.
    ::poll(streams.data(), streams.size(), 20);
    feed(child.in, request);
    drain(child.out, talk.answer, 0);
    drain(child.err, talk.last_words, kLastWordsBytes);
    if (::waitpid(child.pid, &talk.status, WNOHANG) == child.pid) break;
    if (talk.answer.size() > kMaxAnswerBytes) talk.end = End::too_long;
    if (monotonic_clock().now_s() >= deadline_s) talk.end = End::time_limit;
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) talk.end = End::interrupted;
    if (talk.end != End::exited) {
      ::kill(child.pid, SIGKILL);
      while (::waitpid(child.pid, &talk.status, 0) < 0 && errno == EINTR) {
      }
      break;
    }
  }
  drain(child.out, talk.answer, 0);
  drain(child.err, talk.last_words, kLastWordsBytes);
  return talk;
}

// The last line that says something, without control characters; "" when there is none.
std::string last_line(std::string text) {
  for (char& c : text) {
    if ((c >= 0 && c < ' ' && c != '\n') || c == 127) c = ' ';
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  const auto newline = text.rfind('\n');
  if (newline != std::string::npos) text.erase(0, newline + 1);
  constexpr std::size_t kMaxLine = 300;
  if (text.size() > kMaxLine) text = "..." + text.substr(text.size() - kMaxLine);
  return text;
}

std::string with_last_words(std::string message, const Talk& talk) {
  const std::string words = last_line(talk.last_words);
  return words.empty() ? message : fmt::format("{}; its last words: {}", message, words);
}

Result<void> check_end(const Talk& talk, double limit_s) {
  switch (talk.end) {
    case End::time_limit:
      return fail(
          "child/time-limit",
          with_last_words(
              fmt::format("the process of this cell did not end within {:.3g} s", limit_s), talk),
          "give more time, or fewer or shorter texts");
    case End::interrupted:
      return fail("child/interrupted", "the process of this cell was interrupted");
    case End::too_long:
      return fail("child/garbage", "the process of this cell answered with over 256 MB");
    case End::exited:
      break;
  }
  if (WIFSIGNALED(talk.status)) {
    const int signal = WTERMSIG(talk.status);
    return fail("child/killed",
                with_last_words(fmt::format("the process of this cell was killed by signal {} ({})",
                                            signal, ::strsignal(signal)),
                                talk),
                signal == SIGKILL ? "the system may have run out of memory; try a smaller batch"
                                  : "this is a bug; please report it");
  }
  if (WEXITSTATUS(talk.status) != 0) {
    return fail("child/failed",
                with_last_words(fmt::format("the process of this cell ended with exit code {}",
                                            WEXITSTATUS(talk.status)),
                                talk));
  }
  return {};
}

}  // namespace

Result<ChildAnswer> run_child(const std::vector<std::string>& arguments, std::string_view request,
                              double limit_s, const std::atomic<bool>* stop,
                              const std::string& program) {
  Child child;
  ChildAnswer answer;
  {
    Ends ends;
    if (!make_streams(child, ends)) {
      return fail("child/spawn", fmt::format("cannot make pipes: {}", reason(errno)));
    }
    const std::string path = program.empty() ? "/proc/self/exe" : program;
    answer.started_s = monotonic_clock().now_s();
    if (const int failed = spawn(path, arguments, ends, child.pid); failed != 0) {
      return fail("child/spawn", fmt::format("cannot start {}: {}", path, reason(failed)));
    }
  }
  Talk talk = talk_to(child, request, answer.started_s + limit_s, stop);
  answer.wall_s = monotonic_clock().now_s() - answer.started_s;
  BREAKEVEN_TRY_VOID(check_end(talk, limit_s));
  if (!nlohmann::json::accept(talk.answer)) {
    return fail("child/garbage",
                with_last_words(
                    fmt::format("the process of this cell answered with {} bytes that are no JSON",
                                talk.answer.size()),
                    talk));
  }
  answer.json = std::move(talk.answer);
  return answer;
}

}  // namespace breakeven::measure

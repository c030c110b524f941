#include "base/process_start.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

namespace breakeven {
namespace {

// What the child needs between vfork and exec, made ready before: it may allocate nothing.
struct Plan {
  const char* program;
  char* const* argv;
  int in, out, err;
  int failure;  // where the reason goes when exec fails; closes itself when it does not
  bool own_group;
  pid_t parent;
  const sigset_t* signals;
};

void move_to(int from, int to) {
  if (from == to) {
    ::fcntl(to, F_SETFD, 0);  // dup2 would leave it to be closed by exec
  } else {
    ::dup2(from, to);
  }
}

// The child's part: system calls only, because it borrows the parent's memory. posix_spawn knows no
// way to set the signal of a parent's death, and a child that is stopped cannot see the end of its
// stdin.
[[noreturn]] void become(const Plan& plan) {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0) continue;
    const bool ours = signal == SIGINT || signal == SIGTERM || signal == SIGPIPE;
    // A handler of the parent must not run here once signals are let through.
    if (action.sa_handler == SIG_DFL || (action.sa_handler == SIG_IGN && !ours)) continue;
    action = {};
    action.sa_handler = SIG_DFL;
    ::sigaction(signal, &action, nullptr);
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != plan.parent) ::_exit(127);  // it died before that
  if (plan.own_group) ::setpgid(0, 0);
  move_to(plan.in, STDIN_FILENO);
  move_to(plan.out, STDOUT_FILENO);
  move_to(plan.err, STDERR_FILENO);
  ::sigprocmask(SIG_SETMASK, plan.signals, nullptr);
  ::execvp(plan.program, plan.argv);
  const int reason = errno;
  [[maybe_unused]] const ssize_t written = ::write(plan.failure, &reason, sizeof(reason));
  ::_exit(127);
}

// vfork: a fork would copy the page tables of a parent that holds models, and make it pay for every
// page that it writes afterwards.
pid_t launch(const Plan& plan) {
  const pid_t pid = ::vfork();
  if (pid == 0) become(plan);
  return pid;
}

struct Ends {
  Descriptor in, out, err;  // the child's
};

// The child's end must not lie where one of its own three streams will be put.
bool set_above_streams(Descriptor& end, int fd) {
  end.set(fd);
  if (fd > STDERR_FILENO) return true;
  const int above = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  end.set(above);
  return above >= 0;
}

bool make_pipe(Descriptor& ours, Descriptor& theirs) {
  std::array<int, 2> pair{};
  if (::pipe2(pair.data(), O_CLOEXEC) != 0) return false;
  ours.set(pair[0]);
  return set_above_streams(theirs, pair[1]);
}

bool make_streams(ProcessStreams& streams, Ends& ends) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) return false;
  streams.in.set(pair[0]);
  if (!set_above_streams(ends.in, pair[1])) return false;
  if (!make_pipe(streams.out, ends.out) || !make_pipe(streams.err, ends.err)) return false;
  // Only our ends: the child gets ordinary blocking streams.
  for (const int fd : {streams.in.get(), streams.out.get(), streams.err.get()}) {
    if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return false;
  }
  return true;
}

std::string reason_of(int error_number) {
  return std::generic_category().message(error_number);
}

}  // namespace

Result<int> start_process(const ProcessOptions& options, ProcessStreams& streams) {
  Ends ends;
  Descriptor failure;
  Descriptor failure_end;
  if (!make_streams(streams, ends) || !make_pipe(failure, failure_end)) {
    return fail("process/spawn", fmt::format("cannot make pipes: {}", reason_of(errno)));
  }
  std::vector<char*> argv = {const_cast<char*>(options.program.c_str())};
  for (const std::string& argument : options.arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  sigset_t none;
  sigset_t all;
  sigset_t before;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  const Plan plan = {options.program.c_str(), argv.data(),    ends.in.get(),
                     ends.out.get(),          ends.err.get(), failure_end.get(),
                     options.own_group,       ::getpid(),     &none};
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = launch(plan);
  const int vfork_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    return fail("process/spawn",
                fmt::format("cannot start {}: {}", options.program, reason_of(vfork_error)));
  }
  failure_end.close();
  int reason = 0;
  ssize_t got = 0;
  do {
    got = ::read(failure.get(), &reason, sizeof(reason));
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return fail("process/spawn",
                fmt::format("cannot start {}: {}", options.program, reason_of(reason)));
  }
  return pid;
}

}  // namespace breakeven

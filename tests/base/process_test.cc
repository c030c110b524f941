#include "base/process.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/clock.h"
#include "testing/paths.h"

namespace breakeven {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<Process> shell(const std::string& script, bool own_group = false) {
  auto started = Process::start({"/bin/sh", {"-c", script}, own_group});
  EXPECT_TRUE(started) << started.error().to_string();
  return *std::move(started);
}

AskLimits within(double seconds) {
  return {monotonic_clock().now_s() + seconds};
}

// Ends a hang; what is awaited comes, however busy the machine is.
AskLimits patiently() {
  return within(3600);
}

// The state letter in /proc: R, S, T (stopped), Z; 0 when there is no such process.
char state_of(int pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  const auto end = line.rfind(") ");
  return end == std::string::npos ? '\0' : line[end + 2];
}

// Waits for it; ctest ends a wait in vain.
bool becomes(int pid, const std::string& states) {
  while (states.find(state_of(pid)) == std::string::npos) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

bool ends(int pid) {
  return becomes(pid, std::string("Z\0", 2));
}

TEST(Process, TalksLineByLine) {
  const auto process = shell("while read -r line; do echo \"<$line>\"; done");
  std::string answer;
  for (const std::string word : {"one", "two", ""}) {
    ASSERT_EQ(process->ask(word + "\n", Until::line, patiently(), answer), AskEnd::answered);
    EXPECT_EQ(answer, "<" + word + ">");
  }
  EXPECT_TRUE(process->running());
  EXPECT_TRUE(process->wait_for_end(patiently())) << "the end of its stdin ends it";
  EXPECT_TRUE(process->ended_well());
  EXPECT_EQ(process->ending(), "ended with exit code 0");
}

TEST(Process, LinesThatCameEarlyAreKept) {
  const auto process = shell("printf 'a\\nb\\n'; printf c; exit 3");
  std::string answer;
  ASSERT_EQ(process->ask("", Until::line, patiently(), answer), AskEnd::answered);
  EXPECT_EQ(answer, "a");
  ASSERT_EQ(process->ask("", Until::line, patiently(), answer), AskEnd::answered);
  EXPECT_EQ(answer, "b");
  EXPECT_EQ(process->ask("", Until::line, patiently(), answer), AskEnd::exited) << "no whole line";
  EXPECT_FALSE(process->ended_well());
  EXPECT_EQ(process->ending(), "ended with exit code 3");
}

TEST(Process, ALongLineHasALimit) {
  const auto process = shell("yes | tr -d '\\n' | head -c 3000000; exec sleep 1000");
  std::string answer;
  AskLimits limits = patiently();
  limits.answer_bytes = 1U << 20;
  EXPECT_EQ(process->ask("", Until::line, limits, answer), AskEnd::too_long);
}

TEST(Process, AClosedStdoutIsNoticed) {
  const auto process = shell("exec >&-; exec sleep 1000");
  std::string answer;
  EXPECT_EQ(process->ask("", Until::line, patiently(), answer), AskEnd::closed);
}

TEST(Process, AFloodOfWordsDoesNotHideTheDeadline) {
  const auto process = shell("echo words >&2; echo begun; exec yes words >&2");
  std::string answer;
  ASSERT_EQ(process->ask("", Until::line, patiently(), answer), AskEnd::answered);
  EXPECT_EQ(process->ask("", Until::line, within(0.3), answer), AskEnd::time_limit);
  process->kill();
  EXPECT_EQ(process->ending_signal(), SIGKILL);
  EXPECT_THAT(process->last_error(), HasSubstr("word"));
  EXPECT_LE(process->last_error().size(), 303U);
}

TEST(Process, APausedOneStandsStill) {
  const auto process = shell("while read -r line; do echo \"$line\"; done", true);
  std::string answer;
  ASSERT_EQ(process->ask("a\n", Until::line, patiently(), answer), AskEnd::answered);
  process->pause();
  EXPECT_EQ(state_of(process->pid()), 'T');
  process->pause();  // harmless
  EXPECT_EQ(process->ask("b\n", Until::line, within(0.1), answer), AskEnd::time_limit);
  process->resume();
  ASSERT_EQ(process->ask("", Until::line, patiently(), answer), AskEnd::answered);
  EXPECT_EQ(answer, "b");
  process->pause();
  process->kill();
  EXPECT_EQ(process->ending_signal(), SIGKILL);
  process->pause();
  process->resume();
  process->kill();
}

TEST(Process, AGroupGoesWithItsLeader) {
  const auto process = shell("sleep 1000 & echo $!; read -r line", true);
  std::string answer;
  ASSERT_EQ(process->ask("", Until::line, patiently(), answer), AskEnd::answered);
  const int grandchild = std::stoi(answer);
  EXPECT_EQ(::getpgid(grandchild), process->pid()) << "Ctrl-C reaches another group";
  EXPECT_NE(::getpgid(0), process->pid());
  process->pause();
  EXPECT_TRUE(becomes(grandchild, "T"));
  process->kill();
  EXPECT_TRUE(ends(grandchild));
  const auto other = shell("sleep 1000 & echo $!", true);
  ASSERT_EQ(other->ask("", Until::line, patiently(), answer), AskEnd::answered);
  EXPECT_TRUE(other->wait_for_end(patiently()));
  EXPECT_TRUE(ends(std::stoi(answer))) << "also when the leader ended by itself";
}

// A parent that is killed by SIGKILL can clean nothing up.
TEST(Process, APausedOneDiesWithItsParent) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const pid_t parent = ::fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    auto started = Process::start({"/bin/sh", {"-c", "exec sleep 1000"}, true});
    if (!started) ::_exit(1);
    (*started)->pause();
    const int pid = (*started)->pid();
    const bool told = ::write(pipe[1], &pid, sizeof(pid)) == sizeof(pid);
    if (!told) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  int pid = 0;
  ASSERT_EQ(::read(pipe[0], &pid, sizeof(pid)), static_cast<ssize_t>(sizeof(pid)));
  EXPECT_EQ(state_of(pid), 'T');
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  EXPECT_TRUE(ends(pid));
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST(Process, SignalsAreAsANewProgramExpectsThem) {
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  const auto process = shell("grep -E 'SigIgn|SigBlk' /proc/self/status");
  ::sigaction(SIGPIPE, &before, nullptr);
  std::string answer;
  ASSERT_EQ(process->ask("", Until::end, patiently(), answer), AskEnd::exited);
  std::istringstream lines(answer);
  std::string name;
  std::string mask;
  lines >> name >> mask;
  EXPECT_EQ(name, "SigBlk:");
  EXPECT_EQ(std::stoull(mask, nullptr, 16), 0U);
  lines >> name >> mask;
  EXPECT_EQ(std::stoull(mask, nullptr, 16) & (1ULL << (SIGPIPE - 1)), 0U);
}

TEST(Process, ItsEndNamesTheSignal) {
  const auto process = shell("echo bye >&2; kill -SEGV $$");
  EXPECT_TRUE(process->wait_for_end(patiently()));
  EXPECT_EQ(process->ending_signal(), SIGSEGV);
  EXPECT_EQ(process->ending(), "was killed by signal 11 (Segmentation fault)");
  EXPECT_EQ(process->last_error(), "bye");
}

TEST(Process, ProgramsAreFoundOnThePath) {
  auto found = Process::start({"sh", {"-c", "exit 4"}});
  ASSERT_TRUE(found);
  EXPECT_TRUE((*found)->wait_for_end(patiently()));
  EXPECT_EQ((*found)->ending(), "ended with exit code 4");
  const auto missing = Process::start({"no-such-program-here", {}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, "process/spawn");
  EXPECT_EQ(missing.error().message,
            "cannot start no-such-program-here: No such file or directory");
}

TEST(Printable, IsOneShortLine) {
  EXPECT_EQ(printable("  a\tb\n\x1b[0m\x7f "), "a b  [0m");
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable(" \n"), "");
  EXPECT_EQ(printable("abcdef", 4), "...cdef");
  EXPECT_EQ(printable("Größe"), "Größe");
}

}  // namespace
}  // namespace breakeven

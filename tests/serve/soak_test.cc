// The program with the built-in model as it is, for a long time: a million requests of random
// lengths, of which one in 20 breaks off and one in 20 is none. Nothing grows, and both sides count
// the same. BREAKEVEN_SOAK_REQUESTS: another number, to try it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "serve/socket_client.h"
#include "serve/storm.h"
#include "testing/paths.h"

namespace breakeven::serve {
namespace {

using testing::storm;
using testing::StormOptions;
using testing::StormResult;

// `breakeven serve` as a process.
class Program {
 public:
  explicit Program(const char* limit) {
    std::array<int, 2> told{};
    EXPECT_EQ(::pipe(told.data()), 0);
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(told[1], STDERR_FILENO);
      ::close(told[0]);
      ::close(told[1]);
      ::execl(BREAKEVEN_BINARY, "breakeven", "serve", "--model", "builtin-narrow", "--device",
              "cpu", "--listen", "127.0.0.1:0", "--p99", limit, nullptr);
      ::_exit(127);
    }
    ::close(told[1]);
    told_ = ::fdopen(told[0], "r");
    while (address_.empty() && read_line()) {
      const std::size_t at = line_.find("127.0.0.1:");
      if (at != std::string::npos) address_ = line_.substr(at, line_.find(';') - at);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    if (process_ > 0) ::kill(process_, SIGKILL);
    std::fclose(told_);
  }

  const std::string& address() const { return address_; }
  std::string folder() const { return "/proc/" + std::to_string(process_); }
  // Its exit code, and the last line that it told.
  std::pair<int, std::string> end() {
    ::kill(process_, SIGTERM);
    std::string last;
    while (read_line()) last = line_;
    int status = 0;
    ::waitpid(std::exchange(process_, 0), &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, last};
  }

 private:
  bool read_line() {
    line_.clear();
    for (int c = 0; (c = std::fgetc(told_)) != EOF && c != '\n';) line_ += static_cast<char>(c);
    return !line_.empty();
  }

  pid_t process_ = 0;
  std::FILE* told_ = nullptr;
  std::string line_, address_;
};

// On a connection that stays.
std::string metrics_on(testing::SocketClient& client) {
  client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  return client.read_to("breakeven_batch_seconds_count");
}
std::string metrics_of(const std::string& address) {
  testing::SocketClient client(address);
  return metrics_on(client);
}
std::uint64_t value(const std::string& metrics, const std::string& series) {
  const std::size_t at = metrics.find("\n" + series + " ");
  EXPECT_NE(at, std::string::npos) << series;
  return at == std::string::npos ? 0 : std::strtoull(&metrics[at + series.size() + 2], nullptr, 10);
}

struct State {
  std::size_t resident_kib = 0, threads = 0, descriptors = 0;
};

// When nobody of the others is there any more.
State settled(const Program& program) {
  testing::SocketClient client(program.address());
  std::string metrics = metrics_on(client);
  while (value(metrics, "breakeven_connections_open") != 1 ||
         value(metrics, "breakeven_requests_waiting") != 0) {
    metrics = metrics_on(client);
  }
  State state;
  std::ifstream file(program.folder() + "/status");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "VmRSS:") words >> state.resident_kib;
    if (name == "Threads:") words >> state.threads;
  }
  for ([[maybe_unused]] const auto& each :
       std::filesystem::directory_iterator(program.folder() + "/fd")) {
    ++state.descriptors;
  }
  return state;
}

TEST(Soak, AMillionRequestsLeaveNothingBehind) {
  const char* asked_for = std::getenv("BREAKEVEN_SOAK_REQUESTS");
  const std::size_t requests =
      asked_for != nullptr ? std::strtoull(asked_for, nullptr, 10) : 1'000'000;
  constexpr std::size_t kParts = 20, kWarm = 8;
  // What the allocator may keep or give back: of 600,000 requests that each leave 8 bytes it is
  // more.
  constexpr std::size_t kSlackKib = 4096;
  Program program("10min");
  ASSERT_FALSE(program.address().empty());
  StormOptions asked;
  asked.address = program.address();
  asked.aborted = asked.malformed = 0.05;
  asked.most_bytes = 300;
  asked.words = testing::plain_words(testing::source_dir() / "data/reviews.jsonl");
  asked.requests = requests / kParts;
  StormResult sum;
  State warm;  // the most of what was there while it was warming up
  for (std::size_t part = 1; part <= kParts; ++part) {
    asked.seed = part;
    const StormResult result = storm(asked);
    sum.answered += result.answered;
    sum.malformed += result.malformed;
    sum.aborted += result.aborted;
    sum.others += result.others;
    const State state = settled(program);
    std::printf("%zu requests, %.0f/s: %zu KiB, %zu threads, %zu descriptors\n",
                part * asked.requests, static_cast<double>(asked.requests) / result.wall_s,
                state.resident_kib, state.threads, state.descriptors);
    std::fflush(stdout);
    if (part <= kWarm) {
      warm.resident_kib = std::max(warm.resident_kib, state.resident_kib);
      warm.threads = state.threads;
      warm.descriptors = state.descriptors;
      continue;
    }
    EXPECT_LE(state.resident_kib, warm.resident_kib + kSlackKib);
    EXPECT_EQ(state.threads, warm.threads);
    EXPECT_EQ(state.descriptors, warm.descriptors);
  }
  const std::string metrics = metrics_of(program.address());
  const auto of = [&](const std::string& outcome) {
    return value(metrics, "breakeven_requests_total{outcome=\"" + outcome + "\"}");
  };
  EXPECT_EQ(sum.others, 0U);
  EXPECT_EQ(sum.all(), kParts * asked.requests);
  EXPECT_EQ(of("accepted"), of("answered") + of("cancelled"));
  // What breaks off may have been whole, and answered for nobody; the server asks itself at times.
  EXPECT_GE(of("answered") + of("cancelled"), sum.answered);
  EXPECT_LE(of("answered"), sum.answered + sum.aborted / 10 + 100);
  EXPECT_EQ(value(metrics, "breakeven_http_replies_total{status=\"400\"}"), sum.malformed);
  const auto [code, last] = program.end();
  EXPECT_EQ(code, 0);
  EXPECT_NE(last.find(" 0 of those accepted were not"), std::string::npos) << last;
  std::printf(
      "clients: %zu answered, %zu no JSON, %zu broke off; server: %zu answered, %zu dropped\n",
      sum.answered, sum.malformed, sum.aborted, of("answered"), of("cancelled"));
}

// From half of what it can to ten times as much: each is answered, or told at once or later that it
// is not; both sides count the same. (How many in time: serve_bench overload-of.)
TEST(Soak, AtOverloadTheProgramAnswersOrRefuses) {
  Program program("2s");
  ASSERT_FALSE(program.address().empty());
  StormOptions asked;
  asked.address = program.address();
  asked.words = testing::plain_words(testing::source_dir() / "data/reviews.jsonl");
  asked.most_bytes = 400;
  asked.requests = 5000;
  const StormResult full = storm(asked);
  const double capacity = static_cast<double>(full.answered) / full.wall_s;
  StormResult sum = full;
  asked.most_connections = 900;  // fewer than it holds
  for (const double times : {0.5, 0.9, 1.0, 1.2, 2.0, 10.0, 0.5}) {
    asked.rate_per_s = times * capacity;
    asked.requests = static_cast<std::size_t>(10 * asked.rate_per_s);
    ++asked.seed;
    const StormResult result = storm(asked);
    std::printf("%.1f of %.0f/s: %zu answered, %zu refused, %zu too late\n", times, capacity,
                result.answered, result.refused, result.others);
    std::fflush(stdout);
    EXPECT_EQ(result.all(), asked.requests);
    EXPECT_GT(result.answered, 0U);
    if (times >= 2) {
      EXPECT_GT(result.refused, 0U);
    }
    sum.answered += result.answered;
    sum.refused += result.refused;
    sum.others += result.others;
  }
  settled(program);
  const std::string metrics = metrics_of(program.address());
  const auto replies = [&](const std::string& status) {
    return value(metrics, "breakeven_http_replies_total{status=\"" + status + "\"}");
  };
  EXPECT_EQ(replies("429"), sum.refused);
  EXPECT_EQ(replies("504"), sum.others);
  EXPECT_EQ(value(metrics, R"(breakeven_requests_total{outcome="expired"})"), sum.others);
  EXPECT_EQ(value(metrics, R"(breakeven_requests_total{outcome="failed"})"), 0U);
  EXPECT_GE(value(metrics, R"(breakeven_requests_total{outcome="answered"})"), sum.answered);
  EXPECT_EQ(program.end().first, 0);
}

}  // namespace
}  // namespace breakeven::serve

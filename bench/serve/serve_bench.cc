// The server over sockets with an engine that sleeps: what it costs, what it does at overload, and
// whether it grows. The server's thread has the first CPU, the clients' thread the second. usage:
// serve_bench cost | overload | soak REQUESTS | overload-of HOST:PORT LIMIT_MS TEXTS |
//   client HOST:PORT PATH BODIES REQUESTS CONNECTIONS
#include <fmt/format.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "measure/statistics.h"
#include "serve/socket_client.h"
#include "serve/storm.h"

namespace {

using namespace breakeven;
using testing::FakeEngine;
using testing::ListeningServer;
using testing::storm;
using testing::StormOptions;
using testing::StormResult;

void stay_on(std::size_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}
// CPU time of this program, user and system.
double program_cpu_s() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// Of the replies that are timed from when each was due, or from when it was really sent.
double share(const std::vector<StormResult::Reply>& replies, double at, bool from_sent = false) {
  std::vector<double> took;
  took.reserve(replies.size());
  for (const auto& reply : replies) took.push_back(reply.took_s - (from_sent ? reply.late_s : 0));
  return took.empty() ? 0 : measure::percentile(took, at);
}

// Seconds that a thread could have run and did not, because its CPU had another one: of the whole
// life of the thread, by the kernel.
double waited_for_cpu_s(pid_t thread) {
  std::ifstream file(fmt::format("/proc/self/task/{}/schedstat", thread));
  double ran_ns = 0, waited_ns = 0;
  file >> ran_ns >> waited_ns;
  return 1e-9 * waited_ns;
}

std::string post(std::string_view path, std::string_view body) {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "
      "{}\r\n\r\n{}",
      path, body.size(), body);
}

// CPU time of all but the clients' thread: the server's thread and the lane's.
void cost() {
  FakeEngine engine;
  ListeningServer server(engine, {.address = "127.0.0.1:0"}, [] { stay_on(0); });
  stay_on(1);
  const auto play = [&](std::string_view name, const std::string& request, std::size_t connections,
                        std::size_t requests) {
    StormOptions asked;
    asked.address = server.address();
    asked.sent = {request};
    asked.requests = requests;
    asked.connections = connections;
    storm(asked);  // the first ones make room
    const double before_s = program_cpu_s();
    const StormResult result = storm(asked);
    const double server_s = program_cpu_s() - before_s - result.cpu_s;
    fmt::print(
        "{:<28}{:>4} connections: {:>7.0f} requests/s, {:5.1f} us of CPU a request, p50 {:.0f} "
        "us\n",
        name, connections, static_cast<double>(requests) / result.wall_s,
        1e6 * server_s / static_cast<double>(requests), 1e6 * share(result.answers, 0.5));
    return share(result.answers, 0.5);
  };
  const std::string null = post("/null", "{}");
  const std::string text = post("/v1/classify", R"({"input":"A warm and funny film."})");
  play("null reply", null, 64, 100'000);
  play("a text, engine of no time", text, 64, 100'000);
  play("null reply", null, 1, 20'000);
  const double http_s = play("a text, engine of no time", text, 1, 20'000);
  const serve::LaneSetup lane = testing::fake_lane(engine);
  BatchResult out;
  const Text view("A warm and funny film.");
  const double start_s = monotonic_clock().now_s();
  for (int i = 0; i < 20'000; ++i) {
    BREAKEVEN_CHECK(lane.classifier->run_batch({&view, 1}, out).has_value());
  }
  const double inside_s = (monotonic_clock().now_s() - start_s) / 20'000;
  fmt::print("p50 over the engine in the program: {:.0f} us\n", 1e6 * (http_s - inside_s));
}

// Offers so many times `capacity` texts a second, one after the other; `waited_s`: of the server's
// thread for its CPU so far.
void offer_all(const StormOptions& base, double capacity, double limit_s, double each_s,
               const std::function<double()>& waited_s) {
  fmt::print("capacity {:.0f} texts/s; limit {:.0f} ms\n", capacity, 1e3 * limit_s);
  fmt::print(
      "| offered | in time/s | accepted p50, p99 ms | late | refused | refusals p50, p99 ms | from "
      "when sent | 504 | server, client waited for their CPU, ms |\n");
  const auto offer = [&](double times, double for_s, bool show) {
    StormOptions asked = base;
    asked.rate_per_s = times * capacity;
    asked.requests = static_cast<std::size_t>(asked.rate_per_s * for_s);
    const double server_s = waited_s(), client_s = waited_for_cpu_s(::gettid());
    StormResult result = storm(asked);
    const auto in_time = std::count_if(result.answers.begin(), result.answers.end(),
                                       [&](const auto& reply) { return reply.took_s <= limit_s; });
    if (show) {
      fmt::print(
          "| {} | {:.0f} | {:.1f}, {:.1f} | {} | {} | {:.2f}, {:.2f} | {:.2f} | {} | {:.0f}, "
          "{:.0f} |\n",
          times, static_cast<double>(in_time) / result.wall_s, 1e3 * share(result.answers, 0.5),
          1e3 * share(result.answers, 0.99), result.answered - static_cast<std::uint64_t>(in_time),
          result.refused, 1e3 * share(result.refusals, 0.5), 1e3 * share(result.refusals, 0.99),
          1e3 * share(result.refusals, 0.99, true), result.others, 1e3 * (waited_s() - server_s),
          1e3 * (waited_for_cpu_s(::gettid()) - client_s));
    }
    return result;
  };
  offer(0.5, 3, false);  // the model of times learns
  for (const double times : {0.5, 0.9, 1.0, 1.2, 2.0, 10.0}) offer(times, each_s, true);
  // Right behind the burst: when was the last one refused, or later than the limit?
  const StormResult after = offer(0.5, 4, false);
  double last_s = 0;
  for (const auto& reply : after.refusals) last_s = std::max(last_s, reply.planned_s);
  for (const auto& reply : after.answers) {
    if (reply.took_s > limit_s) last_s = std::max(last_s, reply.planned_s);
  }
  fmt::print("recovery to 0.5 after 10: {:.0f} ms; {} others\n", 1e3 * last_s, after.others);
}

constexpr double kLimit_s = 0.2, kEach_s = 8;

// A server that runs: pieces of a file of text, of up to 400 bytes.
void overload_of(char** argv) {
  StormOptions asked;
  asked.address = argv[2];
  asked.words = testing::plain_words(argv[4]);
  asked.most_bytes = 400;
  asked.requests = 5000;
  storm(asked);  // the first ones make room
  const StormResult full = storm(asked);
  asked.most_connections = 900;  // fewer than it holds
  offer_all(asked, static_cast<double>(full.answered) / full.wall_s, 1e-3 * std::atof(argv[3]),
            kEach_s, [] { return 0.0; });
}

void overload() {
  FakeEngine engine;
  engine.batch_s = 2e-3;
  engine.token_s = 10e-6;
  serve::ServiceOptions options;
  options.limits.batch = {2048, 32};
  options.limit_s = kLimit_s;
  std::atomic<pid_t> server_thread = 0;
  ListeningServer server(
      engine, {.address = "127.0.0.1:0", .connections = 20'000},
      [&] {
        stay_on(0);
        server_thread = ::gettid();
      },
      options);
  stay_on(1);
  // Of 32 texts of 50 tokens in the mean.
  const double capacity = 32 / (engine.batch_s + 32 * 51.5 * engine.token_s);
  StormOptions asked;
  asked.address = server.address();
  offer_all(asked, capacity, kLimit_s, kEach_s, [&] { return waited_for_cpu_s(server_thread); });
}

std::string memory() {
  std::string all = "?";
  if (std::FILE* file = std::fopen("/proc/self/status", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, file) != nullptr) {
      const std::string_view view(line);
      if (view.starts_with("VmRSS:") || view.starts_with("Threads:"))
        all += fmt::format(" {}", view.substr(0, view.size() - 1));
    }
    std::fclose(file);
  }
  return all.substr(1);
}

void soak(std::size_t requests) {
  FakeEngine engine;
  ListeningServer server(engine, {.address = "127.0.0.1:0"}, [] { stay_on(0); });
  stay_on(1);
  StormResult sum;
  constexpr std::size_t kParts = 10;
  for (std::size_t part = 0; part < kParts; ++part) {
    StormOptions asked;
    asked.address = server.address();
    asked.requests = requests / kParts;
    asked.aborted = asked.malformed = 0.05;
    asked.most_bytes = 20'000;
    asked.seed = part + 1;
    const StormResult result = storm(asked);
    sum.answered += result.answered;
    sum.malformed += result.malformed;
    sum.aborted += result.aborted;
    sum.others += result.others;
    fmt::print("{:>9} requests: {}\n", (part + 1) * asked.requests, memory());
  }
  const serve::Counters counters = server.end();
  fmt::print("clients: {} answered, {} malformed, {} aborted, {} others\n", sum.answered,
             sum.malformed, sum.aborted, sum.others);
  fmt::print("server: {} accepted = {} answered + {} cancelled\n", counters.accepted,
             counters.ended[0], counters.cancelled);
}

// Any server: the lines of a file as bodies.
void client(char** argv) {
  StormOptions asked;
  asked.address = argv[2];
  std::ifstream bodies(argv[4]);
  for (std::string body; std::getline(bodies, body);) asked.sent.push_back(post(argv[3], body));
  asked.requests = std::strtoull(argv[5], nullptr, 10);
  asked.connections = std::strtoull(argv[6], nullptr, 10);
  const StormResult result = storm(asked);
  fmt::print("{:.1f} requests/s, p50 {:.2f} ms, p99 {:.2f} ms, {} answered, {} others\n",
             static_cast<double>(result.answered) / result.wall_s, 1e3 * share(result.answers, 0.5),
             1e3 * share(result.answers, 0.99), result.answered, result.all() - result.answered);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "cost") {
    cost();
  } else if (what == "overload") {
    overload();
  } else if (what == "overload-of" && argc == 5) {
    overload_of(argv);
  } else if (what == "client" && argc == 7) {
    client(argv);
  } else if (what == "soak" && argc == 3) {
    soak(std::strtoull(argv[2], nullptr, 10));
  } else {
    fmt::print(stderr,
               "usage: serve_bench cost | overload | soak REQUESTS |\n  overload-of HOST:PORT "
               "LIMIT_MS TEXTS |\n  client HOST:PORT PATH BODIES REQUESTS CONNECTIONS\n");
    return 2;
  }
  return 0;
}

// Over sockets, much at once: at overload and over a long time the counts of both sides agree and
// nothing grows. (How fast it is stands in docs/serving.md, by bench/serve.)
#include "serve/storm.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include "serve/socket_client.h"

namespace breakeven::serve {
namespace {

using testing::FakeEngine;
using testing::ListeningServer;
using testing::storm;
using testing::StormOptions;
using testing::StormResult;

std::size_t files_in(const char* folder) {
  std::size_t count = 0;
  DIR* open = ::opendir(folder);
  while (::readdir(open) != nullptr) ++count;
  ::closedir(open);
  return count;
}
std::uint64_t ended(const Counters& counters, Outcome outcome) {
  return counters.ended[static_cast<std::size_t>(outcome)];
}
std::uint64_t refused(const Counters& counters) {
  std::uint64_t sum = 0;
  for (const std::uint64_t each : counters.refused) sum += each;
  return sum;
}

// Ten times what the engine can: whoever is let in is answered, or told that it was too late; all
// others are told at once; both sides count the same.
TEST(Storm, AtOverloadEachRequestIsAnsweredOrRefused) {
  FakeEngine engine;
  engine.batch_s = 1e-3;
  engine.token_s = 20e-6;  // 1,000 texts of 50 tokens a second, at most
  ServiceOptions options;
  options.limits.batch = {512, 16};
  options.limit_s = 0.1;
  ListeningServer server(
      engine, {.address = "127.0.0.1:0", .connections = 20'000}, [] {}, options);
  StormOptions asked;
  asked.address = server.address();
  asked.requests = 20'000;
  asked.rate_per_s = 10'000;
  const StormResult result = storm(asked);
  const Counters counters = server.end();
  EXPECT_EQ(result.all(), asked.requests);
  EXPECT_EQ(result.answered, ended(counters, Outcome::answered));
  EXPECT_EQ(result.refused, refused(counters));
  EXPECT_EQ(result.others,
            ended(counters, Outcome::expired));  // 504: the machine was slower than it knew
  EXPECT_EQ(ended(counters, Outcome::failed) + ended(counters, Outcome::drained), 0U);
  EXPECT_GT(result.answered, 100U);
  EXPECT_GT(result.refused, result.answered);
}

// One of 20 breaks off, one of 20 is no request.
TEST(Storm, OverALongTimeNothingGrows) {
  FakeEngine engine;
  ListeningServer server(engine, {.address = "127.0.0.1:0"});
  StormOptions asked;
  asked.address = server.address();
  asked.aborted = asked.malformed = 0.05;
  asked.requests = 10'000;
  StormResult sum = storm(asked);  // the first ones make room
  const auto state = [] {
    return std::array{files_in("/proc/self/fd"), files_in("/proc/self/task"),
                      ::mallinfo2().uordblks};
  };
  // Those who broke off last may be there still.
  const auto settled = [&] {
    testing::SocketClient client(server.address());
    std::string metrics;
    while (metrics.find("breakeven_connections_open 1\n") == std::string::npos) {
      client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
      metrics = client.read_to("breakeven_batch_seconds_count");
    }
    return state();
  };
  const auto before = settled();
  asked.requests = 50'000;
  asked.seed = 2;
  const StormResult more = storm(asked);
  const auto after = settled();
  EXPECT_EQ(after[0], before[0]) << "descriptors";
  EXPECT_EQ(after[1], before[1]) << "threads";
  EXPECT_LT(after[2], before[2] + 65'536) << "bytes in use";
  const Counters counters = server.end();
  EXPECT_EQ(sum.others + more.others, 0U);
  EXPECT_NEAR(static_cast<double>(more.aborted), 2500, 250);
  EXPECT_NEAR(static_cast<double>(more.malformed), 2500, 250);
  // A request that breaks off may have been whole, and answered for nobody.
  EXPECT_GE(ended(counters, Outcome::answered) + counters.cancelled, sum.answered + more.answered);
  EXPECT_EQ(counters.accepted, ended(counters, Outcome::answered) + counters.cancelled);
}

}  // namespace
}  // namespace breakeven::serve

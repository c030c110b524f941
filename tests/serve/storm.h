// Many clients of a server at once, from one thread: requests of random lengths at random times, of
// which some are broken off and some are no requests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace breakeven::testing {

struct StormOptions {
  std::string address;            // 127.0.0.1:PORT
  std::vector<std::string> sent;  // one after the other; none = POST /v1/classify, a random text
  std::size_t requests = 1000;
  double rate_per_s = 0;         // Poisson; 0 = the next one as soon as a connection is free
  std::size_t connections = 64;  // more are opened where all are busy, if there is a rate
  std::size_t most_connections = 4000;
  double aborted = 0, malformed = 0;  // shares
  std::size_t most_bytes = 98;        // of a text
  std::string words{};  // texts are pieces of it, longer than most_bytes; none = one letter again
                        // and again. JSON takes its bytes as they are
  std::uint64_t seed = 1;
};

struct StormResult {
  std::uint64_t answered = 0, refused = 0, malformed = 0, aborted = 0;  // 200; 429; 4xx; gone
  std::uint64_t others = 0;  // any other status, or a connection that ended without a reply
  // From the time that each was planned for, in the order of the replies.
  struct Reply {
    double planned_s = 0, took_s = 0;  // planned_s: since the start
    double late_s = 0;                 // of took_s: until it was really sent
  };
  std::vector<Reply> answers, refusals;
  double wall_s = 0, cpu_s = 0;  // of the thread that played it
  std::uint64_t all() const { return answered + refused + malformed + aborted + others; }
};

StormResult storm(const StormOptions& options);

// Letters and blanks of a file of text, for StormOptions::words.
std::string plain_words(const std::string& path);

}  // namespace breakeven::testing

#include "advise/queue_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "base/check.h"
#include "measure/statistics.h"

namespace breakeven::advise {
namespace {

constexpr std::size_t kRequests = 20'000;
constexpr std::size_t kWarmUp = 1'000;  // requests before the queue looks as it always does
constexpr int kHalvings = 10;           // 2^-10 is 0.1 %

// Gaps of a Poisson process of one request a second, and which text each request brings. The same
// for all rates, so that a higher rate never looks faster by luck.
struct Requests {
  std::vector<double> arrival;
  std::vector<std::uint32_t> length;
};

Requests draw_requests(const Server& server) {
  BREAKEVEN_CHECK(!server.lengths.empty() && server.max_batch >= 1);
  std::mt19937_64 random(
      20261122);  // the engine's numbers are the same everywhere; no distribution
  Requests requests;
  double now = 0;
  for (std::size_t i = 0; i < kRequests + kWarmUp; ++i) {
    const double uniform = (static_cast<double>(random() >> 11U) + 0.5) * 0x1p-53;
    now -= std::log(uniform);
    requests.arrival.push_back(now);
    requests.length.push_back(server.lengths[random() % server.lengths.size()]);
  }
  return requests;
}

Response simulate(const Server& server, const Requests& requests, double rate, double factor) {
  const std::size_t count = requests.arrival.size();
  const auto arrival = [&](std::size_t i) { return requests.arrival[i] / rate; };
  std::vector<double> waits;
  waits.reserve(kRequests);
  double free_s = 0;
  double busy_s = 0;
  std::size_t batches = 0;
  for (std::size_t next = 0; next < count;) {
    const std::size_t last = next + std::min<std::uint64_t>(server.max_batch, count - next) - 1;
    const bool fills = last - next + 1 == server.max_batch;
    const double full_s = fills ? arrival(last) : std::numeric_limits<double>::infinity();
    const double start = std::max(free_s, std::min(full_s, arrival(next) + server.max_wait_s));
    std::size_t end = next + 1;
    while (end <= last && arrival(end) <= start) ++end;
    const double took =
        factor * server.batch_s(std::span(requests.length).subspan(next, end - next));
    free_s = start + took;
    busy_s += took;
    ++batches;
    for (; next < end; ++next) {
      if (next >= kWarmUp) waits.push_back(free_s - arrival(next));
    }
  }
  Response response;
  response.p50_s = measure::percentile(waits, 0.5);
  response.p99_s = measure::percentile(waits, 0.99);
  response.mean_batch = static_cast<double>(count) / static_cast<double>(batches);
  response.busy_share = std::min(1.0, busy_s / free_s);
  return response;
}

constexpr double kTooBusy = 0.999;  // of the full rate: nearer to it a queue never empties
constexpr double kAlone = 1e-4;     // of the full rate: hardly two requests ever meet

}  // namespace

double full_rate(const Server& server) {
  const Requests requests = draw_requests(server);
  double seconds = 0;
  std::size_t at = 0;
  while (at < requests.length.size()) {
    const std::size_t texts =
        std::min<std::uint64_t>(server.max_batch, requests.length.size() - at);
    seconds += server.batch_s(std::span(requests.length).subspan(at, texts));
    at += texts;
  }
  return static_cast<double>(at) / seconds;
}

std::optional<Response> respond(const Server& server, double rate_per_s) {
  BREAKEVEN_CHECK(rate_per_s > 0, "rate={}", rate_per_s);
  if (rate_per_s > kTooBusy * full_rate(server)) return std::nullopt;
  return simulate(server, draw_requests(server), rate_per_s, 1);
}

double highest_rate(const Server& server, double limit_s, double time_factor) {
  const Requests requests = draw_requests(server);
  const double most = kTooBusy * full_rate(server) / time_factor;
  const auto keeps = [&](double rate) {
    return simulate(server, requests, rate, time_factor).p99_s <= limit_s;
  };
  // Alone on the machine a request waits for a batch to fill in vain: a load may be that low too.
  if (!keeps(kAlone * most)) return 0;
  if (keeps(most)) return most;
  double low = 0;
  double high = most;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (keeps(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace breakeven::advise

#include "advise/queue_model.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "base/batch_rule.h"
#include "base/check.h"
#include "measure/statistics.h"

namespace breakeven::advise {
namespace {

constexpr std::size_t kRequests = 20'000;
constexpr std::size_t kWarmUp = 1'000;  // requests before the queue looks as it always does
constexpr int kHalvings = 10;           // 2^-10 is 0.1 %

// Arrivals of a Poisson process of one request a second, and which text each request brings: one
// draw for all servers and rates, so that a higher rate never looks faster by luck.
struct Requests {
  std::vector<double> arrival;
  std::vector<std::uint64_t> pick;
};

const Requests& all_requests() {
  static const Requests kDrawn = [] {
    // The engine's numbers are the same everywhere; no distribution of the library is.
    std::mt19937_64 random(20261122);
    Requests requests;
    double now = 0;
    for (std::size_t i = 0; i < kRequests + kWarmUp; ++i) {
      const double uniform = (static_cast<double>(random() >> 11U) + 0.5) * 0x1p-53;
      now -= std::log(uniform);
      requests.arrival.push_back(now);
      requests.pick.push_back(random());
    }
    return requests;
  }();
  return kDrawn;
}

std::vector<std::uint32_t> draw_lengths(const Server& server) {
  BREAKEVEN_CHECK(!server.lengths.empty() && server.max_batch >= 1);
  std::vector<std::uint32_t> lengths;
  lengths.reserve(kRequests + kWarmUp);
  for (const std::uint64_t pick : all_requests().pick) {
    lengths.push_back(server.lengths[pick % server.lengths.size()]);
  }
  return lengths;
}

struct Simulated {
  std::vector<double> waits;  // of the requests after the warm-up
  double mean_batch = 0, busy_share = 0;
};

Simulated simulate(const Server& server, double rate, double factor) {
  const std::vector<double>& arrivals = all_requests().arrival;
  const std::vector<std::uint32_t> lengths = draw_lengths(server);
  const std::size_t count = arrivals.size();
  const auto arrival = [&](std::size_t i) { return arrivals[i] / rate; };
  const BatchRule rule{static_cast<std::size_t>(server.max_batch), server.max_wait_s};
  Simulated simulated;
  simulated.waits.reserve(kRequests);
  double free_s = 0;
  double busy_s = 0;
  std::size_t batches = 0;
  for (std::size_t next = 0; next < count;) {
    const double start = rule.start_s(next, count, arrival, free_s);
    const std::size_t end = rule.end_of(next, count, arrival, start);
    const double took = factor * server.batch_s(std::span(lengths).subspan(next, end - next));
    free_s = start + took;
    busy_s += took;
    ++batches;
    for (; next < end; ++next) {
      if (next >= kWarmUp) simulated.waits.push_back(free_s - arrival(next));
    }
  }
  simulated.mean_batch = static_cast<double>(count) / static_cast<double>(batches);
  simulated.busy_share = std::min(1.0, busy_s / free_s);
  return simulated;
}

constexpr double kTooBusy = 0.999;  // of the full rate: nearer to it a queue never empties
constexpr double kAlone = 1e-4;     // of the full rate: hardly two requests ever meet

double rate_of_full_batches(const Server& server) {
  const std::vector<std::uint32_t> lengths = draw_lengths(server);
  double seconds = 0;
  std::size_t at = 0;
  while (at < lengths.size()) {
    const std::size_t texts = std::min<std::uint64_t>(server.max_batch, lengths.size() - at);
    seconds += server.batch_s(std::span(lengths).subspan(at, texts));
    at += texts;
  }
  return static_cast<double>(at) / seconds;
}

}  // namespace

Queue::Queue(Server server)
    : server_(std::move(server)), full_rate_(rate_of_full_batches(server_)) {}

std::optional<Response> Queue::respond(double rate_per_s) const {
  BREAKEVEN_CHECK(rate_per_s > 0, "rate={}", rate_per_s);
  if (rate_per_s > kTooBusy * full_rate_) return std::nullopt;
  const Simulated simulated = simulate(server_, rate_per_s, 1);
  return Response{measure::percentile(simulated.waits, 0.5),
                  measure::percentile(simulated.waits, 0.99), simulated.mean_batch,
                  simulated.busy_share};
}

double Queue::p99_s(double share, double time_factor) const {
  // Without a wait for full batches, times that are f times longer at a rate that is f times lower
  // are the same queue seen f times slower.
  const bool scales = server_.max_wait_s == 0;
  const double factor = scales ? 1 : time_factor;
  const auto [place, is_new] = p99_s_.try_emplace({share, factor}, 0.0);
  if (is_new) {
    const double rate = share * kTooBusy * full_rate_ / factor;
    place->second = measure::percentile(simulate(server_, rate, factor).waits, 0.99);
  }
  return place->second * (scales ? time_factor : 1);
}

double Queue::highest_rate(double limit_s, double time_factor) const {
  const double most = kTooBusy * full_rate_ / time_factor;
  const auto keeps = [&](double share) { return p99_s(share, time_factor) <= limit_s; };
  // Alone on the machine a request waits for a batch to fill in vain: a load may be that low too.
  if (!keeps(kAlone)) return 0;
  if (keeps(1)) return most;
  double low = 0;
  double high = 1;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (keeps(middle) ? low : high) = middle;
  }
  return low * most;
}

}  // namespace breakeven::advise

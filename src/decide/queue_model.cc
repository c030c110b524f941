#include "decide/queue_model.h"

#include <algorithm>
#include <cmath>

#include "base/batch_rule.h"
#include "base/check.h"
#include "base/random.h"
#include "measure/statistics.h"

namespace breakeven::decide {
namespace {

constexpr std::uint64_t kSeed = 20261122;
constexpr int kSeeds = 8;
constexpr double kAlone = 1e-4;          // of the full rate: hardly two requests ever meet
constexpr double kMostSimulated = 0.85;  // of the full rate
constexpr int kHalvings = 10;            // 2^-10 is 0.1 %

// Requests of one seed at a load. Of n requests in a queue only n ÷ (1 + ρ(1 + ρ) ÷ (1 - ρ)²) are
// independent (Whitt 1989); all seeds together are worth 6,000, which gives a p99 to some 3 %.
std::size_t requests_at(double load) {
  constexpr double kIndependent = 6000;
  const double worth = 1 + load * (1 + load) / ((1 - load) * (1 - load));
  return static_cast<std::size_t>(std::max(2000.0, kIndependent / kSeeds * worth));
}

struct Simulated {
  std::vector<double> waits;  // of the requests after the warm-up, until they were answered
  double batches = 0, busy_s = 0, end_s = 0;
};

// One draw of requests for all servers and rates, so that a higher rate never looks faster by luck.
Simulated simulate(const Server& server, double rate, double load, double factor, int seed) {
  Random random(kSeed, {static_cast<std::uint64_t>(seed)});
  const std::size_t count = requests_at(load);
  const std::size_t warm_up = count / 10;
  std::vector<double> arrival_s(count);
  std::vector<std::uint32_t> lengths(count);
  double now = 0;
  for (std::size_t i = 0; i < count; ++i) {
    now -= portable_log(random.uniform(0x1p-54, 1));
    arrival_s[i] = now / rate;
    lengths[i] = server.lengths[random.scaled_below(server.lengths.size())];
  }
  const auto come_s = [&](std::size_t i) { return arrival_s[i]; };
  const BatchRule rule{static_cast<std::size_t>(server.max_batch), server.max_wait_s};
  Simulated simulated;
  simulated.waits.reserve(count - warm_up);
  for (std::size_t next = 0; next < count;) {
    const double start = rule.start_s(next, count, come_s, simulated.end_s);
    const std::size_t end = rule.end_of(next, count, come_s, start);
    const double took = factor * server.batch_s(std::span(lengths).subspan(next, end - next));
    simulated.end_s = start + took;
    simulated.busy_s += took;
    simulated.batches += 1;
    for (; next < end; ++next) {
      if (next >= warm_up) simulated.waits.push_back(simulated.end_s - arrival_s[next]);
    }
  }
  return simulated;
}

double rate_of_full_batches(const Server& server) {
  BREAKEVEN_CHECK(!server.lengths.empty() && server.max_batch >= 1);
  constexpr std::size_t kTexts = 20'000;
  Random random(kSeed);
  std::vector<std::uint32_t> batch(server.max_batch);
  double seconds = 0;
  std::size_t texts = 0;
  for (; texts < kTexts; texts += batch.size()) {
    for (std::uint32_t& length : batch) {
      length = server.lengths[random.scaled_below(server.lengths.size())];
    }
    seconds += server.batch_s(batch);
  }
  return static_cast<double>(texts) / seconds;
}

}  // namespace

Queue::Queue(Server server, double measured_per_s)
    : server_(std::move(server)), full_rate_(rate_of_full_batches(server_)) {
  if (measured_per_s <= 0 || measured_per_s >= full_rate_) return;
  server_.batch_s = [batch_s = std::move(server_.batch_s),
                     slower = full_rate_ / measured_per_s](std::span<const std::uint32_t> lengths) {
    return slower * batch_s(lengths);
  };
  full_rate_ = measured_per_s;
}

std::optional<Response> Queue::respond(double rate_per_s) const {
  BREAKEVEN_CHECK(rate_per_s > 0, "rate={}", rate_per_s);
  const double load = rate_per_s / full_rate_;
  if (load > kKnownLoad) return std::nullopt;
  const Simulated one = simulate(server_, rate_per_s, load, 1, 0);
  return Response{measure::percentile(one.waits, 0.5), tail(load, 1).p99_s,
                  static_cast<double>(requests_at(load)) / one.batches,
                  std::min(1.0, one.busy_s / one.end_s)};
}

Queue::Tail Queue::tail(double load, double time_factor) const {
  if (load > kMostSimulated) {
    // Near its full rate what a queue waits grows as 1 ÷ (1 - load) (Kingman 1961).
    Tail busy = tail(kMostSimulated, time_factor);
    busy.p99_s *= (1 - kMostSimulated) / (1 - load);
    return busy;
  }
  // Without a wait for full batches, times that are f times longer at a rate that is f times lower
  // are the same queue seen f times slower.
  if (server_.max_wait_s == 0 && time_factor != 1) {
    Tail same = tail(load, 1);
    same.p99_s *= time_factor;
    return same;
  }
  const auto [place, is_new] = tails_.try_emplace({load, time_factor}, Tail{});
  if (is_new) {
    std::vector<double> logs;
    for (int seed = 0; seed < kSeeds; ++seed) {
      const double rate = load * full_rate_ / time_factor;
      logs.push_back(std::log(
          measure::percentile(simulate(server_, rate, load, time_factor, seed).waits, 0.99)));
    }
    const double mean = measure::mean(logs);
    double squares = 0;
    for (const double each : logs) squares += (each - mean) * (each - mean);
    place->second = {std::exp(mean), measure::student_t_quantile(0.975, kSeeds - 1) *
                                         std::sqrt(squares / (kSeeds * (kSeeds - 1)))};
  }
  return place->second;
}

// The highest share of the full rate, up to kKnownLoad, whose p99 stays within the limit; with the
// simulation's error added (errors = 1) or taken off (-1).
double Queue::highest_load(double limit_s, double time_factor, double errors) const {
  const auto keeps = [&](double load) {
    const Tail seen = tail(load, time_factor);
    return seen.p99_s * std::exp(errors * seen.error) <= limit_s;
  };
  // Alone on the machine a request waits for a batch to fill in vain: a load may be that low too.
  if (!keeps(kAlone)) return 0;
  if (keeps(kKnownLoad)) return kKnownLoad;
  double low = 0;
  double high = 1;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (keeps(middle) ? low : high) = middle;
  }
  return std::min(low, kKnownLoad);
}

QueueRate Queue::highest_rate(double limit_s, double fastest, double slowest) const {
  BREAKEVEN_CHECK(0 < fastest && fastest <= 1 && slowest >= 1, "{} {}", fastest, slowest);
  const double load = highest_load(limit_s, 1, 0);
  QueueRate rate;
  rate.per_s = load * full_rate_;
  rate.or_more = load == kKnownLoad;
  rate.low = std::min(rate.per_s, highest_load(limit_s, slowest, 1) * full_rate_ / slowest);
  const double high = highest_load(limit_s, fastest, -1);
  // Beyond the known load only the machine itself is a bound.
  rate.high = std::max(rate.per_s, (high == kKnownLoad ? 1 : high) * full_rate_ / fastest);
  return rate;
}

}  // namespace breakeven::decide

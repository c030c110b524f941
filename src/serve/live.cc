#include "serve/live.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "decide/machines.h"
#include "measure/statistics.h"
#include "serve/api.h"

namespace breakeven::serve {
namespace {

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{:.6g}", value) : "null";
}
std::string number(const std::optional<double>& value) {
  return value ? number(*value) : "null";
}

// Texts of a full batch.
std::uint64_t full_batch(const std::vector<std::uint32_t>& lengths, const BatchLimits& batch) {
  const double sum = std::accumulate(lengths.begin(), lengths.end(), 0.0);
  const double mean = sum / static_cast<double>(lengths.size());
  const double texts = static_cast<double>(batch.tokens) / std::max(1.0, mean);
  return static_cast<std::uint64_t>(std::clamp(texts, 1.0, static_cast<double>(batch.texts)));
}

Alone alone_of(const Observed& observed, const Machine& machine, const BatchLimits& batch,
               double limit_s) {
  decide::Server server;
  server.lengths = observed.lengths;
  server.max_batch = full_batch(observed.lengths, batch);
  server.batch_s = [model = machine.model](std::span<const std::uint32_t> lengths) {
    return std::max(1e-9,
                    decide::seconds_of(model, decide::shape_of(lengths, Padding::none, SIZE_MAX)));
  };
  const decide::Queue queue(std::move(server));
  Alone alone;
  alone.device = machine.device;
  alone.is_gpu = machine.is_gpu;
  alone.here = machine.here;
  alone.source = machine.source;
  alone.full_per_s = queue.full_rate();
  alone.highest = queue.highest_rate(limit_s);
  if (observed.texts_per_s > 0) alone.now = queue.respond(observed.texts_per_s);
  return alone;
}

// Money for a million texts at the load that was seen, on whole machines.
std::optional<double> cost(const Alone& alone, std::optional<double> price, double texts_per_s) {
  if (!price || texts_per_s <= 0 || alone.highest.per_s <= 0) return std::nullopt;
  const decide::MachineKind kind{{alone.highest.low, alone.highest.high}, *price};
  return decide::machines_for(texts_per_s, kind).high * *price / 3600 / texts_per_s * 1e6;
}

std::string alone_json(const Alone& alone, const Observed& observed,
                       const std::optional<double>& price) {
  return fmt::format(
      R"({{"device":{},"kind":"{}","here":{},"source":{},"use":{},"full_texts_per_s":{},)"
      R"("highest_texts_per_s":{},"highest_low":{},"highest_high":{},"or_more":{},)"
      R"("p50_s":{},"p99_s":{},"cost_per_million":{}}})",
      json_text(alone.device), alone.is_gpu ? "gpu" : "cpu", alone.here, json_text(alone.source),
      number(alone.use), number(alone.full_per_s), number(alone.highest.per_s),
      number(alone.highest.low), number(alone.highest.high), alone.highest.or_more,
      alone.now ? number(alone.now->p50_s) : "null", alone.now ? number(alone.now->p99_s) : "null",
      number(cost(alone, price, observed.texts_per_s)));
}

// The one of its kind that carries most.
const Alone* best(const Live& live, bool is_gpu) {
  const Alone* found = nullptr;
  for (const Alone& alone : live.alone) {
    if (alone.is_gpu != is_gpu) continue;
    if (found == nullptr || alone.highest.per_s > found->highest.per_s) found = &alone;
  }
  return found;
}

std::string changes_json(const Live& live, const Prices& prices) {
  const Alone *cpu = best(live, false), *gpu = best(live, true);
  const bool both =
      cpu != nullptr && gpu != nullptr && cpu->highest.low > 0 && gpu->highest.low > 0;
  std::string by_cost = "null", why;
  if (!both) {
    why = "only one kind of device is known for these texts within this limit";
  } else if (!prices.cpu || !prices.gpu) {
    why = "prices are missing: add ?cpu_price=0.19&gpu_price=0.53, of a machine, an hour";
  } else {
    const auto even = decide::load_break_even({{cpu->highest.low, cpu->highest.high}, *prices.cpu},
                                              {{gpu->highest.low, gpu->highest.high}, *prices.gpu});
    if (even.decided && even.first.load) {
      by_cost = fmt::format(R"({{"texts_per_s":{},"low":{},"high":{}}})", number(*even.first.load),
                            number(even.first.low), number(even.first.high));
    } else {
      why = even.decided ? "at no load is the GPU cheaper" : "they cost alike";
    }
  }
  return fmt::format(R"({{"one_cpu_carries_up_to_texts_per_s":{},"gpu_cheaper_from":{},"why":{}}})",
                     cpu != nullptr ? number(cpu->highest.per_s) : "null", by_cost,
                     why.empty() ? "null" : json_text(why));
}

}  // namespace

Live live_of(Observed observed, const std::vector<Machine>& machines, const BatchLimits& batch,
             double limit_s) {
  Live live;
  live.limit_s = limit_s;
  for (std::size_t i = 0; i < machines.size() && !observed.lengths.empty(); ++i) {
    live.alone.push_back(alone_of(observed, machines[i], batch, limit_s));
    if (i < observed.use.size()) live.alone.back().use = observed.use[i];
  }
  live.observed = std::move(observed);
  return live;
}

std::string to_json(const Live& live, const Prices& prices) {
  const Observed& seen = live.observed;
  std::string tokens = "null";
  if (!seen.lengths.empty()) {
    const std::vector<double> lengths(seen.lengths.begin(), seen.lengths.end());
    tokens = fmt::format(R"({{"texts":{},"mean":{},"p50":{},"p99":{}}})", lengths.size(),
                         number(measure::mean(lengths)), number(measure::percentile(lengths, 0.5)),
                         number(measure::percentile(lengths, 0.99)));
  }
  std::string alone, together = "null";
  double highest = 0, price = 0;
  bool cpu = false, gpu = false;
  for (const Alone& each : live.alone) {
    const auto& its = each.is_gpu ? prices.gpu : prices.cpu;
    alone += (alone.empty() ? "" : ",") + alone_json(each, seen, its);
    if (!each.here) continue;
    highest += each.highest.per_s;
    (each.is_gpu ? gpu : cpu) = true;
    // The machine of a GPU has a CPU, too: it is paid once.
    price = std::max(price, its.value_or(0));
  }
  if (cpu && gpu) {
    const bool known = prices.gpu && seen.texts_per_s > 0;
    together = fmt::format(R"({{"highest_texts_per_s":{},"cost_per_million":{}}})", number(highest),
                           known ? number(price / 3600 / seen.texts_per_s * 1e6) : "null");
  }
  return fmt::format(
      R"({{"observed":{{"window_s":{},"requests_per_s":{},"texts_per_s":{},"tokens":{}}},"limit_s":{},)"
      R"("prices":{{"cpu":{},"gpu":{}}},"alone":[{}],"together":{},"changes":{}}})",
      number(seen.window_s), number(seen.requests_per_s), number(seen.texts_per_s), tokens,
      number(live.limit_s), number(prices.cpu), number(prices.gpu), alone, together,
      changes_json(live, prices));
}

}  // namespace breakeven::serve

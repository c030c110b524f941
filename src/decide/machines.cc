#include "decide/machines.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace breakeven::decide {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Loads above which the GPU is cheaper.
struct Crossing {
  std::optional<double> first, always;
};

// One kind of machine at one end of its rate's interval.
struct Staircase {
  double rate = 0, price = 0;
  double slope() const { return price / rate; }
};

// Walks both staircases step by step until the slopes alone decide. Nothing when they do not within
// kMostSteps machines.
std::optional<Crossing> crossing(const Staircase& cpu, const Staircase& gpu) {
  Crossing found;
  double cpus = 1;
  double gpus = 1;
  double from = 0;
  // Beyond this load the steps no longer matter: one more machine of the cheaper kind is less than
  // what the slopes lie apart.
  const bool gpu_in_the_end = gpu.slope() < cpu.slope();
  const double gap = std::abs(cpu.slope() - gpu.slope());
  const double settled = gap > 0 ? (gpu_in_the_end ? gpu.price : cpu.price) / gap : kInfinity;
  for (std::size_t step = 0; step < kMostSteps; ++step) {
    const bool last = from >= settled;
    // On the last stretch the slopes decide, whatever this one step says.
    const bool gpu_leads = last ? gpu_in_the_end : gpus * gpu.price < cpus * cpu.price;
    if (!gpu_leads) found.always.reset();
    if (gpu_leads && !found.first) found.first = from;
    if (gpu_leads && !found.always) found.always = from;
    const double to = std::min(cpus * cpu.rate, gpus * gpu.rate);
    if (last || std::isinf(to)) return found;
    // Equal steps of both are one.
    if (cpus * cpu.rate <= to) ++cpus;
    if (gpus * gpu.rate <= to) ++gpus;
    from = to;
  }
  return std::nullopt;
}

void widen(Threshold& threshold, std::optional<double> corner) {
  threshold.low = std::min(threshold.low, corner.value_or(kInfinity));
  threshold.high = std::max(threshold.high, corner.value_or(kInfinity));
}

}  // namespace

Amount machines_for(double load_per_s, const MachineKind& kind, double utilisation) {
  const auto machines = [&](double rate) {
    return rate > 0 ? std::max(1.0, std::ceil(load_per_s / (utilisation * rate))) : kInfinity;
  };
  return {machines(kind.rate.high), machines(kind.rate.low)};
}

Amount cost_a_month(const Amount& machines, double price) {
  // A machine that costs nothing costs nothing however many there are.
  const auto cost = [&](double count) { return price > 0 ? count * price * kHoursAMonth : 0; };
  return {cost(machines.low), cost(machines.high)};
}

Amount cost_a_million(const MachineKind& kind, double utilisation) {
  const auto cost = [&](double rate) {
    if (kind.price <= 0) return 0.0;
    return rate > 0 ? kind.price / 3600 / (utilisation * rate) * 1e6 : kInfinity;
  };
  return {cost(kind.rate.high), cost(kind.rate.low)};
}

Leads cheaper(const Amount& cpu, const Amount& gpu, Side on_tie) {
  const bool cpu_leads = on_tie == Side::cpu ? cpu.high <= gpu.low : cpu.high < gpu.low;
  const bool gpu_leads = on_tie == Side::gpu ? gpu.high <= cpu.low : gpu.high < cpu.low;
  return cpu_leads ? Leads::cpu : gpu_leads ? Leads::gpu : Leads::cannot_tell;
}

LoadBreakEven load_break_even(const MachineKind& cpu, const MachineKind& gpu, double utilisation) {
  LoadBreakEven result;
  result.first.low = result.always.low = kInfinity;
  for (const double cpu_rate : {cpu.rate.low, cpu.rate.high}) {
    for (const double gpu_rate : {gpu.rate.low, gpu.rate.high}) {
      const auto corner =
          crossing({utilisation * cpu_rate, cpu.price}, {utilisation * gpu_rate, gpu.price});
      const bool planned = cpu_rate == cpu.rate.low && gpu_rate == gpu.rate.low;
      if (planned && !corner) return {false, {}, {}};
      if (planned) {
        result.first.load = corner->first;
        result.always.load = corner->always;
      }
      // Too alike at one end of the intervals: it may never be.
      widen(result.first, corner ? corner->first : std::nullopt);
      widen(result.always, corner ? corner->always : std::nullopt);
    }
  }
  return result;
}

}  // namespace breakeven::decide

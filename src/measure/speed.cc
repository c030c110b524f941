#include "measure/speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <thread>

#include "base/units.h"
#include "measure/rounds.h"
#include "measure/thresholds.h"

namespace breakeven::measure {
namespace {

using record::Record;
using Records = std::vector<const Record*>;

// A few KB, so that it tells of the core and not of the memory. The sum is returned so that no
// compiler leaves the work out.
float work() {
  constexpr int kTimes = 10'000;
  std::array<float, 4096> values{};
  for (int time = 0; time < kTimes; ++time) {
    for (float& value : values) value = value * 0.999F + 0.5F;
  }
  float sum = 0;
  for (const float value : values) sum += value;
  return sum;
}

// The largest of what each record shows.
template <class Take>
double worst(const Records& records, Take&& take) {
  double most = 0;
  for (const Record* record : records) most = std::max(most, static_cast<double>(take(*record)));
  return most;
}

struct Why {
  std::string cause, remedy;
};

std::string in_percent(double share) {
  return three_digits(share * 100) + " %";
}

Why why_gpu(const Records& records) {
  for (const Record* record : records) {
    if (!record->gpu || record->gpu->throttle_reasons.empty()) continue;
    const auto& [clock, limit] = std::pair(record->gpu->sm_mhz_median, record->gpu->sm_mhz_limit);
    const std::string of = limit ? fmt::format(" of {:.0f}", *limit) : "";
    return {fmt::format("{}{}", record->gpu->throttle_reasons.front(),
                        clock ? fmt::format(" (SM clock {:.0f}{} MHz)", *clock, of) : ""),
            "cool the GPU or raise its power limit"};
  }
  const double others = worst(
      records, [](const Record& record) { return record.gpu ? record.gpu->foreign_processes : 0; });
  if (others > 0) return {"other programs use the GPU", "close them"};
  return {"nothing to be seen", "lock the GPU's clocks"};
}

Why why_cpu(const Records& records) {
  const auto share = [&](double record::Conditions::*field) {
    return worst(records, [field](const Record& record) {
      return record.conditions ? (*record.conditions).*field : 0;
    });
  };
  const double steal = share(&record::Conditions::steal_share);
  if (steal > threshold("steal").noted) {
    return {fmt::format("other guests took CPU time (steal: {})", in_percent(steal)),
            "repeat on a dedicated machine"};
  }
  const double foreign = share(&record::Conditions::foreign_cpu_share);
  if (foreign > threshold("foreign-cpu").noted) {
    return {fmt::format("other programs used {} of the CPUs", in_percent(foreign)), "close them"};
  }
  const double heat = worst(records, [](const Record& record) {
    return record.conditions ? record.conditions->throttle_events.value_or(0) : 0;
  });
  if (heat > 0) return {"heat slowed the CPU down", "let it cool"};
  if (!records.front()->machine.hypervisor.empty()) {
    return {"other guests of the host, though no steal is to be seen",
            "repeat on a dedicated machine"};
  }
  return {"nothing to be seen", "fix the CPU's clock"};
}

std::optional<double> reference_range(const Records& records) {
  double least = 0;
  double most = 0;
  for (const Record* record : records) {
    for (const record::Round& round : record->rounds) {
      if (!round.reference_s || *round.reference_s <= 0) continue;
      least = least == 0 ? *round.reference_s : std::min(least, *round.reference_s);
      most = std::max(most, *round.reference_s);
    }
  }
  return least > 0 ? std::optional(most / least) : std::nullopt;
}

}  // namespace

double time_reference_loop(unsigned threads, const Clock& clock) {
  std::vector<float> results(threads);
  std::vector<std::thread> others;
  const double start = clock.now_s();
  for (unsigned i = 1; i < threads; ++i) others.emplace_back([&, i] { results[i] = work(); });
  results[0] = work();
  for (std::thread& other : others) other.join();
  const double seconds = clock.now_s() - start;
  // Always so; reading the results is what keeps the loop in the program.
  return std::ranges::all_of(results, [](float sum) { return sum > 0; }) ? seconds : 0;
}

std::vector<SpeedChange> speed_changes(std::span<const Record> records) {
  std::map<Device, Records> by_device;
  for (const Record& record : records) {
    if (record.kind != record::Kind::cell || record.cell.mode == Mode::paced) continue;
    if (record.rounds.size() >= 2) by_device[record.cell.device].push_back(&record);
  }
  std::vector<SpeedChange> changes;
  for (const auto& [device, of_device] : by_device) {
    std::vector<RoundValues> values;
    for (const Record* record : of_device) values.push_back(pass_seconds_by_round(*record));
    Why why = device.is_cpu() ? why_cpu(of_device) : why_gpu(of_device);
    changes.push_back({device, pooled_noise(values).speed_range, reference_range(of_device),
                       std::move(why.cause), std::move(why.remedy)});
  }
  return changes;
}

}  // namespace breakeven::measure

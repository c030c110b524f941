// What went on around a cell (declared in environment.h).
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "base/cpus.h"
#include "base/files.h"
#include "measure/environment.h"
#include "measure/statistics.h"

namespace breakeven::measure {
namespace {

using std::filesystem::path;

// Seconds since boot over the usable CPUs.
struct CpuTimes {
  double busy = 0, steal = 0;
};

CpuTimes read_cpu_times(const path& root, const std::set<int>& usable) {
  CpuTimes times;
  const double tick_s = 1.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
  std::ifstream in(root / "proc/stat");
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string name;
    fields >> name;
    if (name.size() < 4 || !name.starts_with("cpu") || !usable.contains(std::atoi(&name[3]))) {
      continue;
    }
    // guest time is part of user time.
    double user = 0, nice = 0, system = 0, idle = 0, io_wait = 0, irq = 0, soft_irq = 0, steal = 0;
    fields >> user >> nice >> system >> idle >> io_wait >> irq >> soft_irq >> steal;
    times.busy += (user + nice + system + irq + soft_irq) * tick_s;
    times.steal += steal * tick_s;
  }
  return times;
}

std::optional<double> number_in(const path& file) {
  std::ifstream in(file);
  double value = 0;
  if (in >> value) return value;
  return std::nullopt;
}

// Mean over the usable CPUs; virtual machines have no such files, and their cpuinfo shows the
// nominal clock, which says nothing.
std::optional<double> read_mhz(const path& root, const std::set<int>& usable) {
  double sum = 0;
  double count = 0;
  for (const int id : usable) {
    const auto kilohertz = number_in(root / "sys/devices/system/cpu" /
                                     ("cpu" + std::to_string(id)) / "cpufreq/scaling_cur_freq");
    if (!kilohertz) continue;
    sum += *kilohertz / 1000;
    ++count;
  }
  if (count == 0) return std::nullopt;
  return sum / count;
}

std::optional<double> read_temperature(const path& root) {
  std::optional<double> hottest;
  for (const path& zone : entries_of(root / "sys/class/thermal")) {
    std::ifstream type_file(zone / "type");
    std::string type;
    type_file >> type;
    if (type != "x86_pkg_temp" && type != "k10temp" && type != "coretemp") continue;
    if (const auto milli = number_in(zone / "temp")) {
      hottest = std::max(hottest.value_or(*milli / 1000), *milli / 1000);
    }
  }
  return hottest;
}

std::optional<double> read_throttle_count(const path& root, const std::set<int>& usable) {
  std::optional<double> total;
  for (const int id : usable) {
    const path folder =
        root / "sys/devices/system/cpu" / ("cpu" + std::to_string(id)) / "thermal_throttle";
    for (const char* name : {"core_throttle_count", "package_throttle_count"}) {
      if (const auto count = number_in(folder / name)) total = total.value_or(0) + *count;
    }
  }
  return total;
}

OwnUsage usage_of(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return {seconds(usage.ru_utime) + seconds(usage.ru_stime),
          static_cast<std::uint64_t>(usage.ru_nivcsw), static_cast<std::uint64_t>(usage.ru_nvcsw),
          static_cast<std::uint64_t>(usage.ru_majflt)};
}

void add(const OwnUsage& part, OwnUsage& sum) {
  sum.cpu_s += part.cpu_s;
  sum.involuntary_switches += part.involuntary_switches;
  sum.voluntary_switches += part.voluntary_switches;
  sum.major_faults += part.major_faults;
}

// All threads of a process and its children that have ended; nothing when there is no such process.
OwnUsage usage_of_process(const path& root, int process) {
  OwnUsage usage;
  const path folder = root / "proc" / std::to_string(process);
  std::ifstream stat(folder / "stat");
  std::string line;
  std::getline(stat, line);
  // The name, in brackets, may hold spaces and brackets. Behind it: state and 6 more (3 to 9), then
  // minflt, cminflt, majflt, cmajflt, utime, stime, cutime, cstime (10 to 17, proc(5)).
  const auto name_end = line.rfind(')');
  if (name_end == std::string::npos) return usage;
  std::istringstream fields(line.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field <= 9; ++field) fields >> skipped;
  std::uint64_t minor = 0, minor_of_children = 0, major = 0, major_of_children = 0;
  double user = 0, system = 0, user_of_children = 0, system_of_children = 0;
  fields >> minor >> minor_of_children >> major >> major_of_children;
  fields >> user >> system >> user_of_children >> system_of_children;
  usage.major_faults = major + major_of_children;
  usage.cpu_s = (user + system + user_of_children + system_of_children) /
                static_cast<double>(::sysconf(_SC_CLK_TCK));
  for (const path& task : entries_of(folder / "task")) {
    std::ifstream status(task / "status");
    for (std::string field; std::getline(status, field);) {
      std::istringstream words(field);
      std::string name;
      std::uint64_t count = 0;
      words >> name >> count;
      if (name == "voluntary_ctxt_switches:") usage.voluntary_switches += count;
      if (name == "nonvoluntary_ctxt_switches:") usage.involuntary_switches += count;
    }
  }
  return usage;
}

// A thread of another process that ends takes its counts away.
std::uint64_t increase(std::uint64_t before, std::uint64_t after) {
  return after > before ? after - before : 0;
}

}  // namespace

OwnUsage own_usage(std::span<const int> processes, const std::string& root) {
  OwnUsage own = usage_of(RUSAGE_SELF);
  add(usage_of(RUSAGE_CHILDREN), own);
  for (const int process : processes) add(usage_of_process(root, process), own);
  return own;
}

struct ConditionsWatch::State {
  path root;
  const Clock& clock;
  Usage usage;
  std::set<int> usable;

  bool running = false;
  std::vector<int> processes;
  double start_s = 0;
  CpuTimes start_times;
  OwnUsage start_usage;
  std::optional<double> start_throttles;

  record::Conditions sum;
  double foreign_s = 0, steal_s = 0;
  bool load_known = false;
  std::vector<double> mhz;
};

ConditionsWatch::ConditionsWatch(const std::string& root, const Clock& clock, Usage usage)
    : state_(new State{
          root, clock, std::move(usage), {}, false, {}, 0, {}, {}, {}, {}, 0, 0, false, {}}) {
  if (!state_->usage) {
    state_->usage = [root](std::span<const int> processes) { return own_usage(processes, root); };
  }
  const UsableCpus cpus = usable_cpus(root);
  state_->usable.insert(cpus.ids.begin(), cpus.ids.end());
}

ConditionsWatch::~ConditionsWatch() = default;

void ConditionsWatch::start(std::span<const int> processes) {
  State& state = *state_;
  state.processes.assign(processes.begin(), processes.end());
  if (!state.load_known) {
    state.sum.load_average_1m = number_in(state.root / "proc/loadavg").value_or(0);
    state.load_known = true;
  }
  state.start_throttles = read_throttle_count(state.root, state.usable);
  state.start_times = read_cpu_times(state.root, state.usable);
  state.start_usage = state.usage(state.processes);
  state.start_s = state.clock.now_s();
  state.running = true;
}

void ConditionsWatch::look() {
  State& state = *state_;
  if (const auto mhz = read_mhz(state.root, state.usable)) state.mhz.push_back(*mhz);
  if (const auto hot = read_temperature(state.root)) {
    state.sum.temperature_c_max = std::max(state.sum.temperature_c_max.value_or(*hot), *hot);
  }
}

void ConditionsWatch::stop() {
  State& state = *state_;
  if (!state.running) return;
  state.running = false;
  state.sum.wall_s += state.clock.now_s() - state.start_s;
  const OwnUsage usage = state.usage(state.processes);
  const CpuTimes times = read_cpu_times(state.root, state.usable);
  const double own = usage.cpu_s - state.start_usage.cpu_s;
  state.sum.own_cpu_s += own;
  state.foreign_s += times.busy - state.start_times.busy - own;
  state.steal_s += times.steal - state.start_times.steal;
  const OwnUsage& before = state.start_usage;
  state.sum.involuntary_switches +=
      increase(before.involuntary_switches, usage.involuntary_switches);
  state.sum.voluntary_switches += increase(before.voluntary_switches, usage.voluntary_switches);
  state.sum.major_faults += increase(before.major_faults, usage.major_faults);
  const auto throttles = read_throttle_count(state.root, state.usable);
  if (throttles && state.start_throttles) {
    state.sum.throttle_events =
        state.sum.throttle_events.value_or(0) +
        static_cast<std::uint64_t>(std::max(0.0, *throttles - *state.start_throttles));
  }
  look();
}

record::Conditions ConditionsWatch::conditions() const {
  const State& state = *state_;
  record::Conditions seen = state.sum;
  const double capacity =
      seen.wall_s * static_cast<double>(std::max<std::size_t>(1, state.usable.size()));
  if (capacity > 0) {
    // Ticks are coarser than our own count, so that the difference can be a little below zero.
    seen.foreign_cpu_share = std::clamp(state.foreign_s / capacity, 0.0, 1.0);
    seen.steal_share = std::clamp(state.steal_s / capacity, 0.0, 1.0);
  }
  if (!state.mhz.empty()) {
    seen.cpu_mhz_median = median(state.mhz);
    seen.cpu_mhz_min = *std::min_element(state.mhz.begin(), state.mhz.end());
  }
  return seen;
}

}  // namespace breakeven::measure

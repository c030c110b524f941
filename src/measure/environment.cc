#include "measure/environment.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "base/cpus.h"
#include "base/files.h"
#include "base/instruction_set.h"
#include "base/memory.h"
#include "measure/parity.h"

namespace breakeven::measure {
namespace {

using std::filesystem::path;

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r\n\"");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n\"") - first + 1);
}

// First line of a file in /proc or /sys; empty when it cannot be read.
std::string line_of(const path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return trimmed(line);
}

struct CpuInfo {
  std::string model, microcode;
  std::set<std::string> flags;
  std::set<std::string> packages;
  std::set<std::pair<std::string, std::string>> cores;  // (package, core)
  unsigned processors = 0;
};

CpuInfo read_cpuinfo(const path& root) {
  CpuInfo info;
  std::ifstream in(root / "proc/cpuinfo");
  std::string package;
  for (std::string line; std::getline(in, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string name = trimmed(line.substr(0, colon));
    const std::string value = trimmed(line.substr(colon + 1));
    if (name == "processor") ++info.processors;
    if (name == "model name") info.model = value;
    if (name == "microcode") info.microcode = value;
    if (name == "physical id") info.packages.insert(package = value);
    if (name == "core id") info.cores.emplace(package, value);
    if (name == "flags" && info.flags.empty()) {
      std::istringstream words(value);
      for (std::string word; words >> word;) info.flags.insert(word);
    }
  }
  return info;
}

// The best set of the CPU kernels; below those only how old the CPU is.
std::string best_instruction_set(const std::set<std::string>& flags) {
  const std::vector<InstructionSet> sets = runnable_sets(flags);
  if (!sets.empty()) return std::string(to_string(sets.back()));
  return flags.contains("sse4_1") ? "sse41" : "";
}

// The hypervisor's name as far as the machine tells it; "yes" when only the CPU flag does.
std::string hypervisor_of(const path& root, const std::set<std::string>& flags) {
  if (auto type = line_of(root / "sys/hypervisor/type"); !type.empty()) return type;
  if (!flags.contains("hypervisor")) return {};
  const auto vendor = line_of(root / "sys/class/dmi/id/sys_vendor");
  return vendor.empty() ? "yes" : vendor;
}

std::uint64_t meminfo_bytes(const path& root, const std::string& wanted) {
  std::ifstream in(root / "proc/meminfo");
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string name;
    std::uint64_t kilobytes = 0;
    if (fields >> name >> kilobytes && name == wanted + ":") return kilobytes * 1024;
  }
  return 0;
}

unsigned count_nodes(const path& root) {
  unsigned nodes = 0;
  for (const path& entry : entries_of(root / "sys/devices/system/node")) {
    const std::string name = entry.filename().string();
    nodes += name.size() > 4 && name.starts_with("node") && std::isdigit(name[4]) != 0 ? 1U : 0U;
  }
  return nodes;
}

std::string os_name(const path& root) {
  for (const char* file : {"etc/os-release", "usr/lib/os-release"}) {
    std::ifstream in(root / file);
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("PRETTY_NAME=")) return trimmed(line.substr(12));
    }
  }
  return {};
}

// "[always] madvise never" -> "always"
std::string chosen(const std::string& options) {
  const auto open = options.find('[');
  const auto close = options.find(']');
  if (open == std::string::npos || close == std::string::npos || close < open) return options;
  return options.substr(open + 1, close - open - 1);
}

void add_more(const path& root, std::map<std::string, std::string>& more) {
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) more[name] = value;
  };
  const path sys = root / "sys";
  add("transparent_huge_pages", chosen(line_of(sys / "kernel/mm/transparent_hugepage/enabled")));
  add("smt_active", line_of(sys / "devices/system/cpu/smt/active"));
  const auto no_turbo = line_of(sys / "devices/system/cpu/intel_pstate/no_turbo");
  if (!no_turbo.empty()) more["turbo"] = no_turbo == "1" ? "off" : "on";
  const auto boost = line_of(sys / "devices/system/cpu/cpufreq/boost");
  if (!boost.empty()) more["turbo"] = boost == "0" ? "off" : "on";
  add("clock_source", line_of(sys / "devices/system/clocksource/clocksource0/current_clocksource"));
  if (const auto swap = meminfo_bytes(root, "SwapTotal"); swap > 0) {
    more["swap_bytes"] = std::to_string(swap);
  }
}

}  // namespace

record::Machine read_machine(const std::string& root_folder) {
  const path root(root_folder);
  const CpuInfo cpu = read_cpuinfo(root);
  record::Machine machine;
  std::string identity = line_of(root / "etc/machine-id");
  if (identity.empty()) identity = line_of(root / "proc/sys/kernel/hostname");
  if (!identity.empty()) machine.hostname_hash = hash_text(identity).substr(0, 12);
  machine.cpu_model = cpu.model;
  machine.instruction_set = best_instruction_set(cpu.flags);
  machine.kernel = line_of(root / "proc/sys/kernel/osrelease");
  machine.os = os_name(root);
  machine.governor = line_of(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  machine.hypervisor = hypervisor_of(root, cpu.flags);
  machine.microcode = cpu.microcode;
  for (const char* flag : {"sse4_1", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f",
                           "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "avx512_bf16",
                           "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16"}) {
    if (cpu.flags.contains(flag)) machine.cpu_flags.emplace_back(flag);
  }
  machine.sockets = static_cast<unsigned>(cpu.packages.size());
  machine.cores = static_cast<unsigned>(cpu.cores.size());
  if (machine.cores > 0) machine.threads_per_core = cpu.processors / machine.cores;
  machine.numa_nodes = count_nodes(root);
  const UsableCpus usable = usable_cpus(root_folder);
  machine.cpus_usable = static_cast<unsigned>(usable.ids.size());
  machine.cpu_quota = usable.quota;
  machine.memory_bytes = meminfo_bytes(root, "MemTotal");
  if (const auto total = total_memory_bytes(root_folder); total < machine.memory_bytes) {
    machine.memory_limit_bytes = total;
  }
  add_more(root, machine.more);
  return machine;
}

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

}  // namespace breakeven::measure

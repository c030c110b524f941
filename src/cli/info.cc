// breakeven info: what this machine offers, what can be measured on it, and which models and texts
// are at hand. Nothing here is an error: what is missing is listed with its reason.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/caches.h"
#include "base/cpus.h"
#include "base/files.h"
#include "base/memory.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "data/imdb_source.h"
#include "engine/native.h"
#include "engine/placement.h"
#include "hub/cache.h"
#include "hub/settings.h"
#include "measure/energy.h"
#include "measure/environment.h"
#include "measure/nvml.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/cuda/device_list.h"
#include "report/table.h"

namespace breakeven::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kDefaultModel = "distilbert-base-uncased-finetuned-sst-2-english";

// Something that is here or not: a counter, a model, a data set.
struct Finding {
  std::string name;
  bool here = false;
  std::string detail;  // where or how much; when it is not here: why, and what to do
};

struct Info {
  record::Machine machine;
  record::Build build;
  UsableCpus cpus;
  std::size_t available_bytes = 0;
  std::vector<CpuCache> caches;
  std::vector<std::string> cpu_precisions;
  Result<std::string> instruction_set;  // that the CPU engine runs on
  ops::GpuList gpus;
  std::vector<Finding> measurable;
  std::vector<Finding> data;
};

// Steal: time that the hypervisor gave to others, from the eighth field of /proc/stat's first line.
Finding find_steal_time() {
  std::ifstream stat("/proc/stat");
  std::string name;
  stat >> name;
  double total = 0;
  double steal = 0;
  int fields = 0;
  for (double ticks = 0; fields < 8 && stat >> ticks; ++fields) {
    total += ticks;
    if (fields == 7) steal = ticks;
  }
  if (name != "cpu" || fields < 8 || total <= 0) {
    return {"steal time", false, "/proc/stat does not tell"};
  }
  return {"steal time", true, fmt::format("{} % since boot", three_digits(100 * steal / total))};
}

Finding find_cpu_clock() {
  std::ifstream current("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq");
  if (double khz = 0; current >> khz && khz > 0) {
    return {"CPU clock", true, fmt::format("now {} GHz", three_digits(khz / 1e6))};
  }
  return {"CPU clock", false, "no cpufreq in /sys: usual in a virtual machine"};
}

Finding find_host_energy() {
  const measure::RaplMeter meter;
  if (meter.available()) return {"host energy", true, "RAPL through powercap"};
  return {"host energy", false, meter.why_not()};
}

Finding find_nvml(const ops::GpuList& list) {
  if (list.gpus.empty()) return {"GPU power and clocks", false, list.note};
  const measure::NvmlGpu gpu(list.gpus.front().uuid);
  if (gpu.available()) return {"GPU power and clocks", true, "NVML"};
  return {"GPU power and clocks", false, gpu.why_not()};
}

Finding found(const std::string& name, const Result<std::string>& place) {
  if (place) return {name, true, *place};
  return {name, false, place.error().to_string()};
}

Finding find_hub_cache() {
  const Result<hub::Settings> settings = hub::settings_from_environment();
  if (!settings) return {"Hugging Face cache", false, settings.error().to_string()};
  const std::string folder = settings->cache.string();
  const Result<PathKind> kind = look_at(folder);
  if (!kind) return {"Hugging Face cache", false, kind.error().to_string()};
  if (*kind == PathKind::folder) return {"Hugging Face cache", true, folder};
  return {"Hugging Face cache", false,
          folder + (*kind == PathKind::file ? " is a file, not a folder" : " does not exist yet")};
}

Info gather() {
  Info info;
  info.machine = measure::read_machine();
  info.build = measure::read_build();
  info.cpus = usable_cpus();
  info.available_bytes = available_memory_bytes();
  info.caches = cpu_caches();
  info.instruction_set = ops::cpu_instruction_set();
  for (const ops::Precision precision : engine::native_precisions({})) {
    info.cpu_precisions.emplace_back(ops::to_string(precision));
  }
  info.gpus = ops::list_gpus();
  info.measurable = {find_host_energy(), find_steal_time(), find_cpu_clock(), find_nvml(info.gpus)};
  info.data = {found("default model", hub::find_cached(kDefaultModel)),
               found("IMDB reviews", data::find_imdb()), find_hub_cache(),
               found("our cache", cache_folder())};
  return info;
}

Json to_json(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"name", finding.name}, {"here", finding.here}, {"detail", finding.detail}});
  }
  return list;
}

Json to_json(const Info& info) {
  const record::Machine& machine = info.machine;
  Json caches = Json::array();
  for (const CpuCache& cache : info.caches) {
    caches.push_back({{"level", cache.level},
                      {"type", cache.type},
                      {"bytes", cache.bytes},
                      {"count", cache.count},
                      {"shared_by", cache.shared_by}});
  }
  Json devices = Json::array();
  devices.push_back({{"device", to_string(Device{})},
                     {"name", machine.cpu_model},
                     {"precisions", info.cpu_precisions},
                     {"instruction_set", info.instruction_set.value_or("")},
                     {"best_instruction_set", machine.instruction_set}});
  for (const ops::Gpu& gpu : info.gpus.gpus) {
    devices.push_back({{"device", to_string(Device{{gpu.index}})},
                       {"name", gpu.name},
                       {"uuid", gpu.uuid},
                       {"memory_bytes", gpu.memory_bytes},
                       {"compute_capability", fmt::format("{}.{}", gpu.major, gpu.minor)}});
  }
  return {{"version", info.build.version},
          {"commit", info.build.commit},
          {"os", machine.os},
          {"kernel", machine.kernel},
          {"hypervisor", machine.hypervisor},
          {"devices", devices},
          {"gpu_note", info.gpus.note},
          {"cuda_engine", ops::cuda_engine_built()},
          {"cuda_driver_version", info.gpus.driver_version},
          {"instruction_sets", machine.cpu_flags},
          {"cpus",
           {{"sockets", machine.sockets},
            {"cores", machine.cores},
            {"threads_per_core", machine.threads_per_core},
            {"numa_nodes", machine.numa_nodes},
            {"affinity", info.cpus.ids},
            {"quota", info.cpus.quota},
            {"threads_used_by_default", engine::default_threads()},
            {"governor", machine.governor}}},
          {"memory",
           {{"bytes", machine.memory_bytes},
            {"available_bytes", info.available_bytes},
            {"cgroup_limit_bytes", machine.memory_limit_bytes}}},
          {"caches", caches},
          {"measurable", to_json(info.measurable)},
          {"data", to_json(info.data)}};
}

// 0,1,2,5 -> "0-2,5"
std::string cpu_ranges(const std::vector<int>& ids) {
  std::string text;
  for (std::size_t i = 0; i < ids.size();) {
    std::size_t end = i + 1;
    while (end < ids.size() && ids[end] == ids[end - 1] + 1) ++end;
    if (!text.empty()) text += ',';
    text += end - i == 1 ? fmt::format("{}", ids[i]) : fmt::format("{}-{}", ids[i], ids[end - 1]);
    i = end;
  }
  return text;
}

std::string describe_caches(const std::vector<CpuCache>& caches) {
  std::string text;
  for (const CpuCache& cache : caches) {
    const std::string kind = cache.type == "Data" ? "d" : cache.type == "Instruction" ? "i" : "";
    if (!text.empty()) text += ", ";
    text += fmt::format("{} x L{}{} {} KiB", cache.count, cache.level, kind, cache.bytes >> 10U);
  }
  return text.empty() ? "not told by the kernel" : text;
}

// "  name                  value", broken between words so that a line fits 100 columns.
void add_row(std::string& text, const std::string& name, const std::string& value) {
  text += "  " + report::wrap(fmt::format("{:<22}{}", name, value), 98, 24) + "\n";
}

void add_findings(std::string& text, std::string_view title, const std::vector<Finding>& findings) {
  text += fmt::format("\n{}\n", title);
  for (const Finding& finding : findings) {
    add_row(text, finding.name, (finding.here ? "yes: " : "no: ") + finding.detail);
  }
}

void add_devices(std::string& text, const Info& info) {
  text += "Devices\n";
  add_row(text, to_string(Device{}),
          fmt::format("{}: {}", info.machine.cpu_model, fmt::join(info.cpu_precisions, ", ")));
  for (const ops::Gpu& gpu : info.gpus.gpus) {
    add_row(text, to_string(Device{{gpu.index}}),
            fmt::format("{}, compute capability {}.{}, {}{}", gpu.name, gpu.major, gpu.minor,
                        format_bytes(static_cast<double>(gpu.memory_bytes)),
                        ops::cuda_engine_built() ? "" : "; this build has no CUDA engine"));
  }
  if (!info.gpus.note.empty()) add_row(text, "no GPU", info.gpus.note);
}

std::string describe_set(const Info& info) {
  const std::string& best = info.machine.instruction_set;
  if (!info.instruction_set) return best + "; " + info.instruction_set.error().to_string();
  if (*info.instruction_set == best) return best;
  return fmt::format("{} by {}; the CPU has {}", *info.instruction_set, ops::kIsaVariable, best);
}

void add_cpu(std::string& text, const Info& info) {
  const record::Machine& machine = info.machine;
  text += "\nCPU\n";
  add_row(text, "layout",
          fmt::format("{}, {}, {} a core, {}", counted(machine.sockets, "socket"),
                      counted(machine.cores, "core"), counted(machine.threads_per_core, "thread"),
                      counted(machine.numa_nodes, "NUMA node")));
  const std::string quota = info.cpus.quota > 0
                                ? fmt::format("cgroup quota {} CPUs", three_digits(info.cpus.quota))
                                : "no cgroup quota";
  add_row(text, "usable",
          fmt::format("{} by default: CPUs {}, {}", counted(engine::default_threads(), "thread"),
                      cpu_ranges(info.cpus.ids), quota));
  add_row(text, "instruction set", describe_set(info));
  add_row(text, "of", fmt::format("{}", fmt::join(machine.cpu_flags, " ")));
  add_row(text, "caches", describe_caches(info.caches));
  if (!machine.governor.empty()) add_row(text, "governor", machine.governor);
  if (!machine.hypervisor.empty()) add_row(text, "virtual machine", machine.hypervisor);
  const std::string limit =
      machine.memory_limit_bytes > 0
          ? "cgroup limit " + format_bytes(static_cast<double>(machine.memory_limit_bytes))
          : "no cgroup limit";
  add_row(text, "memory",
          fmt::format("{}, {} can be taken now, {}",
                      format_bytes(static_cast<double>(machine.memory_bytes)),
                      format_bytes(static_cast<double>(info.available_bytes)), limit));
  add_row(text, "system", fmt::format("{}, {}", machine.os, machine.kernel));
}

std::string to_table(const Info& info) {
  std::string text;
  add_devices(text, info);
  add_cpu(text, info);
  add_findings(text, "What can be measured here", info.measurable);
  add_findings(text, "Models and texts", info.data);
  return text;
}

}  // namespace

void add_info(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "info",
      "Devices, instruction sets, memory, what can be measured here, models and texts found");
  auto format = std::make_shared<std::string>("table");
  command->add_option("--format", *format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  command->callback([format, &context] {
    const Info info = gather();
    const std::string text = *format == "json" ? to_json(info).dump(2) + "\n" : to_table(info);
    finish(context, write_output("", text));
  });
}

}  // namespace breakeven::cli

#include "report/verdict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "base/units.h"
#include "measure/parity.h"
#include "report/format.h"
#include "report/paced.h"
#include "report/tables.h"

namespace breakeven::report {
namespace {

// One row's figure of merit, always "more is better".
struct Candidate {
  const record::Record* record = nullptr;
  double speed = 0, low = 0, high = 0;
};

using Candidates = std::vector<Candidate>;
using Metric = std::function<std::optional<record::Estimate>(const record::Record&)>;

bool on_gpu(const record::Record& record) {
  return !record.cell.device.is_cpu();
}

std::optional<record::Estimate> throughput(const record::Record& record) {
  if (record.cell.mode != Mode::stream || record.reviews_per_s.value <= 0) return std::nullopt;
  return record.reviews_per_s;
}

// Batches a second, so that a shorter median is the better one.
std::optional<record::Estimate> promptness(const record::Record& record) {
  const auto median = record.latency_s.find("p50");
  if (record.cell.mode != Mode::serial || median == record.latency_s.end()) return std::nullopt;
  const record::Estimate& latency = median->second;
  if (latency.value <= 0) return std::nullopt;
  record::Estimate result{1 / latency.value, std::nullopt};
  if (latency.interval && latency.interval->low > 0) {
    result.interval = record::Interval{1 / latency.interval->high, 1 / latency.interval->low,
                                       latency.interval->confidence};
  }
  return result;
}

Candidates candidates(const std::vector<record::Record>& records, const Metric& metric) {
  Candidates result;
  for (const record::Record& record : records) {
    if (record.verdict == record::Verdict::invalid || measure::breaks_parity(record)) continue;
    const auto estimate = metric(record);
    if (!estimate) continue;
    const record::Interval interval =
        estimate->interval.value_or(record::Interval{estimate->value, estimate->value});
    result.push_back({&record, estimate->value, interval.low, interval.high});
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const Candidate& a, const Candidate& b) { return a.speed > b.speed; });
  return result;
}

Candidates only(const Candidates& all, const std::function<bool(const record::Record&)>& keep) {
  Candidates result;
  for (const Candidate& candidate : all) {
    if (keep(*candidate.record)) result.push_back(candidate);
  }
  return result;
}

std::string doubts(const record::Record& record) {
  std::vector<std::string> words;
  if (record.verdict == record::Verdict::noisy) words.emplace_back("noisy");
  if (record.parity && record.parity->outcome == record::Agreement::unproven) {
    words.push_back(fmt::format("parity unproven on {}", counted(record.parity->texts, "text")));
  }
  if (!record.parity) words.emplace_back("parity not judged");
  return words.empty() ? "" : fmt::format(" ({})", fmt::join(words, ", "));
}

std::string amount(const record::Record& record) {
  if (record.cell.mode == Mode::stream)
    return rate_with_interval(record.reviews_per_s) + " reviews/s";
  return seconds_with_interval(record.latency_s.at("p50")) + " a batch";
}

// "2.31x", or "1.02x, which the intervals do not tell apart".
std::string lead(const Candidate& first, const Candidate& second) {
  std::string text = times(first.speed / second.speed);
  if (second.high >= first.low) text += ", which the intervals do not tell apart";
  return text;
}

void best_overall(const std::string& what, const Candidates& all, const Keys& keys,
                  std::vector<std::string>& out) {
  if (all.empty()) return;
  const Candidate& best = all.front();
  std::string text = fmt::format("{}: {}, {}{}.", what, keys.describe(*best.record),
                                 amount(*best.record), doubts(*best.record));
  if (all.size() > 1) {
    text += fmt::format(" Next: {} ({}).", keys.describe(*all[1].record), lead(best, all[1]));
  }
  out.push_back(std::move(text));
}

// CPU against GPU: at each precision that both ran, and each at its best precision.
void across_devices(const std::string& what, const Candidates& all, const Keys& keys,
                    std::vector<std::string>& out) {
  const Candidates cpu = only(all, [](const auto& record) { return !on_gpu(record); });
  const Candidates gpu = only(all, on_gpu);
  if (cpu.empty() || gpu.empty()) return;
  const auto compare = [&](const std::string& heading, const Candidate& on_cpu,
                           const Candidate& on_device) {
    const bool gpu_leads = on_device.speed >= on_cpu.speed;
    const Candidate& first = gpu_leads ? on_device : on_cpu;
    const Candidate& second = gpu_leads ? on_cpu : on_device;
    out.push_back(fmt::format("{}, {}: {} leads {} by {}.", what, heading,
                              keys.describe(*first.record), keys.describe(*second.record),
                              lead(first, second)));
  };
  for (const Precision precision :
       {Precision::fp32, Precision::fp32x3, Precision::bf16, Precision::fp16, Precision::int8}) {
    const auto at = [&](const auto& record) { return record.cell.precision == precision; };
    const Candidates cpu_at = only(cpu, at);
    const Candidates gpu_at = only(gpu, at);
    if (!cpu_at.empty() && !gpu_at.empty()) {
      compare("same precision (" + to_string(precision) + ")", cpu_at.front(), gpu_at.front());
    }
  }
  compare("each at its best precision within the allowed loss", cpu.front(), gpu.front());
}

// The smallest batch from which the GPU's best row stays ahead of the CPU's best row.
void where_gpu_pays(const Candidates& all, std::vector<std::string>& out) {
  std::map<std::uint64_t, std::pair<double, double>> best;  // batch -> cpu, gpu reviews/s
  for (const Candidate& candidate : all) {
    auto& [cpu, gpu] = best[candidate.record->cell.batch];
    double& speed = on_gpu(*candidate.record) ? gpu : cpu;
    speed = std::max(speed, candidate.speed);
  }
  std::vector<std::string> parts;
  for (const auto& [batch, speeds] : best) {
    if (speeds.first <= 0 || speeds.second <= 0) continue;
    parts.push_back(fmt::format("batch {}: {}", batch, times(speeds.second / speeds.first)));
  }
  if (parts.empty()) return;
  out.push_back(
      fmt::format("GPU over CPU in throughput, each at its best: {}.", fmt::join(parts, "; ")));
}

// What a lower precision brings on one device: the best row of each against the best fp32 row.
void across_precisions(const std::string& what, const Candidates& all, const Keys& keys,
                       std::vector<std::string>& out) {
  std::set<Device> devices;
  for (const Candidate& candidate : all) devices.insert(candidate.record->cell.device);
  for (const Device& device : devices) {
    // Within one runtime, or it would be called precision what is another program.
    const auto leader = std::find_if(all.begin(), all.end(), [&](const Candidate& candidate) {
      return candidate.record->cell.device == device;
    });
    const std::string runtime = to_string(leader->record->cell.runtime);
    const Candidates here = only(all, [&](const auto& record) {
      return record.cell.device == device && to_string(record.cell.runtime) == runtime;
    });
    const Candidates fp32 =
        only(here, [](const auto& record) { return record.cell.precision == Precision::fp32; });
    if (fp32.empty()) continue;
    const Candidate& best = here.front();
    if (best.record->cell.precision == Precision::fp32) {
      if (here.size() == fp32.size()) continue;  // nothing else ran
      out.push_back(
          fmt::format("{}: no lower precision beats fp32 on {}.", what, to_string(device)));
      continue;
    }
    out.push_back(fmt::format(
        "{}, best precision within the allowed loss on {}: {}, {} over the "
        "best fp32 row ({}){}.",
        what, to_string(device), to_string(best.record->cell.precision), lead(best, fp32.front()),
        keys.describe(*fp32.front().record), doubts(*best.record)));
  }
}

// What a user of another runtime would gain: at each precision the best native row against the best
// row of the others, on the same device.
void across_runtimes(const std::string& what, const Candidates& all, const Keys& keys,
                     std::vector<std::string>& out) {
  std::set<std::pair<std::string, std::string>> questions;  // device, precision; by name
  for (const Candidate& candidate : all) {
    questions.insert(
        {to_string(candidate.record->cell.device), to_string(candidate.record->cell.precision)});
  }
  for (const auto& question : questions) {
    const std::string& device = question.first;
    const std::string& precision = question.second;
    const auto best = [&](bool native) -> const Candidate* {
      const auto found = std::find_if(all.begin(), all.end(), [&](const Candidate& candidate) {
        const record::Cell& cell = candidate.record->cell;
        return to_string(cell.device) == device && to_string(cell.precision) == precision &&
               cell.runtime.is_native() == native;
      });
      return found == all.end() ? nullptr : &*found;
    };
    const Candidate* ours = best(true);
    const Candidate* theirs = best(false);
    if (ours == nullptr || theirs == nullptr) continue;
    const bool lead_is_ours = ours->speed >= theirs->speed;
    const Candidate& first = lead_is_ours ? *ours : *theirs;
    const Candidate& second = lead_is_ours ? *theirs : *ours;
    out.push_back(fmt::format("{}, {} on {}: {} leads {} by {}{}.", what, precision, device,
                              keys.describe(*first.record), keys.describe(*second.record),
                              lead(first, second), doubts(*first.record)));
  }
}

std::string missing_gpu(const std::vector<record::Record>& records) {
  if (std::any_of(records.begin(), records.end(), on_gpu)) return "";
  const auto& more = records.front().machine.more;
  const auto note = more.find("gpu_note");
  return fmt::format(
      "No GPU was measured{}: this says what the CPU can do, not where a GPU starts "
      "to pay.",
      note == more.end() || note->second.empty() ? "" : " (" + note->second + ")");
}

}  // namespace

std::vector<std::string> verdict(const std::vector<record::Record>& records, const Keys& keys) {
  std::vector<std::string> out;
  if (records.empty()) return {"No cell was measured."};
  const Candidates fast = candidates(records, promptness);
  const Candidates wide = candidates(records, throughput);
  best_overall("Lowest latency", fast, keys, out);
  best_overall("Highest throughput", wide, keys, out);
  across_runtimes("Latency", fast, keys, out);
  across_runtimes("Throughput", wide, keys, out);
  across_devices("Latency", fast, keys, out);
  across_devices("Throughput", wide, keys, out);
  where_gpu_pays(wide, out);
  across_precisions("Latency", fast, keys, out);
  across_precisions("Throughput", wide, keys, out);
  const std::vector<std::string> loads = paced_verdict(records, keys);
  out.insert(out.end(), loads.begin(), loads.end());
  if (fast.empty() && wide.empty() && loads.empty()) {
    out.emplace_back(
        "Can't tell: no row is valid, keeps parity and has samples enough for a median.");
  }
  const auto left_out = std::count_if(records.begin(), records.end(), measure::breaks_parity);
  if (left_out > 0) {
    out.push_back(fmt::format("{} left out because the outputs break parity.",
                              counted(static_cast<std::uint64_t>(left_out), "row")));
  }
  if (std::string text = missing_gpu(records); !text.empty()) out.push_back(std::move(text));
  return out;
}

}  // namespace breakeven::report

#include "report/notes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "base/units.h"
#include "measure/statistics.h"
#include "report/format.h"
#include "report/runtimes.h"
#include "report/tables.h"

namespace breakeven::report {
namespace {

// What to do about a reason's code.
std::string advice(const std::string& code) {
  static const std::map<std::string, std::string> kAdvice = {
      {"steal", "another machine shares these CPUs: repeat later or on a dedicated machine"},
      {"foreign-cpu", "close other programs and repeat"},
      {"foreign-gpu", "close the other programs on the GPU and repeat"},
      {"throttled", "let the machine cool and repeat"},
      {"cold", "give a longer --time, fewer cells or fewer texts (--count)"},
      {"schedule-late", "this program was not woken in time: close other programs and repeat"},
      {"no-samples", "give a longer --time, fewer cells or fewer texts (--count)"},
      {"repeat", "the same text got another label in another pass: report this as a bug"},
      {"ids", "it computes other texts than these: docs/tokenizers.md says where versions differ"},
      {"parity", "do not use this row: its labels are not those of the fp32 model"},
      {"interrupted", "go on with --resume"}};
  const auto found = kAdvice.find(code);
  return found == kAdvice.end() ? "" : found->second;
}

std::string clipped_list(const std::vector<std::string>& rows) {
  constexpr std::size_t kShown = 3;
  if (rows.size() <= kShown) return fmt::format("{}", fmt::join(rows, "; "));
  return fmt::format("{}; and {} more", fmt::join(rows.begin(), rows.begin() + kShown, "; "),
                     rows.size() - kShown);
}

template <class Field>
bool differs(const std::vector<record::Record>& records, Field field) {
  return std::any_of(records.begin(), records.end(), [&](const record::Record& record) {
    return field(record) != field(records.front());
  });
}

void mixing(const std::vector<record::Record>& records, const Keys& keys,
            std::vector<std::string>& out) {
  if (keys.machines().size() > 1) {
    out.emplace_back(
        "these rows come from different machines: compare them as machines, not as "
        "devices of one machine");
  }
  if (differs(records, [](const auto& record) { return record.texts.hash; })) {
    out.emplace_back("these rows ran on different texts: their times do not compare");
  }
  if (differs(records, [](const auto& record) { return record.model_hash; })) {
    out.emplace_back("these rows ran different models: their times do not compare");
  }
  if (differs(records, [](const auto& record) {
        return record.build.version + " " + record.build.commit;
      })) {
    out.emplace_back("these rows come from different builds of breakeven");
  }
}

void parity_doubts(const std::vector<record::Record>& records, std::vector<std::string>& out) {
  std::uint64_t texts = 0;
  for (const record::Record& record : records) {
    if (record.parity && record.parity->outcome == record::Agreement::unproven) {
      texts = std::max(texts, record.parity->texts);
    }
  }
  if (texts > 0) {
    out.push_back(fmt::format(
        "parity is unproven: {} are too few to show flip rates this small; a longer --time judges "
        "more, --judge 1000 all that it takes (its verdict is kept for later runs)",
        counted(texts, "text")));
  }
}

// How the joules were read, each way once. Windows that were too short differ from row to row in
// their length only: they are told together.
std::vector<std::string> energy_methods(const std::vector<record::Record>& records) {
  constexpr std::string_view kShort = " s are too short a window";
  std::vector<std::string> methods;
  std::map<std::string, std::map<double, std::string>> windows;  // by what stands before the length
  for (const record::Record& record : records) {
    for (std::string_view rest = record.energy.method; !rest.empty();) {
      std::string method(rest.substr(0, rest.find("; ")));
      rest.remove_prefix(std::min(rest.size(), method.size() + 2));
      if (method.ends_with(kShort)) {
        method.resize(method.size() - kShort.size());
        const std::string length = method.substr(method.rfind(' ') + 1);
        method.resize(method.size() - length.size());
        windows[method].emplace(std::strtod(length.c_str(), nullptr), length);
      }
      if (std::ranges::find(methods, method) == methods.end()) methods.push_back(method);
    }
  }
  for (std::string& method : methods) {
    const auto found = windows.find(method);
    if (found == windows.end()) continue;
    const auto& lengths = found->second;
    const std::string& shortest = lengths.begin()->second;
    method += lengths.size() == 1 ? fmt::format("{}{}", shortest, kShort)
                                  : fmt::format("{} to {} s are too short windows", shortest,
                                                lengths.rbegin()->second);
  }
  return methods;
}

}  // namespace

std::vector<std::string> clock_notes(const std::vector<record::Record>& records) {
  const auto has = [&](Mode mode) {
    return std::any_of(records.begin(), records.end(),
                       [&](const record::Record& record) { return record.cell.mode == mode; });
  };
  std::vector<std::string> out;
  out.emplace_back(
      "Inside the clock, on every device: from text in host memory to label in host memory, one "
      "host clock (tokenize, pack, copies to and from a GPU, compute, decode). Outside: reading "
      "the texts, loading and packing the model, warm-up, judging.");
  if (has(Mode::serial)) {
    out.emplace_back(
        "Serial: one batch in flight, the stages add up to its time; percentiles run "
        "over batches of mixed length.");
  }
  if (has(Mode::stream)) {
    out.emplace_back(
        "Stream: several batches in flight; reviews over wall time of whole passes. "
        "Its stages overlap, so it says nothing about latency.");
  }
  return out;
}

std::vector<std::string> padding_notes(const std::vector<record::Record>& records) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const record::Record& record : records) {
    const record::Texts& texts = record.texts;
    if (record.cell.padding == Padding::none || texts.real_tokens == 0) continue;
    const double ratio =
        static_cast<double>(texts.computed_tokens) / static_cast<double>(texts.real_tokens);
    std::string line = fmt::format(
        "Padding '{}' at batch {} and max length {}: {} of the computed "
        "tokens are padding ({} the real ones).",
        to_string(record.cell.padding), record.cell.batch, record.cell.max_length,
        percent(1 - 1 / ratio), times(ratio));
    if (seen.insert(line).second) out.push_back(std::move(line));
  }
  return out;
}

std::vector<std::string> output_notes(const std::vector<record::Record>& records) {
  std::vector<std::string> out;
  std::set<std::string> judges;
  const record::Accuracy* accuracy = nullptr;
  bool lacks_median = false;
  for (const record::Record& record : records) {
    if (record.parity) judges.insert(record.parity->judge);
    if (record.accuracy) accuracy = &*record.accuracy;
    lacks_median |= record.cell.mode == Mode::serial && record.latency_s.count("p50") == 0;
  }
  if (!judges.empty()) {
    out.push_back(fmt::format("Outputs that were timed are judged by: {}. Limits: docs/parity.md.",
                              fmt::join(judges, "; ")));
  }
  for (std::string& note : other_judge_notes(records)) out.push_back(std::move(note));
  if (accuracy != nullptr) {
    out.push_back(fmt::format("Accuracy counts {}; its interval counts {}.",
                              counted(accuracy->texts, "labelled text"),
                              counted(accuracy->distinct, "distinct original")));
  }
  if (lacks_median) {
    out.push_back(fmt::format(
        "'-': too few samples. A median takes {}, p90 {}, p95 {}, p99 {}; a longer --time gives "
        "more.",
        measure::samples_needed(0.5), measure::samples_needed(0.9), measure::samples_needed(0.95),
        measure::samples_needed(0.99)));
  }
  return out;
}

std::vector<std::string> energy_notes(const std::vector<record::Record>& records) {
  bool any = false;
  for (const record::Record& record : records) {
    any |= record.energy.host_joules_gross || record.energy.gpu_joules_gross;
  }
  std::vector<std::string> out;
  if (records.empty()) return out;
  out.push_back(fmt::format("Energy: {}.", fmt::join(energy_methods(records), "; ")));
  if (any) {
    out.emplace_back(
        "Energy counts whole packages (host) and whole boards (GPU) by their own counters, "
        "whatever else they do; 'above idle' takes off the idle power of this machine, measured "
        "before. The total of a GPU row has both sides; without one of them it is not known.");
  }
  return out;
}

std::vector<std::string> warnings(const std::vector<record::Record>& records, const Keys& keys) {
  std::vector<std::string> out;
  if (records.empty()) return out;
  mixing(records, keys, out);
  struct Cause {
    std::string message;
    double worst = 0;
    std::vector<std::string> rows;
  };
  std::map<std::string, Cause> causes;
  for (const record::Record& record : records) {
    for (const record::Reason& reason : record.reasons) {
      Cause& cause = causes[reason.code];
      if (cause.rows.empty() || reason.value > cause.worst) {
        cause.message = reason.message;
        cause.worst = reason.value;
      }
      const bool paced = record.cell.mode == Mode::paced;
      cause.rows.push_back(keys.describe(record) + " " + to_string(record.cell.mode) +
                           (paced ? " " + three_digits(record.cell.rate_per_s) + "/s" : ""));
    }
  }
  for (const auto& [code, cause] : causes) {
    const std::string what = advice(code);
    out.push_back(fmt::format("{} ({}): {}{}", code, clipped_list(cause.rows), cause.message,
                              what.empty() ? "" : "; " + what));
  }
  if (records.front().kind == record::Kind::cell) parity_doubts(records, out);
  std::set<std::string> notes;
  for (const record::Record& record : records) {
    if (!record.texts.note.empty() && notes.insert(record.texts.note).second) {
      out.push_back(record.texts.note);
    }
  }
  return out;
}

}  // namespace breakeven::report

// Records as comma-separated values: one line a record.
#include <fmt/format.h>

#include <map>
#include <optional>

#include "measure/thresholds.h"
#include "record/fields.h"
#include "record/json.h"
#include "report/keys.h"
#include "report/report.h"

namespace breakeven::report {
namespace {

// What stands in a cell, and its number if it is one.
struct Value {
  std::string text;
  std::optional<double> number{};
};

// Every field of a record by its path: "cell.batch", "latency_s.p50.value". Lists are left out.
class Flat {
 public:
  explicit Flat(const record::Record& record) { record::fields(*this, record); }

  template <class T>
  void operator()(const std::string& name, const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      values_[prefix_ + name] = {value ? "yes" : "no"};
    } else if constexpr (std::is_arithmetic_v<T>) {
      // Full precision: a spreadsheet rounds for itself.
      values_[prefix_ + name] = {fmt::format("{}", value), static_cast<double>(value)};
    } else if constexpr (std::is_same_v<T, std::string>) {
      values_[prefix_ + name] = {value};
    } else if constexpr (Named<T> || std::is_same_v<T, Device>) {
      values_[prefix_ + name] = {to_string(value)};
    } else if constexpr (requires { value.has_value(); }) {
      if (value) (*this)(name, *value);
    } else if constexpr (requires { typename T::mapped_type; }) {
      const std::string outer = std::exchange(prefix_, prefix_ + name + ".");
      for (const auto& [key, element] : value) (*this)(key, element);
      prefix_ = outer;
    } else if constexpr (requires { record::fields(*this, value); }) {
      const std::string outer = std::exchange(prefix_, prefix_ + name + ".");
      record::fields(*this, value);
      prefix_ = outer;
    }
  }

  void put(const std::string& path, std::string text) { values_[path] = {std::move(text)}; }
  void drop(const std::string& path) { values_.erase(path); }
  // "" of what the record has not.
  std::string at(const std::string& path, double scale) const {
    const auto found = values_.find(path);
    if (found == values_.end()) return "";
    const Value& value = found->second;
    return scale == 1 || !value.number ? value.text : fmt::format("{}", *value.number * scale);
  }
  std::optional<double> number(const std::string& path) const {
    const auto found = values_.find(path);
    return found == values_.end() ? std::nullopt : found->second.number;
  }

 private:
  std::string prefix_;
  std::map<std::string, Value> values_;
};

struct CsvColumn {
  const char* name;
  const char* path;
  double scale = 1;
};
constexpr double kMilli = 1e3;
constexpr CsvColumn kColumns[] = {
    {"run_id", "run_id"},
    {"machine", "machine"},
    {"model", "model_name"},
    {"runtime", "cell.runtime"},
    {"variant", "cell.variant"},
    {"device", "cell.device"},
    {"precision", "cell.precision"},
    {"batch", "cell.batch"},
    {"threads", "cell.threads"},
    {"max_length", "cell.max_length"},
    {"padding", "cell.padding"},
    {"mode", "cell.mode"},
    {"invalid", "invalid"},
    {"reasons", "reasons"},
    {"texts", "texts.count"},
    {"texts_name", "texts.name"},
    {"mean_tokens", "texts.mean_tokens"},
    {"passes", "passes"},
    {"samples", "samples"},
    {"latency_ms_p50", "latency_s.p50.value", kMilli},
    {"latency_ms_p50_low", "latency_s.p50.interval.low", kMilli},
    {"latency_ms_p50_high", "latency_s.p50.interval.high", kMilli},
    {"latency_ms_p90", "latency_s.p90.value", kMilli},
    {"latency_ms_p95", "latency_s.p95.value", kMilli},
    {"latency_ms_p99", "latency_s.p99.value", kMilli},
    {"latency_ms_p99.9", "latency_s.p99.9.value", kMilli},
    {"reviews_per_s", "reviews_per_s.value"},
    {"reviews_per_s_low", "reviews_per_s.interval.low"},
    {"reviews_per_s_high", "reviews_per_s.interval.high"},
    {"tokens_per_s", "tokens_per_s.value"},
    {"batches_in_flight", "batches_in_flight"},
    {"tokenize_ms", "stages.tokenize_s", kMilli},
    {"pack_ms", "stages.pack_s", kMilli},
    {"upload_ms", "stages.upload_s", kMilli},
    {"compute_ms", "stages.compute_s", kMilli},
    {"download_ms", "stages.download_s", kMilli},
    {"decode_ms", "stages.decode_s", kMilli},
    {"bound_by", "bound"},
    {"parity", "parity.outcome"},
    {"parity_texts", "parity.texts"},
    {"label_flips", "parity.flips"},
    {"logit_abs_max", "parity.logit_abs_max"},
    {"logit_abs_p99", "parity.logit_abs_p99"},
    {"logit_sigma", "parity.logit_sigma"},
    {"accuracy", "accuracy.share"},
    {"weight_bytes", "memory.weight_bytes"},
    {"activation_bytes", "memory.activation_bytes"},
    {"library_bytes", "memory.library_bytes"},
    {"peak_allocated_bytes", "memory.peak_allocated_bytes"},
    {"peak_rss_bytes", "memory.peak_rss_bytes"},
    {"cold_start_s", "cold_start.total_s"},
    {"started_at", "started_at"},
    {"commit", "build.commit"},
    {"rate_per_s", "cell.rate_per_s"},
    {"arrivals", "cell.arrivals"},
    {"max_wait_ms", "cell.max_wait_s", kMilli},
    {"requests", "paced.requests"},
    {"saturated", "paced.saturated"},
    {"busy_share", "paced.busy_share"},
    {"mean_batch", "paced.mean_batch"},
    {"wait_ms_p50", "paced.wait_s_p50", kMilli},
    {"cold_load_s", "cold_start.load_s"},
    {"cold_pack_s", "cold_start.pack_s"},
    {"cold_first_pass_s", "cold_start.first_pass_s"},
    {"host_joules_per_1000_texts", "host_joules"},
    {"gpu_joules_per_1000_texts", "gpu_joules"},
    {"energy_method", "energy.method"},
};

// The fields, and what a column says beyond them.
Flat flat_with_more(const record::Record& record) {
  Flat flat(record);
  flat.put("machine", name_of_machine(record));
  flat.put("samples", std::to_string(record.samples_s.size()));
  std::vector<std::string> codes;
  for (const record::Reason& reason : record.reasons) codes.push_back(reason.code);
  const record::Reason* why = measure::why_invalid(record);
  flat.put("invalid", why == nullptr ? "" : why->code);
  flat.put("reasons", fmt::format("{}", fmt::join(codes, " ")));
  for (const std::string side : {"host", "gpu"}) {
    const auto joules = flat.number("energy." + side + "_joules_gross");
    if (!joules || record.energy.texts == 0) continue;
    flat.put(side + "_joules",
             fmt::format("{}", *joules * 1000 / static_cast<double>(record.energy.texts)));
  }
  if (record.cell.mode != Mode::paced) {
    flat.drop("cell.rate_per_s");
    flat.drop("cell.max_wait_s");
  }
  return flat;
}

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::string to_csv(std::span<const record::Record> records) {
  std::vector<std::string> line;
  for (const CsvColumn& column : kColumns) line.emplace_back(column.name);
  std::string out = fmt::format("{}\n", fmt::join(line, ","));
  for (const record::Record& record : records) {
    const Flat flat = flat_with_more(record);
    line.clear();
    for (const CsvColumn& column : kColumns) {
      line.push_back(quoted(flat.at(column.path, column.scale)));
    }
    out += fmt::format("{}\n", fmt::join(line, ","));
  }
  return out;
}

}  // namespace breakeven::report

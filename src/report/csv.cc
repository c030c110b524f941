// Records as comma-separated values: one line a record.
#include <fmt/format.h>

#include <functional>
#include <optional>

#include "record/json.h"
#include "report/keys.h"
#include "report/report.h"

namespace breakeven::report {
namespace {

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

// Full precision: a spreadsheet rounds for itself. Nothing for an absent number.
std::string number(std::optional<double> value) {
  return value ? fmt::format("{}", *value) : "";
}

std::optional<double> latency_ms(const record::Record& record, const std::string& name) {
  const auto found = record.latency_s.find(name);
  if (found == record.latency_s.end()) return std::nullopt;
  return found->second.value * 1e3;
}

std::optional<double> bound(const std::optional<record::Interval>& interval, bool low,
                            double scale) {
  if (!interval) return std::nullopt;
  return (low ? interval->low : interval->high) * scale;
}

std::optional<double> median_bound_ms(const record::Record& record, bool low) {
  const auto found = record.latency_s.find("p50");
  return found == record.latency_s.end() ? std::nullopt : bound(found->second.interval, low, 1e3);
}

std::string reasons(const record::Record& record) {
  std::string out;
  for (const record::Reason& reason : record.reasons) {
    out += (out.empty() ? "" : " ") + reason.code;
  }
  return out;
}

struct Field {
  const char* name;
  std::function<std::string(const record::Record&)> text;
};

template <class Get>
std::function<std::string(const record::Record&)> stage(Get get) {
  return [get](const record::Record& record) {
    return record.stages ? number(get(*record.stages) * 1e3) : "";
  };
}

template <class Get>
std::function<std::string(const record::Record&)> parity(Get get) {
  return [get](const record::Record& record) {
    return record.parity ? fmt::format("{}", get(*record.parity)) : "";
  };
}

template <class Get>
std::function<std::string(const record::Record&)> memory(Get get) {
  return [get](const record::Record& record) {
    return record.memory ? fmt::format("{}", get(*record.memory)) : "";
  };
}

using R = const record::Record&;

std::vector<Field> cell_fields() {
  return {{"run_id", [](R r) { return r.run_id; }},
          {"machine", [](R r) { return name_of_machine(r); }},
          {"model", [](R r) { return r.model_name; }},
          {"runtime", [](R r) { return r.cell.runtime; }},
          {"variant", [](R r) { return r.cell.variant; }},
          {"device", [](R r) { return r.cell.device; }},
          {"precision", [](R r) { return r.cell.precision; }},
          {"batch", [](R r) { return std::to_string(r.cell.batch); }},
          {"threads", [](R r) { return std::to_string(r.cell.threads); }},
          {"max_length", [](R r) { return std::to_string(r.cell.max_length); }},
          {"padding", [](R r) { return r.cell.padding; }},
          {"mode", [](R r) { return r.cell.mode; }},
          {"verdict", [](R r) { return std::string(record::to_string(r.verdict)); }},
          {"reasons", reasons},
          {"texts", [](R r) { return std::to_string(r.texts.count); }},
          {"texts_name", [](R r) { return r.texts.name; }},
          {"mean_tokens", [](R r) { return number(r.texts.mean_tokens); }},
          {"passes", [](R r) { return std::to_string(r.passes); }},
          {"samples", [](R r) { return std::to_string(r.samples_s.size()); }}};
}

std::vector<Field> speed_fields() {
  return {
      {"latency_ms_p50", [](R r) { return number(latency_ms(r, "p50")); }},
      {"latency_ms_p50_low", [](R r) { return number(median_bound_ms(r, true)); }},
      {"latency_ms_p50_high", [](R r) { return number(median_bound_ms(r, false)); }},
      {"latency_ms_p90", [](R r) { return number(latency_ms(r, "p90")); }},
      {"latency_ms_p95", [](R r) { return number(latency_ms(r, "p95")); }},
      {"latency_ms_p99", [](R r) { return number(latency_ms(r, "p99")); }},
      {"latency_ms_p99.9", [](R r) { return number(latency_ms(r, "p99.9")); }},
      {"reviews_per_s", [](R r) { return number(r.reviews_per_s.value); }},
      {"reviews_per_s_low", [](R r) { return number(bound(r.reviews_per_s.interval, true, 1)); }},
      {"reviews_per_s_high", [](R r) { return number(bound(r.reviews_per_s.interval, false, 1)); }},
      {"tokens_per_s", [](R r) { return number(r.tokens_per_s.value); }},
      {"batches_in_flight", [](R r) { return std::to_string(r.batches_in_flight); }},
      {"tokenize_ms", stage([](const auto& s) { return s.tokenize_s; })},
      {"pack_ms", stage([](const auto& s) { return s.pack_s; })},
      {"upload_ms", stage([](const auto& s) { return s.upload_s; })},
      {"compute_ms", stage([](const auto& s) { return s.compute_s; })},
      {"download_ms", stage([](const auto& s) { return s.download_s; })},
      {"decode_ms", stage([](const auto& s) { return s.decode_s; })},
      {"bound_by", [](R r) { return r.bound; }}};
}

template <class Get>
std::function<std::string(const record::Record&)> paced(Get get) {
  return [get](const record::Record& record) {
    return record.paced ? fmt::format("{}", get(*record.paced)) : "";
  };
}

// Joules for 1,000 texts.
std::string joules_per_1000(const record::Record& record, const std::optional<double>& joules) {
  if (!joules || record.energy.texts == 0) return "";
  return number(*joules * 1000 / static_cast<double>(record.energy.texts));
}

template <class Get>
std::function<std::string(const record::Record&)> cold(Get get) {
  return [get](const record::Record& record) {
    return record.cold_start ? number(get(*record.cold_start)) : "";
  };
}

std::vector<Field> load_fields() {
  const auto rate = [](R r) {
    return r.cell.mode == "paced" ? number(r.cell.rate_per_s) : std::string();
  };
  const auto wait = [](R r) {
    return r.cell.mode == "paced" ? number(r.cell.max_wait_s * 1e3) : std::string();
  };
  return {{"rate_per_s", rate},
          {"arrivals", [](R r) { return r.cell.arrivals; }},
          {"max_wait_ms", wait},
          {"requests", paced([](const auto& p) { return p.requests; })},
          {"saturated", paced([](const auto& p) { return p.saturated ? "yes" : "no"; })},
          {"busy_share", paced([](const auto& p) { return p.busy_share; })},
          {"mean_batch", paced([](const auto& p) { return p.mean_batch; })},
          {"wait_ms_p50", paced([](const auto& p) { return p.wait_s_p50 * 1e3; })},
          {"cold_load_s", cold([](const auto& c) { return c.load_s; })},
          {"cold_pack_s", cold([](const auto& c) { return c.pack_s; })},
          {"cold_first_pass_s", cold([](const auto& c) { return c.first_pass_s; })},
          {"host_joules_per_1000_texts",
           [](R r) { return joules_per_1000(r, r.energy.host_joules_gross); }},
          {"gpu_joules_per_1000_texts",
           [](R r) { return joules_per_1000(r, r.energy.gpu_joules_gross); }},
          {"energy_method", [](R r) { return r.energy.method; }}};
}

std::vector<Field> output_fields() {
  return {{"parity", parity([](const auto& p) { return p.outcome; })},
          {"parity_texts", parity([](const auto& p) { return p.texts; })},
          {"label_flips", parity([](const auto& p) { return p.flips; })},
          {"logit_abs_max", parity([](const auto& p) { return p.logit_abs_max; })},
          {"logit_abs_p99", parity([](const auto& p) { return p.logit_abs_p99; })},
          {"logit_sigma", parity([](const auto& p) { return p.logit_sigma; })},
          {"accuracy", [](R r) { return r.accuracy ? number(r.accuracy->share) : std::string(); }},
          {"weight_bytes", memory([](const auto& m) { return m.weight_bytes; })},
          {"activation_bytes", memory([](const auto& m) { return m.activation_bytes; })},
          {"library_bytes", memory([](const auto& m) { return m.library_bytes; })},
          {"peak_allocated_bytes", memory([](const auto& m) { return m.peak_allocated_bytes; })},
          {"peak_rss_bytes", memory([](const auto& m) { return m.peak_rss_bytes; })},
          {"cold_start_s",
           [](R r) { return r.cold_start ? number(r.cold_start->total_s) : std::string(); }},
          {"started_at", [](R r) { return r.started_at; }},
          {"commit", [](R r) { return r.build.commit; }}};
}

}  // namespace

std::string to_csv(std::span<const record::Record> records) {
  std::vector<Field> fields = cell_fields();
  for (std::vector<Field> more : {speed_fields(), output_fields(), load_fields()}) {
    fields.insert(fields.end(), more.begin(), more.end());
  }
  std::string out;
  for (std::size_t i = 0; i < fields.size(); ++i)
    out += (i == 0 ? "" : ",") + std::string(fields[i].name);
  out += '\n';
  for (const record::Record& record : records) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      out += (i == 0 ? "" : ",") + quoted(fields[i].text(record));
    }
    out += '\n';
  }
  return out;
}

}  // namespace breakeven::report

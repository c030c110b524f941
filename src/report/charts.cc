#include "report/charts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/units.h"
#include "decide/latency_model.h"
#include "decide/rows.h"
#include "report/format.h"
#include "report/keys.h"
#include "report/runtimes.h"
#include "report/tables.h"

namespace breakeven::report {
namespace {

using record::Record;

constexpr double kMilli = 1e3;
constexpr double kMega = 1e-6;

// What tells the lines of a chart apart: everything that varies but the batch.
std::string series_name(const Record& record, const Keys& keys) {
  std::vector<std::string> parts;
  const std::vector<TableCell> cells = keys.row(record, {});
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Dimension dimension = keys.varying()[i];
    if (dimension == Dimension::batch) continue;
    const std::string& value = cells[i].text;
    parts.push_back(dimension == Dimension::machine      ? "machine " + value
                    : dimension == Dimension::threads    ? value + " threads"
                    : dimension == Dimension::max_length ? "max length " + value
                    : dimension == Dimension::padding    ? "padding " + value
                                                         : value);
  }
  if (parts.empty()) return to_string(record.cell.device) + " " + to_string(record.cell.precision);
  return fmt::format("{}", fmt::join(parts, " "));
}

ChartSeries& series_of(std::vector<ChartSeries>& all, const std::string& name) {
  for (ChartSeries& series : all) {
    if (series.name == name) return series;
  }
  return all.emplace_back(ChartSeries{name, {}});
}

void sort_points(std::vector<ChartSeries>& all) {
  for (ChartSeries& series : all) {
    std::stable_sort(series.points.begin(), series.points.end(),
                     [](const ChartPoint& a, const ChartPoint& b) { return a.x < b.x; });
  }
}

ChartPoint point_of(double x, const record::Estimate& estimate, double scale, std::string label) {
  ChartPoint point{x, estimate.value * scale, {}, {}, std::move(label)};
  if (estimate.interval) {
    point.low = estimate.interval->low * scale;
    point.high = estimate.interval->high * scale;
  }
  return point;
}

class Charts {
 public:
  explicit Charts(const std::vector<Record>& records)
      : cells_(only(records, record::Kind::cell)),
        scalings_(only(records, record::Kind::scaling)),
        keys_(cells_) {}

  Chart latency() const;
  Chart throughput() const;
  Chart stages() const;
  Chart load() const;
  Chart memory() const;
  Chart runtimes() const;
  Chart padding() const;
  Chart lengths() const;
  Chart scaling() const;

 private:
  static std::vector<Record> only(const std::vector<Record>& records, record::Kind kind) {
    std::vector<Record> out;
    for (const Record& record : records) {
      if (record.kind == kind && decide::unusable(record).empty()) out.push_back(record);
    }
    return out;
  }
  std::string name(const Record& record) const { return keys_.describe(record); }

  std::vector<Record> cells_, scalings_;
  Keys keys_;
};

// The median of a batch; where a pass has too few batches for one, their mean.
std::optional<record::Estimate> time_of_batch(const Record& record, bool& is_mean) {
  const auto median = record.latency_s.find("p50");
  is_mean = median == record.latency_s.end();
  if (!is_mean) return median->second;
  const record::Estimate& rate = record.reviews_per_s;
  if (!(rate.value > 0)) return std::nullopt;
  const auto texts = static_cast<double>(
      std::min<std::uint64_t>(record.cell.batch, std::max<std::uint64_t>(1, record.texts.count)));
  record::Estimate mean{texts / rate.value, {}, rate.samples};
  if (rate.interval && rate.interval->low > 0) {
    mean.interval = record::Interval{texts / rate.interval->high, texts / rate.interval->low, 0.95};
  }
  return mean;
}

Chart Charts::latency() const {
  LineChart chart{
      "Latency of a batch, one in flight (median)", "texts a batch", "ms", true, true, {}};
  for (const Record& record : cells_) {
    bool is_mean = false;
    const auto time =
        record.cell.mode == Mode::serial ? time_of_batch(record, is_mean) : std::nullopt;
    if (!time) continue;
    if (is_mean) {
      chart.title = "Latency of a batch, one in flight (median; mean where batches are few)";
    }
    series_of(chart.series, series_name(record, keys_))
        .points.push_back(point_of(static_cast<double>(record.cell.batch), *time, kMilli,
                                   fmt::format("{}: {}{}", name(record), is_mean ? "mean " : "",
                                               seconds_with_interval(*time))));
  }
  sort_points(chart.series);
  return chart;
}

Chart Charts::throughput() const {
  LineChart chart{
      "Throughput, several batches in flight", "texts a batch", "texts/s", true, true, {}};
  for (const Record& record : cells_) {
    if (record.cell.mode != Mode::stream || record.reviews_per_s.value <= 0) continue;
    series_of(chart.series, series_name(record, keys_))
        .points.push_back(
            point_of(static_cast<double>(record.cell.batch), record.reviews_per_s, 1,
                     name(record) + ": " + rate_with_interval(record.reviews_per_s) + " texts/s"));
  }
  sort_points(chart.series);
  return chart;
}

Chart Charts::stages() const {
  BarChart chart{"Where a batch's time goes",
                 "ms",
                 {"tokenize", "pack", "upload", "compute", "download", "decode"},
                 {},
                 true};
  for (const Record& record : cells_) {
    if (record.cell.mode != Mode::serial || !record.stages) continue;
    const record::Stages& stages = *record.stages;
    BarChart::Bar bar{name(record), {}, ""};
    double sum = 0;
    for (const double seconds : {stages.tokenize_s, stages.pack_s, stages.upload_s,
                                 stages.compute_s, stages.download_s, stages.decode_s}) {
      bar.values.push_back(seconds * kMilli);
      sum += seconds;
    }
    bar.label = format_seconds(sum);
    chart.bars.push_back(std::move(bar));
  }
  return chart;
}

Chart Charts::load() const {
  LineChart chart{
      "Latency under a load, from when a request was due (median, and p99 where there "
      "are samples enough)",
      "requests/s",
      "ms",
      true,
      true,
      {}};
  for (const Record& record : cells_) {
    if (record.cell.mode != Mode::paced) continue;
    for (const char* share : {"p50", "p99"}) {
      const auto found = record.latency_s.find(share);
      if (found == record.latency_s.end()) continue;
      series_of(chart.series, name(record) + " " + share)
          .points.push_back(
              point_of(record.cell.rate_per_s, found->second, kMilli,
                       fmt::format("{} at {}/s: {}", share, three_digits(record.cell.rate_per_s),
                                   seconds_with_interval(found->second))));
    }
  }
  sort_points(chart.series);
  return chart;
}

// What the machine and the GPU of a row have.
void add_limits(const Record& record, std::map<std::string, double>& limits) {
  const record::Machine& machine = record.machine;
  const std::uint64_t host =
      machine.memory_limit_bytes > 0 && machine.memory_limit_bytes < machine.memory_bytes
          ? machine.memory_limit_bytes
          : machine.memory_bytes;
  if (host > 0) {
    limits["limit: " + name_of_machine(record)] = static_cast<double>(host) * kMega;
  }
  const std::uint64_t device =
      record.memory->device_total_bytes.value_or(record.gpu ? record.gpu->memory_bytes : 0);
  if (device > 0 && record.gpu) {
    limits["limit: " + record.gpu->name] = static_cast<double>(device) * kMega;
  }
}

Chart Charts::memory() const {
  LineChart chart{"Memory of a fresh process (peak RSS, and what the device holds)",
                  "texts a batch",
                  "MB",
                  true,
                  true,
                  {}};
  std::map<std::string, double> limits;  // MB by name
  for (const Record& record : cells_) {
    if (!record.memory || record.cell.mode == Mode::paced) continue;
    add_limits(record, limits);
    const auto add = [&](const std::string& what, std::uint64_t bytes) {
      if (bytes == 0) return;
      const auto amount = static_cast<double>(bytes);
      series_of(chart.series, series_name(record, keys_) + " " + to_string(record.cell.mode) + what)
          .points.push_back({static_cast<double>(record.cell.batch),
                             amount * kMega,
                             {},
                             {},
                             name(record) + ": " + format_bytes(amount)});
    };
    add("", record.memory->peak_rss_bytes);
    add(" device", record.memory->device_used_bytes.value_or(0));
  }
  for (const auto& [name, megabytes] : limits) chart.limits.push_back({name, megabytes});
  sort_points(chart.series);
  return chart;
}

Chart Charts::runtimes() const {
  if (!has_other_runtimes(cells_)) return BarChart{};
  BarChart chart{"Texts a second of each runtime", "texts/s", {"texts/s"}, {}, false};
  for (const Record& record : cells_) {
    if (record.cell.mode != Mode::stream || record.reviews_per_s.value <= 0) continue;
    chart.bars.push_back({name(record),
                          {record.reviews_per_s.value},
                          three_digits(record.reviews_per_s.value) + "/s"});
  }
  return chart;
}

Chart Charts::padding() const {
  BarChart chart{"Tokens computed for the texts of a pass: real ones and padding",
                 "tokens",
                 {"real", "padding"},
                 {}};
  std::set<std::string> seen;
  const auto add = [&](Padding padding, const record::Cell& cell, double real, double computed) {
    const std::string what =
        fmt::format("{}, batch {}, max length {}", to_string(padding), cell.batch, cell.max_length);
    if (!(computed >= real) || !seen.insert(what).second) return;
    chart.bars.push_back({what, {real, computed - real}, times(computed / real)});
  };
  for (const Record& record : cells_) {
    const record::Texts& texts = record.texts;
    if (texts.real_tokens == 0) continue;
    if (texts.token_counts.empty() || record.cell.batch == 0) {
      add(record.cell.padding, record.cell, static_cast<double>(texts.real_tokens),
          static_cast<double>(texts.computed_tokens));
      continue;
    }
    // With the lengths every policy can be reckoned, whichever was measured.
    double real = 0;
    for (const Padding padding : all_of<Padding>()) {
      double computed = 0;
      for (const decide::Shape& shape : decide::shapes_of(texts.token_counts, record.cell.batch,
                                                          padding, record.cell.max_length)) {
        computed += shape.tokens;
      }
      if (real == 0) real = computed;
      if (real > 0) add(padding, record.cell, real, computed);
    }
  }
  const bool any = std::any_of(chart.bars.begin(), chart.bars.end(),
                               [](const BarChart::Bar& bar) { return bar.values[1] > 0; });
  return any ? chart : BarChart{};
}

Chart Charts::lengths() const {
  const std::vector<std::uint32_t>* counts = nullptr;
  for (const Record& record : cells_) {
    const std::vector<std::uint32_t>& own = record.texts.token_counts;
    if (counts == nullptr || own.size() > counts->size()) counts = &own;
  }
  if (counts == nullptr || counts->empty()) return BarChart{};
  constexpr std::uint32_t kWidth = 64;
  const std::uint32_t longest = std::min<std::uint32_t>(
      4096, *std::max_element(counts->begin(), counts->end()));  // a model has no more positions
  std::vector<double> bins(longest / kWidth + 1, 0.0);
  for (const std::uint32_t count : *counts) bins[std::min(count, longest) / kWidth] += 1;
  BarChart chart{fmt::format("Lengths of the {} texts of a pass, in tokens", counts->size()),
                 "texts",
                 {"texts"},
                 {},
                 false,
                 true};
  for (std::size_t i = 0; i < bins.size(); ++i) {
    chart.bars.push_back({fmt::format("{} to {}", i * kWidth, (i + 1) * kWidth - 1),
                          {bins[i]},
                          fmt::format("{:g}", bins[i])});
  }
  return chart;
}

Chart Charts::scaling() const {
  LineChart chart{"Time over the number of texts", "texts", "s", true, true, {}};
  const Keys keys(scalings_);
  for (const Record& record : scalings_) {
    if (!record.scaling) continue;
    for (const record::ScalingPoint& point : record.scaling->points) {
      series_of(chart.series, keys.describe(record))
          .points.push_back(point_of(static_cast<double>(point.texts), point.seconds, 1,
                                     fmt::format("{}: {}", counted(point.texts, "text"),
                                                 seconds_with_interval(point.seconds))));
    }
  }
  sort_points(chart.series);
  return chart;
}

}  // namespace

std::vector<Chart> charts(const std::vector<Record>& records) {
  const Charts charts(records);
  std::vector<Chart> out;
  for (Chart chart :
       {charts.latency(), charts.throughput(), charts.load(), charts.stages(), charts.memory(),
        charts.runtimes(), charts.padding(), charts.lengths(), charts.scaling()}) {
    if (drawable(chart)) out.push_back(std::move(chart));
  }
  return out;
}

}  // namespace breakeven::report

#include "report/charts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/units.h"
#include "report/format.h"
#include "report/keys.h"
#include "report/runtimes.h"
#include "report/svg.h"
#include "report/tables.h"

namespace breakeven::report {
namespace {

using record::Record;

constexpr double kMilli = 1e3;
constexpr double kMega = 1e-6;

// What tells the lines of a chart apart: everything that varies but the batch.
std::string series_name(const Record& record, const Keys& keys) {
  std::vector<std::string> parts;
  const std::vector<TableCell> cells = keys.cells(record);
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
  if (parts.empty()) return record.cell.device + " " + record.cell.precision;
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
      : cells_(only(records, "cell")), scalings_(only(records, "scaling")), keys_(cells_) {}

  std::string latency() const;
  std::string throughput() const;
  std::string stages() const;
  std::string load() const;
  std::string memory() const;
  std::string runtimes() const;
  std::string padding() const;
  std::string lengths() const;
  std::string scaling() const;

 private:
  static std::vector<Record> only(const std::vector<Record>& records, const std::string& kind) {
    std::vector<Record> out;
    for (const Record& record : records) {
      if (record.kind != kind || record.verdict == record::Verdict::invalid) continue;
      if (!breaks_parity(record)) out.push_back(record);
    }
    return out;
  }
  std::string name(const Record& record) const { return keys_.describe(record); }

  std::vector<Record> cells_, scalings_;
  Keys keys_;
};

std::string Charts::latency() const {
  LineChart chart{
      "Latency of a batch, one in flight (median)", "texts a batch", "ms", true, true, {}};
  for (const Record& record : cells_) {
    const auto median = record.latency_s.find("p50");
    if (record.cell.mode != "serial" || median == record.latency_s.end()) continue;
    series_of(chart.series, series_name(record, keys_))
        .points.push_back(point_of(static_cast<double>(record.cell.batch), median->second, kMilli,
                                   name(record) + ": " + seconds_with_interval(median->second)));
  }
  sort_points(chart.series);
  return to_html(chart);
}

std::string Charts::throughput() const {
  LineChart chart{
      "Throughput, several batches in flight", "texts a batch", "texts/s", true, true, {}};
  for (const Record& record : cells_) {
    if (record.cell.mode != "stream" || record.reviews_per_s.value <= 0) continue;
    series_of(chart.series, series_name(record, keys_))
        .points.push_back(
            point_of(static_cast<double>(record.cell.batch), record.reviews_per_s, 1,
                     name(record) + ": " + rate_with_interval(record.reviews_per_s) + " texts/s"));
  }
  sort_points(chart.series);
  return to_html(chart);
}

std::string Charts::stages() const {
  BarChart chart{"Where a batch's time goes",
                 "ms",
                 {"tokenize", "pack", "upload", "compute", "download", "decode"},
                 {},
                 true};
  for (const Record& record : cells_) {
    if (record.cell.mode != "serial" || !record.stages) continue;
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
  return to_html(chart);
}

std::string Charts::load() const {
  LineChart chart{
      "Latency under a load, from when a request was due (median, and p99 where there "
      "are samples enough)",
      "requests/s",
      "ms",
      true,
      true,
      {}};
  for (const Record& record : cells_) {
    if (record.cell.mode != "paced") continue;
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
  return to_html(chart);
}

std::string Charts::memory() const {
  LineChart chart{"Memory of a fresh process (peak RSS, and what the device holds)",
                  "texts a batch",
                  "MB",
                  true,
                  false,
                  {}};
  for (const Record& record : cells_) {
    if (!record.memory || record.cell.mode == "paced") continue;
    const auto add = [&](const std::string& what, std::uint64_t bytes) {
      if (bytes == 0) return;
      const auto amount = static_cast<double>(bytes);
      series_of(chart.series, series_name(record, keys_) + " " + record.cell.mode + what)
          .points.push_back({static_cast<double>(record.cell.batch),
                             amount * kMega,
                             {},
                             {},
                             name(record) + ": " + format_bytes(amount)});
    };
    add("", record.memory->peak_rss_bytes);
    add(" device", record.memory->device_used_bytes.value_or(0));
  }
  sort_points(chart.series);
  return to_html(chart);
}

std::string Charts::runtimes() const {
  if (!has_other_runtimes(cells_)) return "";
  BarChart chart{"Texts a second of each runtime", "texts/s", {"texts/s"}, {}, false};
  for (const Record& record : cells_) {
    if (record.cell.mode != "stream" || record.reviews_per_s.value <= 0) continue;
    chart.bars.push_back({name(record),
                          {record.reviews_per_s.value},
                          three_digits(record.reviews_per_s.value) + "/s"});
  }
  return to_html(chart);
}

std::string Charts::padding() const {
  BarChart chart{
      "Computed tokens of a pass: real ones and padding", "tokens", {"real", "padding"}, {}, false};
  std::set<std::string> seen;
  bool any = false;
  for (const Record& record : cells_) {
    const record::Texts& texts = record.texts;
    if (texts.real_tokens == 0 || texts.computed_tokens < texts.real_tokens) continue;
    const std::string what = fmt::format("padding {}, batch {}, max length {}", record.cell.padding,
                                         record.cell.batch, record.cell.max_length);
    if (!seen.insert(what).second) continue;
    const auto real = static_cast<double>(texts.real_tokens);
    const auto computed = static_cast<double>(texts.computed_tokens);
    any |= texts.computed_tokens > texts.real_tokens;
    chart.bars.push_back({what, {real, computed - real}, times(computed / real)});
  }
  return any ? to_html(chart) : "";
}

std::string Charts::lengths() const {
  const std::vector<std::uint32_t>* counts = nullptr;
  for (const Record& record : cells_) {
    const std::vector<std::uint32_t>& own = record.texts.token_counts;
    if (counts == nullptr || own.size() > counts->size()) counts = &own;
  }
  if (counts == nullptr || counts->empty()) return "";
  constexpr std::uint32_t kWidth = 64;
  const std::uint32_t longest = std::min<std::uint32_t>(
      4096, *std::max_element(counts->begin(), counts->end()));  // a model has no more positions
  std::vector<double> bins(longest / kWidth + 1, 0.0);
  for (const std::uint32_t count : *counts) bins[std::min(count, longest) / kWidth] += 1;
  BarChart chart{fmt::format("Lengths of the {} texts of a pass", counts->size()),
                 "texts",
                 {"texts"},
                 {},
                 false};
  for (std::size_t i = 0; i < bins.size(); ++i) {
    chart.bars.push_back({fmt::format("{} to {} tokens", i * kWidth, (i + 1) * kWidth - 1),
                          {bins[i]},
                          fmt::format("{:g}", bins[i])});
  }
  return to_html(chart);
}

std::string Charts::scaling() const {
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
  return to_html(chart);
}

}  // namespace

std::vector<std::string> charts(const std::vector<Record>& records) {
  const Charts charts(records);
  std::vector<std::string> out;
  for (std::string chart :
       {charts.latency(), charts.throughput(), charts.load(), charts.stages(), charts.memory(),
        charts.runtimes(), charts.padding(), charts.lengths(), charts.scaling()}) {
    if (!chart.empty()) out.push_back(std::move(chart));
  }
  return out;
}

}  // namespace breakeven::report

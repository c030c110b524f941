#include "report/chart.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/units.h"

namespace breakeven::report {
namespace {

using Json = nlohmann::ordered_json;

// What a measurement can have given: not so small or large that an axis would have no end.
bool drawable(double value) {
  constexpr double kTiny = 1e-12;
  constexpr double kHuge = 1e15;
  return value == 0 || (std::abs(value) > kTiny && std::abs(value) < kHuge);
}

std::vector<ChartPoint> drawable_points(const ChartSeries& series) {
  std::vector<ChartPoint> points;
  for (const ChartPoint& point : series.points) {
    if (drawable(point.x) && drawable(point.y)) points.push_back(point);
  }
  return points;
}

template <class Get>
bool all_above_zero(const LineChart& chart, Get get) {
  return std::all_of(chart.series.begin(), chart.series.end(), [&](const ChartSeries& series) {
    return std::all_of(series.points.begin(), series.points.end(),
                       [&](const ChartPoint& point) { return get(point) > 0; });
  });
}

std::optional<Drawable> drawable_lines(const LineChart& whole) {
  Drawable result;
  LineChart chart = whole;
  chart.series.clear();
  for (const ChartSeries& series : whole.series) {
    std::vector<ChartPoint> points = drawable_points(series);
    if (points.empty()) continue;
    if (chart.series.size() == kMostSeries) {
      ++result.left_out;
      continue;
    }
    chart.series.push_back({series.name, std::move(points)});
  }
  if (chart.series.empty()) return std::nullopt;
  chart.log_x &= all_above_zero(chart, [](const ChartPoint& point) { return point.x; });
  chart.log_y &= all_above_zero(chart, [](const ChartPoint& point) { return point.y; });
  for (ChartSeries& series : chart.series) {
    for (ChartPoint& point : series.points) {
      const bool low = point.low && drawable(*point.low) && (!chart.log_y || *point.low > 0);
      const bool high = point.high && drawable(*point.high) && (!chart.log_y || *point.high > 0);
      if (low && high) continue;
      point.low.reset();
      point.high.reset();
    }
  }
  std::erase_if(chart.limits, [&](const LineChart::Limit& limit) {
    return !drawable(limit.y) || (chart.log_y && limit.y <= 0);
  });
  result.chart = std::move(chart);
  return result;
}

// Takes the bars of one colour out of a chart of shares.
std::string say_one_colour(BarChart& chart) {
  constexpr double kOneColour = 0.99;
  constexpr std::size_t kNamed = 3;
  std::vector<std::string> sentences;
  for (std::size_t part = 0; part < chart.parts.size(); ++part) {
    std::vector<std::string> names;
    const std::size_t removed = std::erase_if(chart.bars, [&](const BarChart::Bar& bar) {
      double sum = 0;
      for (const double value : bar.values) sum += value;
      const bool one = part < bar.values.size() && bar.values[part] > kOneColour * sum;
      if (one && names.size() < kNamed) names.push_back(bar.name);
      return one;
    });
    if (removed == 0) continue;
    sentences.push_back(
        fmt::format("{} is more than {:.0f} % of {}{}.", chart.parts[part], 100 * kOneColour,
                    fmt::join(names, "; "),
                    removed > kNamed ? fmt::format("; and {} more", removed - kNamed) : ""));
    sentences.back()[0] =
        static_cast<char>(std::toupper(static_cast<unsigned char>(sentences.back()[0])));
  }
  return fmt::format("{}", fmt::join(sentences, " "));
}

std::optional<Drawable> drawable_bars(const BarChart& whole) {
  Drawable result;
  BarChart chart = whole;
  if (chart.as_shares) result.said = say_one_colour(chart);
  if (chart.bars.size() > kMostBars) {
    result.left_out = chart.bars.size() - kMostBars;
    chart.bars.resize(kMostBars);
  }
  double most = 0;
  for (BarChart::Bar& bar : chart.bars) {
    bar.values.resize(chart.parts.size());
    for (double& value : bar.values) {
      if (!drawable(value) || !(value > 0)) value = 0;
      most = std::max(most, value);
    }
  }
  if (most <= 0 && result.said.empty()) return std::nullopt;
  result.chart = std::move(chart);
  return result;
}

Json number(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json json_of(const LineChart& chart) {
  Json series = Json::array();
  for (const ChartSeries& each : chart.series) {
    Json points = Json::array();
    for (const ChartPoint& point : each.points) {
      points.push_back(
          Json::array({point.x, point.y, number(point.low), number(point.high), point.label}));
    }
    series.push_back({{"name", each.name}, {"points", std::move(points)}});
  }
  Json limits = Json::array();
  for (const LineChart::Limit& limit : chart.limits) {
    limits.push_back({{"name", limit.name}, {"y", limit.y}});
  }
  return {{"kind", "line"},
          {"title", chart.title},
          {"x_title", chart.x_title},
          {"y_title", chart.y_title},
          {"log_x", chart.log_x},
          {"log_y", chart.log_y},
          {"series", std::move(series)},
          {"limits", std::move(limits)}};
}

Json json_of(const BarChart& chart) {
  Json bars = Json::array();
  for (const BarChart::Bar& bar : chart.bars) {
    bars.push_back({{"name", bar.name}, {"values", bar.values}, {"label", bar.label}});
  }
  return {{"kind", "bar"},          {"title", chart.title},         {"unit", chart.unit},
          {"parts", chart.parts},   {"as_shares", chart.as_shares}, {"upright", chart.upright},
          {"bars", std::move(bars)}};
}

TableCell cell(double value) {
  return std::isfinite(value) ? three_digits(value) : "-";
}

Table numbers_of_lines(const LineChart& chart) {
  Table table({left("series"), right(chart.x_title), right(chart.y_title), right("95 % from"),
               right("to")});
  const auto end = [](const std::optional<double>& value) {
    return value ? cell(*value) : TableCell("");
  };
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& point : series.points) {
      table.add_row(
          {printable(series.name), cell(point.x), cell(point.y), end(point.low), end(point.high)});
    }
  }
  for (const LineChart::Limit& limit : chart.limits) {
    table.add_row({printable(limit.name), "", cell(limit.y), "", ""});
  }
  return table;
}

Table numbers_of_bars(const BarChart& chart) {
  std::vector<Column> columns = {left("bar")};
  for (const std::string& part : chart.parts) {
    columns.push_back(right(part == chart.unit ? part : part + ", " + chart.unit));
  }
  Table table(std::move(columns));
  for (const BarChart::Bar& bar : chart.bars) {
    std::vector<TableCell> row = {printable(bar.name)};
    for (std::size_t part = 0; part < chart.parts.size(); ++part) {
      row.push_back(cell(part < bar.values.size() ? bar.values[part] : 0));
    }
    table.add_row(std::move(row));
  }
  return table;
}

}  // namespace

const std::string& title_of(const Chart& chart) {
  return std::visit([](const auto& each) -> const std::string& { return each.title; }, chart);
}

std::optional<Drawable> drawable(const Chart& chart) {
  const auto* lines = std::get_if<LineChart>(&chart);
  return lines != nullptr ? drawable_lines(*lines) : drawable_bars(std::get<BarChart>(chart));
}

bool Drawable::empty() const {
  const auto* bars = std::get_if<BarChart>(&chart);
  return bars != nullptr && bars->bars.empty();
}

std::string to_json(const Drawable& drawable) {
  Json json = std::visit([](const auto& each) { return json_of(each); }, drawable.chart);
  json["left_out"] = drawable.left_out;
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

Table numbers_of(const Chart& chart) {
  const auto* lines = std::get_if<LineChart>(&chart);
  return lines != nullptr ? numbers_of_lines(*lines) : numbers_of_bars(std::get<BarChart>(chart));
}

}  // namespace breakeven::report

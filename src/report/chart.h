// What a chart shows: series of points or bars, before anybody draws it. The report's page draws
// them with Chart.js; their numbers stand in a table under each. Knows nothing of records.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "report/table.h"

namespace breakeven::report {

struct ChartPoint {
  double x = 0, y = 0;
  std::optional<double> low{}, high{};  // an error bar
  std::string label{};                  // shown when a pointer rests on it
};
struct ChartSeries {
  std::string name;
  std::vector<ChartPoint> points;
};

struct LineChart {
  std::string title, x_title, y_title;
  bool log_x = false, log_y = false;  // logarithmic, when every value is above 0
  std::vector<ChartSeries> series;
  // Horizontal lines: what nothing may exceed.
  struct Limit {
    std::string name;
    double y = 0;
  };
  std::vector<Limit> limits{};
};

struct BarChart {
  std::string title, unit;
  std::vector<std::string> parts;  // names of the segments; one = simple bars
  struct Bar {
    std::string name;
    std::vector<double> values;  // [parts], at least 0
    std::string label{};         // at its end
  };
  std::vector<Bar> bars;
  bool as_shares = false;  // every bar as long as the others
  bool upright = false;    // a histogram: the order of the bars is an axis
};

using Chart = std::variant<LineChart, BarChart>;

inline constexpr std::size_t kMostSeries = 8;  // drawn; the table has all
inline constexpr std::size_t kMostBars = 40;

const std::string& title_of(const Chart& chart);

// Without what cannot be drawn: numbers that are not finite or beyond all reason, ends of intervals
// that have no place on the axis, series and bars beyond the most. False when nothing is left.
struct Drawable {
  Chart chart;
  std::size_t left_out = 0;  // series or bars
  // Bars of shares that are all but one colour show nothing: they are said in words instead, "" =
  // there were none. When no other bar is left the chart is empty.
  std::string said{};
  bool empty() const;
};
std::optional<Drawable> drawable(const Chart& chart);

// One JSON object, for the page's script (src/report/page/page.js).
std::string to_json(const Drawable& drawable);

// Every number of the chart, drawn or not.
Table numbers_of(const Chart& chart);

}  // namespace breakeven::report

// Charts as SVG, drawn here so that a report is one file that needs nothing else. Series differ in
// colour (Okabe and Ito's palette, which colour-blind readers can tell apart), marker and dashes.
// Colours of text and lines are CSS variables of the page. Knows nothing of records.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven::report {

// `text` for the inside of an element or a quoted attribute: & < > " ' as entities, control
// characters as spaces.
std::string escape_html(std::string_view text);

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
};
// At most kMostSeries series are drawn; the text under the chart says how many are not. Points that
// are not finite are left out. "" without a single point.
std::string to_html(const LineChart& chart);
inline constexpr std::size_t kMostSeries = 8;

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
};
// Values that are not finite or below 0 count as 0. "" without a bar.
std::string to_html(const BarChart& chart);

// Round numbers that cover [low, high]: at least two, ascending. `logarithmic`: 1, 2, 5 a decade,
// or decades alone when there are many.
std::vector<double> ticks(double low, double high, bool logarithmic);

}  // namespace breakeven::report

#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/units.h"
#include "report/table.h"

namespace breakeven::report {
namespace {

constexpr std::array<std::string_view, kMostSeries> kColours = {
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "#B8A900"};
constexpr std::array<std::string_view, 3> kDashes = {"", "7 4", "2 3"};

constexpr double kWidth = 640, kHeight = 340;
constexpr double kLeft = 78, kRight = 16, kTop = 14, kBottom = 52;
constexpr double kBarHeight = 22, kBarGap = 10, kBarName = 210, kBarLabel = 96;
constexpr std::size_t kMostBars = 40;

// A number of the drawing: two decimals are a fiftieth of a pixel.
std::string px(double value) {
  return fmt::format("{:.2f}", value);
}

std::string tick_text(double value) {
  const double size = std::abs(value);
  if (value == 0) return "0";
  if (size >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:g}k", value / 1e3);
  return fmt::format("{:g}", value);
}

std::string_view colour_of(std::size_t series) {
  return kColours[series % kColours.size()];
}

std::string marker(std::size_t series, double x, double y, const std::string& title) {
  constexpr double kSize = 4.5;
  const std::string colour(colour_of(series));
  const auto polygon = [&](std::initializer_list<std::pair<double, double>> corners) {
    std::string points;
    for (const auto& [dx, dy] : corners) {
      points += px(x + kSize * dx) + "," + px(y + kSize * dy) + " ";
    }
    return fmt::format("<polygon points=\"{}\" fill=\"{}\"><title>{}</title></polygon>", points,
                       colour, title);
  };
  switch (series % 4) {
    case 0:
      return fmt::format(
          "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\"><title>{}</title></circle>", px(x),
          px(y), px(kSize), colour, title);
    case 1:
      return polygon({{-1, -1}, {1, -1}, {1, 1}, {-1, 1}});
    case 2:
      return polygon({{0, -1.2}, {1.1, 0.9}, {-1.1, 0.9}});
    default:
      return polygon({{0, -1.3}, {1.3, 0}, {0, 1.3}, {-1.3, 0}});
  }
}

// One direction of a chart: values to pixels.
class Axis {
 public:
  Axis(double low, double high, bool logarithmic, double from, double to)
      : logarithmic_(logarithmic), from_(from), to_(to), marks_(ticks(low, high, logarithmic)) {
    low_ = at(marks_.front());
    high_ = at(marks_.back());
  }
  double pixel(double value) const {
    return from_ + (at(value) - low_) / (high_ - low_) * (to_ - from_);
  }
  const std::vector<double>& marks() const { return marks_; }

 private:
  double at(double value) const { return logarithmic_ ? std::log10(value) : value; }
  bool logarithmic_;
  double from_, to_, low_ = 0, high_ = 1;
  std::vector<double> marks_;
};

struct Extent {
  double low = 0, high = 0;
  bool any = false, positive = true;
  void add(double value) {
    low = any ? std::min(low, value) : value;
    high = any ? std::max(high, value) : value;
    positive &= value > 0;
    any = true;
  }
};

// What a measurement can have given: not so small or large that an axis would have no end.
bool drawable(double value) {
  constexpr double kTiny = 1e-12;
  constexpr double kHuge = 1e15;
  return value == 0 || (std::abs(value) > kTiny && std::abs(value) < kHuge);
}

bool drawable(const ChartPoint& point) {
  return drawable(point.x) && drawable(point.y);
}

// `name` cut so that it fits beside its bar.
std::string short_name(const std::string& name) {
  constexpr std::size_t kColumns = 33;
  if (display_width(name) <= kColumns) return name;
  std::string cut;
  for (const char c : name) {
    // Not within a code point.
    const bool starts = (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    if (starts && display_width(cut) + 1 >= kColumns) break;
    cut += c;
  }
  return cut + "\u2026";
}

std::string legend(const std::vector<std::string>& names, std::size_t left_out) {
  std::string out = "<ul class=\"legend\">";
  for (std::size_t i = 0; i < names.size(); ++i) {
    out += fmt::format(
        "<li><svg width=\"28\" height=\"12\" aria-hidden=\"true\"><line x1=\"0\" y1=\"6\" "
        "x2=\"28\" "
        "y2=\"6\" stroke=\"{}\" stroke-width=\"2\" stroke-dasharray=\"{}\" />{}</svg> {}</li>",
        colour_of(i), kDashes[i / 4 % kDashes.size()], marker(i, 14, 6, ""), escape_html(names[i]));
  }
  if (left_out > 0) {
    out += fmt::format("<li>{} more are not drawn: see the tables</li>", left_out);
  }
  return out + "</ul>";
}

std::string figure(const std::string& title, const std::string& svg, const std::string& below) {
  return fmt::format("<figure><figcaption>{}</figcaption>{}{}</figure>\n", escape_html(title), svg,
                     below);
}

std::string open_svg(double height, const std::string& title) {
  return fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">", px(kWidth),
                     px(height), escape_html(title));
}

std::string text_at(double x, double y, std::string_view anchor, const std::string& text) {
  return fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>", px(x), px(y), anchor,
                     escape_html(text));
}

std::string line_at(double x1, double y1, double x2, double y2, std::string_view kind) {
  return fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" class=\"{}\" />", px(x1),
                     px(y1), px(x2), px(y2), kind);
}

std::string draw_axes(const LineChart& chart, const Axis& x, const Axis& y) {
  std::string out;
  for (const double mark : y.marks()) {
    out += line_at(kLeft, y.pixel(mark), kWidth - kRight, y.pixel(mark), "grid");
    out += text_at(kLeft - 6, y.pixel(mark) + 4, "end", tick_text(mark));
  }
  for (const double mark : x.marks()) {
    out += line_at(x.pixel(mark), kTop, x.pixel(mark), kHeight - kBottom, "grid");
    out += text_at(x.pixel(mark), kHeight - kBottom + 18, "middle", tick_text(mark));
  }
  out += text_at((kLeft + kWidth - kRight) / 2, kHeight - 10, "middle", chart.x_title);
  out += fmt::format(
      "<text x=\"16\" y=\"{0}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {0})\">{1}</text>",
      px((kTop + kHeight - kBottom) / 2), escape_html(chart.y_title));
  return out;
}

std::string draw_series(const ChartSeries& series, std::size_t index, const Axis& x, const Axis& y,
                        bool log_y) {
  std::string path;
  std::string rest;
  for (const ChartPoint& point : series.points) {
    if (!drawable(point)) continue;
    const double at_x = x.pixel(point.x);
    const double at_y = y.pixel(point.y);
    path += fmt::format("{}{} {} ", path.empty() ? "M" : "L", px(at_x), px(at_y));
    const bool bar = point.low && point.high && drawable(*point.low) && drawable(*point.high) &&
                     (!log_y || *point.low > 0);
    if (bar) {
      rest += fmt::format(
          "<line x1=\"{0}\" y1=\"{1}\" x2=\"{0}\" y2=\"{2}\" stroke=\"{3}\" stroke-width=\"1.5\" "
          "/>",
          px(at_x), px(y.pixel(*point.low)), px(y.pixel(*point.high)), colour_of(index));
    }
    rest += marker(index, at_x, at_y, escape_html(point.label));
  }
  return fmt::format(
             "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\" "
             "stroke-dasharray=\"{}\" />",
             path, colour_of(index), kDashes[index / 4 % kDashes.size()]) +
         rest;
}

double bar_value(const BarChart::Bar& bar, std::size_t part) {
  const double value = part < bar.values.size() ? bar.values[part] : 0;
  return drawable(value) && value > 0 ? value : 0;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    }
  }
  return out;
}

std::vector<double> ticks(double low, double high, bool logarithmic) {
  std::vector<double> out;
  if (logarithmic) {
    const auto first = static_cast<int>(std::floor(std::log10(low) + 1e-9));
    const auto last = static_cast<int>(std::ceil(std::log10(high) - 1e-9));
    constexpr int kManyDecades = 3;
    const bool few = last - first <= kManyDecades;
    for (int decade = first; decade <= std::max(last, first + 1); ++decade) {
      for (const double step : {1.0, 2.0, 5.0}) {
        const bool every_third = last - first > 3 * kManyDecades;
        if ((step > 1 && !few) || (every_third && (decade - first) % 3 != 0)) continue;
        out.push_back(step * std::pow(10.0, decade));
      }
    }
    if (out.back() < high) out.push_back(std::pow(10.0, last));
    // Only what is needed to hold both ends.
    while (out.size() > 2 && out[1] <= low * (1 + 1e-9)) out.erase(out.begin());
    while (out.size() > 2 && out[out.size() - 2] >= high * (1 - 1e-9)) out.pop_back();
    return out;
  }
  if (!(high > low)) high = low + (low == 0 ? 1 : std::abs(low));
  constexpr double kWanted = 5;
  const double rough = (high - low) / kWanted;
  const double decade = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * decade;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * decade >= rough * 0.999) step = factor * decade;
  }
  const double first = std::floor(low / step + 1e-9);
  const double last = std::ceil(high / step - 1e-9);
  for (double i = first; i <= last; ++i) out.push_back(i * step);
  if (out.size() < 2) out.push_back(out.front() + step);
  return out;
}

std::string to_html(const LineChart& chart) {
  Extent x;
  Extent y;
  std::vector<const ChartSeries*> drawn;
  std::size_t left_out = 0;
  for (const ChartSeries& series : chart.series) {
    if (std::none_of(series.points.begin(), series.points.end(),
                     [](const ChartPoint& point) { return drawable(point); })) {
      continue;
    }
    if (drawn.size() == kMostSeries) {
      ++left_out;
      continue;
    }
    drawn.push_back(&series);
    for (const ChartPoint& point : series.points) {
      if (!drawable(point)) continue;
      x.add(point.x);
      y.add(point.y);
      for (const auto& end : {point.low, point.high}) {
        // An end at or below 0 has no place on a logarithmic axis, and gets no bar.
        if (end && drawable(*end) && (!chart.log_y || *end > 0)) y.add(*end);
      }
    }
  }
  if (drawn.empty()) return "";
  const bool log_x = chart.log_x && x.positive;
  const bool log_y = chart.log_y && y.positive;
  if (!log_y) y.add(0);
  const Axis across(x.low, x.high, log_x, kLeft + 10, kWidth - kRight - 10);
  const Axis up(y.low, y.high, log_y, kHeight - kBottom, kTop);
  std::string svg = open_svg(kHeight, chart.title) + draw_axes(chart, across, up);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    svg += draw_series(*drawn[i], i, across, up, log_y);
    names.push_back(drawn[i]->name);
  }
  return figure(chart.title, svg + "</svg>", legend(names, left_out));
}

std::string to_html(const BarChart& chart) {
  const std::size_t count = std::min(chart.bars.size(), kMostBars);
  if (count == 0) return "";
  double longest = 0;
  std::vector<double> sums;
  for (std::size_t i = 0; i < count; ++i) {
    double sum = 0;
    for (std::size_t part = 0; part < chart.parts.size(); ++part) {
      sum += bar_value(chart.bars[i], part);
    }
    sums.push_back(sum);
    longest = std::max(longest, sum);
  }
  if (longest <= 0) return "";
  const double room = kWidth - kBarName - kBarLabel;
  const double height = static_cast<double>(count) * (kBarHeight + kBarGap) + kBarGap;
  std::string svg = open_svg(height, chart.title);
  for (std::size_t i = 0; i < count; ++i) {
    const double top = kBarGap + static_cast<double>(i) * (kBarHeight + kBarGap);
    const double full = chart.as_shares ? sums[i] : longest;
    const BarChart::Bar& bar = chart.bars[i];
    svg += text_at(kBarName - 8, top + kBarHeight - 6, "end", short_name(bar.name));
    double left = kBarName;
    for (std::size_t part = 0; part < chart.parts.size() && full > 0; ++part) {
      const double wide = bar_value(bar, part) / full * room;
      svg += fmt::format(
          "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"><title>{}</title></rect>",
          px(left), px(top), px(wide), px(kBarHeight), colour_of(part),
          escape_html(fmt::format("{}: {} {}", chart.parts[part],
                                  three_digits(bar_value(bar, part)), chart.unit)));
      left += wide;
    }
    svg += text_at(left + 6, top + kBarHeight - 6, "start", bar.label);
  }
  std::string below = chart.parts.size() > 1 ? legend(chart.parts, 0) : "";
  if (chart.bars.size() > count) {
    below +=
        fmt::format("<p>{} more bars are not drawn: see the tables</p>", chart.bars.size() - count);
  }
  return figure(chart.title, svg + "</svg>", below);
}

}  // namespace breakeven::report

#include "report/scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/limits.h"
#include "base/units.h"
#include "measure/rounds.h"
#include "report/format.h"
#include "report/keys.h"
#include "report/notes.h"

namespace breakeven::report {
namespace {

std::string texts_of(const record::ScalingPoint& point) {
  const std::string text = counted(point.texts, "");
  return text.substr(0, text.find(' '));
}

Table point_table(const record::Scaling& scaling) {
  Table table({right("texts"), right("batches"), right("tokens", 2), right("total time [95 %]"),
               right("a text"), right("off the line")});
  for (const record::ScalingPoint& point : scaling.points) {
    const double off = point.seconds.value > 0 ? point.residual_s / point.seconds.value : 0;
    const auto digits = [](std::uint64_t value) {
      return three_digits(static_cast<double>(value));
    };
    table.add_row({texts_of(point), std::to_string(point.batches), digits(point.tokens),
                   seconds_with_interval(point.seconds),
                   format_seconds(point.seconds.value / static_cast<double>(point.texts)),
                   (off > 0 ? "+" : "") + percent(off)});
  }
  return table;
}

std::string interval_text(const record::Estimate& estimate) {
  if (!estimate.interval) return "";
  return fmt::format(" [{}, {}]", three_digits(estimate.interval->low),
                     three_digits(estimate.interval->high));
}

std::string fit_sentence(const record::Scaling& scaling) {
  return fmt::format(
      "Fit: total = {} + {} x texts; largest residual {} of its time. Log-log slope {}{}; linear "
      "means 1 within {}.",
      seconds_with_interval(scaling.intercept_s), seconds_with_interval(scaling.slope_s_per_text),
      percent(scaling.residual_relative_max), three_digits(scaling.log_log_slope.value),
      interval_text(scaling.log_log_slope), limit("scale/log_log_slope"));
}

std::string answer(const record::Scaling& scaling) {
  if (scaling.outcome == record::Linearity::linear) return "Linear in the number of texts: yes.";
  if (scaling.outcome == record::Linearity::not_linear) {
    return scaling.log_log_slope.value > 1
               ? "Linear in the number of texts: no, time grows faster than the texts."
               : "Linear in the number of texts: no, time grows more slowly than the texts.";
  }
  return "Linear in the number of texts: can't tell, the times are too noisy or too few; give a "
         "longer --time on a quiet machine.";
}

// How many times longer the larger batch takes over all texts: round by round where both were
// visited in the same ones, else (schema 1) from the lines' slopes.
record::Estimate time_ratio(const record::Record& small, const record::Record& large) {
  if (!small.rounds.empty() && !large.rounds.empty()) {
    const std::array both = {measure::pass_seconds_by_round(large),
                             measure::pass_seconds_by_round(small)};
    return measure::ratio_by_round(both[0], both[1], measure::pooled_noise(both));
  }
  const record::Estimate& a = small.scaling->slope_s_per_text;
  const record::Estimate& b = large.scaling->slope_s_per_text;
  record::Estimate ratio{b.value / a.value, std::nullopt, 0};
  if (a.interval && b.interval && a.interval->low > 0) {
    ratio.interval =
        record::Interval{b.interval->low / a.interval->high, b.interval->high / a.interval->low};
  }
  return ratio;
}

// What a larger batch changed, for records that differ in nothing else.
void batch_effect(Document& document, const Records& records) {
  for (std::size_t i = 0; i < records.size(); ++i) {
    const record::Record& small = records[i];
    for (std::size_t j = i + 1; j < records.size(); ++j) {
      const record::Record& large = records[j];
      record::Cell cell = large.cell;
      cell.batch = small.cell.batch;
      if (cell != small.cell || large.cell.batch <= small.cell.batch) continue;
      const double before = small.scaling->slope_s_per_text.value;
      const double after = large.scaling->slope_s_per_text.value;
      if (before <= 0 || after <= 0) continue;
      const record::Estimate ratio = time_ratio(small, large);
      const bool apart = ratio.interval && (ratio.interval->low > 1 || ratio.interval->high < 1);
      const std::string change = !apart            ? "the rounds do not tell them apart"
                                 : ratio.value < 1 ? times(1 / ratio.value) + " faster"
                                                   : times(ratio.value) + " slower";
      document.bullet(fmt::format(
          "{} {}: batch {} against batch {}: {} a text against {} ({}); it "
          "changes the cost of a text, not how time grows with their "
          "number.",
          to_string(small.cell.device), to_string(small.cell.precision), large.cell.batch,
          small.cell.batch, format_seconds(after), format_seconds(before), change));
    }
  }
}

std::string linear(const record::Scaling& scaling) {
  if (scaling.outcome == record::Linearity::linear) return "yes";
  return scaling.outcome == record::Linearity::not_linear ? "no" : "can't tell";
}

// Records that differ in nothing but the batch, beside each other: the answer in one table each.
void size_by_batch(Document& document, const Records& records) {
  std::vector<bool> shown(records.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (shown[i]) continue;
    std::vector<const record::Record*> batches;
    for (std::size_t j = i; j < records.size(); ++j) {
      record::Cell cell = records[j].cell;
      cell.batch = records[i].cell.batch;
      if (shown[j] || cell != records[i].cell || !records[j].scaling ||
          records[j].scaling->points.size() != records[i].scaling->points.size()) {
        continue;
      }
      shown[j] = true;
      batches.push_back(&records[j]);
    }
    if (batches.size() < 2) continue;
    document.heading(fmt::format("{} {}: time over texts, by batch",
                                 to_string(batches[0]->cell.device),
                                 to_string(batches[0]->cell.precision)));
    std::vector<Column> columns = {right("texts")};
    for (const record::Record* record : batches) {
      columns.push_back(right(fmt::format("batch {}", record->cell.batch)));
    }
    Table table(std::move(columns));
    const auto add = [&](std::string name, const auto& value) {
      std::vector<TableCell> row = {std::move(name)};
      for (const record::Record* record : batches) row.emplace_back(value(*record->scaling));
      table.add_row(std::move(row));
    };
    for (std::size_t n = 0; n < batches[0]->scaling->points.size(); ++n) {
      add(texts_of(batches[0]->scaling->points[n]),
          [&](const record::Scaling& scaling) { return seconds_range(scaling.points[n].seconds); });
    }
    add("each text more",
        [](const record::Scaling& scaling) { return seconds_range(scaling.slope_s_per_text); });
    add("linear", linear);
    document.table(table);
  }
}

}  // namespace

void scaling_blocks(Document& document, const Records& records) {
  const Keys keys(records);
  document.paragraph("How time grows with the number of texts: " + records.front().model_name +
                         ", " + records.front().texts.name,
                     Style::strong);
  for (const std::string& machine : keys.machines()) document.paragraph(machine);
  if (const std::string fixed = keys.fixed(); !fixed.empty()) document.paragraph(fixed);
  size_by_batch(document, records);
  for (const record::Record& record : records) {
    if (!record.scaling) continue;
    document.heading(keys.describe(record));
    document.table(point_table(*record.scaling));
    document.paragraph(fit_sentence(*record.scaling));
    const record::Linearity outcome = record.scaling->outcome;
    document.paragraph(answer(*record.scaling), outcome == record::Linearity::linear ? Style::good
                                                : outcome == record::Linearity::not_linear
                                                    ? Style::bad
                                                    : Style::careful);
  }
  document.heading("How to read this");
  batch_effect(document, records);
  document.bullet(
      "The sizes are nested and matched in length: a larger one holds the smaller one's texts, and "
      "the mean tokens a text are nearly the same. n texts make n / batch batches, each over its "
      "own texts, so the total grows with n.");
  document.bullet(
      "Within one text time is not linear in its tokens: attention compares every token with every "
      "other. What is linear is the total over texts of one length distribution.");
  document.bullet(
      "Inside the clock: from text in host memory to label in host memory, whole passes, one batch "
      "in flight.");
  if (const auto lines = warnings(records, keys); !lines.empty()) {
    document.heading("Warnings");
    for (const std::string& line : lines) document.bullet(line, Style::careful);
  }
}

}  // namespace breakeven::report

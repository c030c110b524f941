#include "report/advice_document.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "decide/wording.h"
#include "report/format.h"

namespace breakeven::report {
namespace {

using decide::Advice;
using decide::Candidate;
using decide::Question;

// An interval whose ends look alike says nothing.
std::string with_interval(record::Estimate estimate) {
  if (!std::isfinite(estimate.value)) return "-";
  const auto& interval = estimate.interval;
  if (interval && three_digits(interval->low) == three_digits(interval->high)) {
    estimate.interval.reset();
  }
  return rate_with_interval(estimate);
}

Style style_of(const Candidate& candidate, const std::string& standing) {
  if (standing == "wins") return Style::good;
  if (!candidate.unusable.empty()) return Style::dim;
  return candidate.answer() == decide::Answer::keeps ? Style::plain : Style::careful;
}

void add_ranking(Document& document, const Advice& advice) {
  document.heading("Ranking, cheapest first");
  document.table(ranking_table(advice, false));
  if (advice.ranking.size() > 1) document.heading("Why the others lost");
  for (const decide::Ranked& ranked : advice.ranking) {
    if (ranked.standing == "wins" || ranked.standing == "cheapest") continue;
    document.bullet(fmt::format("{}: {}", advice.candidates[ranked.candidate].name, ranked.reason));
  }
}

std::string threshold_text(const decide::Threshold& threshold, const char* never) {
  if (!threshold.load) {
    return std::isfinite(threshold.low)
               ? fmt::format("{}, though within the intervals it might be from {} texts/s", never,
                             three_digits(threshold.low))
               : never;
  }
  if (threshold.low == threshold.high)
    return fmt::format("{} texts/s", three_digits(*threshold.load));
  return fmt::format("{} texts/s [{}, {}]", three_digits(*threshold.load),
                     three_digits(threshold.low),
                     std::isfinite(threshold.high) ? three_digits(threshold.high) : "or never");
}

void add_load(Document& document, const Advice& advice) {
  if (!advice.load) return;
  const decide::LoadBreakEven& load = *advice.load;
  document.heading("From which load the GPU is cheaper");
  document.paragraph(fmt::format("Whole machines of {} against whole machines of {}.",
                                 advice.candidates[advice.load_gpu].name,
                                 advice.candidates[advice.load_cpu].name));
  if (!load.decided) {
    document.bullet("Can't tell: both cost the same a text within a hundred thousand machines.");
    return;
  }
  document.bullet("Cheaper for the first time above: " + threshold_text(load.first, "never"));
  document.bullet("Cheaper at every load above: " + threshold_text(load.always, "never"));
}

std::string lead_text(decide::Leads leads) {
  return leads == decide::Leads::gpu ? "GPU" : leads == decide::Leads::cpu ? "CPU" : "can't tell";
}

void add_batches(Document& document, const Advice& advice) {
  if (!advice.batch || advice.batch->rows.empty()) return;
  document.heading("From which batch the GPU is cheaper and faster");
  Table table({right("batch"), right("GPU/CPU texts/s"), right("CPU/GPU batch time"),
               left("faster"), right("GPU/best CPU cost at full use"), left("cheaper")});
  for (const decide::BatchRow& row : advice.batch->rows) {
    table.add_row({std::to_string(row.batch), with_interval(row.throughput_ratio),
                   row.time_ratio ? with_interval(*row.time_ratio) : "-", lead_text(row.faster),
                   with_interval(row.cost_ratio), lead_text(row.cheaper)});
  }
  document.table(std::move(table));
  const auto from = [](const std::optional<std::uint64_t>& batch) {
    return batch ? fmt::format("from batch {}", *batch)
                 : std::string("at no measured batch surely");
  };
  document.bullet(
      fmt::format("The GPU answers a batch sooner: {}.", from(advice.batch->faster_from)));
  document.bullet(fmt::format("The GPU is cheaper a text at full use than the CPU at its best: {}.",
                              from(advice.batch->cheaper_from)));
}

void add_faster(Document& document, const Advice& advice) {
  if (advice.faster_at.empty()) return;
  document.heading("Which answers sooner at one load (paced)");
  Table table(
      {right("texts/s on one machine"), right("CPU p99"), right("GPU p99"), left("faster")});
  const auto time = [](double seconds) {
    return std::isfinite(seconds) ? format_seconds(seconds) : "cannot keep up";
  };
  for (const decide::FasterAtLoad& row : advice.faster_at) {
    table.add_row({three_digits(row.load), time(row.cpu_p99_s), time(row.gpu_p99_s),
                   row.gpu_p99_s < row.cpu_p99_s   ? "GPU"
                   : row.cpu_p99_s < row.gpu_p99_s ? "CPU"
                                                   : "neither"});
  }
  document.table(std::move(table));
}

std::string name_of_family(const decide::Family& family) {
  const record::Cell& cell = family.any->cell;
  return fmt::format("{}{} {} {}", cell.runtime.is_native() ? "" : cell.runtime.name + " ",
                     to_string(cell.device), to_string(cell.precision),
                     counted(cell.threads, "thread"));
}

void add_models(Document& document, const Advice& advice) {
  document.heading("Latency model: t = a + b x tokens + c x tokens^2 (of each text) a batch");
  Table table({left("engine"), right("a"), right("b a token"), right("c a pair"),
               right("residual", 1), right("largest", 2), right("points", 3)});
  for (const decide::Family& family : advice.families) {
    if (!family.model) continue;
    const decide::LatencyModel& model = *family.model;
    const auto term = [](const record::Estimate& estimate) {
      return estimate.value > 0 ? seconds_with_interval(estimate) : std::string("0");
    };
    const bool exact = !model.half_width;
    table.add_row({name_of_family(family), term(model.a_s), term(model.b_s_per_token),
                   model.pairs_known ? term(model.c_s_per_token2) : "-",
                   exact ? "-" : percent(model.residual_relative_rms),
                   exact ? "-" : percent(model.residual_relative_max),
                   std::to_string(model.points)});
  }
  if (table.rows() > 0) document.table(std::move(table));
  for (const decide::Family& family : advice.families) {
    if (!family.model) {
      document.bullet(name_of_family(family) + ": no model: " + family.why_not, Style::dim);
      continue;
    }
    if (!family.model->half_width) {
      document.bullet(name_of_family(family) +
                      ": as many batch sizes as terms, so the line goes through them and nobody "
                      "knows its error");
    }
  }
}

void add_lines(Document& document, const char* title, const std::vector<std::string>& lines,
               Style style) {
  if (lines.empty()) return;
  document.heading(title);
  for (const std::string& line : lines) document.bullet(line, style);
}

}  // namespace

std::string asked_text(const Question& question) {
  std::vector<std::string> parts;
  const auto add = [&](const char* what, const std::optional<double>& value, const auto& show) {
    if (value) parts.push_back(what + show(*value));
  };
  const auto plain = [](double value) { return three_digits(value); };
  add("CPU machine ", question.cpu_price, [&](double v) { return plain(v) + "/h"; });
  add("GPU machine ", question.gpu_price, [&](double v) { return plain(v) + "/h"; });
  add("load ", question.load_per_s, [&](double v) { return plain(v) + " texts/s"; });
  if (question.peak > 1) parts.push_back("peak " + times(question.peak));
  parts.push_back("planned use " + percent(question.utilisation));
  add("p99 within ", question.p99_s, format_seconds);
  add("memory within ", question.memory_bytes, format_bytes);
  add("budget ", question.budget_per_month, [&](double v) { return plain(v) + " a month"; });
  add("accuracy loss within ", question.accuracy_loss,
      [&](double v) { return plain(v * 100) + " points"; });
  return fmt::format("Asked: {}.", fmt::join(parts, ", "));
}

void add_choices(Document& document, const Advice& advice) {
  for (const decide::Choice& choice : advice.choices) {
    document.bullet((choice.precision.empty() ? "Each at its best precision: "
                                              : "Same precision (" + choice.precision + "): ") +
                    choice.text);
  }
}

Table ranking_table(const Advice& advice, bool why) {
  const auto any = [&](const auto& has) {
    return std::any_of(advice.candidates.begin(), advice.candidates.end(), has);
  };
  const bool loaded = any([](const Candidate& c) { return c.machines.has_value(); });
  const bool energy = any([](const Candidate& c) { return c.joules_per_1000.has_value(); });
  std::vector<Column> columns = {left("cell"), right("texts/s")};
  if (loaded) columns.insert(columns.end(), {right("machines", 1), right("a month", 3)});
  columns.insert(columns.end(), {right("a million texts"), right("batch takes", 4)});
  if (energy) columns.insert(columns.end(), {right("J/1,000 texts", 2), right("net of idle", 5)});
  columns.push_back(left("result"));
  if (why) columns.push_back(left("why"));
  Table table(std::move(columns));
  for (const decide::Ranked& ranked : advice.ranking) {
    const Candidate& candidate = advice.candidates[ranked.candidate];
    const bool rated = candidate.rate.per_s > 0;
    std::vector<TableCell> row = {printable(candidate.name),
                                  rated ? decide::range_text(candidate.rate) : "-"};
    const auto amount = [&](const std::optional<decide::Amount>& value) {
      return TableCell(value ? decide::amount_text(*value) : "-");
    };
    if (loaded) {
      row.push_back(candidate.machines ? decide::count_text(*candidate.machines) : "-");
      row.push_back(amount(candidate.cost_per_month));
    }
    row.push_back(amount(rated ? std::optional(candidate.cost_per_million) : std::nullopt));
    row.push_back(candidate.batch_s ? format_seconds(candidate.batch_s->value) : "-");
    const auto joules = [](const std::optional<double>& value) {
      return TableCell(value ? three_digits(*value) : "not available");
    };
    if (energy) row.push_back(joules(candidate.joules_per_1000));
    if (energy) row.push_back(joules(candidate.net_joules_per_1000));
    row.push_back({ranked.standing, style_of(candidate, ranked.standing)});
    if (why) row.push_back(printable(ranked.reason));
    table.add_row(std::move(row));
  }
  return table;
}

Document make_document(const Advice& advice, const Question& question) {
  Document document;
  document.paragraph(advice.headline, Style::strong);
  document.paragraph(asked_text(question));
  document.heading("CPU or GPU");
  add_choices(document, advice);
  add_ranking(document, advice);
  add_load(document, advice);
  add_batches(document, advice);
  add_faster(document, advice);
  add_models(document, advice);
  add_lines(document, "What this stands on", advice.notes, Style::plain);
  add_lines(document, "What is missing", advice.missing, Style::careful);
  return document;
}

}  // namespace breakeven::report

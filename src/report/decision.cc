#include "report/decision.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/units.h"
#include "decide/advice.h"
#include "decide/wording.h"
#include "report/advice_document.h"

namespace breakeven::report {
namespace {

using Json = nlohmann::ordered_json;
using decide::Candidate;

using Limits = std::vector<std::optional<double>>;

// Limits on p99 that the page offers; nothing = none.
Limits limits_of(const Start& start) {
  Limits limits = {std::nullopt, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0};
  if (start.p99_s && std::find(limits.begin(), limits.end(), start.p99_s) == limits.end()) {
    limits.push_back(start.p99_s);
    std::sort(limits.begin() + 1, limits.end());
  }
  return limits;
}

// One digit of 40 % of what the best machine does: a load at which there is something to decide.
double usual_load(const std::vector<Candidate>& candidates) {
  double most = 0;
  for (const Candidate& candidate : candidates) {
    if (candidate.unusable.empty()) most = std::max(most, candidate.rate.per_s);
  }
  if (!decide::plausible(most)) return 1;
  constexpr double kPart = 0.4;
  const double load = kPart * most;
  const double digit = std::pow(10.0, std::floor(std::log10(load)));
  return std::round(load / digit) * digit;
}

Json number(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? Json(*value) : Json(nullptr);
}

Json range(double low, double high) {
  return Json::array({low, number(high)});
}

// A candidate under one limit: what the page multiplies, and the words that it shows.
Json rated_json(const Candidate& candidate) {
  std::vector<std::string> texts;
  for (const decide::Check& check : candidate.checks) {
    if (check.answer == candidate.answer()) texts.push_back(check.text);
  }
  const decide::Rate& rate = candidate.rate;
  const auto& p99 = candidate.p99_s;
  Json json = {{"unusable", candidate.unusable},
               {"per_s", rate.per_s},
               {"rate", nullptr},
               {"rate_text", rate.per_s > 0 ? decide::range_text(rate) : "-"},
               {"p99", nullptr},
               {"doubts", fmt::format("{}", fmt::join(candidate.doubts, ", "))},
               {"answer", static_cast<int>(candidate.answer())},
               {"reason", fmt::format("{}", fmt::join(texts, "; "))},
               {"excess", number(candidate.excess())}};
  // Of unknown range: anything below.
  if (rate.per_s > 0) json["rate"] = range(0, rate.per_s);
  if (rate.interval) json["rate"] = range(rate.interval->low, rate.interval->high);
  if (p99 && p99->interval) json["p99"] = range(p99->interval->low, p99->interval->high);
  return json;
}

Json cut_json(const std::optional<decide::Cut>& cut) {
  if (!cut) return nullptr;
  return {{"text", cut->text}, {"loss", number(cut->loss)}};
}

Json cell_json(const Candidate& candidate) {
  return {
      {"name", printable(candidate.name)},
      {"side", candidate.configuration.side == decide::Side::cpu ? "cpu" : "gpu"},
      {"precision", to_string(candidate.cell().precision)},
      {"batch", candidate.cell().batch},
      {"batch_s", candidate.batch_s ? number(candidate.batch_s->value) : Json(nullptr)},
      {"batch_text", candidate.batch_s ? format_seconds(candidate.batch_s->value) : "-"},
      {"joules_per_1000", number(candidate.joules_per_1000)},
      {"net_joules_per_1000", number(candidate.net_joules_per_1000)},
      {"memory_bytes", candidate.memory_bytes},
      {"memory_text", candidate.memory_bytes > 0 ? "memory " + format_bytes(candidate.memory_bytes)
                                                 : "memory was not measured"},
      {"is_reference", candidate.is_reference},
      {"accuracy_loss", number(candidate.accuracy_loss)},
      {"accuracy_text",
       candidate.accuracy_loss
           ? fmt::format("accuracy loss {} points", three_digits(*candidate.accuracy_loss * 100))
           : "accuracy loss not known: the texts had no labels"},
      {"cut", cut_json(candidate.cut)},
      {"at", Json::array()}};
}

// What the page says of an outcome; the names of cells and the numbers are put behind it.
Json words() {
  return {{"advice", "Take"},
          {"no cell", "No cell keeps the limits; nearest is"},
          {"can't tell", "Can't tell: the ranges allow both. Cheapest as planned:"},
          {"nothing", "Can't tell: no cell surely keeps the limits."},
          {"rival", "Might be cheaper:"},
          {"budget", "over the budget"},
          {"overall", "Each at its best precision"},
          {"same precision", "Same precision"},
          {"always", "GPU always cheaper above"},
          {"example", "Example prices: move the sliders to yours."},
          {"wins", "wins"},
          {"standing", {"keeps the limits", "can't tell", "misses", "left out"}}};
}

void add_text(const Start& start, const decide::Question& question, const decide::Advice& advice,
              Decision& decision) {
  decision.headline = advice.headline;
  decision.asked =
      (start.example_prices ? "Example prices, set yours. " : "") + asked_text(question);
  add_choices(decision.verdicts, advice);
  decision.ranking = ranking_table(advice, true);
  for (const std::string& line : advice.missing) decision.missing.bullet(line, Style::careful);
}

}  // namespace

Decision decide_for_page(std::span<const record::Record> records, const Start& start) {
  Decision decision;
  auto study = decide::Study::of(records);
  if (!study) {
    decision.headline = "Nothing to decide: " + study.error().message + ".";
    return decision;
  }
  const Limits limits = limits_of(start);
  decide::Question question;
  question.cpu_price = start.cpu_price;
  question.gpu_price = start.gpu_price;
  std::vector<Candidate> rated = study->rated(question);
  if (rated.size() > kMostDecided) {
    decision.headline =
        fmt::format("{} configurations are too many to decide in a page: ask `breakeven advise`.",
                    rated.size());
    return decision;
  }
  question.load_per_s = start.load_per_s.value_or(usual_load(rated));
  Json cells = Json::array();
  for (const Candidate& candidate : rated) cells.push_back(cell_json(candidate));
  for (const std::optional<double>& limit : limits) {
    question.p99_s = limit;
    rated = study->rated(question);
    for (std::size_t i = 0; i < rated.size(); ++i) cells[i]["at"].push_back(rated_json(rated[i]));
  }
  question.p99_s = start.p99_s;
  question.memory_bytes = start.memory_bytes;
  question.accuracy_loss = start.accuracy_loss;
  question.budget_per_month = start.budget_per_month;
  decide::Advice advice = decide::advice_for(study->rated(question), question);
  advice.families = study->families();
  decide::add_notes(question, advice);
  add_text(start, question, advice, decision);
  const bool any_rate = std::any_of(rated.begin(), rated.end(), [](const Candidate& candidate) {
    return candidate.rate.per_s > 0;
  });
  if (!any_rate) return decision;  // sliders would change nothing

  Json offered = Json::array();
  Json offered_text = Json::array();
  for (const std::optional<double>& limit : limits) {
    offered.push_back(number(limit));
    offered_text.push_back(limit ? format_seconds(*limit) : "none");
  }
  const auto at = std::find(limits.begin(), limits.end(), start.p99_s) - limits.begin();
  const Json json = {{"limits_s", std::move(offered)},
                     {"limit_texts", std::move(offered_text)},
                     {"words", words()},
                     {"cells", std::move(cells)},
                     {"start",
                      {{"cpu_price", start.cpu_price},
                       {"gpu_price", start.gpu_price},
                       {"load_per_s", *question.load_per_s},
                       {"peak", question.peak},
                       {"utilisation", question.utilisation},
                       {"limit", at},
                       {"memory_bytes", number(question.memory_bytes)},
                       {"accuracy_loss", number(question.accuracy_loss)},
                       {"budget_per_month", number(question.budget_per_month)}}},
                     {"example_prices", start.example_prices}};
  decision.json = json.dump(-1, ' ', true, Json::error_handler_t::replace);
  return decision;
}

}  // namespace breakeven::report

#include "report/advice_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "decide/wording.h"
#include "record/json_fields.h"

namespace breakeven::report {
namespace {

using Json = nlohmann::ordered_json;
using decide::Advice;
using decide::Candidate;

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}
Json number(const std::optional<double>& value) {
  return value ? number(*value) : Json(nullptr);
}
Json index(const std::optional<std::size_t>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json interval(const std::optional<record::Interval>& value) {
  if (!value) return nullptr;
  return {{"low", number(value->low)}, {"high", number(value->high)}};
}

Json estimate(const record::Estimate& value) {
  return {{"value", number(value.value)}, {"interval", interval(value.interval)}};
}
Json estimate(const std::optional<record::Estimate>& value) {
  return value ? estimate(*value) : Json(nullptr);
}

Json amount(const decide::Amount& value) {
  return {{"value", number(value.value)}, {"low", number(value.low)}, {"high", number(value.high)}};
}
Json amount(const std::optional<decide::Amount>& value) {
  return value ? amount(*value) : Json(nullptr);
}

const char* name(decide::Outcome outcome) {
  switch (outcome) {
    case decide::Outcome::advice:
      return "advice";
    case decide::Outcome::no_cell:
      return "no cell";
    case decide::Outcome::cannot_tell:
      break;
  }
  return "can't tell";
}
const char* name(decide::Answer answer) {
  switch (answer) {
    case decide::Answer::keeps:
      return "keeps";
    case decide::Answer::misses:
      return "misses";
    case decide::Answer::cannot_tell:
      break;
  }
  return "can't tell";
}
const char* name(decide::Leads leads) {
  return leads == decide::Leads::cpu ? "cpu" : leads == decide::Leads::gpu ? "gpu" : "can't tell";
}
const char* name(decide::Side side) {
  return side == decide::Side::cpu ? "cpu" : "gpu";
}

Json cell(const record::Cell& value) {
  Json json = record::json_of(value);
  for (const char* of_a_mode : {"mode", "rate_per_s", "arrivals", "max_wait_s"}) {
    json.erase(of_a_mode);
  }
  return json;
}

Json candidate_json(const Candidate& candidate, const Advice& advice) {
  Json checks = Json::array();
  for (const decide::Check& check : candidate.checks) {
    checks.push_back({{"limit", check.limit},
                      {"answer", name(check.answer)},
                      {"text", check.text},
                      {"excess", number(check.excess)}});
  }
  return {{"name", decide::name_of(candidate, advice.candidates)},
          {"side", name(candidate.configuration.side)},
          {"cell", cell(candidate.cell())},
          {"unusable", candidate.unusable},
          {"texts_per_s", candidate.rate.per_s > 0
                              ? estimate({candidate.rate.per_s, candidate.rate.interval, 0})
                              : Json(nullptr)},
          {"rate_basis", candidate.rate.basis},
          {"machines", amount(candidate.machines)},
          {"cost_per_month", amount(candidate.cost_per_month)},
          {"cost_per_million_texts",
           candidate.rate.per_s > 0 ? amount(candidate.cost_per_million) : Json(nullptr)},
          {"batch_s", estimate(candidate.batch_s)},
          {"joules_per_1000_texts", number(candidate.joules_per_1000)},
          {"net_joules_per_1000_texts", number(candidate.net_joules_per_1000)},
          {"checks", std::move(checks)},
          {"doubts", candidate.doubts}};
}

Json threshold(const decide::Threshold& value) {
  return {{"texts_per_s", number(value.load)},
          {"low", number(value.low)},
          {"high", number(value.high)}};
}

Json load_json(const Advice& advice) {
  if (!advice.load) return nullptr;
  Json ranges = Json::array();
  for (const decide::LoadRange& range : advice.load->cheaper) {
    ranges.push_back({{"above", number(range.from)}, {"up_to", number(range.to)}});
  }
  return {{"cpu", advice.load->cpu},
          {"gpu", advice.load->gpu},
          {"decided", advice.load->decided},
          {"gpu_first_cheaper_above", threshold(advice.load->first)},
          {"gpu_always_cheaper_above", threshold(advice.load->always)},
          {"gpu_cheaper", std::move(ranges)}};
}

Json batch_json(const Advice& advice) {
  if (!advice.batch) return nullptr;
  const auto from = [](const std::optional<std::uint64_t>& batch) {
    return batch ? Json(*batch) : Json(nullptr);
  };
  Json rows = Json::array();
  for (const decide::BatchRow& row : advice.batch->rows) {
    rows.push_back({{"batch", row.batch},
                    {"cpu", row.cpu},
                    {"gpu", row.gpu},
                    {"throughput_ratio", estimate(row.throughput_ratio)},
                    {"time_ratio", estimate(row.time_ratio)},
                    {"cost_ratio", estimate(row.cost_ratio)},
                    {"faster", name(row.faster)},
                    {"cheaper", name(row.cheaper)}});
  }
  return {{"rows", std::move(rows)},
          {"gpu_faster_from", from(advice.batch->faster_from)},
          {"gpu_cheaper_from", from(advice.batch->cheaper_from)}};
}

Json range(const decide::Range& value) {
  return {{"low", number(value.low)}, {"high", number(value.high)}};
}

Json model_json(const decide::Family& family) {
  if (!family.model) return nullptr;
  const decide::LatencyModel& model = *family.model;
  Json cells = Json::array();
  for (const decide::CellResidual& residual : family.cells) {
    cells.push_back({{"batch", residual.batch},
                     {"max_length", residual.max_length},
                     {"padding", to_string(residual.padding)},
                     {"points", residual.points},
                     {"mean_residual", number(residual.mean)},
                     {"largest_residual", number(residual.largest)}});
  }
  return {{"a_s", estimate(model.a_s)},
          {"b_s_per_token", estimate(model.b_s_per_token)},
          {"c_s_per_token2", model.pairs_known ? estimate(model.c_s_per_token2) : Json(nullptr)},
          {"points", model.points},
          {"residual_relative_rms",
           model.half_width ? number(model.residual_relative_rms) : Json(nullptr)},
          {"residual_relative_max", number(model.residual_relative_max)},
          {"measured",
           {{"texts_per_batch", range(model.texts)},
            {"tokens_per_batch", range(model.tokens)},
            {"tokens_per_text", range(model.mean_length)}}},
          {"cells", std::move(cells)}};
}

Json family_json(const decide::Family& family, const decide::Question& question) {
  Json padding = Json::array();
  for (const decide::PaddingCost& cost : decide::padding_costs(family)) {
    padding.push_back({{"padding", to_string(cost.padding)},
                       {"batch", cost.batch},
                       {"waste_share", number(cost.waste_share)},
                       {"pass_s", number(cost.pass_s)},
                       {"over_packed", number(cost.over_packed)},
                       {"extrapolated", cost.extrapolated}});
  }
  Json lengths = nullptr;
  if (const auto cost = decide::length_cost(family)) {
    lengths = {{"batch", cost->batch},
               {"real_s_per_text", number(cost->real_s)},
               {"at_mean_length_s_per_text", number(cost->at_mean_s)},
               {"at_max_length_s_per_text", number(cost->at_max_s)}};
  }
  Json largest = nullptr;
  if (question.p99_s) {
    if (const auto batch = decide::largest_batch_within(family, *question.p99_s)) {
      largest = {{"limit_s", *question.p99_s},
                 {"at_mean_length", batch->at_mean_length},
                 {"at_max_length", batch->at_longest},
                 {"extrapolated", batch->extrapolated}};
    }
  }
  return {{"cell", cell(family.any->cell)},
          {"model", model_json(family)},
          {"why_not", family.why_not},
          {"padding", std::move(padding)},
          {"length_distribution", std::move(lengths)},
          {"largest_batch", std::move(largest)}};
}

Json question_json(const decide::Question& question) {
  return {{"cpu_price_per_hour", number(question.cpu_price)},
          {"gpu_price_per_hour", number(question.gpu_price)},
          {"p99_s", number(question.p99_s)},
          {"load_per_s", number(question.load_per_s)},
          {"memory_bytes", number(question.memory_bytes)},
          {"budget_per_month", number(question.budget_per_month)},
          {"accuracy_loss", number(question.accuracy_loss)},
          {"max_wait_s", number(question.max_wait_s)}};
}

}  // namespace

std::string to_json(const Advice& advice, const decide::Question& question) {
  Json candidates = Json::array();
  for (const Candidate& candidate : advice.candidates) {
    candidates.push_back(candidate_json(candidate, advice));
  }
  Json ranking = Json::array();
  for (const decide::Ranked& ranked : advice.ranking) {
    ranking.push_back({{"candidate", ranked.candidate},
                       {"standing", ranked.standing},
                       {"reason", ranked.reason}});
  }
  Json verdicts = Json::array();
  for (const decide::Verdict& verdict : advice.verdicts) {
    const bool sure = verdict.outcome == decide::Outcome::advice;
    verdicts.push_back(
        {{"precision", verdict.precision.empty() ? Json(nullptr) : Json(verdict.precision)},
         {"outcome", name(verdict.outcome)},
         {"winner", sure ? Json(name(verdict.winner)) : Json(nullptr)},
         {"cpu", index(verdict.cpu)},
         {"gpu", index(verdict.gpu)},
         {"text", verdict.text}});
  }
  Json faster = Json::array();
  for (const decide::FasterAtLoad& row : advice.faster_at) {
    faster.push_back({{"texts_per_s", number(row.load)},
                      {"cpu_p99_s", number(row.cpu_p99_s)},
                      {"gpu_p99_s", number(row.gpu_p99_s)},
                      {"basis", advice.faster_basis}});
  }
  Json families = Json::array();
  for (const decide::Family& family : advice.families) {
    families.push_back(family_json(family, question));
  }
  const Json json = {
      {"outcome", name(advice.outcome)},
      {"headline", advice.headline},
      {"question", question_json(question)},
      {"winner", advice.outcome == decide::Outcome::advice ? index(advice.winner) : Json(nullptr)},
      {"cheapest", index(advice.winner)},
      {"nearest", index(advice.nearest)},
      {"candidates", std::move(candidates)},
      {"ranking", std::move(ranking)},
      {"verdicts", std::move(verdicts)},
      {"break_even_load", load_json(advice)},
      {"break_even_batch", batch_json(advice)},
      {"p99_at_load", std::move(faster)},
      {"engines", std::move(families)},
      {"notes", advice.notes},
      {"missing", advice.missing}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace breakeven::report

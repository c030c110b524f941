#include "report/advice_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

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
  return {{"low", number(value.low)}, {"high", number(value.high)}};
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

Json candidate_json(const Candidate& candidate) {
  Json checks = Json::array();
  for (const decide::Check& check : candidate.checks) {
    checks.push_back({{"limit", check.limit},
                      {"answer", name(check.answer)},
                      {"text", check.text},
                      {"excess", number(check.excess)}});
  }
  return {{"name", candidate.name},
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
          {"doubts", candidate.doubts},
          {"next", candidate.next}};
}

Json threshold(const decide::Threshold& value) {
  return {{"texts_per_s", number(value.load)},
          {"low", number(value.low)},
          {"high", number(value.high)}};
}

Json load_json(const Advice& advice) {
  if (!advice.load) return nullptr;
  return {{"cpu", advice.load_cpu},
          {"gpu", advice.load_gpu},
          {"decided", advice.load->decided},
          {"gpu_first_cheaper_above", threshold(advice.load->first)},
          {"gpu_always_cheaper_above", threshold(advice.load->always)}};
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

Json model_json(const decide::Family& family) {
  if (!family.model) return nullptr;
  const decide::LatencyModel& model = *family.model;
  return {{"a_s", estimate(model.a_s)},
          {"b_s_per_token", estimate(model.b_s_per_token)},
          {"c_s_per_token2", model.pairs_known ? estimate(model.c_s_per_token2) : Json(nullptr)},
          {"points", model.points},
          {"residual_relative_rms",
           model.half_width ? number(model.residual_relative_rms) : Json(nullptr)},
          {"residual_relative_max", number(model.residual_relative_max)}};
}

Json family_json(const decide::Family& family) {
  return {
      {"cell", cell(family.any->cell)}, {"model", model_json(family)}, {"why_not", family.why_not}};
}

Json question_json(const decide::Question& question) {
  return {{"cpu_price_per_hour", number(question.cpu_price)},
          {"gpu_price_per_hour", number(question.gpu_price)},
          {"p99_s", number(question.p99_s)},
          {"load_per_s", number(question.load_per_s)},
          {"memory_bytes", number(question.memory_bytes)},
          {"budget_per_month", number(question.budget_per_month)},
          {"accuracy_loss", number(question.accuracy_loss)},
          {"max_wait_s", number(question.max_wait_s)},
          {"utilisation", number(question.utilisation)},
          {"peak", number(question.peak)}};
}

}  // namespace

std::string to_json(const Advice& advice, const decide::Question& question) {
  Json candidates = Json::array();
  for (const Candidate& candidate : advice.candidates) {
    candidates.push_back(candidate_json(candidate));
  }
  Json ranking = Json::array();
  for (const decide::Ranked& ranked : advice.ranking) {
    ranking.push_back({{"candidate", ranked.candidate},
                       {"standing", ranked.standing},
                       {"reason", ranked.reason}});
  }
  Json choices = Json::array();
  for (const decide::Choice& choice : advice.choices) {
    const bool sure = choice.outcome == decide::Outcome::advice;
    choices.push_back(
        {{"precision", choice.precision.empty() ? Json(nullptr) : Json(choice.precision)},
         {"outcome", name(choice.outcome)},
         {"winner", sure ? Json(name(choice.winner)) : Json(nullptr)},
         {"cpu", index(choice.cpu)},
         {"gpu", index(choice.gpu)},
         {"rival", index(choice.rival)},
         {"text", choice.text}});
  }
  Json faster = Json::array();
  for (const decide::FasterAtLoad& row : advice.faster_at) {
    faster.push_back({{"texts_per_s", number(row.load)},
                      {"cpu_p99_s", number(row.cpu_p99_s)},
                      {"gpu_p99_s", number(row.gpu_p99_s)}});
  }
  Json families = Json::array();
  for (const decide::Family& family : advice.families) {
    families.push_back(family_json(family));
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
      {"choices", std::move(choices)},
      {"break_even_load", load_json(advice)},
      {"break_even_batch", batch_json(advice)},
      {"p99_at_load", std::move(faster)},
      {"engines", std::move(families)},
      {"notes", advice.notes},
      {"missing", advice.missing}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace breakeven::report

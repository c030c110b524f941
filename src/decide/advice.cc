#include "decide/advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/units.h"
#include "decide/wording.h"

namespace breakeven::decide {
namespace {

using record::Record;

// Candidates beyond so many get no queue model: a journal that large is no sweep of cells.
constexpr std::size_t kMaxCandidates = 2000;

Result<void> check_price(const char* flag, const char* side, std::optional<double> price,
                         bool measured) {
  if (!price) {
    if (!measured) return {};
    return fail("advise/price", fmt::format("{} is missing, but there are {} records", flag, side),
                fmt::format("give the price of a {} machine an hour, such as {} 0.19", side, flag));
  }
  if (!std::isfinite(*price) || *price < 0) {
    return fail("advise/price", fmt::format("{} is {}, not a price", flag, *price),
                "give 0 or more");
  }
  return {};
}

Result<void> check_limit(const char* flag, std::optional<double> limit, bool zero_allowed) {
  if (!limit) return {};
  if (!std::isfinite(*limit) || *limit < 0 || (*limit == 0 && !zero_allowed)) {
    return fail("advise/limit", fmt::format("{} is {}, not a limit", flag, *limit),
                zero_allowed ? "give 0 or more" : "give a number above 0");
  }
  return {};
}

Result<void> check_question(const Question& question, std::span<const Record> records) {
  const auto measured = [&](Side side) {
    return std::any_of(records.begin(), records.end(), [&](const Record& record) {
      return record.kind == record::Kind::cell && side_of(record) == side;
    });
  };
  BREAKEVEN_TRY_VOID(check_price("--cpu-price", "CPU", question.cpu_price, measured(Side::cpu)));
  BREAKEVEN_TRY_VOID(check_price("--gpu-price", "GPU", question.gpu_price, measured(Side::gpu)));
  BREAKEVEN_TRY_VOID(check_limit("--p99", question.p99_s, false));
  BREAKEVEN_TRY_VOID(check_limit("--load", question.load_per_s, false));
  BREAKEVEN_TRY_VOID(check_limit("--memory", question.memory_bytes, false));
  BREAKEVEN_TRY_VOID(check_limit("--budget", question.budget_per_month, false));
  BREAKEVEN_TRY_VOID(check_limit("--accuracy-loss", question.accuracy_loss, true));
  BREAKEVEN_TRY_VOID(check_limit("--max-wait", question.max_wait_s, true));
  BREAKEVEN_TRY_VOID(check_limit("--utilisation", question.utilisation, false));
  if (question.utilisation > 1) {
    return fail("advise/limit",
                fmt::format("--utilisation is {}, more than a machine can do",
                            percent(question.utilisation)),
                "give a share up to 100%, such as 70%");
  }
  if (!std::isfinite(question.peak) || question.peak < 1) {
    return fail("advise/limit",
                fmt::format("--peak is {}, less than the average load", question.peak),
                "give how many times the average the busiest time is, such as 3x");
  }
  if (question.budget_per_month && !question.load_per_s) {
    return fail("advise/limit", "--budget needs --load: what a month costs depends on it",
                "give for example --load 40/s or --load 2M/day");
  }
  return {};
}

// Of several cells that cost the same, the surer one, then the one whose batch is done soonest,
// then the smallest batch.
bool comes_before(const Candidate& a, const Candidate& b) {
  const auto group = [](const Candidate& c) {
    return !c.unusable.empty() ? 3 : static_cast<int>(c.answer());
  };
  if (group(a) != group(b)) return group(a) < group(b);
  if (group(a) == static_cast<int>(Answer::misses) && a.excess() != b.excess()) {
    return a.excess() < b.excess();
  }
  if (a.cost_per_million.high != b.cost_per_million.high) {
    return a.cost_per_million.high < b.cost_per_million.high;
  }
  if (a.cost_per_million.low != b.cost_per_million.low) {
    return a.cost_per_million.low < b.cost_per_million.low;
  }
  const auto time = [](const Candidate& c) {
    return c.batch_s ? c.batch_s->value : std::numeric_limits<double>::infinity();
  };
  if (time(a) != time(b)) return time(a) < time(b);
  if (a.cell().batch != b.cell().batch) return a.cell().batch < b.cell().batch;
  return a.rate.per_s > b.rate.per_s;
}

std::vector<std::size_t> in_order(const std::vector<Candidate>& candidates) {
  std::vector<std::size_t> order(candidates.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return comes_before(candidates[a], candidates[b]);
  });
  return order;
}

// The cheapest that keeps the limits on one side; `order` is the ranking.
std::optional<std::size_t> best_of(const std::vector<Candidate>& candidates,
                                   const std::vector<std::size_t>& order, Side side,
                                   const std::string& precision) {
  for (const std::size_t i : order) {
    const Candidate& candidate = candidates[i];
    if (!candidate.unusable.empty() || candidate.answer() != Answer::keeps) continue;
    if (candidate.configuration.side != side) continue;
    if (precision.empty() || to_string(candidate.cell().precision) == precision) return i;
  }
  return std::nullopt;
}

// Equal costs go to the side that answers sooner by its measured p99, else to the CPU.
Side side_on_tie(const std::optional<record::Estimate>& cpu_p99,
                 const std::optional<record::Estimate>& gpu_p99) {
  const bool gpu_is_sooner = cpu_p99 && gpu_p99 && cpu_p99->interval && gpu_p99->interval &&
                             gpu_p99->interval->high < cpu_p99->interval->low;
  return gpu_is_sooner ? Side::gpu : Side::cpu;
}

// A candidate of the other side that would win at the good end of its range, or if it kept the
// limits of which nobody knows.
std::optional<std::size_t> rival_of(const std::vector<Candidate>& candidates,
                                    const Candidate& winner, Side on_tie,
                                    const std::string& precision) {
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    if (!candidate.unusable.empty() || candidate.answer() == Answer::misses) continue;
    if (candidate.configuration.side == winner.configuration.side) continue;
    if (!precision.empty() && to_string(candidate.cell().precision) != precision) continue;
    // Without a rate: one machine may do.
    const bool rated = candidate.rate.per_s > 0;
    const double best = rated ? candidate.cost_per_million.low : candidate.price;
    const double planned = rated ? winner.cost_per_million.high : winner.price;
    if (best < planned || (best == planned && on_tie == candidate.configuration.side && rated)) {
      return i;
    }
  }
  return std::nullopt;
}

Choice make_choice(const std::vector<Candidate>& candidates, const std::vector<std::size_t>& order,
                   const std::string& precision) {
  Choice choice;
  choice.precision = precision;
  choice.cpu = best_of(candidates, order, Side::cpu, precision);
  choice.gpu = best_of(candidates, order, Side::gpu, precision);
  if (!choice.cpu && !choice.gpu) {
    const Candidate* doubtful = nullptr;
    bool any = false;
    for (const std::size_t i : order) {
      const Candidate& candidate = candidates[i];
      any |= candidate.unusable.empty();
      const bool fits = precision.empty() || to_string(candidate.cell().precision) == precision;
      const bool doubt = candidate.unusable.empty() && candidate.answer() == Answer::cannot_tell;
      if (fits && doubt && doubtful == nullptr) doubtful = &candidate;
    }
    choice.outcome = any && doubtful == nullptr ? Outcome::no_cell : Outcome::cannot_tell;
    choice.text = none_text(any, doubtful);
    return choice;
  }
  Side on_tie = Side::cpu;
  choice.winner = choice.cpu ? Side::cpu : Side::gpu;
  if (choice.cpu && choice.gpu) {
    const Candidate& cpu = candidates[*choice.cpu];
    const Candidate& gpu = candidates[*choice.gpu];
    on_tie = side_on_tie(cpu.p99_s, gpu.p99_s);
    const double cpu_cost = cpu.cost_per_million.high;
    const double gpu_cost = gpu.cost_per_million.high;
    choice.winner = cpu_cost == gpu_cost ? on_tie : gpu_cost < cpu_cost ? Side::gpu : Side::cpu;
  }
  const std::size_t first = choice.winner == Side::cpu ? *choice.cpu : *choice.gpu;
  const auto& second = choice.winner == Side::cpu ? choice.gpu : choice.cpu;
  choice.rival = rival_of(candidates, candidates[first], on_tie, precision);
  choice.outcome = choice.rival ? Outcome::cannot_tell : Outcome::advice;
  const Candidate& winner = candidates[first];
  choice.text = choice.rival ? rival_text(winner, candidates[*choice.rival])
                : second     ? against_text(winner, candidates[*second])
                             : alone_text(winner, candidates);
  return choice;
}

void add_choices(const std::vector<std::size_t>& order, Advice& advice) {
  advice.choices.push_back(make_choice(advice.candidates, order, ""));
  std::set<std::string> precisions[2];
  for (const Candidate& candidate : advice.candidates) {
    if (!candidate.unusable.empty()) continue;
    precisions[candidate.configuration.side == Side::cpu ? 0 : 1].insert(
        to_string(candidate.cell().precision));
  }
  for (const std::string& precision : precisions[0]) {
    if (precisions[1].count(precision) == 0 || precision.empty()) continue;
    advice.choices.push_back(make_choice(advice.candidates, order, precision));
  }
}

void add_ranking(const std::vector<std::size_t>& order, Advice& advice) {
  for (const std::size_t i : order) {
    const Candidate* winner = advice.winner ? &advice.candidates[*advice.winner] : nullptr;
    Ranked ranked{i, standing_of(advice.candidates[i], winner),
                  reason_of(advice.candidates[i], winner)};
    if (ranked.standing == "wins" && advice.outcome != Outcome::advice)
      ranked.standing = "cheapest";
    advice.ranking.push_back(std::move(ranked));
  }
}

void add_break_evens(const Question& question, Advice& advice) {
  std::vector<std::size_t> take_part;
  for (std::size_t i = 0; i < advice.candidates.size(); ++i) {
    const Candidate& candidate = advice.candidates[i];
    if (!candidate.unusable.empty() || candidate.rate.per_s <= 0) continue;
    if (candidate.answer_without_budget() == Answer::misses) continue;
    take_part.push_back(i);
  }
  const auto best_cpu = best_rate(advice.candidates, take_part, Side::cpu, 0);
  const auto best_gpu = best_rate(advice.candidates, take_part, Side::gpu, 0);
  if (!best_cpu || !best_gpu) return;
  const Candidate& cpu = advice.candidates[*best_cpu];
  const Candidate& gpu = advice.candidates[*best_gpu];
  if (cpu.rate.interval && gpu.rate.interval) {
    advice.load = load_break_even({*cpu.rate.interval, cpu.price}, {*gpu.rate.interval, gpu.price},
                                  question.utilisation);
    advice.load_cpu = *best_cpu;
    advice.load_gpu = *best_gpu;
  }
  advice.batch = batch_break_even(advice.candidates, take_part);
}

// The lowest p99 of a side at a rate that was paced.
double paced_p99(const std::vector<Candidate>& candidates, Side side, double rate) {
  double lowest = std::numeric_limits<double>::infinity();
  for (const Candidate& candidate : candidates) {
    if (candidate.configuration.side != side || !candidate.unusable.empty()) continue;
    for (const Row* row : candidate.configuration.paced) {
      const Record* record = row->record;
      const auto p99 = record->latency_s.find("p99");
      if (row->cell().rate_per_s != rate || !row->unusable.empty()) continue;
      if (p99 == record->latency_s.end() || !plausible(p99->second.value)) continue;
      lowest = std::min(lowest, p99->second.value);
    }
  }
  return lowest;
}

std::set<double> paced_rates(const std::vector<Candidate>& candidates, Side side) {
  std::set<double> rates;
  for (const Candidate& candidate : candidates) {
    if (candidate.configuration.side != side) continue;
    for (const Row* row : candidate.configuration.paced) {
      rates.insert(row->cell().rate_per_s);
    }
  }
  return rates;
}

void add_faster_at(Advice& advice) {
  const auto cpu_rates = paced_rates(advice.candidates, Side::cpu);
  for (const double rate : paced_rates(advice.candidates, Side::gpu)) {
    if (cpu_rates.count(rate) == 0) continue;
    const FasterAtLoad row{rate, paced_p99(advice.candidates, Side::cpu, rate),
                           paced_p99(advice.candidates, Side::gpu, rate)};
    if (std::isfinite(row.cpu_p99_s) || std::isfinite(row.gpu_p99_s)) {
      advice.faster_at.push_back(row);
    }
  }
}

Context make_context(const Question& question, const std::vector<Family>& families,
                     const Sorted& sorted) {
  Context context{question, sorted.rows, families};
  for (const Configuration& configuration : sorted.configurations) {
    if (configuration.paced.empty()) continue;
    (configuration.side == Side::cpu ? context.cpu_paced : context.gpu_paced) = true;
  }
  return context;
}

}  // namespace

Result<Study> Study::of(std::span<const Record> records) {
  BREAKEVEN_TRY(Sorted sorted, sort_records(records));
  Study study(std::move(sorted));
  const std::size_t count = study.sorted_.configurations.size();
  if (count > kMaxCandidates) {
    return fail("advise/many",
                fmt::format("{} configurations are more than {}", count, kMaxCandidates),
                "give fewer journals");
  }
  study.families_ = fit_families(study.sorted_.configurations);
  return study;
}

std::vector<Candidate> Study::rated(const Question& question) {
  const std::vector<Configuration>& configurations = sorted_.configurations;
  const Context context = make_context(question, families_, sorted_);
  if (modelled_.empty() || max_wait_s_ != question.max_wait_s) {
    modelled_.clear();
    for (const Configuration& configuration : configurations) {
      modelled_.push_back(make_queue(configuration, context));
    }
    max_wait_s_ = question.max_wait_s;
  }
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < configurations.size(); ++i) {
    candidates.push_back(make_candidate(configurations[i], context, modelled_[i]));
  }
  return candidates;
}

Advice advice_for(std::vector<Candidate> rated, const Question& question) {
  Advice advice;
  advice.candidates = std::move(rated);
  for (Candidate& candidate : advice.candidates) {
    check_limits(candidate, question);
    price_for_load(candidate, question);
  }
  const std::vector<std::size_t> order = in_order(advice.candidates);
  add_choices(order, advice);
  const Choice& best = advice.choices.front();
  advice.outcome = best.outcome;
  if (best.cpu || best.gpu) advice.winner = best.winner == Side::cpu ? best.cpu : best.gpu;
  if (!advice.winner && !order.empty() && advice.candidates[order.front()].unusable.empty()) {
    advice.nearest = order.front();
  }
  add_ranking(order, advice);
  add_break_evens(question, advice);
  advice.headline = headline_of(advice, question);
  return advice;
}

Result<Advice> advise(std::span<const Record> records, const Question& question) {
  BREAKEVEN_TRY_VOID(check_question(question, records));
  BREAKEVEN_TRY(Study study, Study::of(records));
  Advice advice = advice_for(study.rated(question), question);
  advice.families = study.families();
  advice.notes = study.notes();
  add_faster_at(advice);
  add_notes(question, advice);
  return advice;
}

}  // namespace breakeven::decide

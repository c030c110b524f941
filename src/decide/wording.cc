#include "decide/wording.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/units.h"

namespace breakeven::decide {
namespace {

template <class Show>
std::string shown(const Amount& amount, Show show) {
  if (!std::isfinite(amount.high)) return "?";
  if (amount.sure()) return show(amount.high);
  return fmt::format("{} ({}-{})", show(amount.high), show(amount.low), show(amount.high));
}

std::string machines_text(const Candidate& candidate) {
  if (!candidate.machines) return "";
  const Amount& count = *candidate.machines;
  return fmt::format("{} machine{}", count_text(count), count.high == 1 ? "" : "s");
}

std::string cost_text(const Candidate& candidate) {
  std::string text = fmt::format("{} a million texts", amount_text(candidate.cost_per_million));
  if (!candidate.machines) return text + " at full use";
  return fmt::format("{}, {} a month, {}", machines_text(candidate),
                     amount_text(*candidate.cost_per_month), text);
}

std::string joined_doubts(const Candidate& candidate) {
  return fmt::format("{}", fmt::join(candidate.doubts, ", "));
}

std::string failed_checks(const Candidate& candidate, Answer answer) {
  std::vector<std::string> texts;
  for (const Check& check : candidate.checks) {
    if (check.answer == answer) texts.push_back(check.text);
  }
  return fmt::format("{}", fmt::join(texts, "; "));
}

std::string next_text(const Candidate& candidate) {
  if (candidate.next.empty()) return "";
  return fmt::format(" Measure next: {}, {}.", candidate.name, candidate.next);
}

std::string side_name(Side side) {
  return side == Side::cpu ? "CPU" : "GPU";
}

bool any_of_side(const std::vector<Candidate>& candidates, Side side) {
  return std::any_of(candidates.begin(), candidates.end(), [&](const Candidate& candidate) {
    return candidate.configuration.side == side;
  });
}

// What the other side would have to do, so that a price without records still says something.
void add_missing_side(const Question& question, Advice& advice) {
  for (const Side side : {Side::cpu, Side::gpu}) {
    if (any_of_side(advice.candidates, side)) continue;
    const std::string name = side_name(side);
    std::string text = fmt::format(
        "no {0} was measured, so nothing here says whether one would be cheaper: measure on "
        "a {0} machine and give its journal too",
        name);
    const auto price = side == Side::cpu ? question.cpu_price : question.gpu_price;
    const Candidate* winner = advice.winner ? &advice.candidates[*advice.winner] : nullptr;
    if (price && *price > 0 && winner != nullptr && winner->price > 0) {
      text += fmt::format(
          "; at {} an hour it is cheaper a text at full use if it keeps up with "
          "more than {} texts/s",
          three_digits(*price),
          three_digits((winner->rate.interval ? winner->rate.interval->low : winner->rate.per_s) *
                       *price / winner->price));
    }
    advice.missing.push_back(std::move(text));
  }
}

void add_model_note(const Question& question, Advice& advice) {
  const bool modelled =
      std::any_of(advice.candidates.begin(), advice.candidates.end(),
                  [](const Candidate& candidate) { return candidate.rate.basis == "modelled"; });
  if (!modelled) return;
  advice.notes.push_back(fmt::format(
      "modelled: without paced cells p99 comes from a queue model, not from a measurement: Poisson "
      "arrivals, one batch at a time on each machine, a batch starts when the machine is free and "
      "full or its oldest text has waited {}, times by the latency model with lengths drawn from "
      "the recorded ones; no noise of the machine, no network",
      question.max_wait_s > 0 ? format_seconds(question.max_wait_s) : "0 s"));
  advice.missing.emplace_back(
      "paced cells of the cells at the top would replace the queue model by measurements");
}

void add_energy_note(Advice& advice) {
  const bool any =
      std::any_of(advice.candidates.begin(), advice.candidates.end(),
                  [](const Candidate& candidate) { return candidate.joules_per_1000.has_value(); });
  if (any || advice.candidates.empty()) return;
  const std::string& method = advice.candidates.front().configuration.any->energy.method;
  advice.notes.push_back("energy: " + (method.empty() ? "not available" : method));
}

void add_machine_note(Advice& advice) {
  std::vector<std::string> hosts;
  for (const Candidate& candidate : advice.candidates) {
    const record::Machine& machine = candidate.configuration.any->machine;
    const std::string host = machine.hostname_hash + machine.cpu_model;
    if (std::find(hosts.begin(), hosts.end(), host) == hosts.end()) hosts.push_back(host);
  }
  if (hosts.size() > 1) {
    advice.notes.push_back(fmt::format(
        "the records come from {} machines: each price must be that of the machine measured",
        hosts.size()));
  }
}

}  // namespace

std::string range_text(const Rate& rate) {
  if (!rate.interval) return three_digits(rate.per_s) + " ?";
  if (std::isinf(rate.interval->high)) return three_digits(rate.interval->low) + " or more";
  return fmt::format("{}{} [{}, {}]", three_digits(rate.per_s), rate.or_more ? " or more" : "",
                     three_digits(rate.interval->low), three_digits(rate.interval->high));
}

std::string amount_text(const Amount& amount) {
  return shown(amount, three_digits);
}

std::string count_text(const Amount& count) {
  constexpr double kExact = 1e6;  // beyond it nobody counts machines one by one
  return shown(count, [](double value) {
    return value < kExact ? fmt::format("{:.0f}", value) : three_digits(value);
  });
}

std::string standing_of(const Candidate& candidate, const Candidate* winner) {
  if (!candidate.unusable.empty()) return "left out";
  switch (candidate.answer()) {
    case Answer::misses:
      return "misses";
    case Answer::cannot_tell:
      return "can't tell";
    case Answer::keeps:
      break;
  }
  if (&candidate == winner || winner == nullptr) return "wins";
  return candidate.cost_per_million.high > winner->cost_per_million.high ? "costs more"
                                                                         : "same cost";
}

std::string reason_of(const Candidate& candidate, const Candidate* winner) {
  if (!candidate.unusable.empty()) return candidate.unusable;
  if (candidate.answer() == Answer::misses) return failed_checks(candidate, Answer::misses);
  if (candidate.answer() == Answer::cannot_tell) {
    return failed_checks(candidate, Answer::cannot_tell);
  }
  if (&candidate == winner || winner == nullptr) return joined_doubts(candidate);
  const double ours = candidate.cost_per_million.high;
  const double best = winner->cost_per_million.high;
  if (ours > best) {
    std::string text = best > 0
                           ? fmt::format("{} times the winner's cost", three_digits(ours / best))
                           : "the winner costs nothing";
    if (candidate.cost_per_million.low <= best && !candidate.cost_per_million.sure()) {
      text += ", though its range reaches down to it";
    }
    return text;
  }
  if (candidate.batch_s && winner->batch_s) {
    return fmt::format("a batch takes {}, the winner's {}",
                       format_seconds(candidate.batch_s->value),
                       format_seconds(winner->batch_s->value));
  }
  return fmt::format("batch {}, the winner's {}", candidate.cell().batch, winner->cell().batch);
}

std::string none_text(bool any, const Candidate* doubtful) {
  if (!any) return "Can't tell: no cell counts.";
  if (doubtful == nullptr) return "No cell keeps the limits.";
  return fmt::format("Can't tell: no cell surely keeps the limits, but {} might: {}.{}",
                     doubtful->name, failed_checks(*doubtful, Answer::cannot_tell),
                     next_text(*doubtful));
}

std::string rival_text(const Candidate& winner, const Candidate& rival) {
  std::string why = failed_checks(rival, Answer::cannot_tell);
  if (why.empty()) why = cost_text(rival);
  std::string text =
      fmt::format("Too close to call: {} keeps the limits ({}), but {} might be cheaper: {}.",
                  winner.name, cost_text(winner), rival.name, why);
  // Whichever range is wider decides less; one that is open or not known has no width.
  const auto width = [](const Candidate& candidate) {
    const Amount& cost = candidate.cost_per_million;
    const bool known = candidate.rate.interval && std::isfinite(candidate.rate.interval->high);
    return known && cost.low > 0 ? cost.high / cost.low : std::numeric_limits<double>::infinity();
  };
  const Candidate& next = width(rival) >= width(winner) ? rival : winner;
  return text + next_text(next);
}

std::string alone_text(const Candidate& winner, const std::vector<Candidate>& all) {
  const Side other = winner.configuration.side == Side::cpu ? Side::gpu : Side::cpu;
  return fmt::format(
      "{}: {}, {}. {}.", side_name(winner.configuration.side), winner.name, cost_text(winner),
      any_of_side(all, other) ? fmt::format("No {} cell surely keeps the limits", side_name(other))
                              : fmt::format("No {} was measured", side_name(other)));
}

std::string against_text(const Candidate& winner, const Candidate& loser) {
  const std::string first = fmt::format("{} ({})", winner.name, cost_text(winner));
  const std::string second = fmt::format("{} ({})", loser.name, cost_text(loser));
  const std::string side = side_name(winner.configuration.side);
  const double ratio = loser.cost_per_million.high / winner.cost_per_million.high;
  if (loser.cost_per_million.high == winner.cost_per_million.high) {
    const std::string why =
        winner.p99_s && loser.p99_s && winner.p99_s->value < loser.p99_s->value
            ? fmt::format("and answers sooner: p99 {} against {}",
                          format_seconds(winner.p99_s->value), format_seconds(loser.p99_s->value))
            : "and no measured p99 says that the other answers sooner";
    return fmt::format("{}: {} costs the same as {} {}.", side, first, second, why);
  }
  return fmt::format("{}: {} against {}{}.", side, first, second,
                     std::isfinite(ratio) ? fmt::format(", {} times", three_digits(ratio)) : "");
}

std::string headline_of(const Advice& advice, const Question& question) {
  const std::string load =
      question.load_per_s ? fmt::format(" for {} texts/s", three_digits(*question.load_per_s)) : "";
  if (advice.outcome == Outcome::advice) {
    const Candidate& winner = advice.candidates[*advice.winner];
    std::string text =
        fmt::format("Take {}{}: {}; one machine sustains {} texts/s ({}).", winner.name, load,
                    cost_text(winner), range_text(winner.rate), winner.rate.basis);
    if (!winner.doubts.empty()) text += " Bear in mind: " + joined_doubts(winner) + ".";
    return text;
  }
  if (advice.outcome == Outcome::cannot_tell) return advice.choices.front().text;
  const Candidate& nearest = advice.candidates[advice.nearest.value_or(0)];
  return fmt::format("No cell keeps the limits{}; nearest is {}: {}.", load, nearest.name,
                     failed_checks(nearest, Answer::misses));
}

void add_notes(const Question& question, Advice& advice) {
  if (!question.load_per_s) {
    advice.notes.emplace_back(
        "no load was given: costs are of machines that are always as busy as planned");
  } else {
    advice.notes.emplace_back(fmt::format(
        "machines: whole ones, ceil(load{} / ({} x low end of the rate)), paid whether they "
        "are busy or idle; a month is 730.5 hours",
        question.peak > 1 ? " x " + three_digits(question.peak) : "",
        percent(question.utilisation)));
  }
  if (!question.p99_s) {
    advice.notes.emplace_back(
        "no --p99 was given: rates are what a machine streams when texts always wait for it; under "
        "such a load a single request may wait long");
  }
  add_model_note(question, advice);
  add_energy_note(advice);
  add_machine_note(advice);
  add_missing_side(question, advice);
  for (const Family& family : advice.families) {
    if (family.model && !family.model->pairs_known) {
      advice.missing.emplace_back(
          "the lengths of the texts are not in these records (an older version wrote them), so "
          "the latency model knows no attention term and padding cannot be reckoned");
      break;
    }
  }
}

}  // namespace breakeven::decide

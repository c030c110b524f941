#include "decide/candidate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/units.h"
#include "measure/paced_limit.h"
#include "measure/parity.h"
#include "measure/statistics.h"
#include "measure/summary.h"

namespace breakeven::decide {
namespace {

using measure::LimitKept;
using record::Record;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Paced: a machine that answers fewer than this share of what comes is falling behind.
constexpr double kKeepsUp = 0.98;

std::vector<std::string> doubts_of(const Configuration& configuration) {
  std::vector<std::string> doubts;
  for (const Row* row : configuration.all()) {
    for (const std::string& doubt : row->doubts) {
      if (std::find(doubts.begin(), doubts.end(), doubt) == doubts.end()) doubts.push_back(doubt);
    }
  }
  return doubts;
}

std::optional<record::Estimate> batch_seconds(const Configuration& configuration) {
  const Row* serial = configuration.serial;
  if (serial == nullptr || !serial->unusable.empty() || serial->per_s.value <= 0) {
    return std::nullopt;
  }
  // The last batch of a pass may be smaller.
  const double texts = std::min(static_cast<double>(serial->cell().batch),
                                std::max(1.0, static_cast<double>(serial->record->texts.count)));
  record::Estimate batch = inverse_of(serial->per_s);
  batch.value *= texts;
  if (batch.interval) {
    batch.interval->low *= texts;
    batch.interval->high *= texts;
  }
  return batch;
}

std::optional<Server> make_server(const Configuration& configuration, const Context& context,
                                  bool& times_drawn) {
  const auto family = std::find_if(context.families.begin(), context.families.end(),
                                   [&](const Family& each) { return each.holds(configuration); });
  if (family == context.families.end()) return std::nullopt;
  const record::Cell& cell = configuration.cell();
  Server server;
  server.max_batch = cell.batch;
  server.max_wait_s = context.question.max_wait_s;
  const Record* serial = configuration.serial != nullptr ? configuration.serial->record : nullptr;
  if (!family->lengths.empty() && family->model) {
    server.lengths = family->lengths;
    server.batch_s = [model = *family->model, padding = cell.padding,
                      length = cell.max_length](std::span<const std::uint32_t> lengths) {
      return std::max(1e-9, seconds_of(model, shape_of(lengths, padding, length)));
    };
  } else if (cell.batch == 1 && serial != nullptr && !serial->samples_s.empty() &&
             std::all_of(serial->samples_s.begin(), serial->samples_s.end(), plausible)) {
    // One text a batch: the measured times themselves, drawn at random.
    times_drawn = true;
    for (std::uint32_t i = 0; i < serial->samples_s.size(); ++i) server.lengths.push_back(i);
    server.batch_s = [times = serial->samples_s](std::span<const std::uint32_t> drawn) {
      return times[drawn.front()];
    };
  } else if (family->model && plausible(family->mean_tokens)) {
    server.lengths = {static_cast<std::uint32_t>(std::min(family->mean_tokens, 1e9))};
    server.batch_s = [model = *family->model](std::span<const std::uint32_t> lengths) {
      const double tokens =
          static_cast<double>(lengths.size()) * static_cast<double>(lengths.front());
      return std::max(1e-9, model.a_s.value + model.b_s_per_token.value * tokens);
    };
  } else {
    return std::nullopt;
  }
  return server;
}

// How many times faster and slower than the server says its batches may be: the range of the rate
// that they were fitted to and, where a model stands for the times, what its fit leaves. Nothing
// when nobody knows.
struct TimeFactors {
  double fastest = 1, slowest = 1;
};
std::optional<TimeFactors> time_factors(const Candidate& candidate, const Context& context) {
  const Row* serial = candidate.configuration.serial;
  if (serial == nullptr || !serial->per_s.interval) return std::nullopt;
  const record::Interval& rate = *serial->per_s.interval;
  if (rate.low <= 0) return std::nullopt;
  double residual = 0;
  if (!candidate.times_drawn) {
    const auto family =
        std::find_if(context.families.begin(), context.families.end(), [&](const Family& each) {
          return each.holds(candidate.configuration) && each.model && each.model->half_width;
        });
    if (family == context.families.end()) return std::nullopt;
    residual = family->model->residual_relative_rms;
  }
  const auto joined = [residual](double ratio) {
    return std::exp(std::hypot(std::log(ratio), residual));
  };
  return TimeFactors{1 / joined(rate.high / serial->per_s.value),
                     joined(serial->per_s.value / rate.low)};
}

bool falls_behind(const Record& record) {
  if (record.paced) return record.paced->saturated;
  const double answered = record.reviews_per_s.value;
  return plausible(answered) && answered < kKeepsUp * record.cell.rate_per_s;
}

// Null where the samples do not carry it.
const record::Estimate* p99_of(const Record& record) {
  const auto p99 = record.latency_s.find("p99");
  return p99 != record.latency_s.end() && plausible(p99->second.value) ? &p99->second : nullptr;
}

// What a paced record says about a limit on p99; without a limit, whether it kept up.
LimitKept keeps_p99(const Record& record, const std::optional<double>& limit_s) {
  if (falls_behind(record)) return LimitKept::missed;
  return limit_s ? measure::p99_within(record, *limit_s) : LimitKept::kept;
}

// Why keeps_p99() cannot tell.
std::string doubt_about_p99(const Record& record, double limit_s) {
  const std::string from =
      fmt::format("at {}/s cannot be told from {}", three_digits(record.cell.rate_per_s),
                  format_seconds(limit_s));
  const record::Estimate* p99 = p99_of(record);
  if (p99 == nullptr) {
    const std::size_t needed = measure::samples_needed(0.99);
    if (record.samples_s.size() < needed || !record.paced) {
      return fmt::format("p99 {}: {} samples, {} needed", from, record.samples_s.size(), needed);
    }
    return fmt::format(
        "p99 {}: {} samples that waited for each other are worth fewer than {}; the "
        "slowest 1 % lie in {} busy periods",
        from, record.samples_s.size(), needed, record.paced->tail_episodes);
  }
  const std::string value = format_seconds(p99->value);
  if (const auto interval = interval_of(*p99)) {
    return fmt::format("p99 {} [{}, {}] {}", value, format_seconds(interval->low),
                       format_seconds(interval->high), from);
  }
  return fmt::format("p99 {} {}: too few independent samples for an interval", value, from);
}

// What the paced records of a configuration say: a machine keeps up to a rate between the highest
// that was kept and the lowest that was missed.
struct Bracket {
  const Row* kept = nullptr;    // the highest
  const Row* missed = nullptr;  // the lowest
  const Row* unsure = nullptr;  // the lowest that cannot be told
};
Bracket bracket_of(const Configuration& configuration, const std::optional<double>& limit_s) {
  Bracket bracket;
  std::map<double, LimitKept> worst;
  for (const Row* row : configuration.paced) {
    if (!row->unusable.empty()) continue;
    LimitKept& of_rate = worst.emplace(row->cell().rate_per_s, LimitKept::too_few).first->second;
    of_rate = std::max(of_rate, keeps_p99(*row->record, limit_s));
  }
  for (const Row* row : configuration.paced) {
    if (!row->unusable.empty()) continue;
    const LimitKept of_rate = worst[row->cell().rate_per_s];
    if (of_rate == LimitKept::kept) {
      bracket.kept = row;
    } else if (of_rate == LimitKept::missed) {
      if (bracket.missed == nullptr) bracket.missed = row;
    } else if (bracket.unsure == nullptr) {
      bracket.unsure = row;
    }
  }
  return bracket;
}

double rate_of(const Row& row) {
  return row.cell().rate_per_s;
}

// More load does not make a machine faster: one of the two was measured in bad company.
bool contradicts(const Bracket& bracket) {
  return bracket.kept != nullptr && bracket.missed != nullptr &&
         rate_of(*bracket.missed) < rate_of(*bracket.kept);
}

void set_rate(Candidate& candidate, const Bracket& bracket) {
  const Row& kept = *bracket.kept;
  const double high = bracket.missed != nullptr ? rate_of(*bracket.missed) : kInfinity;
  candidate.rate = {rate_of(kept), record::Interval{rate_of(kept), high}, "paced"};
  if (const record::Estimate* p99 = p99_of(*kept.record)) {
    candidate.p99_s = record::Estimate{p99->value, interval_of(*p99), p99->samples};
  }
  const std::string busy =
      kept.record->paced ? ", " + percent(kept.record->paced->busy_share) + " busy" : "";
  candidate.next =
      bracket.missed == nullptr
          ? fmt::format("at higher rates: at {}/s{}, its limit was not reached",
                        three_digits(rate_of(kept)), busy)
          : fmt::format("at rates between {}/s, which it kept, and {}/s, which it did not",
                        three_digits(rate_of(kept)), three_digits(high));
}

std::string p99_at(const Row& row, double limit_s) {
  const std::string rate = three_digits(rate_of(row));
  const record::Estimate* p99 = p99_of(*row.record);
  if (p99 == nullptr || falls_behind(*row.record)) return fmt::format("falls behind at {}/s", rate);
  return fmt::format("p99 {} at {}/s, {} allowed", format_seconds(p99->value), rate,
                     format_seconds(limit_s));
}

void rate_from_paced(Candidate& candidate, double limit_s) {
  const Bracket bracket = bracket_of(candidate.configuration, limit_s);
  Check check{"p99", Answer::cannot_tell, "", 1};
  if (contradicts(bracket)) {
    check.text = fmt::format("{}, though it kept {}/s", p99_at(*bracket.missed, limit_s),
                             three_digits(rate_of(*bracket.kept)));
    candidate.next = fmt::format("again at {}/s", three_digits(rate_of(*bracket.missed)));
  } else if (bracket.kept != nullptr) {
    set_rate(candidate, bracket);
    check.answer = Answer::keeps;
    check.text = p99_at(*bracket.kept, limit_s);
    if (bracket.kept->cell().arrivals == Arrivals::constant) {
      check.text += ", requests evenly spaced: real ones bunch up";
    }
  } else if (bracket.unsure != nullptr &&
             (bracket.missed == nullptr || rate_of(*bracket.unsure) < rate_of(*bracket.missed))) {
    check.text = doubt_about_p99(*bracket.unsure->record, limit_s);
    candidate.next = fmt::format("longer at {}/s", three_digits(rate_of(*bracket.unsure)));
  } else if (bracket.missed != nullptr) {
    const record::Estimate* p99 = p99_of(*bracket.missed->record);
    check.answer = Answer::misses;
    check.excess = p99 != nullptr ? std::max(1.0, p99->value / limit_s) : 1;
    check.text = p99_at(*bracket.missed, limit_s);
  }
  candidate.checks.push_back(std::move(check));
}

// The same from the queue model.
void rate_from_model(Candidate& candidate, const Context& context, double limit_s) {
  if (!candidate.queue) {
    candidate.checks.push_back({"p99", Answer::cannot_tell,
                                "no paced cell, and no latency model to reckon with (serial cells "
                                "of two batch sizes are missing)",
                                1});
    return;
  }
  const Queue& queue = *candidate.queue;
  const auto factors = time_factors(candidate, context);
  const TimeFactors known = factors.value_or(TimeFactors{});
  const QueueRate rate = queue.highest_rate(limit_s, known.fastest, known.slowest);
  if (rate.per_s <= 0) {
    const auto lone = queue.respond(1e-4 * queue.full_rate());
    const double p99 = lone ? lone->p99_s : kInfinity;
    candidate.checks.push_back({"p99", Answer::misses,
                                fmt::format("p99 {} without any load, {} allowed (modelled)",
                                            format_seconds(p99), format_seconds(limit_s)),
                                std::max(1.0, p99 / limit_s)});
    return;
  }
  candidate.rate = {rate.per_s, std::nullopt, "modelled", rate.or_more};
  candidate.next = "in paced mode under this limit (--mode paced --p99)";
  if (factors) candidate.rate.interval = record::Interval{rate.low, rate.high};
  const bool sure = factors && rate.low > 0;
  candidate.checks.push_back(
      {"p99", sure ? Answer::keeps : Answer::cannot_tell,
       fmt::format("p99 {} up to {}/s{} (modelled{})", format_seconds(limit_s),
                   three_digits(rate.per_s), rate.or_more ? " or more" : "",
                   factors ? "" : ", nobody knows how well: too few batch sizes or rounds"),
       1});
}

// Texts that always wait for the machine: the mode that is surely faster.
void rate_without_limit(Candidate& candidate) {
  const Row* best = nullptr;
  for (const Row* row : {candidate.configuration.stream, candidate.configuration.serial}) {
    if (row == nullptr || !row->unusable.empty() || row->per_s.value <= 0) continue;
    if (best == nullptr || low_end(*row) > low_end(*best)) best = row;
  }
  if (best != nullptr) {
    candidate.rate = {best->per_s.value, best->per_s.interval, to_string(best->cell().mode)};
    candidate.next = "longer (--time)";
    if (!best->per_s.interval) {
      candidate.checks.push_back({"rate", Answer::cannot_tell, best->why_unsure(), 1});
    }
    return;
  }
  const Bracket bracket = bracket_of(candidate.configuration, std::nullopt);
  if (bracket.kept != nullptr && !contradicts(bracket)) set_rate(candidate, bracket);
}

double memory_of(const Configuration& configuration) {
  double most = 0;
  for (const Row* row : configuration.all()) {
    const Record* record = row->record;
    if (!record->memory) continue;
    most = std::max(most, static_cast<double>(record->memory->peak_rss_bytes));
    for (const auto& device :
         {record->memory->device_used_bytes, record->memory->device_peak_allocated_bytes}) {
      if (device) most = std::max(most, static_cast<double>(*device));
    }
  }
  return most;
}

Check check_memory(double most, double allowed) {
  if (most <= 0) return {"memory", Answer::cannot_tell, "memory was not measured", 1};
  return {"memory", most <= allowed ? Answer::keeps : Answer::misses,
          fmt::format("memory {}, {} allowed", format_bytes(most), format_bytes(allowed)),
          std::max(1.0, most / allowed)};
}

std::optional<double> measured_loss(const Configuration& configuration) {
  std::optional<double> worst;
  for (const Row* row : configuration.all()) {
    const Record* record = row->record;
    if (!record->parity || !record->parity->accuracy_loss) continue;
    if (!std::isfinite(*record->parity->accuracy_loss)) continue;
    worst = std::max(worst.value_or(-1), *record->parity->accuracy_loss);
  }
  return worst;
}

std::string points(double share) {
  return three_digits(share * 100) + " points";
}

Check check_accuracy(const std::optional<double>& loss, double allowed) {
  if (!loss) {
    return {"accuracy loss", Answer::cannot_tell,
            "accuracy loss not known: the texts had no labels", 1};
  }
  return {"accuracy loss", *loss <= allowed ? Answer::keeps : Answer::misses,
          fmt::format("accuracy loss {}, {} allowed", points(*loss), points(allowed)),
          allowed > 0 ? std::max(1.0, *loss / allowed) : 1 + std::max(0.0, *loss)};
}

std::optional<Cut> cut_of(const Configuration& configuration) {
  for (const Row* row : configuration.all()) {
    if (row->cut) return row->cut;
  }
  return std::nullopt;
}

Check check_length(const Cut& cut, double allowed) {
  if (!cut.loss) {
    return {"length", Answer::misses, cut.text + ": another task, and no labels say what it loses",
            1};
  }
  return {"length", *cut.loss <= allowed ? Answer::keeps : Answer::misses,
          fmt::format("{}: loses {}, {} allowed", cut.text, points(*cut.loss), points(allowed)),
          1 + std::max(0.0, *cut.loss - allowed)};
}

void fill_energy(Candidate& candidate) {
  for (const Row* row : candidate.configuration.all()) {
    const Record* record = row->record;
    if (record->cell.mode == Mode::serial && candidate.configuration.stream != nullptr) continue;
    if (record->energy.texts == 0) continue;
    const measure::EnergyFor1000 energy = measure::energy_for_1000(*record);
    candidate.joules_per_1000 = energy.gross;
    candidate.net_joules_per_1000 = energy.net;
  }
}

std::string why_unusable(const Configuration& configuration) {
  std::string why;
  bool any_usable = false;
  for (const Row* row : configuration.all()) {
    any_usable |= row->unusable.empty();
    if (row->unusable.empty()) continue;
    why = row->unusable;
    // Wrong outputs in one mode are wrong outputs; a failed measurement spoils only its own mode.
    if (measure::breaks_parity(*row->record)) return why;
  }
  return any_usable ? "" : why;
}

}  // namespace

double low_end(const Rate& rate) {
  return rate.interval ? rate.interval->low : rate.per_s * 1e-12;
}

Answer Candidate::answer() const {
  Answer worst = Answer::keeps;
  for (const Check& check : checks) worst = std::max(worst, check.answer);
  return worst;
}

Answer Candidate::answer_without_budget() const {
  Answer worst = Answer::keeps;
  for (const Check& check : checks) {
    if (check.limit != "budget") worst = std::max(worst, check.answer);
  }
  return worst;
}

double Candidate::excess() const {
  double product = 1;
  for (const Check& check : checks) {
    if (check.answer == Answer::misses) product *= std::max(1.0, check.excess);
  }
  return product;
}

Modelled make_queue(const Configuration& configuration, const Context& context) {
  Modelled modelled;
  std::optional<Server> server = make_server(configuration, context, modelled.times_drawn);
  if (!server) return modelled;
  const Row* serial = configuration.serial;
  modelled.queue = std::make_shared<const Queue>(*std::move(server),
                                                 serial != nullptr ? serial->per_s.value : 0);
  return modelled;
}

Candidate make_candidate(const Configuration& configuration, const Context& context,
                         const Modelled& modelled) {
  const Question& question = context.question;
  Candidate candidate;
  candidate.configuration = configuration;
  candidate.name = context.rows.name_of(*configuration.any);
  candidate.unusable = why_unusable(configuration);
  candidate.doubts = doubts_of(configuration);
  fill_energy(candidate);
  candidate.memory_bytes = memory_of(configuration);
  candidate.is_reference =
      candidate.cell().precision == Precision::fp32 && candidate.cell().runtime.is_native();
  candidate.accuracy_loss = measured_loss(configuration);
  candidate.cut = cut_of(configuration);
  if (!candidate.unusable.empty()) return candidate;
  candidate.batch_s = batch_seconds(configuration);
  candidate.queue = modelled.queue;
  candidate.times_drawn = modelled.times_drawn;
  const bool side_paced = configuration.side == Side::cpu ? context.cpu_paced : context.gpu_paced;
  if (!question.p99_s) {
    rate_without_limit(candidate);
  } else if (!configuration.paced.empty()) {
    rate_from_paced(candidate, *question.p99_s);
  } else if (side_paced) {
    candidate.unusable = "not paced, while other cells of its side were: those decide about p99";
    return candidate;
  } else {
    rate_from_model(candidate, context, *question.p99_s);
  }
  if (!question.p99_s && candidate.rate.per_s <= 0) {
    candidate.unusable = "no cell of it counts: the rate is not known";
  }
  return candidate;
}

void check_limits(Candidate& candidate, const Question& question) {
  if (!candidate.unusable.empty()) return;
  if (question.memory_bytes) {
    candidate.checks.push_back(check_memory(candidate.memory_bytes, *question.memory_bytes));
  }
  if (question.accuracy_loss && !candidate.is_reference) {
    candidate.checks.push_back(check_accuracy(candidate.accuracy_loss, *question.accuracy_loss));
  }
  if (candidate.cut) {
    candidate.checks.push_back(check_length(*candidate.cut, question.accuracy_loss.value_or(0)));
  }
}

void price_for_load(Candidate& candidate, const Question& question) {
  candidate.price =
      (candidate.configuration.side == Side::cpu ? question.cpu_price : question.gpu_price)
          .value_or(0);
  if (!candidate.unusable.empty()) return;
  const Rate& rate = candidate.rate;
  if (rate.per_s <= 0) return;
  // Without an interval nobody knows how sure the rate is: it may be anything below.
  const MachineKind kind{rate.interval.value_or(record::Interval{0, rate.per_s}), candidate.price};
  if (!question.load_per_s) {
    candidate.cost_per_million = cost_a_million(kind, question.utilisation);
    return;
  }
  const double load = *question.load_per_s;
  candidate.machines = machines_for(load * question.peak, kind, question.utilisation);
  candidate.cost_per_month = cost_a_month(*candidate.machines, candidate.price);
  const double million = 1e6 / (load * 3600 * kHoursAMonth);  // of the texts of a month
  candidate.cost_per_million = {candidate.cost_per_month->low * million,
                                candidate.cost_per_month->high * million};
  if (!question.budget_per_month) return;
  const double budget = *question.budget_per_month;
  const Amount& cost = *candidate.cost_per_month;
  const Answer answer = cost.high <= budget  ? Answer::keeps
                        : cost.low <= budget ? Answer::cannot_tell
                                             : Answer::misses;
  candidate.checks.push_back(
      {"budget", answer,
       fmt::format("{} a month, {} allowed", three_digits(cost.low), three_digits(budget)),
       std::max(1.0, cost.low / budget)});
}

}  // namespace breakeven::decide

#include "decide/candidate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/units.h"
#include "measure/parity.h"
#include "measure/statistics.h"

namespace breakeven::decide {
namespace {

using record::Record;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Paced: a machine that answers fewer than this share of what comes is falling behind.
constexpr double kKeepsUp = 0.98;

std::vector<std::string> doubts_of(const Configuration& configuration) {
  std::set<std::string> codes;
  std::vector<std::string> doubts;
  const record::Parity* unproven = nullptr;
  bool judged = false;
  for (const Record* record : configuration.all()) {
    if (record->verdict == record::Verdict::noisy) {
      for (const record::Reason& reason : record->reasons) codes.insert(reason.code);
      if (record->reasons.empty()) codes.insert("no reason given");
    }
    if (!record->parity) continue;
    judged = true;
    if (record->parity->outcome == record::Agreement::unproven) unproven = &*record->parity;
  }
  if (!codes.empty()) doubts.push_back(fmt::format("noisy: {}", fmt::join(codes, ", ")));
  if (unproven != nullptr) {
    doubts.push_back(fmt::format("parity unproven on {} texts", unproven->texts));
  }
  if (!judged) doubts.emplace_back("parity not judged");
  return doubts;
}

std::optional<record::Estimate> batch_seconds(const Configuration& configuration) {
  const Record* serial = configuration.serial;
  if (serial == nullptr || !plausible(serial->reviews_per_s.value)) return std::nullopt;
  const record::Estimate& rate = serial->reviews_per_s;
  // The last batch of a pass may be smaller.
  const double texts = std::min(static_cast<double>(serial->cell.batch),
                                std::max(1.0, static_cast<double>(serial->texts.count)));
  record::Estimate batch{texts / rate.value, std::nullopt, rate.samples};
  if (const auto interval = interval_of(rate); interval && interval->low > 0) {
    batch.interval = record::Interval{texts / interval->high, texts / interval->low, 0.95};
  }
  return batch;
}

std::optional<advise::Server> make_server(const Configuration& configuration,
                                          const Context& context, bool& times_drawn) {
  const auto family = std::find_if(context.families.begin(), context.families.end(),
                                   [&](const Family& each) { return each.holds(configuration); });
  if (family == context.families.end()) return std::nullopt;
  const record::Cell& cell = configuration.cell();
  advise::Server server;
  server.max_batch = cell.batch;
  server.max_wait_s = context.question.max_wait_s;
  const Record* serial = configuration.serial;
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

// How far off the server's times may be, relative; nothing when nobody knows.
std::optional<double> time_error(const Candidate& candidate, const Context& context) {
  if (candidate.times_drawn) {
    if (!candidate.batch_s || !candidate.batch_s->interval) return std::nullopt;
    const record::Estimate& batch = *candidate.batch_s;
    return std::max(batch.interval->high / batch.value - 1, 1 - batch.interval->low / batch.value);
  }
  for (const Family& family : context.families) {
    if (!family.holds(candidate.configuration) || !family.model) continue;
    if (family.model->half_width) return family.model->residual_relative_rms;
  }
  return std::nullopt;
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

// What a paced record says about a limit on p99.
Answer keeps_p99(const Record& record, double limit_s) {
  if (falls_behind(record)) return Answer::misses;
  const record::Estimate* p99 = p99_of(record);
  if (p99 == nullptr) return Answer::cannot_tell;
  const auto interval = interval_of(*p99);
  if (interval && interval->low <= limit_s && interval->high > limit_s) return Answer::cannot_tell;
  // Requests that wait for the same batches are not independent: so many may not carry an interval.
  const bool all_within = std::all_of(record.samples_s.begin(), record.samples_s.end(),
                                      [&](double seconds) { return seconds <= limit_s; });
  if (!interval && !all_within) return Answer::cannot_tell;
  return p99->value <= limit_s ? Answer::keeps : Answer::misses;
}

// Why keeps_p99() cannot tell.
std::string doubt_about_p99(const Record& record, double limit_s) {
  const std::string from =
      fmt::format("at {}/s cannot be told from {}", three_digits(record.cell.rate_per_s),
                  format_seconds(limit_s));
  const record::Estimate* p99 = p99_of(record);
  if (p99 == nullptr) {
    return fmt::format("p99 {}: {} samples, {} needed", from, record.samples_s.size(),
                       measure::samples_needed(0.99));
  }
  const std::string value = format_seconds(p99->value);
  if (const auto interval = interval_of(*p99)) {
    return fmt::format("p99 {} [{}, {}] {}", value, format_seconds(interval->low),
                       format_seconds(interval->high), from);
  }
  return fmt::format("p99 {} {}: too few independent samples for an interval", value, from);
}

std::string contradiction(const Record& record) {
  const record::Estimate* p99 = p99_of(record);
  return fmt::format("p99 {} at {}/s, which is less",
                     p99 != nullptr ? format_seconds(p99->value) : "not known",
                     three_digits(record.cell.rate_per_s));
}

// A limit on p99 from paced records: the highest rate that was seen to keep it.
void rate_from_paced(Candidate& candidate, double limit_s) {
  Check check{"p99", Answer::cannot_tell, "", 1};
  const Record* lowest_miss = nullptr;
  bool doubt_below = false;          // a lower rate than that one may keep the limit
  const Record* not_kept = nullptr;  // the last that did not surely keep it
  const Record* spoiled = nullptr;   // the same, below a rate that did
  for (const Record* record : candidate.configuration.paced) {
    if (!unusable(*record).empty()) continue;
    const Answer answer = keeps_p99(*record, limit_s);
    if (answer != Answer::keeps) not_kept = record;
    if (answer == Answer::keeps) {
      spoiled = not_kept;
      candidate.rate = {record->cell.rate_per_s,
                        record::Interval{record->cell.rate_per_s, record->cell.rate_per_s, 0.95},
                        "paced"};
      check = {"p99", Answer::keeps,
               fmt::format("p99 {} at {}/s, {} allowed", format_seconds(p99_of(*record)->value),
                           three_digits(record->cell.rate_per_s), format_seconds(limit_s)),
               1};
      if (record->cell.arrivals == Arrivals::constant) {
        check.text += ", requests evenly spaced: real ones bunch up";
      }
    } else if (answer == Answer::misses && lowest_miss == nullptr) {
      lowest_miss = record;
    } else if (check.text.empty()) {
      doubt_below = lowest_miss == nullptr;
      check.text = doubt_about_p99(*record, limit_s);
    }
  }
  if (check.answer != Answer::keeps && lowest_miss != nullptr && !doubt_below) {
    const record::Estimate* p99 = p99_of(*lowest_miss);
    const double rate = lowest_miss->cell.rate_per_s;
    check.answer = Answer::misses;
    check.excess = p99 != nullptr ? std::max(1.0, p99->value / limit_s) : 1;
    check.text = p99 != nullptr
                     ? fmt::format("p99 {} at {}/s, {} allowed", format_seconds(p99->value),
                                   three_digits(rate), format_seconds(limit_s))
                     : fmt::format("falls behind at {}/s", three_digits(rate));
  }
  candidate.checks.push_back(std::move(check));
  // More load does not make a machine faster: one of the two was measured in bad company.
  if (spoiled != nullptr) candidate.doubts.push_back(contradiction(*spoiled));
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
  const advise::Queue& queue = *candidate.queue;
  const std::optional<double> error = time_error(candidate, context);
  const double rate = queue.highest_rate(limit_s);
  if (rate <= 0) {
    const auto lone = queue.respond(1e-4 * queue.full_rate());
    const double p99 = lone ? lone->p99_s : kInfinity;
    candidate.checks.push_back({"p99", Answer::misses,
                                fmt::format("p99 {} without any load, {} allowed (modelled)",
                                            format_seconds(p99), format_seconds(limit_s)),
                                std::max(1.0, p99 / limit_s)});
    return;
  }
  candidate.rate = {rate, std::nullopt, "modelled"};
  if (error) {
    candidate.rate.interval =
        record::Interval{queue.highest_rate(limit_s, 1 + *error),
                         queue.highest_rate(limit_s, std::max(0.1, 1 - *error)), 0.95};
  }
  const bool sure = error && candidate.rate.interval->low > 0;
  candidate.checks.push_back(
      {"p99", sure ? Answer::keeps : Answer::cannot_tell,
       fmt::format("p99 {} up to {}/s (modelled{})", format_seconds(limit_s), three_digits(rate),
                   error ? "" : ", nobody knows how well: too few batch sizes or passes"),
       1});
}

void rate_without_limit(Candidate& candidate) {
  const Record* stream = candidate.configuration.stream;
  if (stream != nullptr && unusable(*stream).empty() && plausible(stream->reviews_per_s.value)) {
    candidate.rate = {stream->reviews_per_s.value, interval_of(stream->reviews_per_s), "stream"};
    return;
  }
  for (const Record* record : candidate.configuration.paced) {
    const double rate = record->cell.rate_per_s;
    if (!unusable(*record).empty() || falls_behind(*record)) continue;
    candidate.rate = {rate, record::Interval{rate, rate, 0.95}, "paced"};
  }
}

double memory_of(const Configuration& configuration) {
  double most = 0;
  for (const Record* record : configuration.all()) {
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
  for (const Record* record : configuration.all()) {
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

// Cutting texts shorter makes another classifier, which the judge (cut alike) does not see.
std::optional<Cut> cut_of(const Configuration& configuration, const Context& context) {
  const Record& record = *configuration.any;
  if (record.cell.max_length >= context.best_length || record.texts.truncated == 0) {
    return std::nullopt;
  }
  Cut cut{fmt::format("{} of {} texts cut at {} tokens", record.texts.truncated, record.texts.count,
                      record.cell.max_length),
          std::nullopt};
  if (record.accuracy && context.reference_accuracy) {
    const double loss = *context.reference_accuracy - record.accuracy->share;
    if (std::isfinite(loss)) cut.loss = loss;
  }
  return cut;
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
  for (const Record* record : candidate.configuration.all()) {
    if (record->cell.mode == Mode::serial && candidate.configuration.stream != nullptr) continue;
    const record::Energy& energy = record->energy;
    if (energy.texts == 0) continue;
    const bool gpu = candidate.configuration.side == Side::gpu;
    // A side that was not counted makes the sum unknown.
    const auto total = [&](const std::optional<double>& host,
                           const std::optional<double>& device) -> std::optional<double> {
      if (!host || (gpu && !device)) return std::nullopt;
      const double joules = *host + (gpu ? *device : 0);
      if (!std::isfinite(joules)) return std::nullopt;
      return joules * 1000 / static_cast<double>(energy.texts);
    };
    candidate.joules_per_1000 = total(energy.host_joules_gross, energy.gpu_joules_gross);
    candidate.net_joules_per_1000 = total(energy.host_joules_net, energy.gpu_joules_net);
  }
}

std::string why_unusable(const Configuration& configuration) {
  std::string why;
  for (const Record* record : configuration.all()) {
    const std::string reason = unusable(*record);
    if (reason.empty()) continue;
    why = reason;
    // Wrong outputs in one mode are wrong outputs; a failed measurement spoils only its own mode.
    if (measure::breaks_parity(*record)) return why;
  }
  for (const Record* record : configuration.all()) {
    if (unusable(*record).empty()) return "";
  }
  return why;
}

}  // namespace

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
  std::optional<advise::Server> server = make_server(configuration, context, modelled.times_drawn);
  if (server) modelled.queue = std::make_shared<const advise::Queue>(*std::move(server));
  return modelled;
}

Candidate make_candidate(const Configuration& configuration, const Context& context,
                         const Modelled& modelled) {
  const Question& question = context.question;
  Candidate candidate;
  candidate.configuration = configuration;
  candidate.unusable = why_unusable(configuration);
  candidate.doubts = doubts_of(configuration);
  fill_energy(candidate);
  candidate.memory_bytes = memory_of(configuration);
  candidate.is_reference =
      candidate.cell().precision == Precision::fp32 && candidate.cell().runtime.is_native();
  candidate.accuracy_loss = measured_loss(configuration);
  candidate.cut = cut_of(configuration, context);
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
    candidate.unusable = "no stream or paced cell that counts: the rate is not known";
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
  // Without an interval nobody knows how sure the rate is: anything from nothing to everything.
  const double low = rate.interval ? rate.interval->low : 0;
  const double high = rate.interval ? rate.interval->high : kInfinity;
  constexpr double kMillion = 1e6;
  if (!question.load_per_s) {
    const auto cost = [&](double per_s) {
      return per_s > 0 ? candidate.price / 3600 / per_s * kMillion : kInfinity;
    };
    candidate.cost_per_million = {cost(rate.per_s), cost(high), cost(low)};
    return;
  }
  const double load = *question.load_per_s;
  const auto machines = [&](double per_s) {
    return per_s > 0 ? std::max(1.0, std::ceil(load / per_s)) : kInfinity;
  };
  candidate.machines = Amount{machines(rate.per_s), machines(high), machines(low)};
  const auto scaled = [&](double factor) {
    const Amount& count = *candidate.machines;
    // A machine that costs nothing costs nothing however many there are.
    const auto times = [factor](double n) { return factor > 0 ? factor * n : 0; };
    return Amount{times(count.value), times(count.low), times(count.high)};
  };
  candidate.cost_per_month = scaled(candidate.price * kHoursAMonth);
  candidate.cost_per_million = scaled(candidate.price / 3600 / load * kMillion);
  if (!question.budget_per_month) return;
  const double budget = *question.budget_per_month;
  const Amount& cost = *candidate.cost_per_month;
  const Answer answer = cost.high <= budget  ? Answer::keeps
                        : cost.low <= budget ? Answer::cannot_tell
                                             : Answer::misses;
  candidate.checks.push_back(
      {"budget", answer,
       fmt::format("{} a month, {} allowed", three_digits(cost.value), three_digits(budget)),
       std::max(1.0, cost.value / budget)});
}

}  // namespace breakeven::decide

#include "load/window.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "measure/paced.h"
#include "measure/paced_statistics.h"
#include "measure/statistics.h"
#include "measure/summary.h"
#include "measure/thresholds.h"

namespace breakeven::load {
namespace {

constexpr double kMayFail = 0.1;

// Requests that wait or are served, on average over [from_s, to_s).
double mean_backlog(std::span<const Exchange> exchanges, double from_s, double to_s) {
  double sum_s = 0;
  for (const Exchange& each : exchanges) {
    const double end_s = each.done_s < 0 ? to_s : each.done_s;
    sum_s += std::max(0.0, std::min(end_s, to_s) - std::max(each.due_s, from_s));
  }
  return to_s > from_s ? sum_s / (to_s - from_s) : 0;
}

void count(const Exchange& exchange, record::Http& http) {
  switch (exchange.end) {
    case End::refused:
      ++http.refused;
      break;
    case End::error:
      ++http.errors;
      break;
    case End::malformed:
      ++http.malformed;
      break;
    case End::broken:
      ++http.broken;
      break;
    case End::timed_out:
      ++http.timed_out;
      break;
    case End::unsent:
      ++http.unsent;
      break;
    case End::left:
    case End::answered:
      break;
  }
}

double median_or_0(std::span<const double> values) {
  return values.empty() ? 0 : measure::median(values);
}

// What the server says of each answer.
void fill_told(std::span<const Exchange> counted, record::Paced& paced) {
  std::vector<double> waits, batches;
  double batch_count = 0, texts = 0;
  for (const Exchange& each : counted) {
    if (each.end != End::answered) continue;
    if (each.queue_s >= 0) waits.push_back(each.queue_s);
    if (each.compute_s >= 0) batches.push_back(each.compute_s);
    if (each.batch == 0) continue;
    ++texts;
    batch_count += 1.0 / each.batch;
  }
  paced.wait_s_p50 = median_or_0(waits);
  paced.batch_s_p50 = median_or_0(batches);
  if (batch_count > 0) paced.mean_batch = texts / batch_count;
}

void add_reasons(const Window& window, record::Record& record) {
  const record::Http& http = *record.http;
  const double requests = std::max<double>(1, double(record.paced->requests));
  measure::check_lateness(record);
  measure::check_threshold(record, "unsent", double(http.unsent) / requests,
                           "this program ran out of descriptors or ports");
  measure::check_threshold(record, "http-errors",
                           double(http.errors + http.malformed + http.broken) / requests,
                           fmt::format("{} replies with another status than 200, {} without a "
                                       "label, {} connections that ended",
                                       http.errors, http.malformed, http.broken));
  if (http.null_s_p99 && window.p99_limit_s > 0) {
    measure::check_threshold(record, "null-late", *http.null_s_p99 / window.p99_limit_s,
                             "the way there and back takes a large part of the limit");
  }
  if (http.null_per_s) {
    measure::check_threshold(record, "null-rate", window.rate_per_s / *http.null_per_s,
                             "HTTP itself, or this program, is near to what it can do");
  }
  measure::check_parity(record);
  measure::check_threshold(record, "not-calibrated", http.null_per_s ? 0 : 1,
                           "no null reply says what the way there and back costs");
}

}  // namespace

bool backlog_grows(const Played& played, double counted_from_s, double window_end_s,
                   std::size_t counted) {
  constexpr double kSteps = 1.25;  // variance a request: of arrivals, and of times half as spread
  const double third_s = (window_end_s - counted_from_s) / 3;
  const double first = mean_backlog(played.exchanges, counted_from_s, counted_from_s + third_s);
  const double last = mean_backlog(played.exchanges, window_end_s - third_s, window_end_s);
  const double growth = 1.5 * (last - first);  // the thirds' middles are 2/3 of the window apart
  return growth > 3 * std::sqrt(kSteps * static_cast<double>(counted));
}

void summarise(const Window& window, const Schedule& schedule, const Played& played,
               record::Record& record) {
  const double counted_from_s = played.begin_s + measure::kPacedWarmUpShare * schedule.window_s;
  const double end_s = played.begin_s + schedule.window_s;
  const auto first =
      std::find_if(played.exchanges.begin(), played.exchanges.end(),
                   [&](const Exchange& each) { return each.due_s >= counted_from_s; });
  const std::span<const Exchange> counted(first, played.exchanges.end());
  record::Http& http = *record.http;
  record::Paced& paced = record.paced.emplace();
  paced.requests = counted.size();
  paced.window_s = end_s - counted_from_s;
  paced.seed = schedule.seed;
  if (window.p99_limit_s > 0) paced.p99_limit_s = window.p99_limit_s;
  std::vector<double> ended, sent;
  std::size_t in_time = 0, within = 0;
  for (const Exchange& each : counted) {
    const bool answered = each.end == End::answered;
    const double seconds = answered ? each.done_s - each.due_s : window.timeout_s;
    count(each, http);
    record.samples_s.push_back(seconds);
    record.sample_positions.push_back(each.text);
    record.sample_start_s.push_back(each.due_s);
    record.schedule_late_s.push_back(each.sent_s < 0 ? 0 : std::max(0.0, each.sent_s - each.due_s));
    ended.push_back(each.done_s);
    sent.push_back(answered ? each.done_s - each.sent_s : window.timeout_s);
    paced.answered += answered ? 1 : 0;
    within += answered && seconds <= window.p99_limit_s ? 1U : 0U;
  }
  for (const Exchange& each : played.exchanges) {
    const bool answered = each.end == End::answered;
    in_time += answered && each.done_s > counted_from_s && each.done_s <= end_s ? 1U : 0U;
  }
  if (counted.empty()) return measure::check_threshold(record, "no-samples", 1, "nothing was due");
  paced.saturated = backlog_grows(played, counted_from_s, end_s, counted.size()) ||
                    double(http.refused + http.timed_out) > kMayFail * double(counted.size());
  paced.late_s_max =
      *std::max_element(record.schedule_late_s.begin(), record.schedule_late_s.end());
  fill_told(counted, paced);
  const double answered_per_s = double(paced.saturated ? in_time : paced.answered) / paced.window_s;
  const double most_per_s = std::max(window.most_per_s, answered_per_s);
  paced.busy_share = most_per_s > 0 ? std::min(1.0, window.rate_per_s / most_per_s) : 0;
  record.reviews_per_s = {answered_per_s, std::nullopt, paced.answered};
  record.tokens_per_s = {answered_per_s * record.texts.mean_tokens, std::nullopt, paced.answered};
  if (window.p99_limit_s > 0) http.goodput_per_s = double(within) / paced.window_s;
  if (measure::carries(sent.size(), 0.99)) http.sent_s_p99 = measure::percentile(sent, 0.99);
  add_reasons(window, record);
  if (paced.saturated) {
    record.latency_note = "at its limit: latencies grow as long as the load lasts";
    return;
  }
  measure::ServerLoad load;
  if (record.cell.arrivals != Arrivals::constant) {
    load = {std::min(0.999, paced.busy_share), measure::kUsualSpread};
  }
  const measure::QueueSample queue(record.sample_start_s, record.samples_s, load, ended);
  for (const measure::Percentile& each : measure::kPercentiles) {
    if (auto estimate = queue.percentile(each.share)) record.latency_s[each.name] = *estimate;
  }
  paced.tail_episodes = queue.episodes(0.99);
  record.latency_note = fmt::format(
      "from when each of {} requests was due to the last byte of its reply, over {:.3g} s",
      counted.size(), paced.window_s);
}

}  // namespace breakeven::load

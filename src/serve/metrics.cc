#include "serve/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace breakeven::serve {
namespace {

constexpr double kFirst_s = 64e-6;

template <class Value>
void line(std::string& out, std::string_view name, std::string_view labels, Value value) {
  fmt::format_to(std::back_inserter(out), "{}{}{}{} {}\n", name, labels.empty() ? "" : "{", labels,
                 labels.empty() ? "" : "}", value);
}

void head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

}  // namespace

double Histogram::upper_s(std::size_t bucket) {
  return kFirst_s * static_cast<double>(std::uint64_t{1} << bucket);
}

void Histogram::add(double seconds) {
  std::size_t bucket = 0;
  while (bucket < kBuckets && seconds > upper_s(bucket)) ++bucket;
  ++counts_[bucket];
  ++count_;
  sum_s_ += seconds;
}

void Histogram::write(std::string_view name, std::string_view labels, std::string& out) const {
  std::uint64_t below = 0;
  const std::string_view comma = labels.empty() ? "" : ",";
  for (std::size_t i = 0; i <= kBuckets; ++i) {
    below += counts_[i];
    const std::string upper = i < kBuckets ? fmt::format("{:.6g}", upper_s(i)) : "+Inf";
    fmt::format_to(std::back_inserter(out), "{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels, comma,
                   upper, below);
  }
  line(out, fmt::format("{}_sum", name), labels, sum_s_);
  line(out, fmt::format("{}_count", name), labels, count_);
}

void Metrics::count_reply(int status) {
  const auto* const found = std::find(std::begin(kStatuses), std::end(kStatuses), status);
  ++replies[static_cast<std::size_t>(found - std::begin(kStatuses))];
}

std::string Metrics::write(const Core& core, double now_s) const {
  std::string out;
  head(out, "breakeven_http_replies_total", "counter", "Replies by status");
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const std::string status =
        i < std::size(kStatuses) ? std::to_string(kStatuses[i]) : std::string("other");
    line(out, "breakeven_http_replies_total", fmt::format("status=\"{}\"", status), replies[i]);
  }
  const Counters& counters = core.counters();
  head(out, "breakeven_requests_total", "counter", "Requests by what became of them");
  line(out, "breakeven_requests_total", R"(outcome="accepted")", counters.accepted);
  line(out, "breakeven_requests_total", R"(outcome="cancelled")", counters.cancelled);
  for (const Outcome outcome : all_of<Outcome>()) {
    line(out, "breakeven_requests_total", fmt::format("outcome=\"{}\"", to_string(outcome)),
         counters.ended[static_cast<std::size_t>(outcome)]);
  }
  head(out, "breakeven_refused_total", "counter", "Requests that were not let in, by reason");
  for (const Refusal refusal : all_of<Refusal>()) {
    line(out, "breakeven_refused_total", fmt::format("reason=\"{}\"", to_string(refusal)),
         counters.refused[static_cast<std::size_t>(refusal)]);
  }
  head(out, "breakeven_requests_waiting", "gauge", "Requests that wait or are computed");
  line(out, "breakeven_requests_waiting", "", core.requests());
  head(out, "breakeven_backlog_seconds", "gauge", "Time until what waits is done");
  line(out, "breakeven_backlog_seconds", "", core.ready() ? core.backlog_s(now_s) : 0);
  head(out, "breakeven_request_seconds", "histogram", "Answered requests, whole and by stage");
  total_s.write("breakeven_request_seconds", R"(stage="total")", out);
  queue_s.write("breakeven_request_seconds", R"(stage="queue")", out);
  tokenize_s.write("breakeven_request_seconds", R"(stage="tokenize")", out);
  compute_s.write("breakeven_request_seconds", R"(stage="compute")", out);
  head(out, "breakeven_texts_total", "counter", "Texts answered");
  line(out, "breakeven_texts_total", "", texts);
  head(out, "breakeven_truncated_tokens_total", "counter", "Tokens that were cut off");
  line(out, "breakeven_truncated_tokens_total", "", truncated_tokens);
  head(out, "breakeven_tokenized_ahead_total", "counter",
       "Texts that were tokenised while a lane computed others");
  line(out, "breakeven_tokenized_ahead_total", "", tokenized_ahead);
  head(out, "breakeven_connections_total", "counter", "Connections taken");
  line(out, "breakeven_connections_total", "", connections);
  head(out, "breakeven_connections_refused_total", "counter", "Connections over the limit");
  line(out, "breakeven_connections_refused_total", "", connections_refused);
  head(out, "breakeven_connections_open", "gauge", "Connections now");
  line(out, "breakeven_connections_open", "", connections_open);
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help,
                        const auto& value) {
    head(out, name, type, help);
    for (std::size_t i = 0; i < lanes.size(); ++i) {
      line(out, name, fmt::format("lane=\"{}\",device=\"{}\"", i, lanes[i].device), value(i));
    }
  };
  each("breakeven_batches_total", "counter", "Batches", [&](auto i) { return lanes[i].batches; });
  each("breakeven_batch_texts_total", "counter", "Texts in batches",
       [&](auto i) { return lanes[i].texts; });
  each("breakeven_batch_tokens_total", "counter", "Tokens in batches",
       [&](auto i) { return lanes[i].tokens; });
  each("breakeven_batch_failures_total", "counter", "Batches that failed",
       [&](auto i) { return lanes[i].failures; });
  each("breakeven_lanes_made_anew_total", "counter", "Times that it was made anew, or tried to",
       [&](auto i) { return lanes[i].made_anew; });
  each("breakeven_busy_seconds_total", "counter", "Time with a batch under way",
       [&](auto i) { return lanes[i].busy_s; });
  each("breakeven_batch_excess_seconds_total", "counter",
       "What batches took less what was predicted", [&](auto i) { return lanes[i].excess_s; });
  each("breakeven_batch_absolute_excess_seconds_total", "counter",
       "The same, each without its sign", [&](auto i) { return lanes[i].absolute_excess_s; });
  each("breakeven_promise_factor", "gauge", "Predicted times are taken so many times for a promise",
       [&](auto i) { return core.time_of(i).safety(); });
  head(out, "breakeven_batch_seconds", "histogram", "Batches");
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    lanes[i].batch_s.write("breakeven_batch_seconds",
                           fmt::format("lane=\"{}\",device=\"{}\"", i, lanes[i].device), out);
  }
  return out;
}

}  // namespace breakeven::serve

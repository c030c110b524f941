#include "serve/service.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace breakeven::serve {
namespace {

constexpr double kForever = std::numeric_limits<double>::infinity();
constexpr double kProbeEvery_s = 5;  // when nobody asks
constexpr double kReadyWithin_s = 30;
constexpr double kLiveFor_s = 4;
constexpr const char* kProbe = "A warm and funny film; I would watch it again.";

std::vector<std::vector<decide::Point>> anchors_of(const std::vector<LaneSetup>& lanes) {
  std::vector<std::vector<decide::Point>> all;
  all.reserve(lanes.size());
  for (const LaneSetup& lane : lanes) all.push_back(lane.anchors);
  return all;
}

// A lane's new classifier, if it gives the text the label that the first one gave.
MakeClassifier checked(MakeClassifier make, std::size_t label) {
  if (!make) return {};
  return [make = std::move(make), label]() -> Result<std::unique_ptr<Classifier>> {
    BREAKEVEN_TRY(std::unique_ptr<Classifier> made, make());
    BatchResult result;
    const Text text(kProbe);
    BREAKEVEN_TRY_VOID(made->run_batch({&text, 1}, result));
    if (result.labels.front() == label) return made;
    return fail("serve/lane", "a new one gives another label than the first one gave", "");
  };
}

Problem problem_of(const Admission& admission) {
  const double retry_s = std::max(0.001, admission.retry_after_s);
  switch (*admission.refused) {
    case Refusal::late:
      return {429,
              {"serve/late",
               fmt::format("it would be answered {:.0f} ms after its limit", 1e3 * retry_s),
               "try again later, or send a higher x-deadline-ms"},
              retry_s};
    case Refusal::full:
      return {429, {"serve/full", "more waits than this server holds", "try again later"}, retry_s};
    case Refusal::never:
      return {422,
              {"serve/limit", "alone on the server it would take longer than its limit",
               "send fewer texts or a higher x-deadline-ms"},
              0};
    case Refusal::draining:
      return {503, {"serve/draining", "the server is about to end", "ask another one"}, 1};
    case Refusal::no_lane:
      break;
  }
  return {503, {"serve/no-device", "no device works now", "try again: it is made anew"}, 1};
}

}  // namespace

Service::Service(Served served, std::vector<LaneSetup> lanes, ServiceOptions options)
    : served_(std::move(served)),
      options_(std::move(options)),
      core_(anchors_of(lanes), options_.limits),
      tokens_(served_.max_length),
      running_(lanes.size()),
      started_s_(lanes.size()),
      expected_s_(lanes.size()),
      told_s_(lanes.size(), -kForever),
      traffic_(lanes.size(), options_.clock->now_s()) {
  BREAKEVEN_CHECK(options_.post != nullptr);
  started_at_s_ = answered_s_ = probed_s_ = now_s();
  BatchResult result;
  const Text text(kProbe);
  const auto worked = lanes.front().classifier->run_batch({&text, 1}, result);
  BREAKEVEN_CHECK(worked, "{}", worked ? "" : worked.error().to_string());
  probe_label_ = result.labels.front();
  if (options_.read) {
    preparer_ = std::make_unique<Preparer>(
        std::move(options_.read), [this](std::vector<Preparer::Job> jobs) {
          auto shared = std::make_shared<std::vector<Preparer::Job>>(std::move(jobs));
          options_.post([this, shared] { prepared(std::move(*shared)); });
        });
  }
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    metrics_.lanes.push_back({});
    metrics_.lanes.back().device = lanes[i].device;
    const auto finished = [this, i](LaneResult lane_result) {
      // A function that is copied holds its result by a pointer.
      auto shared = std::make_shared<LaneResult>(std::move(lane_result));
      options_.post([this, i, shared] { this->finished(i, *shared); });
    };
    make_anew_.push_back(checked(std::move(lanes[i].make_anew), probe_label_));
    lanes_.push_back(
        std::make_unique<Lane>(std::move(lanes[i].classifier), *options_.clock, finished));
  }
}

Service::~Service() {
  if (live_thread_.joinable()) live_thread_.join();
}

bool Service::has_room() const {
  return core_.texts() < options_.limits.texts / 2;
}

std::uint64_t Service::submit(std::vector<OwnedText> texts, double received_s, double limit_s,
                              Done done) noexcept {
  std::vector<std::uint32_t> tokens;
  std::size_t bytes = 0;
  for (const OwnedText& text : texts) {
    tokens.push_back(tokens_.estimate(text.bytes()));
    bytes += text.bytes();
  }
  traffic_.came(texts.size());
  const std::uint64_t id = ++next_id_;
  const double deadline_s = received_s + (limit_s > 0 ? limit_s : options_.limit_s);
  const Admission admission = core_.offer(now_s(), {id, tokens, bytes, deadline_s});
  if (admission.refused) {
    done(tl::unexpected<Problem>(problem_of(admission)));
    return 0;
  }
  Waiting& waiting = waiting_[id];
  waiting.answer.texts.resize(texts.size());
  waiting.ids.resize(texts.size());
  waiting.texts = std::make_shared<const std::vector<OwnedText>>(std::move(texts));
  waiting.received_s = received_s;
  waiting.done = std::move(done);
  start();
  prepare();
  deliver();
  return id;
}

void Service::cancel(std::uint64_t request) noexcept {
  if (waiting_.erase(request) == 0) return;
  core_.cancel(request);
}

void Service::start() {
  while (const auto started = core_.start(now_s())) {
    std::vector<Text> texts;
    auto keep = std::make_shared<std::vector<std::shared_ptr<const void>>>();
    for (const Part& part : started->parts) {
      const Waiting& waiting = waiting_.at(part.request);
      Text& text = texts.emplace_back((*waiting.texts)[part.text].view());
      text.ready = waiting.ids[part.text].get();
      if (keep->empty() || keep->back() != waiting.texts) keep->push_back(waiting.texts);
      if (text.ready == nullptr) continue;
      keep->push_back(waiting.ids[part.text]);
      ++metrics_.tokenized_ahead;
    }
    running_[started->lane] = started->parts;
    started_s_[started->lane] = now_s();
    expected_s_[started->lane] = started->expected_s;
    lanes_[started->lane]->run(std::move(texts), std::move(keep));
  }
}

void Service::prepare() {
  if (preparer_ == nullptr || preparer_->busy()) return;
  std::vector<Preparer::Job> jobs;
  for (const Part& part : core_.prepare()) {
    jobs.push_back({part.request, part.text, waiting_.at(part.request).texts});
  }
  if (!jobs.empty()) preparer_->run(std::move(jobs));
}

void Service::prepared(std::vector<Preparer::Job> jobs) noexcept {
  preparer_->taken();
  for (Preparer::Job& job : jobs) {
    const auto found = waiting_.find(job.request);
    if (found == waiting_.end()) continue;  // its client left
    core_.prepared(job.request, job.text, static_cast<std::uint32_t>(job.made.ids.size()));
    found->second.ids[job.text] = std::make_shared<const TokenIds>(std::move(job.made));
  }
  prepare();
}

void Service::finished(std::size_t lane, const LaneResult& result) noexcept {
  const std::vector<Part> parts = std::exchange(running_[lane], {});
  const double took_s = result.ended_s - result.started_s;
  LaneMetrics& metrics = metrics_.lanes[lane];
  metrics.busy_s += took_s;
  if (result.worked) {
    ++metrics.batches;
    metrics.texts += parts.size();
    for (const std::uint32_t tokens : result.batch.tokens) {
      metrics.tokens += tokens;
      traffic_.computed(tokens);
    }
    metrics.excess_s += took_s - expected_s_[lane];
    metrics.absolute_excess_s += std::abs(took_s - expected_s_[lane]);
    metrics.batch_s.add(took_s);
    answered_s_ = now_s();
  } else {
    failed(lane, result.worked.error());
  }
  for (std::size_t i = 0; i < parts.size() && result.worked; ++i) {
    const auto found = waiting_.find(parts[i].request);
    if (found == waiting_.end()) continue;  // its client left
    take(parts[i], i, result, found->second);
    found->second.answer.device = metrics.device;
  }
  core_.finished(now_s(), lane, result.worked.has_value());
  repair();
  start();
  prepare();
  deliver();
}

void Service::failed(std::size_t lane, const Error& error) {
  LaneMetrics& metrics = metrics_.lanes[lane];
  ++metrics.failures;
  if (now_s() - told_s_[lane] < kTellEvery_s) return;
  told_s_[lane] = now_s();
  options_.tell(fmt::format("{}: a batch failed: {}", metrics.device, error.to_string()));
}

void Service::repair() {
  while (const auto lane = core_.take_repair()) {
    const std::string& device = metrics_.lanes[*lane].device;
    if (!make_anew_[*lane]) {
      options_.tell(fmt::format("{}: {} batches on end failed: it is not used any more", device,
                                Core::kLaneFailures));
      core_.repaired(*lane, false);
      continue;
    }
    options_.tell(
        fmt::format("{}: {} batches on end failed: it is made anew", device, Core::kLaneFailures));
    lanes_[*lane]->make_anew(make_anew_[*lane], [this, lane = *lane](const Result<void>& made) {
      options_.post([this, lane, made] { repaired(lane, made); });
    });
  }
}

void Service::repaired(std::size_t lane, const Result<void>& made) noexcept {
  LaneMetrics& metrics = metrics_.lanes[lane];
  ++metrics.made_anew;
  if (made) answered_s_ = now_s();
  options_.tell(made ? fmt::format("{}: a new one works", metrics.device)
                     : fmt::format("{}: a new one does not work either: {}", metrics.device,
                                   made.error().to_string()));
  core_.repaired(lane, made.has_value());
  start();
  prepare();
  deliver();
}

void Service::take(const Part& part, std::size_t place, const LaneResult& result,
                   Waiting& waiting) {
  const BatchResult& batch = result.batch;
  TextAnswer& answer = waiting.answer.texts[part.text];
  const std::size_t classes = batch.logits.size() / batch.labels.size();
  const auto first = batch.logits.begin() + static_cast<std::ptrdiff_t>(place * classes);
  answer.logits.assign(first, first + static_cast<std::ptrdiff_t>(classes));
  answer.tokens = batch.tokens[place];
  answer.truncated_tokens =
      batch.whole_tokens.empty() ? 0 : batch.whole_tokens[place] - batch.tokens[place];
  if (batch.cut[place] == 0) {
    tokens_.observe((*waiting.texts)[part.text].bytes(), batch.tokens[place]);
  }
  waiting.answer.batch = std::max(waiting.answer.batch, batch.labels.size());
  if (waiting.first_start_s < 0) waiting.first_start_s = result.started_s;
  waiting.last_tokenize_s = batch.stages.tokenize;
}

Checked<Answer> Service::answer_of(Outcome outcome, Waiting& waiting) {
  const double now = now_s();
  switch (outcome) {
    case Outcome::answered: {
      Answer answer = std::move(waiting.answer);
      answer.queue_s = std::max(0.0, waiting.first_start_s - waiting.received_s);
      const double rest_s = std::max(0.0, now - waiting.received_s - answer.queue_s);
      answer.tokenize_s = std::min(waiting.last_tokenize_s, rest_s);
      answer.compute_s = rest_s - answer.tokenize_s;
      metrics_.total_s.add(now - waiting.received_s);
      metrics_.queue_s.add(answer.queue_s);
      metrics_.tokenize_s.add(answer.tokenize_s);
      metrics_.compute_s.add(answer.compute_s);
      metrics_.texts += answer.texts.size();
      for (const TextAnswer& text : answer.texts) {
        metrics_.truncated_tokens += text.truncated_tokens;
        const bool finite = std::all_of(text.logits.begin(), text.logits.end(),
                                        [](float logit) { return std::isfinite(logit); });
        if (!finite) {
          return refuse(500, "serve/output", "the model gave a score that is no number",
                        "the precision may not suit it: try --precision fp32");
        }
      }
      return answer;
    }
    case Outcome::expired:
      return tl::unexpected<Problem>(
          Problem{504,
                  {"serve/expired",
                   fmt::format("its limit passed after {:.0f} ms in the queue",
                               1e3 * (now - waiting.received_s)),
                   "try again; the server was slower than it knew"},
                  0,
                  now - waiting.received_s});
    case Outcome::drained:
      return refuse(503, "serve/draining", "the server had to end before its turn came",
                    "ask another one");
    case Outcome::failed:
      break;
  }
  return refuse(500, "serve/failed", "computing it failed, with others and alone",
                "see the server's log");
}

void Service::deliver() {
  for (const Ended& ended : core_.take_ended()) {
    const auto found = waiting_.find(ended.request);
    if (found == waiting_.end()) continue;  // cancelled by another one's `done`
    Waiting waiting = std::move(found->second);
    waiting_.erase(found);
    waiting.done(answer_of(ended.outcome, waiting));
  }
}

void Service::probe(double now) {
  if (now - std::max(answered_s_, probed_s_) < kProbeEvery_s || core_.requests() > 0) return;
  probed_s_ = now;
  submit({{kProbe, std::nullopt}}, now, kReadyWithin_s, [this](const Checked<Answer>& answer) {
    if (!answer) return;
    const auto& logits = answer->texts.front().logits;
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    if (static_cast<std::size_t>(best) != probe_label_) answered_s_ = -kForever;
  });
}

void Service::tick() noexcept {
  const double now = now_s();
  core_.tick(now);
  deliver();
  traffic_.tick(now, busy_s());
  if (!core_.draining() && core_.ready()) probe(now);
}

void Service::drain(double within_s) {
  core_.drain(now_s() + within_s);
}

bool Service::ready() const {
  return core_.ready() && !core_.draining() && now_s() - answered_s_ < kReadyWithin_s;
}

std::vector<double> Service::busy_s() const {
  std::vector<double> all;
  for (const LaneMetrics& lane : metrics_.lanes) all.push_back(lane.busy_s);
  return all;
}

void Service::tell_live(const Live* live) {
  for (const auto& done : std::exchange(live_waits_, {})) done(live);
}

void Service::live(std::function<void(const Live*)> done) {
  const bool tells = live_ != nullptr && !live_->alone.empty();
  if (tells && now_s() - live_at_s_ < kLiveFor_s) return done(live_.get());
  live_waits_.push_back(std::move(done));
  if (live_waits_.size() > 1) return;  // it is being made
  if (live_thread_.joinable()) live_thread_.join();
  traffic_.tick(now_s(), busy_s());
  std::vector<Machine> machines;
  for (std::size_t i = 0; i < metrics_.lanes.size(); ++i) {
    const std::string& device = metrics_.lanes[i].device;
    machines.push_back({device, device != "cpu", true, "fitted here, refitted while it works",
                        core_.time_of(i).model()});
  }
  machines.insert(machines.end(), options_.elsewhere.begin(), options_.elsewhere.end());
  const auto work = [this, machines = std::move(machines), observed = traffic_.seen()] {
    ::setpriority(PRIO_PROCESS, 0, 10);  // of this thread: requests go first
    auto made = std::make_shared<Live>(
        live_of(observed, machines, options_.limits.batch, options_.limit_s));
    options_.post([this, made] {
      live_ = std::make_unique<Live>(std::move(*made));
      live_at_s_ = now_s();
      tell_live(live_.get());
    });
  };
  try {
    live_thread_ = std::thread(work);
  } catch (const std::system_error&) {
    tell_live(nullptr);
  }
}

std::string Service::info_json() const {
  std::string lanes;
  for (std::size_t i = 0; i < metrics_.lanes.size(); ++i) {
    const decide::LatencyModel& model = core_.time_of(i).model();
    if (i > 0) lanes += ',';
    lanes += fmt::format(
        R"({{"device":{},"batch_s":{},"token_s":{},"token2_s":{},"promise_factor":{},"broken":{}}})",
        json_text(metrics_.lanes[i].device), model.a_s.value, model.b_s_per_token.value,
        model.c_s_per_token2.value, core_.time_of(i).safety(), core_.broken(i));
  }
  std::string labels;
  for (const std::string& label : served_.labels) {
    labels += (labels.empty() ? "" : ",") + json_text(label);
  }
  const std::string record =
      served_.record.valid() ? R"(,"record":)" + served_.record.get() : std::string();
  return fmt::format(
      R"({{"name":"breakeven","version":"{}","model":{},"precision":{},"max_length":{},"labels":[{}],"pairs":{},)"
      R"("batch_tokens":{},"batch_texts":{},"limit_s":{},"up_s":{:.3f},"lanes":[{}]{}}})",
      BREAKEVEN_VERSION, json_text(served_.model), json_text(served_.precision), served_.max_length,
      labels, served_.takes_pairs, options_.limits.batch.tokens, options_.limits.batch.texts,
      options_.limit_s, now_s() - started_at_s_, lanes, record);
}

}  // namespace breakeven::serve

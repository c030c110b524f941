#include "load/server.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <numeric>

#include "base/content_hash.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "load/window.h"
#include "measure/environment.h"
#include "measure/parity.h"
#include "measure/statistics.h"
#include "measure/thresholds.h"
#include "record/json.h"

namespace breakeven::load {
namespace {

constexpr std::string_view kHint =
    "give its path, as http://HOST:PORT/predict, or --interface breakeven, tei, vllm or oip";

bool is_success(int status) {
  return status >= 200 && status < 300;
}

double cpu_s() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::vector<double> seconds_of(const Played& played) {
  std::vector<double> seconds;
  for (const Exchange& each : played.exchanges) {
    if (each.end == End::answered) seconds.push_back(each.done_s - each.due_s);
  }
  return seconds;
}

double answered_per_s(const Played& played) {
  return static_cast<double>(seconds_of(played).size()) /
         std::max(1e-9, played.end_s - played.begin_s);
}

std::vector<std::uint32_t> over_and_over(std::size_t texts, std::size_t count) {
  std::vector<std::uint32_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = static_cast<std::uint32_t>(i % texts);
  return order;
}

// Of a server that says nothing about its machine: another address is another machine.
void describe_machine(const Url& url, bool local, record::Machine& machine) {
  if (local) {
    machine = measure::read_machine();
    return;
  }
  machine.hostname_hash = sha256_hex(url.name()).substr(0, 12);
  machine.cpu_model = "server at " + url.name();
}

}  // namespace

Result<std::unique_ptr<Server>> Server::meet(const ServerOptions& options) {
  std::unique_ptr<Server> server(new Server);
  server->options_ = options;
  BREAKEVEN_TRY(const Address address, resolve(options.url));
  const PlayerOptions playing{options.timeout_s, options.keep_alive, options.stop};
  server->player_ = std::make_unique<Player>(address, options.url.name(), playing);
  server->ask_.host = options.url.name();
  server->ask_.fields = options.fields;
  server->ask_.keep_alive = options.keep_alive;
  server->ask_.path = options.url.path;
  record::Record& known = server->prototype;
  describe_machine(options.url, address.is_local(), known.machine);
  known.build = measure::read_build();
  known.cell.mode = Mode::paced;
  server->http_.keep_alive = options.keep_alive;
  server->http_.local = address.is_local();
  server->http_.timeout_s = options.timeout_s;
  BREAKEVEN_TRY_VOID(server->choose_interface());
  known.cell.runtime.name = "http";
  // A server that computes on several devices says so in its place.
  std::string& variant = known.cell.runtime.variant;
  variant = to_string(server->ask_.interface) + (variant.empty() ? "" : "," + variant);
  if (options.device) known.cell.device = *options.device;
  if (options.precision) known.cell.precision = *options.precision;
  if (options.max_length) known.cell.max_length = *options.max_length;
  server->http_.interface = to_string(server->ask_.interface);
  server->http_.url = options.url.name() + server->ask_.path;
  return server;
}

Result<Reply> Server::get(std::string_view path) {
  return player_->ask(plain_request(ask_, "GET", path));
}

// 401 and 403: of whatever was asked.
Result<void> Server::refuse(const Reply& reply) const {
  const std::string said(reply.body.substr(0, 300));
  if (reply.status == 401 || reply.status == 403) {
    return fail("load/key", fmt::format("{} wants a key ({})", ask_.host, reply.status),
                "give it with --api-key-file, or another field with --header");
  }
  if (reply.status == 404 || reply.status == 405) {
    return fail("load/route",
                fmt::format("{} has nothing at {} that takes texts ({}): {}", ask_.host, ask_.path,
                            reply.status, said),
                std::string(kHint));
  }
  return fail("load/status",
              fmt::format("{} answers {} to a text alone at {}: {}", ask_.host, reply.status,
                          ask_.path, said),
              "see what it says; --header sends what else it wants");
}

// What our own server, TEI and Triton's kin say of themselves.
void Server::take_info(const std::string& body) {
  const auto document = JsonDocument::parse(body, {"", "load/reply", "load/reply", ""});
  if (!document || !document->value().is_object()) return;
  const JsonValue value = document->value();
  const auto text = [&](std::string_view name) {
    const auto field = value.find(name);
    return std::string(field ? field->text().value_or("") : "");
  };
  const std::string version = text("version");
  if (text("name") == "breakeven") {
    http_.server = "breakeven " + version;
    if (!options_.interface && ask_.path.empty()) ask_.interface = Interface::breakeven;
    prototype.model_name = text("model");
    std::vector<RawJsonField> fields;
    if (!scan_json_object(body, fields)) {
      for (const RawJsonField& field : fields) {
        if (field.key != "record") continue;
        if (auto told = record::parse_record(field.value)) prototype = *std::move(told);
      }
    }
    prototype.cell.mode = Mode::paced;
    null_ = plain_request(ask_, "POST", "/null");
  } else if (!text("model_id").empty()) {
    http_.server = "text-embeddings-inference " + version;
    prototype.model_name = text("model_id");
    if (!options_.interface && ask_.path.empty()) ask_.interface = Interface::tei;
    const std::string type = text("model_dtype");
    if (type == "float16") prototype.cell.precision = Precision::fp16;
  }
}

Result<void> Server::choose_interface() {
  const std::string path = ask_.path;
  if (options_.interface) {
    ask_.interface = *options_.interface;
  } else if (const auto by_path = interface_of(path)) {
    ask_.interface = *by_path;
  } else if (!path.empty()) {
    return fail("load/interface", fmt::format("nobody knows how texts are asked for at {}", path),
                "name the interface that it has: --interface breakeven, tei, vllm or oip");
  }
  BREAKEVEN_TRY(const Reply info, get("/info"));
  if (info.status == 401 || info.status == 403) return refuse(info);
  if (is_success(info.status)) take_info(info.body);
  if (path.empty() && !options_.interface && http_.server.empty()) {
    return fail(
        "load/interface",
        fmt::format("{} does not say how it wants to be asked (/info: {})", ask_.host, info.status),
        std::string(kHint));
  }
  if (ask_.path.empty()) ask_.path = usual_path(ask_.interface);
  if (ask_.path.empty()) {
    return fail("load/interface", "the path of the Open Inference Protocol names a model",
                "give it: http://HOST:PORT/v2/models/NAME/infer");
  }
  if (ask_.interface == Interface::oip) {
    const std::string model = ask_.path.substr(0, ask_.path.rfind("/infer"));
    BREAKEVEN_TRY(const Reply told, get(model));
    if (is_success(told.status)) read_inputs(told.body, ask_);
  }
  if (!null_.empty()) return {};
  const char* health = ask_.interface == Interface::oip ? "/v2/health/live" : "/health";
  BREAKEVEN_TRY(const Reply alive, get(health));
  if (is_success(alive.status)) null_ = plain_request(ask_, "GET", health);
  return {};
}

Result<void> Server::warm_up(std::span<const Text> texts, double most_s) {
  const double begin_s = monotonic_clock().now_s();
  for (const Text& text : texts) {
    BREAKEVEN_TRY(std::string request, request_for(ask_, text));
    requests_.push_back(std::move(request));
  }
  // The first ones alone, so that what is wrong with all of them is told as it is.
  std::vector<double> lone;
  constexpr std::size_t kAlone = 5;
  for (std::size_t i = 0; i < kAlone; ++i) {
    const double sent_s = monotonic_clock().now_s();
    BREAKEVEN_TRY(const Reply reply, player_->ask(requests_[i % requests_.size()]));
    if (!is_success(reply.status)) return refuse(reply);
    BREAKEVEN_TRY_VOID(read_label(ask_.interface, reply.body));
    lone.push_back(monotonic_clock().now_s() - sent_s);
  }
  lone_s_ = measure::median(lone);
  std::vector<std::optional<Labelled>> told(texts.size());
  std::optional<Error> wrong;
  const auto keep = [&](std::size_t request, const Reply& reply) {
    auto label = read_label(ask_.interface, reply.body);
    if (!label && !wrong) wrong = label.error();
    if (!label) return false;
    told[request % texts.size()] = *std::move(label);
    return true;
  };
  constexpr std::size_t kMostInFlight = 256;
  constexpr double kWorthIt = 1.05;
  for (std::size_t in_flight = 4; in_flight <= kMostInFlight; in_flight *= 4) {
    const std::size_t count = in_flight == 4 ? texts.size() : std::max(texts.size(), 8 * in_flight);
    const double left_s = begin_s + most_s - monotonic_clock().now_s();
    if (left_s <= 0 && most_per_s_ > 0) break;
    BREAKEVEN_TRY(const Played played,
                  player_->in_turns(over_and_over(texts.size(), count), in_flight,
                                    in_flight == 4 ? 1e9 : left_s, requests_, keep));
    if (wrong) return tl::unexpected<Error>(*wrong);
    if (played.interrupted) return {};
    const double now = answered_per_s(played), before = most_per_s_;
    most_per_s_ = std::max(before, now);
    if (now < kWorthIt * before) break;
  }
  if (most_per_s_ <= 0) {
    return fail("load/status", fmt::format("{} answered none of {} texts", ask_.host, texts.size()),
                "ask it for one by hand; is it overloaded by others?");
  }
  record::Texts& described = prototype.texts;
  described.count = texts.size();
  std::vector<std::uint32_t> tokens;
  for (const auto& each : told) {
    labels_.push_back(each ? each->label : "");
    if (!each || !each->tokens) continue;
    tokens.push_back(*each->tokens);
    described.truncated += each->truncated.value_or(0) > 0 ? 1U : 0U;
  }
  if (tokens.size() == texts.size()) {  // else it does not say, or not of all
    describe_tokens(std::move(tokens));
  } else {
    described.truncated = 0;
  }
  prototype.warmup_passes = 1;
  prototype.warmup_s = monotonic_clock().now_s() - begin_s;
  return {};
}

std::optional<std::uint64_t> Server::told_max_length() const {
  if (prototype.model_hash.empty() && !options_.max_length) return std::nullopt;
  return prototype.cell.max_length;
}

Result<void> Server::compare(const Judge& judge) {
  const std::string& hash = prototype.model_hash;
  if (!hash.empty() && hash != judge.facts.model_hash) {
    return fail(
        "load/model",
        fmt::format("{} has another model ({}) than --model {}: their weights' hashes differ",
                    ask_.host, prototype.model_name, judge.facts.model_name),
        "give --model what the server was started with, or leave it out");
  }
  for (const std::string& label : labels_) {
    if (std::find(judge.all.begin(), judge.all.end(), label) != judge.all.end()) continue;
    return fail("load/model",
                fmt::format("{} answers the label '{}', which --model {} does not know ({})",
                            ask_.host, label, judge.facts.model_name, fmt::join(judge.all, ", ")),
                "give --model what the server was started with, or leave it out");
  }
  prototype.model_name = judge.facts.model_name;
  prototype.model_hash = judge.facts.model_hash;
  prototype.model_shape = judge.facts.model_shape;
  prototype.parity =
      measure::judge_labels(labels_, judge.labels, prototype.cell.precision, judge.name);
  if (prototype.texts.token_counts.empty()) describe_tokens(judge.tokens);
  return {};
}

void Server::describe_tokens(std::vector<std::uint32_t> tokens) {
  record::Texts& described = prototype.texts;
  described.real_tokens = std::accumulate(tokens.begin(), tokens.end(), std::uint64_t{0});
  described.token_counts = std::move(tokens);
  described.computed_tokens = described.real_tokens;
  described.mean_tokens = static_cast<double>(described.real_tokens) /
                          static_cast<double>(std::max<std::size_t>(1, labels_.size()));
}

Result<void> Server::calibrate(double most_s) {
  if (null_.empty()) return {};
  const auto any = [](std::size_t, const Reply&) { return true; };
  constexpr std::size_t kInFlight = 16;
  const double cpu_before_s = cpu_s();
  BREAKEVEN_TRY(const Played most, player_->in_turns(over_and_over(1, 1'000'000), kInFlight,
                                                     std::min(0.5, most_s), {&null_, 1}, any));
  if (most.interrupted) return {};
  http_.null_per_s = answered_per_s(most);
  http_.client_cpu_s = (cpu_s() - cpu_before_s) / static_cast<double>(most.exchanges.size());
  // At the rate that it will be asked at most, and not so slowly that it takes long.
  const double rate = std::min(std::max(most_per_s_, 1000 / most_s), *http_.null_per_s / 4);
  BREAKEVEN_TRY(
      const Played paced,
      player_->play(make_schedule(Arrivals::poisson, rate,
                                  static_cast<std::size_t>(std::max(100.0, most_s * rate)), 1, 1),
                    {&null_, 1}, any));
  const std::vector<double> seconds = seconds_of(paced);
  if (seconds.empty()) return {};
  http_.null_s_p50 = measure::percentile(seconds, 0.5);
  http_.null_s_p99 = measure::percentile(seconds, 0.99);
  return {};
}

// What an overload left behind is no part of the next window.
Result<void> Server::settle() {
  constexpr double kMost_s = 10, kNear = 3;
  const double begin_s = monotonic_clock().now_s();
  const auto any = [](std::size_t, const Reply&) { return true; };
  const std::uint32_t first = 0;
  while (monotonic_clock().now_s() - begin_s < kMost_s) {
    BREAKEVEN_TRY(const Played played, player_->in_turns({&first, 1}, 1, 1e9, requests_, any));
    const std::vector<double> seconds = seconds_of(played);
    if (played.interrupted || (!seconds.empty() && seconds.front() <= kNear * lone_s_)) break;
  }
  return {};
}

Result<Windowed> Server::window(const Schedule& schedule, double rate_per_s, Arrivals arrivals,
                                double most_per_s) {
  BREAKEVEN_TRY_VOID(settle());
  Windowed outcome{prototype};
  record::Record& record = outcome.record;
  record.started_at = measure::utc_now();
  record.cell.rate_per_s = rate_per_s;
  record.cell.arrivals = arrivals;
  // A label's form is checked for each text before; here that JSON came.
  const auto is_json = [](std::size_t, const Reply& reply) { return !scan_json(reply.body); };
  measure::ConditionsWatch watch;
  watch.start();
  BREAKEVEN_TRY(const Played played, player_->play(schedule, requests_, is_json));
  watch.stop();
  outcome.interrupted = played.interrupted;
  record.conditions = watch.conditions();
  http_.connections = player_->connections();
  record.http = http_;
  summarise({rate_per_s, options_.timeout_s, options_.p99_limit_s, most_per_s}, schedule, played,
            record);
  measure::check_threshold(record, "steal", record.conditions->steal_share,
                           "the hypervisor took CPU time away");
  record.energy.method = "not measured";
  return outcome;
}

}  // namespace breakeven::load

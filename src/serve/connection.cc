#include "serve/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <utility>

#include "base/numbers.h"
#include "serve/openapi.h"

namespace breakeven::serve {
namespace {

constexpr std::size_t kInputBytes = 64UL * 1024;    // that wait for their turn
constexpr std::size_t kOutputBytes = 256UL * 1024;  // that a client may leave unread in a stream
constexpr double kLeastBytesPerS = 16 * 1024;
constexpr std::string_view kLines = "application/x-ndjson";
// The page may talk to this server and load nothing.
constexpr std::string_view kPageFields =
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src "
    "'unsafe-inline'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'\r\nX-Content-Type-Options: nosniff\r\n";
constexpr std::string_view kBytes = "application/octet-stream";
constexpr std::string_view kJsonBytes = "inference-header-content-length";

// "application/json; charset=utf-8" -> "application/json"
std::string media_type(std::string_view value) {
  std::string type(value.substr(0, value.find(';')));
  while (type.ends_with(' ')) type.pop_back();
  for (char& c : type) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return type;
}

// In a time that tells nothing of where they differ.
bool same_secret(std::string_view a, std::string_view b) {
  unsigned differ = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char other = b.empty() ? '\0' : b[i % b.size()];
    differ |= static_cast<unsigned>(static_cast<unsigned char>(a[i] ^ other));
  }
  return differ == 0;
}

// What happened to an answered request, as header fields. Times add up to the total.
std::string fields_of(Route route, const Answer& answer) {
  const double total_s = answer.queue_s + answer.tokenize_s + answer.compute_s;
  std::size_t tokens = 0, truncated = 0;
  for (const TextAnswer& text : answer.texts) {
    tokens += text.tokens;
    truncated += text.truncated_tokens;
  }
  std::string fields = fmt::format(
      "Server-Timing: queue;dur={:.3f}, tokenize;dur={:.3f}, compute;dur={:.3f}, "
      "total;dur={:.3f}\r\nX-Device: {}\r\nX-Batch: {}\r\nX-Truncated-Tokens: {}\r\n",
      1e3 * answer.queue_s, 1e3 * answer.tokenize_s, 1e3 * answer.compute_s, 1e3 * total_s,
      answer.device, answer.batch, truncated);
  if (route == Route::predict) {  // TEI's, in whole milliseconds
    fields += fmt::format(
        "X-Total-Time: {:.0f}\r\nX-Tokenization-Time: {:.0f}\r\nX-Queue-Time: {:.0f}\r\n"
        "X-Inference-Time: {:.0f}\r\nX-Compute-Tokens: {}\r\nX-Compute-Type: {}\r\n",
        1e3 * total_s, 1e3 * answer.tokenize_s, 1e3 * answer.queue_s, 1e3 * answer.compute_s,
        tokens, answer.device);
  }
  return fields;
}

// "cpu_price=0.19&gpu_price=0.53" over those that the server was started with.
Checked<Prices> read_prices(std::string_view query, Prices prices) {
  while (!query.empty()) {
    const std::string_view field = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), field.size() + 1));
    const std::string_view name = field.substr(0, field.find('='));
    const auto price = parse_number<double>(field.substr(std::min(field.size(), name.size() + 1)));
    if ((name != "cpu_price" && name != "gpu_price") || !price || !(*price > 0 && *price < 1e6)) {
      return refuse(400, "breakeven/price",
                    fmt::format("{} is no price", json_text(field.substr(0, 60))),
                    "send ?cpu_price=0.19&gpu_price=0.53, of a machine, an hour");
    }
    (name == "cpu_price" ? prices.cpu : prices.gpu) = *price;
  }
  return prices;
}

bool is_open(Route route) {
  return route == Route::livez || route == Route::readyz || route == Route::server_live ||
         route == Route::server_ready || route == Route::page;
}

}  // namespace

Connection::Connection(Service& service, const ConnectionOptions& options,
                       std::function<void()> changed)
    : service_(service),
      options_(options),
      changed_(std::move(changed)),
      reader_(options.http),
      since_s_(service.now_s()) {}

Connection::~Connection() {
  peer_closed();
}

void Connection::peer_closed() {
  closing_ = true;
  if (request_ != 0) service_.cancel(std::exchange(request_, 0));
  for (const Line& line : lines_) {
    if (!line.reply) service_.cancel(line.request);
  }
  lines_.clear();
}

void Connection::enter(Phase phase) {
  phase_ = phase;
  since_s_ = service_.now_s();
}

// Where memory is missing for what a client sent, this client goes, and nobody else.
template <class Work>
void Connection::try_to(const Work& work) {
  try {
    work();
  } catch (const std::bad_alloc&) {
    inside_ = false;
    peer_closed();
    stuck_ = true;
  }
}

void Connection::received(std::string_view bytes) {
  if (phase_ == Phase::stream) since_s_ = service_.now_s();
  try_to([&] {
    input_.append(bytes);
    advance();
  });
}

std::string Connection::take_output() {
  if (unwritten_ == 0) written_s_ = service_.now_s();
  unwritten_ += output_.size();
  return std::exchange(output_, {});
}

void Connection::written(std::size_t bytes) {
  unwritten_ -= bytes;
  written_s_ = service_.now_s();
  if (phase_ == Phase::stream && !closing_) advance();
}

bool Connection::wants_bytes() const {
  if (closing_) return false;
  if (phase_ != Phase::stream) return input_.size() < kInputBytes;
  return lines_.size() < options_.window && output_.size() + unwritten_ < kOutputBytes &&
         text_.size() + input_.size() < options_.body_bytes + kInputBytes;
}

void Connection::tick() {
  if (closing_) return;
  const double now_s = service_.now_s();
  const double passed_s = now_s - since_s_;
  const Problem slow{408, {"http/slow", "the request came too slowly", "send it at once"}, 0};
  if (unwritten_ > 0 && now_s - written_s_ > options_.write_s) {
    peer_closed();
    stuck_ = true;
  } else if (phase_ == Phase::idle && passed_s > options_.idle_s) {
    closing_ = true;
  } else if ((phase_ == Phase::head && passed_s > options_.header_s) ||
             (phase_ == Phase::body &&
              passed_s > options_.body_s + static_cast<double>(body_seen_) / kLeastBytesPerS)) {
    send_problem(slow, true);
  } else if (phase_ == Phase::stream) {
    if (lines_.empty() && text_.empty() && passed_s > options_.idle_s) {
      peer_closed();
    } else {
      advance();  // a line may have waited for room
    }
  }
}

void Connection::advance() {
  if (inside_) return;
  inside_ = true;
  std::size_t at = 0;
  while (!closing_ && phase_ != Phase::working) {
    if (phase_ == Phase::stream) {
      const bool took_all = !cut_off_ && take_lines();
      if (phase_ != Phase::stream) continue;
      if (body_ended_ || !took_all) break;
    }
    std::size_t used = 0;
    const HttpReader::Step step = reader_.next(std::string_view(input_).substr(at), used);
    at += used;
    if (step == HttpReader::Step::more) {
      if (phase_ == Phase::idle && !reader_.between()) enter(Phase::head);
      break;
    }
    if (step == HttpReader::Step::head) take_head();
    if (step == HttpReader::Step::body) take_body(reader_.body());
    if (step == HttpReader::Step::end) take_end();
    if (step == HttpReader::Step::problem) {
      // Of a message whose head was never whole nothing is known.
      if (phase_ == Phase::idle || phase_ == Phase::head) forget_head();
      send_problem(reader_.problem(), true);
    }
  }
  input_.erase(0, closing_ ? input_.size() : at);
  inside_ = false;
}

bool Connection::known_key() const {
  constexpr std::string_view kBearer = "bearer ";
  const std::string_view given = head_.field("authorization");
  if (given.size() < kBearer.size()) return false;
  for (std::size_t i = 0; i < kBearer.size(); ++i) {
    if ((given[i] | 0x20) != kBearer[i] && given[i] != kBearer[i]) return false;
  }
  return same_secret(given.substr(kBearer.size()), options_.api_key);
}

std::optional<Problem> Connection::check_head(Route route) const {
  if (!options_.api_key.empty() && !is_open(route) && !known_key()) {
    return Problem{
        401, {"http/key", "the key is missing or wrong", "send Authorization: Bearer KEY"}, 0};
  }
  if (!head_.field("content-encoding").empty()) {
    return Problem{415, {"http/content-encoding", "the body is compressed", "send it as it is"}, 0};
  }
  const std::string type = media_type(head_.field("content-type"));
  if (route == Route::classify_lines) {
    if (!head_.http_1_0) return std::nullopt;
    return Problem{505, {"http/version", "a stream needs HTTP/1.1", "use HTTP/1.1"}, 0};
  }
  // Triton's clients send no type where binary tensors follow the JSON.
  const bool tensors =
      route == Route::infer && !head_.field(kJsonBytes).empty() && (type.empty() || type == kBytes);
  const bool bare = route == Route::infer && type.empty();
  if (takes_post(route) && route != Route::null && !tensors && !bare &&
      type != "application/json") {
    return Problem{
        415,
        {"http/content-type", fmt::format("the content type is {}", json_text(type.substr(0, 60))),
         "send Content-Type: application/json"},
        0};
  }
  if (head_.content_length.value_or(0) > options_.body_bytes) {
    return Problem{
        413,
        {"http/body-too-long",
         fmt::format("the body has {} bytes, over {}", *head_.content_length, options_.body_bytes),
         "send several requests, or NDJSON"},
        0};
  }
  const std::string_view json_bytes = head_.field(kJsonBytes);
  if (route == Route::infer && !json_bytes.empty() && !parse_number<std::size_t>(json_bytes)) {
    return Problem{
        400,
        {"infer/binary",
         fmt::format("Inference-Header-Content-Length is {}", json_text(json_bytes.substr(0, 60))),
         "send the bytes of the JSON as a number"},
        0};
  }
  Problem wrong{0, {}, 0};
  limit_s(&wrong);
  if (wrong.status != 0) return wrong;
  return std::nullopt;
}

void Connection::forget_head() {
  head_ = {};
  route_ = Route::classify;
}

// 0 = none was sent.
double Connection::limit_s(Problem* wrong) const {
  const std::string_view text = head_.field("x-deadline-ms");
  if (text.empty()) return 0;
  const auto number = parse_number<double>(std::string(text));
  if (number && *number > 0 && *number <= 3.6e6) return *number / 1e3;
  if (wrong != nullptr) {
    *wrong = {400,
              {"http/deadline", fmt::format("x-deadline-ms is {}", json_text(text.substr(0, 60))),
               "send milliseconds, above 0 and up to 3600000"},
              0};
  }
  return 0;
}

void Connection::take_head() {
  head_ = reader_.head();
  body_.clear();
  body_seen_ = 0;
  body_ended_ = false;
  route_ = interface_of(head_.path);  // how a problem is told until it is known
  enter(Phase::body);
  auto route = find_route(head_.method, head_.path, service_.served().model);
  if (!route) return send_problem(route.error(), head_.has_body());
  route_ = *route;
  if (route_ == Route::classify && media_type(head_.field("content-type")) == kLines) {
    route_ = Route::classify_lines;
  }
  if (const auto problem = check_head(route_)) return send_problem(*problem, head_.has_body());
  if (head_.has_body() && !head_.field("expect").empty()) {
    output_ += "HTTP/1.1 100 Continue\r\n\r\n";
  }
  if (route_ != Route::classify_lines) return;
  enter(Phase::stream);
  output_ += chunked_head(kLines, common_fields(), !head_.keep_alive || service_.draining());
}

void Connection::take_body(std::string_view piece) {
  body_seen_ += piece.size();
  if (phase_ == Phase::stream) {
    text_.append(piece);
    return;
  }
  if (phase_ != Phase::body) return;  // of a request that was refused
  if (body_seen_ > options_.body_bytes) {
    return send_problem(
        {413,
         {"http/body-too-long", fmt::format("the body has more than {} bytes", options_.body_bytes),
          "send several requests, or NDJSON"},
         0},
        true);
  }
  body_.append(piece);
}

void Connection::take_end() {
  if (phase_ == Phase::stream) {
    body_ended_ = true;
  } else if (phase_ == Phase::body) {
    takes_post(route_) ? ask() : answer_known(route_);
  } else {
    enter(Phase::idle);
  }
}

std::string Connection::common_fields() const {
  const std::string_view id = safe_id(head_.field("x-request-id"));
  return id.empty() ? "" : fmt::format("X-Request-Id: {}\r\n", id);
}

void Connection::send(HttpReply reply) {
  service_.metrics().count_reply(reply.status);
  reply.more += common_fields();
  reply.close = reply.close || !head_.keep_alive || service_.draining();
  reply.http_1_0 = head_.http_1_0;
  reply.head_only = head_.method == "HEAD";
  output_ += to_bytes(reply);
  if (reply.close) closing_ = true;
  request_ = 0;
  // The end of the message is read next, and changes nothing.
  enter(Phase::idle);
}

void Connection::send_problem(const Problem& problem, bool close) {
  HttpReply reply{.status = problem.status, .body = render_problem(route_, problem)};
  if (problem.retry_after_s > 0) {
    reply.more = fmt::format("Retry-After: {:.0f}\r\n", std::ceil(problem.retry_after_s));
  }
  if (problem.status == 405) {
    reply.more = fmt::format("Allow: {}\r\n", problem.error.hint.substr(4));  // "use POST"
  }
  if (problem.queue_s >= 0) {
    reply.more = fmt::format("Server-Timing: queue;dur={:.3f}\r\n", 1e3 * problem.queue_s);
  }
  if (problem.status == 401) reply.more = "WWW-Authenticate: Bearer\r\n";
  reply.close = close;
  send(std::move(reply));
}

void Connection::answer_known(Route route) {
  const auto state = [&](bool good, std::string_view name) {
    HttpReply reply{.status = good ? 200 : 503};
    reply.body = fmt::format(R"({{"{}":{}}})", name, good);
    send(std::move(reply));
  };
  switch (route) {
    case Route::livez:
    case Route::server_live:
      return state(true, "live");
    case Route::readyz:
    case Route::server_ready:
    case Route::model_ready:
      return state(service_.ready(), "ready");
    case Route::metrics:
      return send({.content_type = "text/plain; version=0.0.4", .body = service_.metrics_text()});
    case Route::info:
      return send({.body = service_.info_json()});
    case Route::openapi:
      return send({.body = std::string(openapi_document())});
    case Route::page:
      return send({.content_type = "text/html; charset=utf-8",
                   .body = std::string(page()),
                   .more = std::string(kPageFields)});
    case Route::breakeven:
      return ask_live();
    case Route::server:
      return send({.body = render_server()});
    default:
      return send({.body = render_model(service_.served())});
  }
}

void Connection::ask() {
  const double received_s = service_.now_s();
  if (route_ == Route::null) return send({.body = "{}"});
  std::optional<std::size_t> json_bytes;
  if (route_ == Route::infer) json_bytes = parse_number<std::size_t>(head_.field(kJsonBytes));
  auto asked = parse_ask(route_, body_, service_.served(), options_.body, json_bytes);
  body_.clear();
  if (!asked) return send_problem(asked.error(), false);
  enter(Phase::working);
  const double own_limit_s = limit_s(nullptr);
  const std::uint64_t request = service_.submit(
      std::move(asked->texts), received_s, own_limit_s > 0 ? own_limit_s : asked->form.limit_s,
      [this, form = asked->form](const Checked<Answer>& result) {
        try_to([&] { answer(form, result); });
      });
  // The answer may have come already.
  if (phase_ == Phase::working) request_ = request;
}

void Connection::ask_live() {
  const auto prices = read_prices(head_.query, service_.prices());
  if (!prices) return send_problem(prices.error(), false);
  enter(Phase::working);
  service_.live([this, prices = *prices, here = std::weak_ptr(here_)](const Live* live) {
    if (here.expired() || closing_) return;
    if (live == nullptr) {
      send_problem({503, {"serve/thread", "no thread can be had", "try again"}, 1}, false);
    } else {
      send({.body = to_json(*live, prices)});
    }
    advance();
    changed_();
  });
}

void Connection::answer(const Form& form, const Checked<Answer>& result) {
  if (!result) {
    Problem problem = result.error();
    if (form.route == Route::predict && problem.status == 500) problem.status = 424;  // as TEI
    send_problem(problem, false);
  } else {
    Rendered rendered = render(form, *result, service_.served());
    HttpReply reply{.body = std::move(rendered.body)};
    reply.more = fields_of(form.route, *result);
    if (rendered.json_bytes) {
      reply.content_type = kBytes;
      reply.more += fmt::format("Inference-Header-Content-Length: {}\r\n", *rendered.json_bytes);
    }
    send(std::move(reply));
  }
  advance();  // nothing, where advance() is what asked
  changed_();
}

// Takes whole lines as long as there is room for them; false: some must wait.
bool Connection::take_lines() {
  std::size_t at = 0;
  bool took_all = false;
  while (!closing_ && lines_.size() < options_.window &&
         output_.size() + unwritten_ < kOutputBytes) {
    std::size_t end = text_.find('\n', at);
    if (end == std::string::npos) {
      if (text_.size() - at > options_.body_bytes) {
        end_stream_early({413,
                          {"http/line-too-long",
                           fmt::format("a line has more than {} bytes", options_.body_bytes),
                           "send shorter texts"},
                          0});
        return false;
      }
      took_all = !body_ended_ || at == text_.size();
      if (took_all) break;
      end = text_.size();
    }
    if (!take_line(std::string_view(text_).substr(at, end - at))) break;
    at = std::min(end + 1, text_.size());
  }
  text_.erase(0, at);
  if (body_ended_ && text_.empty() && lines_.empty() && !closing_) {
    output_ += chunk("");
    service_.metrics().count_reply(200);
    if (!head_.keep_alive || service_.draining()) closing_ = true;
    enter(Phase::idle);
  }
  return took_all;
}

// What was taken is answered, and then the problem told; without the last chunk, so that nobody
// takes it for a whole answer.
void Connection::end_stream_early(const Problem& problem) {
  lines_.push_back({0, render_problem(route_, problem)});
  text_.clear();
  cut_off_ = true;
  write_lines();
}

// false: there is no room for it now.
bool Connection::take_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return true;
  auto asked = parse_ask(route_, line, service_.served(), options_.body);
  const std::uint64_t number = first_line_ + lines_.size();
  if (!asked) {
    lines_.push_back({0, render_problem(route_, asked.error())});
    write_lines();
    return true;
  }
  if (!service_.has_room()) return false;
  lines_.push_back({});
  const std::uint64_t request = service_.submit(
      std::move(asked->texts), service_.now_s(), std::numeric_limits<double>::infinity(),
      [this, number, form = asked->form](const Checked<Answer>& result) {
        try_to([&] {
          line_done(number, result ? render(form, *result, service_.served()).body
                                   : render_problem(form.route, result.error()));
        });
      });
  // Its line, and others, may be done and gone.
  if (number >= first_line_) lines_[number - first_line_].request = request;
  return true;
}

void Connection::line_done(std::uint64_t number, std::string reply) {
  lines_[number - first_line_].reply = std::move(reply);
  write_lines();
  advance();
  changed_();
}

void Connection::write_lines() {
  std::string ready;
  for (; !lines_.empty() && lines_.front().reply; lines_.pop_front(), ++first_line_) {
    ready += *lines_.front().reply + "\n";
  }
  if (!ready.empty()) output_ += chunk(ready);
  if (cut_off_ && lines_.empty()) closing_ = true;
}

}  // namespace breakeven::serve

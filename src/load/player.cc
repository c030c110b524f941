#include "load/player.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "base/descriptor.h"

namespace breakeven::load {
namespace {

constexpr std::size_t kNobody = static_cast<std::size_t>(-1);
constexpr double kLongest_s = 0.25;     // asleep, so that Ctrl-C is heard
constexpr std::size_t kGoneAfter = 50;  // connections in a row that nobody took
constexpr double kGoneAfter_s = 2;

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

// Ours, not the server's.
bool is_our_limit(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM ||
         error == EADDRNOTAVAIL;
}

// Nobody listens there; a connection that was made and lost is another thing.
bool is_nobody(int error) {
  return error == ECONNREFUSED || error == ENOENT || error == EHOSTUNREACH ||
         error == ENETUNREACH || error == ETIMEDOUT;
}

struct Connection {
  Descriptor socket;
  ReplyReader reader;
  std::size_t request = kNobody;
  std::size_t written = 0;
  bool used = false;       // it has brought a reply
  bool wants_out = false;  // epoll tells when it can be written
};

}  // namespace

class Player::Loop {
 public:
  Loop(const Address& address, std::string server, const PlayerOptions& options, const Clock& clock)
      : address_(address), server_(std::move(server)), options_(options), clock_(clock) {
    raise_descriptor_limit();
    // A sleep of this thread ends when it should, not up to 50 us later.
    (void)::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    epoll_.set(::epoll_create1(EPOLL_CLOEXEC));
    BREAKEVEN_CHECK(epoll_.is_open(), "errno={}", errno);
  }

  Result<Played> run(std::vector<Exchange> exchanges, std::size_t in_flight, double most_s,
                     std::span<const std::string> requests, const Check& check);
  const Reply& last_reply() const { return last_reply_; }
  void keep_replies(bool keep) { keeps_reply_ = keep; }
  const std::string& last_problem() const { return last_problem_; }
  // Whether the last connection that was lost had been made.
  bool connected() const { return connected_; }
  double now_s() const { return clock_.now_s(); }
  const std::string& server() const { return server_; }
  const PlayerOptions& options() const { return options_; }
  std::size_t made() const { return made_; }
  const Address& address() const { return address_; }

 private:
  bool stopped() const {
    return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed);
  }
  void start_due(double now_s);
  void start(std::size_t request, bool fresh);
  int connect(std::size_t& place);
  void write(std::size_t place);
  void read(std::size_t place);
  void handle(std::size_t place, std::uint32_t events);
  void take_reply(std::size_t place);
  void lost(std::size_t place, int error, std::string why);
  void nobody_there();
  void finish(std::size_t request, End end);
  void close(std::size_t place);
  void watch(std::size_t place, bool out);
  void expire(double now_s);
  void wait(double until_s);
  double wake_s(double now_s) const;

  Address address_;
  std::string server_;
  PlayerOptions options_;
  const Clock& clock_;
  Descriptor epoll_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::size_t> free_, freed_, idle_;  // places; freed_: after this batch of events
  std::size_t made_ = 0;

  // Of one run.
  std::vector<Exchange> exchanges_;
  std::vector<std::size_t> places_;  // of the connection, by request
  std::vector<bool> again_;          // it was sent a second time, on a new connection
  std::span<const std::string> requests_;
  const Check* check_ = nullptr;
  std::size_t in_flight_ = 0, most_in_flight_ = 0;  // 0 = by the schedule
  double stop_starting_s_ = 0;
  std::size_t next_ = 0, oldest_ = 0, ended_ = 0;
  std::size_t nobody_ = 0;  // connections in a row that were not made
  double nobody_since_s_ = 0;
  std::string gone_;
  Reply last_reply_;
  bool keeps_reply_ = false;
  std::string last_problem_;
  bool connected_ = false;
  std::array<char, 64UL * 1024> bytes_{};
};

void Player::Loop::finish(std::size_t request, End end) {
  Exchange& exchange = exchanges_[request];
  exchange.end = end;
  exchange.done_s = clock_.now_s();
  places_[request] = kNobody;
  ++ended_;
  --in_flight_;
}

void Player::Loop::close(std::size_t place) {
  connections_[place]->socket.close();
  connections_[place]->request = kNobody;
  freed_.push_back(place);
}

void Player::Loop::watch(std::size_t place, bool out) {
  Connection& connection = *connections_[place];
  if (connection.wants_out == out) return;
  connection.wants_out = out;
  epoll_event event{};
  event.events = EPOLLIN | (out ? static_cast<std::uint32_t>(EPOLLOUT) : 0U);
  event.data.u64 = place;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection.socket.get(), &event);
}

// 0, or errno.
int Player::Loop::connect(std::size_t& place) {
  Descriptor made(
      ::socket(address_.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!made.is_open()) return errno;
  if (address_.storage.ss_family != AF_UNIX) {
    const int on = 1;
    (void)::setsockopt(made.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  const auto* to = reinterpret_cast<const sockaddr*>(&address_.storage);
  if (::connect(made.get(), to, address_.size) != 0 && errno != EINPROGRESS) return errno;
  if (free_.empty()) {
    free_.push_back(connections_.size());
    connections_.push_back(std::make_unique<Connection>());
  }
  place = free_.back();
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = place;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, made.get(), &event) != 0) return errno;
  free_.pop_back();
  Connection& connection = *connections_[place];
  connection.socket.set(made.release());
  connection.used = connection.wants_out = false;
  ++made_;
  return 0;
}

void Player::Loop::nobody_there() {
  if (nobody_++ == 0) nobody_since_s_ = clock_.now_s();
  const bool long_enough = nobody_ > 2 && clock_.now_s() - nobody_since_s_ > kGoneAfter_s;
  if (nobody_ >= kGoneAfter || long_enough) gone_ = last_problem_;
}

void Player::Loop::start(std::size_t request, bool fresh) {
  std::size_t place = kNobody;
  if (!fresh && !idle_.empty()) {
    place = idle_.back();
    idle_.pop_back();
  } else if (const int error = connect(place); error != 0) {
    last_problem_ = std::strerror(error);
    connected_ = false;
    finish(request, is_our_limit(error) ? End::unsent : End::broken);
    if (is_nobody(error)) nobody_there();
    return;
  }
  Connection& connection = *connections_[place];
  connection.request = request;
  connection.written = 0;
  connection.reader.begin();
  places_[request] = place;
  write(place);
}

void Player::Loop::write(std::size_t place) {
  Connection& connection = *connections_[place];
  Exchange& exchange = exchanges_[connection.request];
  const std::string& bytes = requests_[exchange.text];
  if (exchange.sent_s < 0) exchange.sent_s = clock_.now_s();
  while (connection.written < bytes.size()) {
    const ssize_t count = ::send(connection.socket.get(), bytes.data() + connection.written,
                                 bytes.size() - connection.written, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return watch(place, true);
    // It may have answered before it closed: that it has no room, for one.
    if (count < 0 && errno == EPIPE) break;
    if (count < 0) return lost(place, errno, std::strerror(errno));
    connection.written += static_cast<std::size_t>(count);
  }
  watch(place, false);
}

// The connection ended badly, or spoke no HTTP (error 0).
void Player::Loop::lost(std::size_t place, int error, std::string why) {
  Connection& connection = *connections_[place];
  const std::size_t request = connection.request;
  const bool was_used = connection.used, began = connection.reader.began();
  last_problem_ = std::move(why);
  connected_ = connection.written > 0 || began || error == 0;
  close(place);
  if (request == kNobody) return;
  // Servers close what was idle for long: that says nothing about this request.
  if (was_used && !began && !again_[request]) {
    again_[request] = true;
    return start(request, true);
  }
  finish(request, End::broken);
  if (is_nobody(error)) nobody_there();
}

void Player::Loop::take_reply(std::size_t place) {
  Connection& connection = *connections_[place];
  const Reply& reply = connection.reader.reply();
  const std::size_t request = connection.request;
  Exchange& exchange = exchanges_[request];
  exchange.status = reply.status;
  exchange.queue_s = reply.queue_s;
  exchange.compute_s = reply.compute_s;
  exchange.batch = reply.batch;
  nobody_ = 0;
  End end = End::error;
  if (reply.status == 429 || reply.status == 503) end = End::refused;
  finish(request, end);  // the clock first
  if (reply.status >= 200 && reply.status < 300) {
    exchange.end = (*check_)(request, reply) ? End::answered : End::malformed;
  }
  if (keeps_reply_) last_reply_ = reply;
  connection.request = kNobody;
  connection.used = true;
  if (options_.keep_alive && reply.keep_alive && !connection.reader.excess() &&
      !connection.wants_out) {
    idle_.push_back(place);
  } else {
    close(place);
  }
}

void Player::Loop::read(std::size_t place) {
  Connection& connection = *connections_[place];
  const ssize_t count = ::recv(connection.socket.get(), bytes_.data(), bytes_.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (connection.request == kNobody) {  // idle: the server closes, or talks out of turn
    idle_.erase(std::remove(idle_.begin(), idle_.end(), place), idle_.end());
    return close(place);
  }
  if (count < 0) return lost(place, errno, std::strerror(errno));
  const auto step = count == 0 ? connection.reader.ended()
                               : connection.reader.received({bytes_.data(), std::size_t(count)});
  if (step == ReplyReader::Step::broken) return lost(place, 0, connection.reader.problem());
  if (step == ReplyReader::Step::done) take_reply(place);
}

void Player::Loop::handle(std::size_t place, std::uint32_t events) {
  Connection& connection = *connections_[place];
  if (!connection.socket.is_open()) return;  // closed by an event before this one
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 && (events & EPOLLIN) == 0) {
    int error = 0;
    socklen_t size = sizeof error;
    (void)::getsockopt(connection.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0) error = ECONNRESET;
    return lost(place, error, std::strerror(error));
  }
  if ((events & EPOLLOUT) != 0 && connection.request != kNobody) write(place);
  if ((events & EPOLLIN) != 0 && connection.socket.is_open()) read(place);
}

void Player::Loop::start_due(double now_s) {
  const bool by_schedule = most_in_flight_ == 0;
  while (next_ < exchanges_.size() && gone_.empty()) {
    Exchange& exchange = exchanges_[next_];
    if (by_schedule ? exchange.due_s > now_s : in_flight_ >= most_in_flight_) break;
    if (!by_schedule) {
      if (now_s > stop_starting_s_) return exchanges_.resize(next_);
      exchange.due_s = now_s = clock_.now_s();
    }
    ++in_flight_;
    start(next_++, !options_.keep_alive);
  }
}

void Player::Loop::expire(double now_s) {
  for (; oldest_ < next_; ++oldest_) {
    const Exchange& exchange = exchanges_[oldest_];
    if (exchange.done_s >= 0) continue;
    if (now_s < exchange.due_s + options_.timeout_s) break;
    close(places_[oldest_]);
    last_problem_ = "no reply in time";
    finish(oldest_, End::timed_out);
  }
}

double Player::Loop::wake_s(double now_s) const {
  double until_s = now_s + kLongest_s;
  if (most_in_flight_ == 0 && next_ < exchanges_.size()) {
    until_s = std::min(until_s, exchanges_[next_].due_s);
  }
  if (oldest_ < next_) until_s = std::min(until_s, exchanges_[oldest_].due_s + options_.timeout_s);
  return until_s;
}

void Player::Loop::wait(double until_s) {
  std::array<epoll_event, 256> events{};
  const double left_s = std::max(0.0, until_s - clock_.now_s());
  const timespec timeout{static_cast<time_t>(left_s),
                         static_cast<long>(1e9 * (left_s - std::floor(left_s)))};
  int count = ::epoll_pwait2(epoll_.get(), events.data(), events.size(), &timeout, nullptr);
  if (count < 0 && errno == ENOSYS) {  // before Linux 5.11: the last millisecond is spent awake
    count =
        ::epoll_wait(epoll_.get(), events.data(), events.size(), static_cast<int>(1e3 * left_s));
  }
  for (int i = 0; i < count; ++i) {
    handle(events[static_cast<std::size_t>(i)].data.u64,
           events[static_cast<std::size_t>(i)].events);
  }
  free_.insert(free_.end(), freed_.begin(), freed_.end());
  freed_.clear();
}

Result<Played> Player::Loop::run(std::vector<Exchange> exchanges, std::size_t in_flight,
                                 double most_s, std::span<const std::string> requests,
                                 const Check& check) {
  exchanges_ = std::move(exchanges);
  places_.assign(exchanges_.size(), kNobody);
  again_.assign(exchanges_.size(), false);
  requests_ = requests;
  check_ = &check;
  most_in_flight_ = in_flight;
  in_flight_ = next_ = oldest_ = ended_ = nobody_ = 0;
  gone_.clear();
  Played played;
  played.begin_s = clock_.now_s();
  stop_starting_s_ = played.begin_s + most_s;
  for (Exchange& exchange : exchanges_) exchange.due_s += played.begin_s;
  while (ended_ < exchanges_.size() && gone_.empty()) {
    const double now_s = clock_.now_s();
    start_due(now_s);
    expire(now_s);
    if (ended_ == exchanges_.size()) break;
    if (stopped()) {
      played.interrupted = true;
      break;
    }
    wait(wake_s(now_s));
  }
  for (std::size_t request = 0; request < exchanges_.size(); ++request) {
    if (places_[request] != kNobody) close(places_[request]);
  }
  played.end_s = clock_.now_s();
  played.exchanges = std::move(exchanges_);
  if (gone_.empty()) return played;
  const auto answered =
      std::count_if(played.exchanges.begin(), played.exchanges.end(),
                    [](const Exchange& each) { return each.end == End::answered; });
  return fail(
      "load/server-gone",
      fmt::format("nobody answers at {} any more, after {} answers: {}", server_, answered, gone_),
      "see what the server says; start it again");
}

Player::Player(const Address& address, std::string server, const PlayerOptions& options,
               const Clock& clock)
    : loop_(std::make_unique<Loop>(address, std::move(server), options, clock)) {}
Player::~Player() = default;

std::size_t Player::connections() const {
  return loop_->made();
}
const Address& Player::address() const {
  return loop_->address();
}

Result<Reply> Player::ask(const std::string& request) {
  loop_->keep_replies(true);
  const Check any = [](std::size_t, const Reply&) { return true; };
  auto played = loop_->run(std::vector<Exchange>(1), 0, 0, {&request, 1}, any);
  loop_->keep_replies(false);
  if (!played) return propagate(std::move(played));
  const Exchange& exchange = played->exchanges.front();
  if (played->interrupted) return fail("load/interrupted", "interrupted before the first reply");
  if (exchange.end == End::timed_out) {
    return fail("load/timeout",
                fmt::format("{} has not answered a request within {:g} s", loop_->server(),
                            loop_->options().timeout_s),
                "is it a server of HTTP, and is its model loaded? --timeout gives it longer");
  }
  if (exchange.end != End::broken && exchange.end != End::unsent) return loop_->last_reply();
  const std::string& why = loop_->last_problem();
  if (loop_->connected()) {
    return fail("load/no-http", fmt::format("{} does not speak HTTP/1.1: {}", loop_->server(), why),
                "a server that wants TLS closes like this: measure it behind its proxy");
  }
  return fail("load/no-server", fmt::format("nobody answers at {}: {}", loop_->server(), why),
              "start the server, as `breakeven serve`, or correct the URL");
}

Result<Played> Player::play(const Schedule& schedule, std::span<const std::string> requests,
                            const Check& check) {
  std::vector<Exchange> exchanges(schedule.due_s.size());
  for (std::size_t i = 0; i < exchanges.size(); ++i) {
    exchanges[i].due_s = schedule.due_s[i];
    exchanges[i].text = schedule.texts[i];
  }
  return loop_->run(std::move(exchanges), 0, 0, requests, check);
}

Result<Played> Player::in_turns(std::span<const std::uint32_t> texts, std::size_t in_flight,
                                double most_s, std::span<const std::string> requests,
                                const Check& check) {
  BREAKEVEN_CHECK(in_flight > 0);
  std::vector<Exchange> exchanges(texts.size());
  for (std::size_t i = 0; i < exchanges.size(); ++i) exchanges[i].text = texts[i];
  return loop_->run(std::move(exchanges), in_flight, most_s, requests, check);
}

}  // namespace breakeven::load

#include "serve/storm.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cmath>
#include <deque>
#include <fstream>
#include <limits>
#include <string_view>

#include "base/check.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/random.h"

namespace breakeven::testing {
namespace {

enum class Kind : std::uint8_t { good, malformed, aborted };

struct Peer {
  Descriptor socket;
  bool busy = false;
  Kind kind = Kind::good;
  double planned_s = 0, late_s = 0;
  std::string received;
};

class Storm {
 public:
  explicit Storm(const StormOptions& options)
      : options_(options), random_(options.seed), epoll_(::epoll_create1(0)) {
    for (std::size_t i = 0; i < options.connections; ++i) free_.push_back(add());
  }

  StormResult play() {
    const double start_s = now_s(), cpu_s = thread_s();
    double due_s = start_s;
    std::size_t begun = 0;
    while (result_.all() < options_.requests) {
      while (begun < options_.requests && is_due(due_s)) {
        if (free_.empty()) free_.push_back(add());
        begin(options_.rate_per_s > 0 ? due_s : now_s(), start_s);
        ++begun;
        if (options_.rate_per_s > 0) {
          due_s -= std::log(1 - random_.uniform(0, 1)) / options_.rate_per_s;
        }
      }
      const bool full = free_.empty() && peers_.size() >= options_.most_connections;
      const bool waits = options_.rate_per_s == 0 || begun == options_.requests || full;
      receive(start_s, waits ? -1 : std::max(0, static_cast<int>(1e3 * (due_s - now_s()))));
    }
    result_.wall_s = now_s() - start_s;
    result_.cpu_s = thread_s() - cpu_s;
    return std::move(result_);
  }

 private:
  bool is_due(double due_s) const {
    if (options_.rate_per_s == 0) return !free_.empty();
    return due_s <= now_s() && (!free_.empty() || peers_.size() < options_.most_connections);
  }
  static double now_s() { return monotonic_clock().now_s(); }
  static double thread_s() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }

  void connect(std::size_t index) {
    Peer& peer = peers_[index];
    peer.socket.set(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    const std::string& address = options_.address;
    to.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while (::connect(peer.socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
      BREAKEVEN_CHECK(errno == EAGAIN || errno == EINTR, "connect: errno {}", errno);
    }
    const int one = 1;
    ::setsockopt(peer.socket.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ::fcntl(peer.socket.get(), F_SETFL, O_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = index;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, peer.socket.get(), &event);
    peer.received.clear();
  }
  std::size_t add() {
    peers_.emplace_back();
    connect(peers_.size() - 1);
    return peers_.size() - 1;
  }

  std::string request(Kind kind) {
    if (!options_.sent.empty()) return options_.sent[next_++ % options_.sent.size()];
    std::string body = R"({"input":")";
    const std::size_t bytes = random_.scaled_below(options_.most_bytes) + 1;
    if (options_.words.empty()) {
      body.append(bytes, 'x');
    } else {
      body.append(options_.words, random_.scaled_below(options_.words.size() - bytes), bytes);
    }
    body += R"("})";
    if (kind == Kind::malformed) body.pop_back();
    return "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
           "Content-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  void begin(double planned_s, double start_s) {
    const std::size_t index = free_.front();
    free_.pop_front();
    Peer& peer = peers_[index];
    const double drawn = random_.uniform(0, 1);
    peer.kind = drawn < options_.aborted                        ? Kind::aborted
                : drawn < options_.aborted + options_.malformed ? Kind::malformed
                                                                : Kind::good;
    peer.busy = true;
    peer.planned_s = planned_s - start_s;
    std::string bytes = request(peer.kind);
    if (peer.kind == Kind::aborted) bytes.resize(random_.scaled_below(bytes.size()) + 1);
    peer.late_s = now_s() - planned_s;
    const ssize_t sent = ::send(peer.socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (peer.kind == Kind::aborted) {
      ++result_.aborted;
      again(index);
    } else if (sent != static_cast<ssize_t>(bytes.size())) {
      ++result_.others;
      again(index);
    }
  }
  void again(std::size_t index) {
    connect(index);
    peers_[index].busy = false;
    free_.push_back(index);
  }

  void receive(double start_s, int wait_ms) {
    epoll_event events[256];
    const int count = ::epoll_wait(epoll_.get(), events, 256, wait_ms);
    for (int i = 0; i < count; ++i) {
      const std::size_t index = events[i].data.u64;
      Peer& peer = peers_[index];
      char bytes[16384];
      const ssize_t got = ::recv(peer.socket.get(), bytes, sizeof bytes, 0);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got <= 0) {
        if (peer.busy) ++result_.others;
        if (peer.busy)
          again(index);
        else
          connect(index);
        continue;
      }
      peer.received.append(bytes, static_cast<std::size_t>(got));
      if (whole(peer.received)) reply(index, now_s() - start_s);
    }
  }
  static bool whole(std::string_view reply) {
    const std::size_t head = reply.find("\r\n\r\n");
    if (head == std::string_view::npos) return false;
    constexpr std::string_view kLength = "ontent-Length: ";
    std::size_t at = reply.find(kLength);
    if (at == std::string_view::npos) at = reply.find("ontent-length: ");  // other servers
    const int length = std::atoi(reply.data() + at + kLength.size());
    return reply.size() >= head + 4 + static_cast<std::size_t>(length);
  }
  void reply(std::size_t index, double at_s) {
    Peer& peer = peers_[index];
    if (!peer.busy) return connect(index);  // it was told to go before it asked
    const std::string_view status = std::string_view(peer.received).substr(9, 3);
    const StormResult::Reply timed{peer.planned_s, at_s - peer.planned_s, peer.late_s};
    if (peer.kind == Kind::malformed && status[0] == '4') {
      ++result_.malformed;
    } else if (status == "200") {
      ++result_.answered;
      result_.answers.push_back(timed);
    } else if (status == "429") {
      ++result_.refused;
      result_.refusals.push_back(timed);
    } else {
      ++result_.others;
    }
    const bool closes = peer.received.find("Connection: close") != std::string::npos;
    peer.received.clear();
    if (closes) return again(index);
    peer.busy = false;
    free_.push_back(index);
  }

  const StormOptions& options_;
  Random random_;
  Descriptor epoll_;
  std::deque<Peer> peers_;
  std::deque<std::size_t> free_;
  std::size_t next_ = 0;  // of options_.sent
  StormResult result_;
};

}  // namespace

StormResult storm(const StormOptions& options) {
  return Storm(options).play();
}

std::string plain_words(const std::string& path) {
  std::ifstream file(path);
  std::string all;
  for (char c = 0; file.get(c);) {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0 || c == ' ') all += c;
  }
  BREAKEVEN_CHECK(!all.empty(), "{}", path);
  return all;
}

}  // namespace breakeven::testing

#include "hub/http_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>

#include "base/check.h"

namespace breakeven::hub::testing {
namespace {

// Up to the empty line; "" when the other side closes before, or speaks TLS.
std::string read_head(int fd, const std::atomic<bool>& stop) {
  std::string head;
  while (head.find("\r\n\r\n") == std::string::npos && !stop) {
    pollfd waiting{fd, POLLIN, 0};
    if (::poll(&waiting, 1, 50) <= 0) continue;
    char piece[4096];
    const ssize_t got = ::recv(fd, piece, sizeof(piece), 0);
    if (got <= 0) return "";
    constexpr char kTlsHandshake = 0x16;
    if (piece[0] == kTlsHandshake && head.empty()) return "";  // hang up, as a plain server does
    head.append(piece, static_cast<std::size_t>(got));
  }
  return head;
}

ReceivedRequest parse_head(const std::string& head) {
  ReceivedRequest request;
  std::size_t begin = 0;
  for (bool first = true; begin < head.size(); first = false) {
    const std::size_t end = head.find("\r\n", begin);
    const std::string line = head.substr(begin, end - begin);
    if (line.empty()) break;
    begin = end + 2;
    if (first) {
      const auto space = line.find(' ');
      request.method = line.substr(0, space);
      request.path = line.substr(space + 1, line.find(' ', space + 1) - space - 1);
      continue;
    }
    const auto colon = line.find(':');
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request.headers[name] = line.substr(std::min(colon + 2, line.size()));
  }
  return request;
}

}  // namespace

bool Connection::send(std::string_view bytes) {
  while (!bytes.empty() && !stop_) {
    pollfd waiting{fd_, POLLOUT, 0};
    if (::poll(&waiting, 1, 50) <= 0) continue;
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void Connection::stall() {
  while (!stop_) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof(address);
  BREAKEVEN_CHECK(listener_ >= 0 && ::bind(listener_, generic, size) == 0 &&
                  ::listen(listener_, 64) == 0 && ::getsockname(listener_, generic, &size) == 0);
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] { accept_loop(); });
}

HttpServer::~HttpServer() {
  stop_ = true;
  accepting_.join();
  for (std::thread& connection : connections_) connection.join();
  ::close(listener_);
}

std::string HttpServer::url() const {
  return fmt::format("http://127.0.0.1:{}", port_);
}

std::vector<ReceivedRequest> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::accept_loop() {
  while (!stop_) {
    pollfd waiting{listener_, POLLIN, 0};
    if (::poll(&waiting, 1, 20) <= 0) continue;
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) connections_.emplace_back([this, fd] { serve(fd); });
  }
}

void HttpServer::serve(int fd) {
  const std::string head = read_head(fd, stop_);
  if (!head.empty() && !stop_) {
    const ReceivedRequest request = parse_head(head);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    Connection connection(fd, stop_);
    handler_(request, connection);
  }
  ::shutdown(fd, SHUT_RDWR);
  ::close(fd);
}

std::string head_of_answer(int status, std::string_view headers) {
  return fmt::format("HTTP/1.1 {} X\r\n{}Connection: close\r\n\r\n", status, headers);
}

}  // namespace breakeven::hub::testing

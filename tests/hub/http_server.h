// An HTTP server on 127.0.0.1 for tests: answers are bytes that the test writes itself, so that it
// can also break off, lie about lengths, or say nothing.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace breakeven::hub::testing {

struct ReceivedRequest {
  std::string method;
  std::string path;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

// The answering side of one connection. It is closed when the handler returns.
class Connection {
 public:
  explicit Connection(int fd, const std::atomic<bool>& stop) : fd_(fd), stop_(stop) {}
  // False when the other side has gone.
  bool send(std::string_view bytes);
  // Says nothing until the server stops.
  void stall();

 private:
  int fd_;
  const std::atomic<bool>& stop_;
};

class HttpServer {
 public:
  // `handler` runs on a thread for each connection, one request a connection.
  using Handler = std::function<void(const ReceivedRequest& request, Connection& connection)>;
  explicit HttpServer(Handler handler);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  std::string url() const;  // http://127.0.0.1:PORT
  int port() const { return port_; }
  std::vector<ReceivedRequest> requests() const;

 private:
  void accept_loop();
  void serve(int fd);

  Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  std::vector<ReceivedRequest> requests_;
  std::vector<std::thread> connections_;
  std::thread accepting_;
};

// "HTTP/1.1 200 OK" with the headers ("Name: value\r\n" each) and "Connection: close".
std::string head_of_answer(int status, std::string_view headers);

}  // namespace breakeven::hub::testing

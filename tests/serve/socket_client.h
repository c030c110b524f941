// A server on a real socket with an engine without a model, and a client that sends and reads when
// it is told to.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/descriptor.h"
#include "serve/fake_service.h"
#include "serve/listener.h"

namespace breakeven::testing {

class SocketClient {
 public:
  explicit SocketClient(const std::string& address);
  bool send(const std::string& bytes);  // false: the server has gone
  // Until it has read `end`, or the server closes.
  std::string read_to(const std::string& end);
  std::string read_all() { return read_to(""); }
  void leave() { socket_.close(); }

 private:
  Descriptor socket_;
  bool connected_ = false;
};

class ListeningServer {
 public:
  // `before` runs on the server's thread.
  ListeningServer(
      FakeEngine& engine, const serve::ListenOptions& options,
      const std::function<void()>& before = [] {}, serve::ServiceOptions service_options = {});
  ~ListeningServer();
  std::string address() const { return listener_->address(); }
  void stop() { listener_->stop(); }
  void wait() { thread_.join(); }
  // Its counts when all is done.
  serve::Counters end();

 private:
  std::unique_ptr<serve::Listener> listener_;
  std::unique_ptr<serve::Service> service_;
  std::thread thread_;
};

}  // namespace breakeven::testing

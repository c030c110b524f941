// The door: takes connections on a TCP port or a Unix socket, carries their bytes to and from
// serve::Connection, and ends in order when the system asks for it. Boost.Asio is inside of
// listener.cc only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "serve/connection.h"
#include "serve/service.h"

namespace breakeven::serve {

struct ListenOptions {
  std::string address = "127.0.0.1:8000";  // "[::1]:8000", "unix:/run/breakeven.sock"
  std::size_t connections = 1024;          // more are told 503
  std::size_t of_one_address = SIZE_MAX;   // likewise; an IPv6 client's address is its /64
  double drain_s = 30;                     // after the first SIGTERM or SIGINT; the second ends it
  ConnectionOptions connection{};
};

class Listener {
 public:
  // Listens from now on, takes nobody yet. Errors: serve/address (malformed, not this machine's),
  // serve/in-use.
  static Result<std::unique_ptr<Listener>> open(const ListenOptions& options);
  virtual ~Listener() = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Where it listens; port 0 became a real one.
  virtual std::string address() const = 0;
  // As ServiceOptions::post. Lives as long as the listener.
  virtual std::function<void(std::function<void()>)> poster() = 0;
  // From now on a signal is kept for run(), which otherwise begins with this: whoever was told that
  // the server is there may end it at once.
  virtual void hear_signals() = 0;
  // Takes connections until a signal or stop(), then drains: nobody new is let in, /readyz says so,
  // what was accepted is answered, and all of it within ListenOptions::drain_s. Returns when done,
  // or when the service is hopeless.
  virtual void run(Service& service) = 0;
  virtual void stop() = 0;  // from any thread; as a signal

 protected:
  Listener() = default;
};

// How many connections one client may hold unless somebody says otherwise: a few where strangers
// come, all of them where only this machine can reach it (a proxy is one client for all of its
// own).
std::size_t usual_of_one_address(const ListenOptions& options);

// Whether only this machine can reach the address: 127.0.0.0/8, [::1] or a Unix socket.
bool is_local(const std::string& address);

}  // namespace breakeven::serve

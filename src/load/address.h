// Where a server is: what was typed, and what the system makes of it.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace breakeven::load {

// "http://127.0.0.1:8000/predict", "unix:/run/breakeven.sock".
struct Url {
  std::string host;          // "" = a Unix socket; an IPv6 address without its brackets
  std::string port{};        // "80" where none was typed
  std::string socket{};      // its path
  std::string path{};        // "/predict"; "" = none was typed
  std::string name() const;  // for messages and for the field Host: "127.0.0.1:8000", "unix:/x"
};
// "http://" may be left out. Errors: load/url; load/tls (https, with what to do).
Result<Url> parse_url(std::string_view text);

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  bool is_local() const;  // a Unix socket, or this machine's loopback
};
// Errors: load/host (nobody knows the name), load/url (a socket's path is too long).
Result<Address> resolve(const Url& url);

}  // namespace breakeven::load

// HTTP as downloading needs it: redirects followed by hand so that a token never reaches another
// host, a limit on silence, and an error code for each way in which a network fails.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace breakeven::hub {

struct Response {
  long status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string redirect;                        // where a 3xx leads, absolute; else empty
  bool leaves_host = false;                    // ... to another scheme, host or port
  // The header, or "".
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

struct Request {
  std::string url;
  bool head = false;
  std::uint64_t from = 0;  // first byte wanted; the server may ignore it and answer 200
  std::string token;       // sent as bearer token to the host of `url` only
  // Stops at a redirect that already tells enough.
  std::function<bool(const Response& redirect)> is_enough;
  // Takes the body of a 2xx answer, piece by piece. Its error ends the transfer and is perform's.
  std::function<Result<void>(const Response& answer, std::string_view piece)> body;
};

// scheme://host:port/path: no user, password or query, which may hold secrets.
std::string printable_url(const std::string& url);

// Errors that another attempt may not meet: hub/connect, hub/stalled, hub/broken-off, hub/server.
bool is_transient(const Error& error);

// One connection, kept alive between requests. Proxies come from the environment, as curl reads it.
// Tests answer in its place.
class Http {
 public:
  // A transfer that brings less than 1 kB/s for `stall_s` seconds is given up.
  explicit Http(double stall_s);
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;
  virtual ~Http();

  // The last answer, whatever its status. Errors: hub/url, hub/dns, hub/connect, hub/tls,
  // hub/stalled, hub/broken-off, hub/redirect (too many, or to a place not to be trusted), those of
  // request.body.
  virtual Result<Response> perform(const Request& request);

 private:
  struct Handle;
  Result<Response> perform_once(const Request& request, const std::string& url,
                                const std::string& token);
  std::unique_ptr<Handle> handle_;
  double stall_s_;
};

}  // namespace breakeven::hub

#include "load/address.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "base/numbers.h"

namespace breakeven::load {
namespace {

constexpr std::string_view kUnix = "unix:";
constexpr const char* kHint = "give http://HOST:PORT, with a path such as /predict, or unix:PATH";

tl::unexpected<Error> no_url(std::string_view text, std::string_view why) {
  return fail("load/url", fmt::format("'{}' is no URL of a server: {}", text, why), kHint);
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

std::string Url::name() const {
  if (host.empty()) return std::string(kUnix) + socket;
  return host.find(':') == std::string::npos ? host + ":" + port : "[" + host + "]:" + port;
}

Result<Url> parse_url(std::string_view text) {
  Url url;
  if (text.starts_with(kUnix)) {
    url.socket = text.substr(kUnix.size());
    if (url.socket.empty()) return no_url(text, "the path of the socket is missing");
    return url;
  }
  std::string_view rest = text;
  if (const std::size_t scheme = rest.find("://"); scheme != std::string_view::npos) {
    const std::string_view name = rest.substr(0, scheme);
    if (name == "https") {
      return fail("load/tls", fmt::format("'{}' asks for TLS, which is not spoken here", text),
                  "measure the server behind the proxy that does TLS, or let one here take it off: "
                  "socat TCP-LISTEN:8000,fork,reuseaddr OPENSSL:HOST:443, then "
                  "http://127.0.0.1:8000 (its time then counts, too)");
    }
    if (name != "http") return no_url(text, fmt::format("'{}' is not http", name));
    rest.remove_prefix(scheme + 3);
  }
  if (!is_printable(rest)) return no_url(text, "it holds a blank or what is not ASCII");
  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos) url.path = rest.substr(slash);
  if (url.path == "/") url.path.clear();
  if (url.path.find('#') != std::string::npos) return no_url(text, "it holds a #");
  rest = rest.substr(0, slash);
  if (rest.find('@') != std::string_view::npos) {
    return no_url(text, "it holds a user name; a key is given with --api-key-file");
  }
  if (rest.starts_with('[')) {
    const std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return no_url(text, "the ] of its address is missing");
    url.host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (!rest.empty() && !rest.starts_with(':')) return no_url(text, "a : belongs behind the ]");
  } else {
    url.host = rest.substr(0, rest.find(':'));
    rest.remove_prefix(url.host.size());
  }
  if (url.host.empty()) return no_url(text, "the host is missing");
  url.port = rest.empty() ? "80" : std::string(rest.substr(1));
  if (parse_number<std::uint16_t>(url.port).value_or(0) == 0) {
    return no_url(text, fmt::format("the port '{}' is not 1 to 65535", url.port));
  }
  return url;
}

bool Address::is_local() const {
  if (storage.ss_family == AF_UNIX) return true;
  if (storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    return (ntohl(in.sin_addr.s_addr) >> 24) == 127;
  }
  sockaddr_in6 in{};
  std::memcpy(&in, &storage, sizeof in);
  return IN6_IS_ADDR_LOOPBACK(&in.sin6_addr) != 0;
}

Result<Address> resolve(const Url& url) {
  Address address;
  if (url.host.empty()) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    if (url.socket.size() >= sizeof to.sun_path) {
      return no_url(url.name(), fmt::format("the path has {} bytes, over {}", url.socket.size(),
                                            sizeof to.sun_path - 1));
    }
    url.socket.copy(to.sun_path, sizeof to.sun_path - 1);
    std::memcpy(&address.storage, &to, sizeof to);
    address.size = sizeof to;
    return address;
  }
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failure = ::getaddrinfo(url.host.c_str(), url.port.c_str(), &wanted, &found);
  if (failure != 0) {
    return fail("load/host",
                fmt::format("nobody knows '{}': {}", url.host, ::gai_strerror(failure)),
                "give the address of the server, as 127.0.0.1");
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, ::freeaddrinfo);
  // IPv4 first where a name has both: "localhost" servers listen there.
  const addrinfo* chosen = found;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    if (each->ai_family != AF_INET) continue;
    chosen = each;
    break;
  }
  std::memcpy(&address.storage, chosen->ai_addr, chosen->ai_addrlen);
  address.size = chosen->ai_addrlen;
  return address;
}

}  // namespace breakeven::load

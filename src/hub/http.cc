#include "hub/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>
#include <utility>

#include "base/check.h"

namespace breakeven::hub {
namespace {

constexpr int kMostRedirects = 10;
constexpr long kConnectTimeoutMs = 20'000;
constexpr long kSlowestBytesPerS = 1000;

struct UrlParts {
  std::string scheme, host, port, path;
  bool same_origin(const UrlParts& other) const {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::optional<UrlParts> parse_url(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), curl_url_cleanup);
  BREAKEVEN_CHECK(parsed != nullptr);
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return std::nullopt;
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    std::string copy;
    if (curl_url_get(parsed.get(), which, &text, CURLU_DEFAULT_PORT) == CURLUE_OK) copy = text;
    curl_free(text);
    return copy;
  };
  UrlParts parts{lower(part(CURLUPART_SCHEME)), lower(part(CURLUPART_HOST)), part(CURLUPART_PORT),
                 part(CURLUPART_PATH)};
  if ((parts.scheme != "http" && parts.scheme != "https") || parts.host.empty())
    return std::nullopt;
  return parts;
}

// What one transfer's callbacks share.
struct Transfer {
  const Request* request = nullptr;
  Response response;
  std::optional<Error> body_error;
};

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* context) {
  auto& response = static_cast<Transfer*>(context)->response;
  std::string_view line(data, size * count);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    // A new answer begins: of a proxy, or after "100 Continue".
    response.headers.clear();
    const auto space = line.find(' ');
    response.status = space == std::string_view::npos
                          ? 0
                          : std::strtol(std::string(line.substr(space + 1)).c_str(), nullptr, 10);
  } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
      value.remove_prefix(1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
    response.headers[lower(std::string(line.substr(0, colon)))] = value;
  }
  return size * count;
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::size_t bytes = size * count;
  const bool is_answer = transfer.response.status >= 200 && transfer.response.status < 300;
  if (!is_answer || !transfer.request->body) return bytes;
  auto taken = transfer.request->body(transfer.response, std::string_view(data, bytes));
  if (taken) return bytes;
  transfer.body_error = std::move(taken).error();
  return 0;
}

Error transport_error(CURLcode code, const std::string& url, double stall_s) {
  const std::string where = printable_url(url);
  const auto parts = parse_url(url);
  const std::string host = parts ? parts->host : where;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return {"hub/dns", fmt::format("the name {} cannot be resolved", host),
              "check the network; behind a proxy set https_proxy, for a mirror HF_ENDPOINT"};
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {"hub/dns", "the name of the proxy cannot be resolved",
              "check http_proxy and https_proxy"};
    case CURLE_COULDNT_CONNECT:
      return {"hub/connect", fmt::format("cannot connect to {}:{}", host, parts ? parts->port : ""),
              "check the network; behind a proxy set https_proxy, for a mirror HF_ENDPOINT"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return {"hub/tls",
              fmt::format("no trusted connection to {}: {}", host, curl_easy_strerror(code)),
              "check the clock and the package ca-certificates; a proxy may bring its own "
              "certificate (SSL_CERT_FILE)"};
    case CURLE_OPERATION_TIMEDOUT:
      return {"hub/stalled",
              fmt::format("{} says nothing (less than {} B/s for {} s)", where, kSlowestBytesPerS,
                          stall_s),
              "try again later; HF_HUB_DOWNLOAD_TIMEOUT sets the seconds to wait"};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {"hub/url", fmt::format("{} is no http(s) address", where), "check HF_ENDPOINT"};
    default:
      return {"hub/broken-off",
              fmt::format("the connection to {} broke off: {}", host, curl_easy_strerror(code)),
              "try again: what has come is kept"};
  }
}

}  // namespace

// The curl handle, and curl's own start-up, which must happen once.
struct Http::Handle {
  Handle() {
    static const CURLcode kStarted = curl_global_init(CURL_GLOBAL_DEFAULT);
    BREAKEVEN_CHECK(kStarted == CURLE_OK);
    curl = curl_easy_init();
    BREAKEVEN_CHECK(curl != nullptr);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { curl_easy_cleanup(curl); }
  CURL* curl = nullptr;
};

Http::Http(double stall_s) : handle_(std::make_unique<Handle>()), stall_s_(stall_s) {}
Http::~Http() = default;

std::string printable_url(const std::string& url) {
  const auto parts = parse_url(url);
  if (!parts) return url.substr(0, url.find_first_of("?#@"));
  const bool default_port = parts->port == (parts->scheme == "https" ? "443" : "80");
  return fmt::format("{}://{}{}{}", parts->scheme, parts->host,
                     default_port ? "" : ":" + parts->port, parts->path);
}

bool is_transient(const Error& error) {
  return error.code == "hub/connect" || error.code == "hub/stalled" ||
         error.code == "hub/broken-off" || error.code == "hub/server";
}

Result<Response> Http::perform_once(const Request& request, const std::string& url,
                                    const std::string& token) {
  CURL* curl = handle_->curl;
  Transfer transfer;
  transfer.request = &request;
  curl_slist* headers = curl_slist_append(nullptr, "Accept-Encoding: identity");
  if (!token.empty()) {
    headers = curl_slist_append(headers, ("Authorization: Bearer " + token).c_str());
  }
  curl_easy_reset(curl);  // keeps the connections
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "breakeven");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_NOBODY, request.head ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, kSlowestBytesPerS);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, std::max(1L, std::lround(std::ceil(stall_s_))));
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  const std::string range = fmt::format("{}-", request.from);
  if (request.from > 0) curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());
  const CURLcode code = curl_easy_perform(curl);
  char* redirect = nullptr;
  curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &redirect);
  if (redirect != nullptr) transfer.response.redirect = redirect;
  curl_slist_free_all(headers);
  if (transfer.body_error) return tl::unexpected<Error>(*std::move(transfer.body_error));
  if (code != CURLE_OK) return tl::unexpected<Error>(transport_error(code, url, stall_s_));
  return std::move(transfer.response);
}

Result<Response> Http::perform(const Request& request) {
  std::string url = request.url;
  std::string token = request.token;
  for (int hop = 0; hop <= kMostRedirects; ++hop) {
    const auto here = parse_url(url);
    if (!here) return tl::unexpected<Error>(transport_error(CURLE_URL_MALFORMAT, url, stall_s_));
    BREAKEVEN_TRY(Response response, perform_once(request, url, token));
    if (response.redirect.empty()) return response;
    const auto there = parse_url(response.redirect);
    response.leaves_host = !there || !here->same_origin(*there);
    if (request.is_enough && request.is_enough(response)) return response;
    if (!there || (here->scheme == "https" && there->scheme != "https")) {
      return fail("hub/redirect",
                  fmt::format("{} redirects to {}, which is not to be trusted", printable_url(url),
                              printable_url(response.redirect)),
                  "check HF_ENDPOINT");
    }
    // Once it has left its host, the request never carries the token again.
    if (response.leaves_host) token.clear();
    url = response.redirect;
  }
  return fail(
      "hub/redirect",
      fmt::format("{} redirects more than {} times", printable_url(request.url), kMostRedirects),
      "check HF_ENDPOINT");
}

}  // namespace breakeven::hub

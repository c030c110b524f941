#include "serve/http_reply.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <ctime>

namespace breakeven::serve {
namespace {

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 424:
      return "Failed Dependency";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Internal Server Error";
  }
}

std::string date() {
  return fmt::format("{:%a, %d %b %Y %H:%M:%S GMT}", fmt::gmtime(std::time(nullptr)));
}

}  // namespace

std::string to_bytes(const HttpReply& reply) {
  std::string bytes = fmt::format(
      "HTTP/1.1 {} {}\r\nDate: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}", reply.status,
      reason_of(reply.status), date(), reply.content_type, reply.body.size(), reply.more);
  if (reply.close) {
    bytes += "Connection: close\r\n";
  } else if (reply.http_1_0) {
    bytes += "Connection: keep-alive\r\n";
  }
  bytes += "\r\n";
  return reply.head_only ? bytes : bytes + reply.body;
}

std::string chunked_head(std::string_view content_type, std::string_view more, bool close) {
  return fmt::format(
      "HTTP/1.1 200 OK\r\nDate: {}\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n{}{}\r\n",
      date(), content_type, more, close ? "Connection: close\r\n" : "");
}

std::string chunk(std::string_view content) {
  return fmt::format("{:x}\r\n{}\r\n", content.size(), content);
}

std::string_view safe_id(std::string_view id) {
  const bool safe = !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
  return safe ? id : std::string_view{};
}

}  // namespace breakeven::serve

// Replies as bytes.
#pragma once

#include <string>
#include <string_view>

namespace breakeven::serve {

struct HttpReply {
  int status = 200;
  std::string_view content_type = "application/json";
  std::string body{};
  std::string more{};      // further fields, each with its line end
  bool head_only = false;  // the request was HEAD
  bool close = false;      // the connection ends behind it
  bool http_1_0 = false;   // the request was: staying open must be told
};

std::string to_bytes(const HttpReply& reply);
// The head of a reply that comes in chunks.
std::string chunked_head(std::string_view content_type, std::string_view more, bool close);
std::string chunk(std::string_view content);  // "" = the last one

// A value that a client sent and gets back: [A-Za-z0-9._-]{1,64}, else "".
std::string_view safe_id(std::string_view id);

}  // namespace breakeven::serve

// Bytes of a connection -> requests of HTTP/1.1, piece by piece, however the bytes were cut.
// Boost.Beast parses; what may be misunderstood by a proxy before us is refused here: a length told
// twice or beside chunks, chunk extensions, trailers, a second Host. No sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve/problem.h"

namespace breakeven::serve {

struct HttpLimits {
  std::uint32_t header_bytes = 8192;  // of request line and fields together
  std::uint32_t fields = 64;
  std::uint32_t target_bytes = 2048;
};

struct HttpHead {
  std::string method, path, query;  // "/v1/classify", "a=1"
  bool keep_alive = true;
  bool http_1_0 = false;
  bool chunked = false;
  std::optional<std::uint64_t> content_length{};
  std::vector<std::pair<std::string, std::string>> fields{};
  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
  // The value of the first field of that name, in lower case; "" = there is none.
  std::string_view field(std::string_view name) const;
};

class HttpReader {
 public:
  enum class Step : std::uint8_t {
    more,     // give more bytes
    head,     // head() is there
    body,     // body() is the next piece
    end,      // of the message; the next call begins another
    problem,  // problem(); nothing more can be read from here
  };

  explicit HttpReader(const HttpLimits& limits = {});
  HttpReader(HttpReader&&) noexcept;
  HttpReader& operator=(HttpReader&&) noexcept;
  ~HttpReader();

  // Goes on with `bytes`, and says how many of them it is done with: the rest must be given again.
  Step next(std::string_view bytes, std::size_t& used);

  const HttpHead& head() const;
  std::string_view body() const;  // in the bytes of the last call
  const Problem& problem() const;
  bool between() const;  // messages: nothing of the next one was read

 private:
  class Parser;
  HttpLimits limits_;
  std::unique_ptr<Parser> parser_;
};

}  // namespace breakeven::serve

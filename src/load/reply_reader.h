// Bytes of a connection -> replies of HTTP/1.1, however the bytes were cut: with a length, in
// chunks, or to the connection's end; interim replies (1xx) are passed over. Boost.Beast parses. No
// sockets.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace breakeven::load {

struct Reply {
  int status = 0;
  std::string body{};
  bool keep_alive = true;
  // What the server says of itself (Server-Timing, X-Batch); negative or 0 = nothing.
  double queue_s = -1, compute_s = -1;
  std::uint32_t batch = 0;
};

class ReplyReader {
 public:
  enum class Step : std::uint8_t { more, done, broken };
  static constexpr std::uint32_t kHeaderBytes = 64 * 1024;
  static constexpr std::uint64_t kBodyBytes = std::uint64_t{16} << 20U;

  ReplyReader();
  ReplyReader(ReplyReader&&) noexcept;
  ReplyReader& operator=(ReplyReader&&) noexcept;
  ~ReplyReader();

  void begin();  // a request was sent: what comes next is its reply
  Step received(std::string_view bytes);
  Step ended();  // the peer closed
  const Reply& reply() const { return reply_; }
  const std::string& problem() const { return problem_; }  // of `broken`
  bool began() const { return began_; }                    // a byte of the reply was there
  bool excess() const { return !rest_.empty(); }           // bytes behind the reply

 private:
  class Parser;
  Step parse();
  Step stop(std::string why);

  std::unique_ptr<Parser> parser_;
  std::string rest_;  // what the parser could not take yet
  Reply reply_;
  std::string problem_;
  bool began_ = false;
};

}  // namespace breakeven::load

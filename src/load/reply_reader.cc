#include "load/reply_reader.h"

#include <fmt/format.h>

#include <boost/beast/http/basic_parser.hpp>
#include <optional>

#include "base/numbers.h"

namespace breakeven::load {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

std::string_view view(beast::string_view text) {
  return {text.data(), text.size()};
}

// "queue;dur=0.125, tokenize;dur=0.025": the milliseconds behind a name, as seconds.
double duration_of(std::string_view timing, std::string_view name) {
  for (std::size_t at = 0; at < timing.size();) {
    const std::size_t end = std::min(timing.find(',', at), timing.size());
    std::string_view part = timing.substr(at, end - at);
    at = end + 1;
    while (part.starts_with(' ')) part.remove_prefix(1);
    if (!part.starts_with(name)) continue;
    part.remove_prefix(name.size());
    constexpr std::string_view kDuration = ";dur=";
    if (!part.starts_with(kDuration)) continue;
    return parse_number<double>(part.substr(kDuration.size())).value_or(-1e3) * 1e-3;
  }
  return -1;
}

}  // namespace

// Of one reply at a time; made anew for the next one in the same place.
class ReplyReader::Parser {
 public:
  class OfOne final : public http::basic_parser<false> {
   public:
    explicit OfOne(Reply& reply) : reply_(reply) {
      header_limit(kHeaderBytes);
      body_limit(kBodyBytes);
    }

   private:
    void on_request_impl(http::verb, beast::string_view, beast::string_view, int,
                         beast::error_code&) override {}
    void on_response_impl(int status, beast::string_view, int, beast::error_code&) override {
      reply_.status = status;
    }
    void on_field_impl(http::field, beast::string_view name, beast::string_view value,
                       beast::error_code&) override {
      if (beast::iequals(name, "server-timing")) {
        reply_.queue_s = duration_of(view(value), "queue");
        reply_.compute_s = duration_of(view(value), "compute");
      } else if (beast::iequals(name, "x-batch")) {
        reply_.batch = parse_number<std::uint32_t>(view(value)).value_or(0);
      }
    }
    void on_header_impl(beast::error_code&) override { reply_.keep_alive = keep_alive(); }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
    std::size_t on_body_impl(beast::string_view piece, beast::error_code&) override {
      reply_.body.append(piece.data(), piece.size());
      return piece.size();
    }
    void on_chunk_header_impl(std::uint64_t, beast::string_view, beast::error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view piece,
                                   beast::error_code&) override {
      reply_.body.append(piece.data(), piece.size());
      return piece.size();
    }
    void on_finish_impl(beast::error_code&) override {}

    Reply& reply_;
  };
  std::optional<OfOne> one;
};

ReplyReader::ReplyReader() : parser_(std::make_unique<Parser>()) {}
ReplyReader::ReplyReader(ReplyReader&&) noexcept = default;
ReplyReader& ReplyReader::operator=(ReplyReader&&) noexcept = default;
ReplyReader::~ReplyReader() = default;

void ReplyReader::begin() {
  rest_.clear();
  problem_.clear();
  began_ = false;
  parser_->one.reset();
}

ReplyReader::Step ReplyReader::stop(std::string why) {
  problem_ = std::move(why);
  return Step::broken;
}

ReplyReader::Step ReplyReader::parse() {
  while (true) {
    if (!parser_->one) {
      std::string body = std::move(reply_.body);  // keeps its memory
      body.clear();
      reply_ = {};
      reply_.body = std::move(body);
      parser_->one.emplace(reply_);
    }
    Parser::OfOne& one = *parser_->one;
    // Told at once: a parser that waits for the end of a line may wait for ever.
    constexpr std::string_view kBegin = "HTTP/";
    if (!one.got_some() && !std::string_view(rest_).starts_with(kBegin.substr(0, rest_.size()))) {
      return stop("what it sends does not begin with HTTP/");
    }
    beast::error_code code;
    while (!one.is_done() && !rest_.empty() && !code) {
      rest_.erase(0, one.put(boost::asio::const_buffer(rest_.data(), rest_.size()), code));
    }
    if (code && code != http::error::need_more) return stop(code.message());
    if (!one.is_done()) return Step::more;
    if (reply_.status == 101) return stop("it switches to another protocol");
    if (reply_.status >= 200) return Step::done;
    parser_->one.reset();
    if (rest_.empty()) return Step::more;
  }
}

ReplyReader::Step ReplyReader::received(std::string_view bytes) {
  began_ = began_ || !bytes.empty();
  rest_.append(bytes);
  return parse();
}

ReplyReader::Step ReplyReader::ended() {
  if (!began_) return stop("the connection ended before the reply");
  if (!parser_->one) return stop("the connection ended within the reply");
  Parser::OfOne& one = *parser_->one;
  beast::error_code code;
  if (one.is_header_done() && one.need_eof()) one.put_eof(code);
  if (!one.is_done() || code) return stop("the connection ended within the reply");
  reply_.keep_alive = false;
  return Step::done;
}

}  // namespace breakeven::load

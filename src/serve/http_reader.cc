#include "serve/http_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <limits>

namespace breakeven::serve {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

// Of these a second one could mean something else to somebody else.
constexpr std::string_view kOnce[] = {"host",          "content-length",  "transfer-encoding",
                                      "content-type",  "authorization",   "expect",
                                      "x-deadline-ms", "content-encoding"};

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

Problem problem_of(const beast::error_code& code, const HttpLimits& limits) {
  if (code == http::error::header_limit) {
    return {
        431,
        {"http/header-too-long",
         fmt::format("the request line and header have more than {} bytes", limits.header_bytes),
         "send fewer or shorter fields"},
        0};
  }
  if (code == http::error::bad_version) {
    return {505, {"http/version", "the version is not HTTP/1.0 or 1.1", "use HTTP/1.1"}, 0};
  }
  return {400,
          {"http/malformed", fmt::format("this is no request of HTTP/1.1: {}", code.message()),
           "use a client library"},
          0};
}

}  // namespace

std::string_view HttpHead::field(std::string_view name) const {
  for (const auto& [known, value] : fields) {
    if (known == name) return value;
  }
  return {};
}

class HttpReader::Parser final : public http::basic_parser<true> {
 public:
  explicit Parser(const HttpLimits& limits) : limits_(limits) {
    header_limit(limits.header_bytes);
    // Whoever takes the body counts it. (Not `none`: every length is above that in Boost 1.74.)
    body_limit(std::numeric_limits<std::uint64_t>::max());
  }

  HttpHead head;
  std::string_view body;
  std::optional<Problem> problem;
  bool told_head = false, told_end = false;
  std::size_t header_bytes = 0;  // Beast's limit is of what it has not parsed yet

  // Of the header, piece by piece. A field that goes on in the next line is one field to some and
  // two lines to others; Beast joins it.
  void look_for_folds(std::string_view piece) {
    for (const char c : piece) {
      if (line_begins_ && (c == ' ' || c == '\t') && !problem) {
        problem = {400,
                   {"http/fold", "a field goes on in the next line", "send each field in one line"},
                   0};
      }
      line_begins_ = c == '\n';
    }
  }

 private:
  // Beast's own error, of no meaning: `problem` has it.
  void stop(beast::error_code& code, Problem why) {
    problem = std::move(why);
    code = http::error::bad_value;
  }

  void on_request_impl(http::verb, beast::string_view method, beast::string_view target,
                       int version, beast::error_code& code) override {
    head.method.assign(method.data(), method.size());
    head.http_1_0 = version < 11;
    if (target.size() > limits_.target_bytes) {
      return stop(
          code,
          {414,
           {"http/target-too-long",
            fmt::format("the path has {} bytes, over {}", target.size(), limits_.target_bytes),
            "send what is long in the body"},
           0});
    }
    if (target.empty() || target[0] != '/') {
      return stop(code, {400,
                         {"http/target", "the path does not begin with /",
                          "ask this server only for its own paths"},
                         0});
    }
    const std::string_view all(target.data(), target.size());
    const std::size_t mark = all.find('?');
    head.path = all.substr(0, mark);
    if (mark != std::string_view::npos) head.query = all.substr(mark + 1);
  }
  void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}

  void on_field_impl(http::field, beast::string_view name, beast::string_view value,
                     beast::error_code& code) override {
    if (told_head) {
      return stop(code, {400,
                         {"http/trailer", "a field comes behind the body",
                          "send all fields before the body"},
                         0});
    }
    if (head.fields.size() == limits_.fields) {
      return stop(code,
                  {431,
                   {"http/fields", fmt::format("there are more than {} fields", limits_.fields),
                    "send fewer fields"},
                   0});
    }
    std::string known = lower({name.data(), name.size()});
    const bool once = std::find(std::begin(kOnce), std::end(kOnce), known) != std::end(kOnce);
    if (once && std::any_of(head.fields.begin(), head.fields.end(),
                            [&](const auto& field) { return field.first == known; })) {
      return stop(code, {400,
                         {"http/twice", fmt::format("the field {} stands there twice", known),
                          "send it once"},
                         0});
    }
    head.fields.emplace_back(std::move(known), std::string(value.data(), value.size()));
  }

  void on_header_impl(beast::error_code& code) override {
    head.chunked = chunked();
    if (const auto length = content_length()) head.content_length = *length;
    head.keep_alive = keep_alive();
    const std::string_view transfer = head.field("transfer-encoding");
    const std::string_view length = head.field("content-length");
    const bool bad_transfer =
        !transfer.empty() && (head.http_1_0 || !length.empty() || lower(transfer) != "chunked");
    // "5, 5" is a length to some and none to others.
    if (bad_transfer || length.find_first_not_of("0123456789") != std::string_view::npos) {
      return stop(code, {400,
                         {"http/framing",
                          "the end of the body is told in two ways, or in one that is not known",
                          "send Content-Length, or Transfer-Encoding: chunked, and not both"},
                         0});
    }
    if (!head.http_1_0 && head.field("host").empty()) {
      return stop(code, {400, {"http/host", "the field Host is missing", "send Host"}, 0});
    }
    const std::string expect = lower(head.field("expect"));
    if (!expect.empty() && expect != "100-continue") {
      return stop(code, {417,
                         {"http/expect", "Expect asks for something other than 100-continue",
                          "leave it out"},
                         0});
    }
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  std::size_t on_body_impl(beast::string_view piece, beast::error_code&) override {
    body = {piece.data(), piece.size()};
    return piece.size();
  }
  void on_chunk_header_impl(std::uint64_t, beast::string_view extensions,
                            beast::error_code& code) override {
    if (extensions.empty()) return;
    stop(code,
         {400, {"http/chunk-extension", "a chunk has an extension", "send chunks without"}, 0});
  }
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view piece,
                                 beast::error_code&) override {
    body = {piece.data(), piece.size()};
    return piece.size();
  }
  void on_finish_impl(beast::error_code&) override {}

  HttpLimits limits_;
  bool line_begins_ = false;
};

HttpReader::HttpReader(const HttpLimits& limits)
    : limits_(limits), parser_(std::make_unique<Parser>(limits)) {}
HttpReader::HttpReader(HttpReader&&) noexcept = default;
HttpReader& HttpReader::operator=(HttpReader&&) noexcept = default;
HttpReader::~HttpReader() = default;

const HttpHead& HttpReader::head() const {
  return parser_->head;
}
std::string_view HttpReader::body() const {
  return parser_->body;
}
const Problem& HttpReader::problem() const {
  return *parser_->problem;
}
bool HttpReader::between() const {
  return !parser_->got_some();
}

HttpReader::Step HttpReader::next(std::string_view bytes, std::size_t& used) {
  used = 0;
  if (parser_->problem) return Step::problem;
  if (parser_->told_end) parser_ = std::make_unique<Parser>(limits_);
  // RFC 9112, 2.2: an empty line before a request is no request.
  while (between() && bytes.substr(used).starts_with("\r\n")) used += 2;
  while (true) {
    Parser& parser = *parser_;
    const bool half_empty_line = between() && bytes.substr(used) == "\r";
    if (!parser.is_done() && (bytes.size() == used || half_empty_line)) return Step::more;
    parser.body = {};
    beast::error_code code;
    if (!parser.is_done()) {
      const std::string_view rest = bytes.substr(used);
      const std::size_t parsed =
          parser.put(boost::asio::const_buffer(rest.data(), rest.size()), code);
      used += parsed;
      if (!parser.told_head) {
        parser.header_bytes += parsed;
        parser.look_for_folds(rest.substr(0, parsed));
      }
      if (parser.header_bytes > limits_.header_bytes) code = http::error::header_limit;
    }
    if (parser.problem || (code && code != http::error::need_more)) {
      if (!parser.problem) parser.problem = problem_of(code, limits_);
      return Step::problem;
    }
    if (parser.is_header_done() && !parser.told_head) {
      parser.told_head = true;
      return Step::head;
    }
    if (!parser.body.empty()) return Step::body;
    if (parser.is_done()) {
      parser.told_end = true;
      return Step::end;
    }
    if (code == http::error::need_more) return Step::more;
  }
}

}  // namespace breakeven::serve

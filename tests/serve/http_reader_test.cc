// Requests however they are cut, and those that are refused.
#include "serve/http_reader.h"

#include <gtest/gtest.h>

namespace breakeven::serve {
namespace {

using Step = HttpReader::Step;

// All that came of `pieces`, as text.
std::string read(const std::vector<std::string_view>& pieces, const HttpLimits& limits = {}) {
  HttpReader reader(limits);
  std::string buffer, seen;
  for (const std::string_view piece : pieces) {
    buffer += piece;
    while (true) {
      std::size_t used = 0;
      const Step step = reader.next(buffer, used);
      if (step == Step::body) seen += std::string(reader.body());
      buffer.erase(0, used);
      if (step == Step::more) break;
      if (step == Step::problem) {
        return seen + "!" + std::to_string(reader.problem().status) + " " +
               reader.problem().error.code;
      }
      if (step == Step::head) seen += reader.head().method + " " + reader.head().path + "{";
      if (step == Step::end) seen += "}";
    }
  }
  return seen;
}

const std::string kPlain =
    "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX-Request-Id: 7\r\n\r\nhello";
const std::string kChunked =
    "POST /a?b=c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
const std::string kGet = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kOld = "GET /livez HTTP/1.0\r\n\r\n";

TEST(HttpReader, ReadsTheSameWhereverItIsCut) {
  const std::string all = kPlain + kGet + "\r\n" + kChunked + kOld + kPlain;
  const std::string expected =
      "POST /v1/classify{hello}GET /livez{}POST /a{hello}GET /livez{}POST /v1/classify{hello}";
  EXPECT_EQ(read({all}), expected);
  const std::string_view view = all;
  for (std::size_t i = 0; i <= all.size(); ++i) {
    EXPECT_EQ(read({view.substr(0, i), view.substr(i)}), expected) << "cut at " << i;
  }
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < all.size(); ++i) bytes.push_back(view.substr(i, 1));
  EXPECT_EQ(read(bytes), expected);
}

TEST(HttpReader, ShortMessagesInThreePieces) {
  const std::string_view view = kChunked;
  for (std::size_t i = 0; i <= view.size(); ++i) {
    for (std::size_t j = i; j <= view.size(); ++j) {
      ASSERT_EQ(read({view.substr(0, i), view.substr(i, j - i), view.substr(j)}), "POST /a{hello}")
          << i << " " << j;
    }
  }
}

struct Bad {
  const char* bytes;
  const char* seen;
};
const Bad kBad[] = {
    {"GET /\r\n\r\n", "!400 http/malformed"},
    {"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "!400 http/target"},
    {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "!505 http/version"},
    {"GET / HTTP/1.1\r\n\r\n", "!400 http/host"},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "!400 http/twice"},
    {"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", "!417 http/expect"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
     "!400 http/twice"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nx", "!400 http/malformed"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
     "chunked\r\n\r\n0\r\n\r\n",
     "!400 http/malformed"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
     "!400 http/framing"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", "!400 http/framing"},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400 http/framing"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\n\r\n",
     "POST /{!400 http/chunk-extension"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
     "POST /{!400 http/trailer"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
     "POST /{!400 http/malformed"},
    {"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", "!400 http/malformed"},
    {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "!400 http/malformed"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx", "!400 http/framing"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", "!400 http/malformed"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx", "!400 http/malformed"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nx",
     "!400 http/malformed"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
     "!400 http/framing"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
     "!400 http/framing"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n",
     "!400 http/malformed"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
     "!400 http/fold"},
    {"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "!400 http/fold"},
    {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "!400 http/malformed"},
    {"GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n", "!400 http/malformed"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n\r\n",
     "POST /{!400 http/malformed"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\n0\n\n\r\n",
     "POST /{!400 http/malformed"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
     "POST /{a!400 http/malformed"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
     "chunked\r\n\r\nfffffffffffffffff\r\na\r\n0\r\n\r\n",
     "POST /{!400 http/malformed"},
};

TEST(HttpReader, RefusesWhatCouldBeMisunderstoodWhereverItIsCut) {
  for (const Bad& bad : kBad) {
    const std::string_view view = bad.bytes;
    EXPECT_EQ(read({view}), bad.seen) << bad.bytes;
    for (std::size_t i = 0; i <= view.size(); ++i) {
      EXPECT_EQ(read({view.substr(0, i), view.substr(i)}), bad.seen)
          << bad.bytes << " cut at " << i;
    }
  }
}

TEST(HttpReader, KeepsToItsLimitsToTheByte) {
  HttpLimits limits;
  limits.header_bytes = static_cast<std::uint32_t>(kGet.size());
  EXPECT_EQ(read({kGet}, limits), "GET /livez{}");
  --limits.header_bytes;
  EXPECT_EQ(read({kGet}, limits), "!431 http/header-too-long");
  limits = {};
  limits.target_bytes = 6;
  EXPECT_EQ(read({kGet}, limits), "GET /livez{}");
  limits.target_bytes = 5;
  EXPECT_EQ(read({kGet}, limits), "!414 http/target-too-long");
  limits = {};
  limits.fields = 3;
  EXPECT_EQ(read({kPlain}, limits), "POST /v1/classify{hello}");
  limits.fields = 2;
  EXPECT_EQ(read({kPlain}, limits), "!431 http/fields");
}

}  // namespace
}  // namespace breakeven::serve

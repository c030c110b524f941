// Rows of docs/serving.md's list of hardening that no other test shows.
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "serve/connection.h"
#include "serve/fake_service.h"

namespace breakeven::serve {
namespace {

using testing::FakeService;

class Hardening : public ::testing::Test {
 protected:
  std::string talk(const std::string& bytes) {
    Connection connection(fake_.service(), options_, [] {});
    connection.received(bytes);
    fake_.settle();
    return connection.take_output();
  }
  static std::string post(const std::string& body, const std::string& more = "") {
    return "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + more +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  FakeService fake_;
  ConnectionOptions options_;
};

// Nothing is kept for each chunk but its bytes, however many there are.
TEST_F(Hardening, ChunksOfOneByteAreOneBody) {
  std::string bytes =
      "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  const std::string body = R"({"input":"abc"})" + std::string(300'000, ' ');
  for (const char byte : body) bytes += std::string("1\r\n") + byte + "\r\n";
  bytes += "0\r\n\r\n";
  Connection connection(fake_.service(), options_, [] {});
  for (std::size_t at = 0; at < bytes.size(); at += 16'384) {
    ASSERT_TRUE(connection.wants_bytes());
    connection.received(std::string_view(bytes).substr(at, 16'384));
  }
  fake_.settle();
  EXPECT_NE(connection.take_output().find("\"odd\""), std::string::npos);
}

TEST_F(Hardening, NoFieldOfAReplyIsMadeOfAClientsBytes) {
  for (const char* id : {"a b", "<b>", "\x80", "a\tb", "a;b", "a\"b"}) {
    const std::string reply =
        talk(post(R"({"input":"abc"})", std::string("X-Request-Id: ") + id + "\r\n"));
    EXPECT_EQ(reply.find("X-Request-Id"), std::string::npos) << reply;
  }
  const std::string longest(64, 'x');
  EXPECT_NE(talk(post("{}", "X-Request-Id: " + longest + "\r\n")).find(longest), std::string::npos);
  EXPECT_EQ(talk(post("{}", "X-Request-Id: " + longest + "x\r\n")).find("X-Request-Id"),
            std::string::npos);
}

TEST_F(Hardening, APageOfAnotherOriginIsNotHelped) {
  const std::string origin = "Origin: http://evil.example\r\n";
  const std::string asked = talk("OPTIONS /v1/classify HTTP/1.1\r\nHost: a\r\n" + origin +
                                 "Access-Control-Request-Method: POST\r\n\r\n");
  EXPECT_TRUE(asked.starts_with("HTTP/1.1 405")) << asked;
  const std::string answered = talk(post(R"({"input":"abc"})", origin));
  for (const std::string& reply : {asked, answered}) {
    EXPECT_EQ(reply.find("Access-Control"), std::string::npos) << reply;
    EXPECT_EQ(reply.find("Set-Cookie"), std::string::npos) << reply;
  }
}

TEST_F(Hardening, AProblemTellsNothingOfThisMachineOrOfOthers) {
  char folder[4096], name[256];
  ASSERT_NE(::getcwd(folder, sizeof folder), nullptr);
  ASSERT_EQ(::gethostname(name, sizeof name), 0);
  fake_.engine.fails = true;
  talk(post(R"({"input":"somebody else's words"})"));
  for (const std::string& bytes :
       {post("{"), post(R"({"input":7})"), post(R"({"input":"poison"})"),
        post("{}", "X-Deadline-Ms: x\r\n"),
        std::string("GET /etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"), std::string("nonsense\r\n\r\n"),
        post(R"({"input":"a"})", "X-Deadline-Ms: 0.001\r\n")}) {
    const std::string reply = talk(bytes);
    EXPECT_FALSE(reply.starts_with("HTTP/1.1 200")) << reply;
    for (const std::string& secret :
         {std::string(folder), std::string(name), std::string("somebody"), std::string(".cc"),
          std::string("/root")}) {
      EXPECT_EQ(reply.find(secret), std::string::npos) << reply;
    }
  }
}

TEST_F(Hardening, AScoreThatIsNoNumberIsAnErrorByName) {
  fake_.engine.no_number = true;
  const std::string reply = talk(post(R"({"input":["abc","nan"]})"));
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 500")) << reply;
  EXPECT_NE(reply.find("serve/output"), std::string::npos) << reply;
  EXPECT_TRUE(talk(post(R"({"input":"abc"})")).starts_with("HTTP/1.1 200"));
}

// The same bytes as a list of one and as a stream's line are read by the same rules.
TEST_F(Hardening, AListAsDeepAsTheParserGoesIsRefused) {
  for (const std::size_t depth : {17UL, 1000UL, 100'000UL}) {
    const std::string deep =
        R"({"input":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
    const std::string reply = talk(post(deep));
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 4")) << depth;
    EXPECT_NE(reply.find("\"error\""), std::string::npos);
  }
}

}  // namespace
}  // namespace breakeven::serve

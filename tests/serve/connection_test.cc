// Whole connections without sockets: every message cut at every byte, pipelines, streams, clients
// that leave, limits.
#include "serve/connection.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "serve/fake_service.h"

namespace breakeven::serve {
namespace {

using testing::FakeService;
using Json = nlohmann::json;

std::string post(const std::string& body, const std::string& path = "/v1/classify",
                 const std::string& more = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + more +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Without what differs from one time to the next.
std::string steady(std::string bytes) {
  bytes = std::regex_replace(bytes, std::regex("(Date|Server-Timing|X-[a-zA-Z]*-Time): [^\r]*\r\n"),
                             "");
  bytes = std::regex_replace(bytes, std::regex("_us\":[0-9]+"), "_us\":N");
  return std::regex_replace(bytes, std::regex("(X-Batch: |\"batch\":)[0-9]+"), "$1N");
}
std::string status_of(const std::string& bytes) {
  return bytes.substr(0, bytes.find("\r\n"));
}
std::string body_of(const std::string& bytes) {
  return bytes.substr(bytes.find("\r\n\r\n") + 4);
}

struct ConnectionTest : ::testing::Test {
  FakeService fake;
  ConnectionOptions options;

  // Sends the pieces, and gives all that comes back.
  std::string talk(const std::vector<std::string_view>& pieces) {
    Connection connection(fake.service(), options, [] {});
    std::string all;
    for (const std::string_view piece : pieces) {
      if (connection.finished()) break;
      connection.received(piece);
      fake.poll();
      take(connection, all);
    }
    // A stream goes on when its replies were read.
    for (int i = 0; i < 100 && !connection.finished(); ++i) {
      fake.settle();
      connection.tick();
      take(connection, all);
      if (!fake.service().core().busy()) break;
    }
    return all;
  }
  static void take(Connection& connection, std::string& all) {
    const std::string output = connection.take_output();
    connection.written(output.size());
    all += output;
  }
};

TEST_F(ConnectionTest, AnswersAndSaysWhatItTook) {
  const std::string reply =
      talk({post(R"({"input":"abc"})", "/v1/classify", "X-Request-Id: q-1\r\n")});
  EXPECT_EQ(status_of(reply), "HTTP/1.1 200 OK");
  EXPECT_EQ(Json::parse(body_of(reply))["results"][0]["label"], "odd");
  EXPECT_NE(reply.find("X-Request-Id: q-1\r\n"), std::string::npos);
  std::smatch found;
  ASSERT_TRUE(std::regex_search(reply, found,
                                std::regex("queue;dur=([0-9.]+), tokenize;dur=([0-9.]+), "
                                           "compute;dur=([0-9.]+), total;dur=([0-9.]+)")));
  EXPECT_NEAR(std::stod(found[1]) + std::stod(found[2]) + std::stod(found[3]), std::stod(found[4]),
              0.002);
}

TEST_F(ConnectionTest, TheSameWhereverItIsCutAndInAPipeline) {
  const std::string chunked =
      "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"inp\r\n8\r\nuts\":\"a\"\r\n1\r\n}\r\n0\r\n\r\n";
  const std::string texts = "\"a\"\n{\"input\":\"ab\"}\nnonsense\n\n\"z\"";
  const std::string lines =
      "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n"
      "Content-Length: " +
      std::to_string(texts.size()) + "\r\n\r\n" + texts;
  const std::string tensors =
      R"({"inputs":[{"name":"text","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":7}}],)"
      R"("parameters":{"binary_data_output":true}})";
  const std::string binary =
      "POST /v2/models/fake/infer HTTP/1.1\r\nHost: a\r\nInference-Header-Content-Length: " +
      std::to_string(tensors.size()) + "\r\nContent-Length: " + std::to_string(tensors.size() + 7) +
      "\r\n\r\n" + tensors + std::string("\3\0\0\0", 4) + "abc";
  const std::string all = post(R"({"input":["a","bb"]})") + chunked + binary +
                          "HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n" +
                          "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" + post("{") + lines +
                          post(R"({"input":"last"})", "/classify");
  const std::string expected = steady(talk({all}));
  EXPECT_NE(expected.find("\"live\":true"), std::string::npos);
  EXPECT_NE(expected.find("\"probs\""), std::string::npos);
  EXPECT_NE(expected.find(std::string("\3\0\0\0odd", 7)), std::string::npos);
  EXPECT_NE(expected.find("json/malformed"), std::string::npos);
  // The chunks of the stream are cut as they become ready: only what they say is compared.
  const auto unchunked = [](const std::string& bytes) {
    return std::regex_replace(bytes, std::regex("\r\n[0-9a-f]+\r\n"), "");
  };
  const std::string_view view = all;
  for (std::size_t i = 0; i <= all.size(); ++i) {
    ASSERT_EQ(unchunked(steady(talk({view.substr(0, i), view.substr(i)}))), unchunked(expected))
        << "cut at " << i;
  }
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < all.size(); ++i) bytes.push_back(view.substr(i, 1));
  EXPECT_EQ(unchunked(steady(talk(bytes))), unchunked(expected));
}

TEST_F(ConnectionTest, OneRequestAtATimeAndInOrder) {
  fake.engine.set_closed(true);
  Connection connection(fake.service(), options, [] {});
  connection.received(post(R"({"input":"first"})") + post(R"({"input":"second!"})"));
  EXPECT_EQ(fake.service().core().requests(), 1U);
  EXPECT_TRUE(connection.take_output().empty());
  fake.engine.set_closed(false);
  fake.settle();
  const std::string output = connection.take_output();
  const std::size_t first = output.find("200 OK");
  EXPECT_NE(output.find("200 OK", first + 1), std::string::npos);
}

TEST_F(ConnectionTest, AClientThatLeavesIsNotComputedFor) {
  fake.engine.set_closed(true);
  Connection stays(fake.service(), options, [] {});
  stays.received(post(R"({"input":"runs"})"));
  {
    Connection leaves(fake.service(), options, [] {});
    leaves.received(post(R"({"input":["waits","too"]})"));
    EXPECT_EQ(fake.service().core().texts(), 3U);
    leaves.peer_closed();
    EXPECT_EQ(fake.service().core().texts(), 1U);
    Connection vanishes(fake.service(), options, [] {});
    vanishes.received(post(R"({"input":"waits"})"));
  }
  EXPECT_EQ(fake.service().core().texts(), 1U);
  const std::size_t before = fake.engine.texts;
  fake.engine.set_closed(false);
  fake.settle();
  EXPECT_EQ(fake.engine.texts, before + 1);
  EXPECT_EQ(fake.service().core().counters().cancelled, 2U);
}

TEST_F(ConnectionTest, ProblemsKeepTheConnectionOrEndIt) {
  struct Case {
    std::string bytes, status;
    bool ends;
  };
  options.body_bytes = 100;
  const std::string hundred = R"({"input":")" + std::string(88, 'x') + R"("})";
  ASSERT_EQ(hundred.size(), 100U);
  const Case cases[] = {
      {post(hundred), "200", false},
      {post(hundred + " "), "413", true},
      {"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
       "Transfer-Encoding: chunked\r\n\r\n65\r\n" +
           hundred + " \r\n0\r\n\r\n",
       "413", true},
      {post("{}"), "422", false},
      {post("nothing"), "400", false},
      {"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", "404", false},
      {post("{}", "/nowhere"), "404", true},
      {post("{}", "/livez"), "405", true},
      {"DELETE /v1/classify HTTP/1.1\r\nHost: a\r\n\r\n", "405", false},
      {"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: "
       "2\r\n\r\n{}",
       "415", true},
      {post("{}", "/v1/classify", "Content-Encoding: gzip\r\n"), "415", true},
      {post("{}", "/v1/classify", "X-Deadline-Ms: soon\r\n"), "400", true},
      {post(R"({"input":"a"})", "/v1/classify", "X-Deadline-Ms: 0.001\r\n"), "422", false},
      {"nonsense\r\n\r\n", "400", true},
  };
  for (const Case& each : cases) {
    Connection connection(fake.service(), options, [] {});
    connection.received(each.bytes);
    fake.settle();
    const std::string reply = connection.take_output();
    EXPECT_EQ(status_of(reply).substr(9, 3), each.status) << each.bytes;
    EXPECT_EQ(connection.finished(), each.ends) << each.bytes;
    EXPECT_EQ(reply.find("Connection: close") != std::string::npos, each.ends) << each.bytes;
    const Json body = Json::parse(body_of(reply));
    if (each.status != "200") {
      EXPECT_EQ(std::to_string(body["error"]["status"].get<int>()), each.status);
    }
  }
}

// A client reads no body behind HEAD: one would be taken for the next reply.
TEST_F(ConnectionTest, HeadHasNoBody) {
  const auto head = [](const std::string& path) {
    return "HEAD " + path + " HTTP/1.1\r\nHost: a\r\n\r\n";
  };
  const std::string all =
      talk({head("/livez") + head("/v1/classify") + head("/nowhere") + "nonsense\r\n\r\n"});
  EXPECT_EQ(std::regex_replace(steady(all), std::regex("Content-[^\r]*\r\n"), ""),
            "HTTP/1.1 200 OK\r\n\r\n"
            "HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\n\r\n"
            "HTTP/1.1 404 Not Found\r\n\r\n"
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" +
                body_of(all.substr(all.find("HTTP/1.1 400"))));
  EXPECT_NE(all.find("Content-Length: 13"), std::string::npos);  // of what GET would send
  EXPECT_NE(all.find("http/malformed"), std::string::npos);
}

TEST_F(ConnectionTest, ProblemsAreToldInTheWayOfTheirInterface) {
  const auto body = [&](const std::string& bytes) { return Json::parse(body_of(talk({bytes}))); };
  EXPECT_TRUE(body("GET /v2/models/other HTTP/1.1\r\nHost: a\r\n\r\n")["error"].is_string());
  EXPECT_TRUE(body("GET /predict HTTP/1.1\r\nHost: a\r\n\r\n").contains("error_type"));
  EXPECT_EQ(body("GET /classify HTTP/1.1\r\nHost: a\r\n\r\n")["error"]["code"], 405);
  fake.engine.fails = true;
  const std::string failed = talk({post(R"({"inputs":"poison"})", "/predict")});
  EXPECT_EQ(status_of(failed), "HTTP/1.1 424 Failed Dependency");
  EXPECT_EQ(Json::parse(body_of(failed))["error_type"], "Backend");
}

TEST_F(ConnectionTest, SaysHowManyTokensWereCut) {
  const std::string cut = R"({"inputs":[[")" + std::string(200, 'x') + R"("],["a"]]})";
  const std::string reply = talk({post(cut, "/predict")});
  EXPECT_NE(reply.find("X-Truncated-Tokens: 102\r\n"), std::string::npos) << reply;
  EXPECT_NE(reply.find("X-Compute-Tokens: 103\r\n"), std::string::npos) << reply;
}

TEST_F(ConnectionTest, AsksForTheKey) {
  options.api_key = "secret";
  const auto status = [&](const std::string& path, const std::string& more) {
    return status_of(talk({"GET " + path + " HTTP/1.1\r\nHost: a\r\n" + more + "\r\n"}))
        .substr(9, 3);
  };
  EXPECT_EQ(status("/metrics", ""), "401");
  EXPECT_EQ(status("/metrics", "Authorization: Bearer secre\r\n"), "401");
  EXPECT_EQ(status("/metrics", "Authorization: Bearer secretsecret\r\n"), "401");
  EXPECT_EQ(status("/metrics", "Authorization: secret\r\n"), "401");
  EXPECT_EQ(status("/metrics", "Authorization: Bearer secret\r\n"), "200");
  EXPECT_EQ(status("/metrics", "authorization: bearer secret\r\n"), "200");
  EXPECT_EQ(status("/livez", ""), "200");
  EXPECT_EQ(status("/readyz", ""), "200");
}

TEST_F(ConnectionTest, ContinueAndOldVersions) {
  const std::string waits = post(R"({"input":"a"})", "/v1/classify", "Expect: 100-continue\r\n");
  const std::size_t head = waits.find("\r\n\r\n") + 4;
  EXPECT_TRUE(talk({std::string_view(waits).substr(0, head), std::string_view(waits).substr(head)})
                  .starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"));
  EXPECT_NE(talk({"GET /livez HTTP/1.0\r\n\r\n"}).find("Connection: close"), std::string::npos);
  EXPECT_NE(talk({"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"})
                .find("Connection: keep-alive"),
            std::string::npos);
  EXPECT_NE(talk({"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"})
                .find("Connection: close"),
            std::string::npos);
}

// A stream takes so many lines and no more until some are answered, and until they are read.
TEST_F(ConnectionTest, AStreamPushesBack) {
  options.window = 8;
  fake.engine.set_closed(true);
  Connection connection(fake.service(), options, [] {});
  connection.received(
      "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  std::string lines;
  for (int i = 0; i < 100; ++i)
    lines += "\"" + std::string(static_cast<std::size_t>(i), 'x') + "\"\n";
  connection.received(chunk(lines));
  EXPECT_EQ(fake.service().core().texts(), 8U);
  EXPECT_FALSE(connection.wants_bytes());
  fake.engine.set_closed(false);
  std::string all;
  fake.settle();
  take(connection, all);
  EXPECT_TRUE(connection.wants_bytes());
  connection.received(chunk(""));
  fake.settle();
  take(connection, all);
  std::size_t at = 0;
  for (int i = 0; i < 100; ++i) {  // in order
    at = all.find(i % 2 == 0 ? "\"even\"" : "\"odd\"", at);
    ASSERT_NE(at, std::string::npos) << i;
    at = all.find('\n', all.find("truncated_tokens", at));
  }
  EXPECT_TRUE(all.ends_with("0\r\n\r\n"));
  EXPECT_FALSE(connection.finished());
}

TEST_F(ConnectionTest, AnOverlongLineEndsTheStream) {
  options.body_bytes = 50;
  const std::string all =
      talk({"POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n"
            "Transfer-Encoding: chunked\r\n\r\n" +
            chunk("\"a\"\n" + std::string(60, 'x'))});
  EXPECT_NE(all.find("\"odd\""), std::string::npos);
  EXPECT_NE(all.find("http/line-too-long"), std::string::npos);
  EXPECT_FALSE(all.ends_with("0\r\n\r\n"));
}

TEST_F(ConnectionTest, AFailingTextFailsAlone) {
  fake.engine.set_closed(true);
  fake.engine.fails = true;
  Connection first(fake.service(), options, [] {}), good(fake.service(), options, [] {}),
      bad(fake.service(), options, [] {});
  first.received(post(R"({"input":"first"})"));
  good.received(post(R"({"input":"good"})"));
  bad.received(post(R"({"input":"poison"})"));
  fake.engine.set_closed(false);
  fake.settle();
  EXPECT_EQ(status_of(good.take_output()), "HTTP/1.1 200 OK");
  const std::string reply = bad.take_output();
  EXPECT_EQ(status_of(reply), "HTTP/1.1 500 Internal Server Error");
  EXPECT_NE(reply.find("serve/failed"), std::string::npos);
}

TEST_F(ConnectionTest, ManyWaitingAreRefusedWithATimeToTryAgain) {
  ServiceOptions small;
  small.limits.texts = 2;
  FakeService narrow(small);
  narrow.engine.set_closed(true);
  Connection first(narrow.service(), options, [] {}), second(narrow.service(), options, [] {});
  first.received(post(R"({"input":["a","b"]})"));
  second.received(post(R"({"input":"c"})"));
  const std::string reply = second.take_output();
  EXPECT_EQ(status_of(reply), "HTTP/1.1 429 Too Many Requests");
  EXPECT_NE(reply.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_FALSE(second.finished());
  narrow.engine.set_closed(false);
  narrow.settle();
}

// It is made on another thread, and may be done when its client is gone.
TEST_F(ConnectionTest, TheLiveBreakEvenComesWhenItIsMade) {
  const auto get = [](const std::string& query) {
    return "GET /v1/breakeven" + query + " HTTP/1.1\r\nHost: a\r\n\r\n";
  };
  talk({post(R"({"input":"abc"})")});
  {
    Connection leaves(fake.service(), options, [] {});
    leaves.received(get(""));
  }
  Connection connection(fake.service(), options, [] {});
  connection.received(get("?cpu_price=0.2&gpu_price=0.5") + get(""));
  std::string all;
  while (all.find("\"changes\"") == std::string::npos ||
         all.find("\"changes\"") == all.rfind("\"changes\"")) {
    fake.poll();
    take(connection, all);
  }
  const Json live = Json::parse(body_of(all.substr(0, all.find("HTTP/1.1", 1))));
  EXPECT_EQ(live["alone"][0]["device"], "cpu");
  EXPECT_EQ(live["prices"]["gpu"], 0.5);
  EXPECT_EQ(live["observed"]["tokens"]["mean"], 5);
  for (const char* query : {"?cpu_price=x", "?cpu_price=-1", "?price=1", "?cpu_price", "?&"}) {
    EXPECT_EQ(status_of(talk({get(query)})), "HTTP/1.1 400 Bad Request") << query;
  }
}

TEST_F(ConnectionTest, ThePageLoadsNothingFromElsewhere) {
  options.api_key = "secret";  // it asks for the key itself
  const std::string all = talk({"GET / HTTP/1.1\r\nHost: a\r\n\r\n"});
  EXPECT_EQ(status_of(all), "HTTP/1.1 200 OK");
  EXPECT_NE(all.find("Content-Security-Policy: default-src 'none'"), std::string::npos);
  EXPECT_EQ(body_of(all).find("http"), std::string::npos);
}

TEST_F(ConnectionTest, DrainsInOrder) {
  fake.engine.set_closed(true);
  Connection busy(fake.service(), options, [] {}), late(fake.service(), options, [] {}),
      health(fake.service(), options, [] {});
  busy.received(post(R"({"input":"accepted"})"));
  fake.service().drain(60);
  health.received("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(status_of(health.take_output()), "HTTP/1.1 503 Service Unavailable");
  late.received(post(R"({"input":"late"})"));
  const std::string refused = late.take_output();
  EXPECT_EQ(status_of(refused), "HTTP/1.1 503 Service Unavailable");
  EXPECT_NE(refused.find("Connection: close"), std::string::npos);
  EXPECT_FALSE(fake.service().drained());
  fake.engine.set_closed(false);
  fake.settle();
  EXPECT_EQ(status_of(busy.take_output()), "HTTP/1.1 200 OK");
  EXPECT_TRUE(fake.service().drained());
}

TEST_F(ConnectionTest, MetricsBalance) {
  talk({post(R"({"input":["a","b"]})"), post("{}")});
  const std::string text = fake.service().metrics_text();
  EXPECT_NE(text.find("breakeven_http_replies_total{status=\"200\"} 1\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("breakeven_http_replies_total{status=\"422\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("breakeven_http_replies_total{status=\"504\"} 0\n"), std::string::npos);
  EXPECT_NE(text.find("breakeven_requests_total{outcome=\"answered\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("breakeven_texts_total 2\n"), std::string::npos);
  EXPECT_NE(text.find("breakeven_request_seconds_count{stage=\"queue\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("breakeven_batches_total{lane=\"0\",device=\"cpu\"} 1\n"), std::string::npos);
}

}  // namespace
}  // namespace breakeven::serve

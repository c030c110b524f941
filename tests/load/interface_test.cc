#include "load/interface.h"

#include <gtest/gtest.h>

#include "load/reply_reader.h"

namespace breakeven::load {
namespace {

std::string body_of(const std::string& request) {
  return request.substr(request.find("\r\n\r\n") + 4);
}

TEST(Interface, RequestsAreThoseOfEachServer) {
  Ask ask{Interface::breakeven, "/v1/classify", "h:1", "X-A: b\r\n"};
  EXPECT_EQ(*request_for(ask, "a \"b\"\n"),
            "POST /v1/classify HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\n"
            "Content-Length: 21\r\nX-A: b\r\n\r\n{\"input\":\"a \\\"b\\\"\\n\"}");
  EXPECT_EQ(body_of(*request_for(ask, {"a", "b"})), R"({"input":"a","pair":"b"})");
  ask.interface = Interface::tei;
  EXPECT_EQ(body_of(*request_for(ask, "a")), R"({"inputs":"a","truncate":true})");
  EXPECT_EQ(body_of(*request_for(ask, {"a", "b"})), R"({"inputs":["a","b"],"truncate":true})");
  ask.interface = Interface::vllm;
  EXPECT_EQ(body_of(*request_for(ask, "a")), R"({"input":["a"],"truncate_prompt_tokens":-1})");
  EXPECT_EQ(request_for(ask, {"a", "b"}).error().code, "load/pair");
  ask.interface = Interface::oip;
  EXPECT_EQ(body_of(*request_for(ask, {"a", "b"})),
            R"({"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":["a"]},)"
            R"({"name":"pair","shape":[1],"datatype":"BYTES","data":["b"]}]})");
  // A model that its server makes batches for, as it says itself.
  EXPECT_TRUE(read_inputs(R"({"name":"m","inputs":[{"name":"n","datatype":"FP32","shape":[1]},)"
                          R"({"name":"words","datatype":"BYTES","shape":[-1,1]}]})",
                          ask));
  EXPECT_EQ(body_of(*request_for(ask, "a")),
            R"({"inputs":[{"name":"words","shape":[1,1],"datatype":"BYTES","data":["a"]}]})");
  for (const char* nothing : {"", "{}", "[]", R"({"inputs":[{"name":"n"}]})", R"({"inputs":1})"}) {
    EXPECT_FALSE(read_inputs(nothing, ask)) << nothing;
  }
  ask.keep_alive = false;
  ask.host = "unix:/x";
  EXPECT_EQ(plain_request(ask, "GET", "/health"),
            "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-A: b\r\n\r\n");
}

TEST(Interface, PathsSayWhichItIs) {
  EXPECT_EQ(interface_of("/v1/classify"), Interface::breakeven);
  EXPECT_EQ(interface_of("/prefix/predict?x=1"), Interface::tei);
  EXPECT_EQ(interface_of("/classify"), Interface::vllm);
  EXPECT_EQ(interface_of("/v2/models/m/infer"), Interface::oip);
  EXPECT_EQ(interface_of("/generate"), std::nullopt);
}

TEST(Interface, LabelsAreFoundAsEachServerTellsThem) {
  const auto ours = read_label(
      Interface::breakeven,
      R"({"results":[{"label":"A","score":0.9,"tokens":8,"truncated_tokens":2}],"batch":2})");
  ASSERT_TRUE(ours) << ours.error().to_string();
  EXPECT_EQ(ours->label, "A");
  EXPECT_EQ(ours->tokens, 8U);
  EXPECT_EQ(ours->truncated, 2U);
  EXPECT_EQ(read_label(Interface::tei, R"([{"score":0.01,"label":"N"},{"score":0.99,"label":"P"}])")
                ->label,
            "P");
  EXPECT_EQ(read_label(Interface::tei, R"([[{"score":0.9,"label":"P"}]])")->label, "P");
  const auto vllm = read_label(Interface::vllm,
                               R"({"data":[{"index":0,"label":"D"}],"usage":{"prompt_tokens":9}})");
  EXPECT_EQ(vllm->label, "D");
  EXPECT_EQ(vllm->tokens, 9U);
  EXPECT_EQ(read_label(Interface::vllm,  // Infinity
                       R"({"data":[[{"label":"N","score":0.1},{"label":"P","score":0.9}]]})")
                ->label,
            "P");
  EXPECT_EQ(
      read_label(Interface::oip, R"({"outputs":[{"name":"score","datatype":"FP32","data":[0.9]},)"
                                 R"({"name":"label","datatype":"BYTES","data":["P"]}]})")
          ->label,
      "P");
}

TEST(Interface, WhatHoldsNoLabelIsShown) {
  for (const Interface each :
       {Interface::breakeven, Interface::tei, Interface::vllm, Interface::oip}) {
    for (const char* body : {"", "<html>", "{}", "[]", "[1]", "null", R"({"results":[]})",
                             R"([{"label":"A","score":"x"}])", R"({"outputs":[{"data":["P"]}]})",
                             R"({"data":[{"label":1}]})"}) {
      const auto label = read_label(each, body);
      ASSERT_FALSE(label) << body;
      EXPECT_EQ(label.error().code, "load/reply") << body;
    }
  }
  EXPECT_NE(read_label(Interface::tei, R"({"a":1})").error().message.find(R"({"a":1})"),
            std::string::npos);
}

// --- replies
using Step = ReplyReader::Step;

struct Got {
  Step step = Step::more;
  std::string body, problem;
  int status = 0;
};

Got read_in_pieces(const std::string& bytes, std::size_t cut, bool end) {
  ReplyReader reader;
  reader.begin();
  Got got;
  got.step = reader.received(std::string_view(bytes).substr(0, cut));
  if (got.step == Step::more) got.step = reader.received(std::string_view(bytes).substr(cut));
  if (got.step == Step::more && end) got.step = reader.ended();
  got.body = reader.reply().body;
  got.status = reader.reply().status;
  got.problem = reader.problem();
  return got;
}

TEST(ReplyReader, AnyCutGivesTheSame) {
  const std::string chunked =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
  const std::string counted = "HTTP/1.1 429 No\r\nContent-Length: 5\r\n\r\nabcde";
  const std::string to_the_end = "HTTP/1.0 200 OK\r\n\r\nabcde";
  for (const auto& [bytes, status] :
       {std::pair{chunked, 200}, std::pair{counted, 429}, std::pair{to_the_end, 200}}) {
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
      const Got got = read_in_pieces(bytes, cut, true);
      ASSERT_EQ(got.step, Step::done) << got.problem << " cut at " << cut;
      EXPECT_EQ(got.body, "abcde");
      EXPECT_EQ(got.status, status);
    }
  }
}

TEST(ReplyReader, WhatServersSayOfThemselves) {
  ReplyReader reader;
  reader.begin();
  ASSERT_EQ(reader.received("HTTP/1.1 200 OK\r\nServer-Timing: queue;dur=0.5, tokenize;dur=1, "
                            "compute;dur=20, total;dur=21.5\r\nX-Batch: 7\r\nConnection: close\r\n"
                            "Content-Length: 0\r\n\r\nmore"),
            Step::done);
  EXPECT_DOUBLE_EQ(reader.reply().queue_s, 0.0005);
  EXPECT_DOUBLE_EQ(reader.reply().compute_s, 0.020);
  EXPECT_EQ(reader.reply().batch, 7U);
  EXPECT_FALSE(reader.reply().keep_alive);
  EXPECT_TRUE(reader.excess());
  reader.begin();  // the next one, on the same connection
  ASSERT_EQ(reader.received("HTTP/1.1 204 OK\r\n\r\n"), Step::done);
  EXPECT_LT(reader.reply().queue_s, 0);
  EXPECT_EQ(reader.reply().batch, 0U);
  EXPECT_TRUE(reader.reply().keep_alive);
}

TEST(ReplyReader, BrokenOnesSayWhy) {
  const std::string lots(ReplyReader::kHeaderBytes + 10, 'x');
  for (const std::string& bytes :
       {std::string("SSH-2.0-OpenSSH_9.2\r\n"), std::string("\x15\x03\x01\x00\x02\x02\x46", 7),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        std::string("HTTP/1.1 101 Switching\r\n\r\n"), "HTTP/1.1 200 OK\r\nA: " + lots}) {
    const Got got = read_in_pieces(bytes, bytes.size(), false);
    EXPECT_EQ(got.step, Step::broken) << bytes.substr(0, 40);
    EXPECT_FALSE(got.problem.empty());
  }
  for (const char* cut_off : {"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
                              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                              "HTTP/1.1 100 Continue\r\n\r\n"}) {
    const Got got = read_in_pieces(cut_off, 0, true);
    EXPECT_EQ(got.step, Step::broken) << cut_off;
    EXPECT_NE(got.problem.find("the connection ended"), std::string::npos);
  }
}

}  // namespace
}  // namespace breakeven::load

// A lane whose batches fail: what its clients are told, how it is made anew, and when the server
// gives up.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "serve/fake_service.h"
#include "serve/socket_client.h"

namespace breakeven::serve {
namespace {

using testing::FakeService;

class Repair : public ::testing::Test {
 protected:
  Repair() : fake_(options()) {}

  // The status of a text alone, or of several in one request.
  int ask(std::vector<std::string> texts) {
    std::vector<OwnedText> asked;
    asked.reserve(texts.size());
    for (std::string& text : texts) asked.push_back({std::move(text), std::nullopt});
    int status = 0;
    Service& service = fake_.service();
    service.submit(std::move(asked), service.now_s(), 0, [&](const Checked<Answer>& answer) {
      status = answer ? 200 : answer.error().status;
    });
    fake_.settle();
    return status;
  }
  void break_lane() {
    set(true, &testing::FakeEngine::broken);
    for (unsigned i = 0; i < Core::kLaneFailures; ++i) EXPECT_EQ(ask({"abc"}), 500);
  }
  void set(bool value, bool testing::FakeEngine::*flag) {
    const std::lock_guard lock(fake_.engine.mutex);
    fake_.engine.*flag = value;
    fake_.engine.changed.notify_all();
  }
  void wait_for_the_new_one() {
    while (!fake_.service().core().ready() && !fake_.service().hopeless()) fake_.poll();
  }
  std::string all_told() const {
    std::string all;
    for (const std::string& line : told_) all += line + "\n";
    return all;
  }
  bool metrics_have(const std::string& line) {
    return fake_.service().metrics_text().find(line + "\n") != std::string::npos;
  }

  std::vector<std::string> told_;
  FakeService fake_;

 private:
  ServiceOptions options() {
    ServiceOptions options;
    options.tell = [this](const std::string& line) { told_.push_back(line); };
    return options;
  }
};

TEST_F(Repair, ABrokenLaneIsMadeAnewAndAnswersAgain) {
  EXPECT_TRUE(fake_.service().ready());
  set(false, &testing::FakeEngine::makes);
  break_lane();
  EXPECT_FALSE(fake_.service().ready());
  EXPECT_FALSE(fake_.service().hopeless());
  EXPECT_EQ(ask({"abc"}), 503);
  set(true, &testing::FakeEngine::makes);
  wait_for_the_new_one();
  EXPECT_TRUE(fake_.service().ready());
  EXPECT_EQ(ask({"abc"}), 200);
  EXPECT_TRUE(metrics_have(R"(breakeven_lanes_made_anew_total{lane="0",device="cpu"} 1)"));
  EXPECT_TRUE(metrics_have(R"(breakeven_batch_failures_total{lane="0",device="cpu"} 3)"));
  // Of three failures a line, and nothing of the texts.
  EXPECT_EQ(all_told(),
            "cpu: a batch failed: broken\n"
            "cpu: 3 batches on end failed: it is made anew\n"
            "cpu: a new one works\n");
}

// Its requests are answered, each; none is let in while there is no lane.
TEST_F(Repair, ABatchThatFailsAnswersItsOwnAndIsTriedTextByText) {
  set(true, &testing::FakeEngine::fails);
  EXPECT_EQ(ask({"a poison", "abc"}), 500);
  EXPECT_EQ(ask({"abc"}), 200);
  EXPECT_TRUE(fake_.service().ready());
  EXPECT_TRUE(metrics_have(R"(breakeven_batch_failures_total{lane="0",device="cpu"} 2)"));
  EXPECT_TRUE(metrics_have(R"(breakeven_lanes_made_anew_total{lane="0",device="cpu"} 0)"));
}

TEST_F(Repair, OneThatDoesNotWorkWhenItIsNewIsGivenUp) {
  set(true, &testing::FakeEngine::lasts);
  break_lane();
  wait_for_the_new_one();
  EXPECT_TRUE(fake_.service().hopeless());
  EXPECT_EQ(fake_.engine.made, 1U);
  EXPECT_EQ(ask({"abc"}), 503);
  EXPECT_NE(all_told().find("cpu: a new one does not work either: broken\n"), std::string::npos);
}

TEST_F(Repair, OneThatGivesAnotherLabelIsNotTaken) {
  set(true, &testing::FakeEngine::other);
  break_lane();
  wait_for_the_new_one();
  EXPECT_TRUE(fake_.service().hopeless());
  EXPECT_NE(all_told().find("another label"), std::string::npos) << all_told();
}

TEST_F(Repair, OneThatBreaksAgainBeforeItAnsweredIsGivenUp) {
  break_lane();
  wait_for_the_new_one();
  break_lane();
  EXPECT_TRUE(fake_.service().hopeless());
  EXPECT_EQ(fake_.engine.made, 1U);
}

// The program that runs it can then end, and be started again.
TEST(RepairListener, AServerWithoutALaneEndsByItself) {
  testing::FakeEngine engine;
  testing::ListeningServer server(engine, {.address = "127.0.0.1:0"});
  {
    const std::lock_guard lock(engine.mutex);
    engine.broken = engine.lasts = true;
  }
  const std::string body = R"({"input":"abc"})";
  for (unsigned i = 0; i < Core::kLaneFailures; ++i) {
    testing::SocketClient client(server.address());
    client.send(
        "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        "Content-Length: " +
        std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body);
    EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 500"));
  }
  server.wait();
  const Counters counters = server.end();
  EXPECT_EQ(counters.ended[static_cast<std::size_t>(Outcome::failed)], 3U);
}

}  // namespace
}  // namespace breakeven::serve

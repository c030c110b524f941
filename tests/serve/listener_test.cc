// The server over real sockets: clients that are slow, many, gone, or hostile, and its end.
#include "serve/listener.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/descriptor.h"
#include "serve/fake_service.h"

namespace breakeven::serve {
namespace {

using testing::FakeEngine;

// A client that sends and reads when it is told to.
class Client {
 public:
  explicit Client(const std::string& address) {
    if (address.starts_with("unix:")) {
      socket_.set(::socket(AF_UNIX, SOCK_STREAM, 0));
      sockaddr_un to{};
      to.sun_family = AF_UNIX;
      address.copy(to.sun_path, sizeof to.sun_path - 1, 5);
      connected = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
    } else {
      socket_.set(::socket(AF_INET, SOCK_STREAM, 0));
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port =
          htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      connected = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
    }
  }
  void send(const std::string& bytes) {
    ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // Until it has read `end`, or the server closes.
  std::string read_to(const std::string& end) {
    std::string all;
    char bytes[4096];
    while (end.empty() || all.find(end) == std::string::npos) {
      const ssize_t count = ::recv(socket_.get(), bytes, sizeof bytes, 0);
      if (count <= 0) break;
      all.append(bytes, static_cast<std::size_t>(count));
    }
    return all;
  }
  std::string read_all() { return read_to(""); }
  void leave() { socket_.close(); }
  bool connected = false;

 private:
  Descriptor socket_;
};

std::string post(const std::string& body) {
  return "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
         "Content-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}
const std::string kEnd = "\"batch\":";

class ListenerTest : public ::testing::Test {
 protected:
  void start() {
    auto opened = Listener::open(options_);
    ASSERT_TRUE(opened) << opened.error().to_string();
    listener_ = *std::move(opened);
    ServiceOptions service_options;
    service_options.post = listener_->poster();
    std::vector<LaneSetup> lanes;
    lanes.push_back(testing::fake_lane(engine_));
    service_ = std::make_unique<Service>(testing::fake_served(), std::move(lanes), service_options);
    thread_ = std::thread([this] { listener_->run(*service_); });
  }
  void end() {
    if (!thread_.joinable()) return;
    listener_->stop();
    thread_.join();
  }
  std::string get(const std::string& path) const {
    Client client(listener_->address());
    client.send("GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    return client.read_all();
  }
  void wait_for_waiting(int count) const {
    const std::string line = "breakeven_requests_waiting " + std::to_string(count) + "\n";
    while (get("/metrics").find(line) == std::string::npos) {
    }
  }
  void TearDown() override {
    engine_.set_closed(false);
    end();
  }

  FakeEngine engine_;
  ListenOptions options_{.address = "127.0.0.1:0", .drain_s = 20};
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Service> service_;
  std::thread thread_;
};

TEST_F(ListenerTest, AnswersOverTcpAndKeepsTheConnection) {
  start();
  Client client(listener_->address());
  for (int i = 0; i < 3; ++i) {
    client.send(post(R"({"input":"abc"})"));
    EXPECT_NE(client.read_to(kEnd).find("\"odd\""), std::string::npos);
  }
}

TEST_F(ListenerTest, AnswersOverAUnixSocketAndTakesAStaleOnesPlace) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("breakeven-" + std::to_string(::getpid())))
          .string();
  options_.address = "unix:" + path;
  for (int i = 0; i < 2; ++i) {
    start();
    EXPECT_EQ(Listener::open(options_).error().code, "serve/in-use");
    Client client(listener_->address());
    client.send(post(R"({"input":"abc"})"));
    EXPECT_NE(client.read_to(kEnd).find("\"odd\""), std::string::npos);
    end();
    service_.reset();
    listener_.reset();
    EXPECT_FALSE(std::filesystem::exists(path));
    if (i > 0) continue;
    Descriptor stale(::socket(AF_UNIX, SOCK_STREAM, 0));  // of a server that was killed
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    path.copy(to.sun_path, sizeof to.sun_path - 1);
    ASSERT_EQ(::bind(stale.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  }
}

TEST_F(ListenerTest, WhatIsNoAddressIsToldByName) {
  for (const char* address :
       {"", "8000", "host:80", "127.0.0.1:", "127.0.0.1:70000", "unix:", "unix:/nowhere/at/all"}) {
    options_.address = address;
    EXPECT_EQ(Listener::open(options_).error().code, "serve/address") << address;
  }
  EXPECT_TRUE(is_local("127.0.0.1:1") && is_local("[::1]:1") && is_local("unix:/x"));
  EXPECT_FALSE(is_local("0.0.0.0:1") || is_local("[::]:1") || is_local("192.168.0.1:1"));
}

TEST_F(ListenerTest, SlowClientsAreToldAndEnded) {
  options_.connection.header_s = 0.2;
  options_.connection.body_s = 0.2;
  options_.connection.idle_s = 0.2;
  start();
  Client header(listener_->address()), body(listener_->address()), idle(listener_->address());
  header.send("GET /livez HTTP/1.1\r\nHo");
  const std::string whole = post(R"({"input":"abc"})");
  body.send(whole.substr(0, whole.size() - 1));
  EXPECT_TRUE(header.read_all().starts_with("HTTP/1.1 408"));
  EXPECT_TRUE(body.read_all().starts_with("HTTP/1.1 408"));
  EXPECT_EQ(idle.read_all(), "");
}

TEST_F(ListenerTest, MoreConnectionsThanItHoldsAreTold) {
  options_.connections = 2;
  start();
  Client first(listener_->address()), second(listener_->address());
  first.send(post(R"({"input":"abc"})"));
  first.read_to(kEnd);
  second.send(post(R"({"input":"abc"})"));
  second.read_to(kEnd);
  Client third(listener_->address());
  EXPECT_TRUE(third.read_all().starts_with("HTTP/1.1 503"));
  first.leave();
  std::string reply;
  while (reply.find("\"odd\"") == std::string::npos) {  // its place is free soon
    Client next(listener_->address());
    next.send(post(R"({"input":"abc"})"));
    reply = next.read_to(kEnd);
  }
}

TEST_F(ListenerTest, AClientThatLeavesIsForgotten) {
  start();
  engine_.set_closed(true);
  Client runs(listener_->address());
  runs.send(post(R"({"input":"abc"})"));
  wait_for_waiting(1);
  Client leaves(listener_->address());
  leaves.send(post(R"({"input":"abc"})"));
  wait_for_waiting(2);
  leaves.leave();
  wait_for_waiting(1);
}

// Many ends under load: nobody who was accepted goes without an answer.
TEST_F(ListenerTest, EndsWithoutLosingWhatWasAccepted) {
  for (int round = 0; round < 20; ++round) {
    start();
    engine_.set_closed(true);
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 20; ++i) {
      clients.push_back(std::make_unique<Client>(listener_->address()));
      clients.back()->send(post(R"({"input":"abc"})"));
    }
    wait_for_waiting(20);
    listener_->stop();
    while (get("/readyz").find(" 503 ") == std::string::npos) {  // it says so before it ends
    }
    engine_.set_closed(false);
    for (const auto& client : clients) {
      EXPECT_NE(client->read_all().find("\"odd\""), std::string::npos) << "round " << round;
    }
    thread_.join();
  }
}

TEST_F(ListenerTest, ASecondSignalShortensTheEnd) {
  start();
  engine_.set_closed(true);
  Client client(listener_->address());
  client.send(post(R"({"input":"abc"})"));
  wait_for_waiting(1);
  listener_->stop();
  listener_->stop();
  EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 503"));
  thread_.join();
}

}  // namespace
}  // namespace breakeven::serve

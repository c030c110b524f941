// The server over real sockets: clients that are slow, many, gone, or hostile, and its end.
#include "serve/listener.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "base/descriptor.h"
#include "serve/http_reply.h"
#include "serve/socket_client.h"

namespace breakeven::serve {
namespace {

using testing::FakeEngine;
using Client = testing::SocketClient;

std::string post(const std::string& body) {
  return "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
         "Content-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}
const std::string kEnd = "\"batch\":";

class ListenerTest : public ::testing::Test {
 protected:
  void start() { server_ = std::make_unique<testing::ListeningServer>(engine_, options_); }
  std::string get(const std::string& path) const {
    Client client(server_->address());
    client.send("GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    return client.read_all();
  }
  void wait_for_waiting(int count) const {
    const std::string line = "breakeven_requests_waiting " + std::to_string(count) + "\n";
    while (get("/metrics").find(line) == std::string::npos) {
    }
  }
  void wait_for_a_place() const {
    std::string reply;
    while (reply.find("\"odd\"") == std::string::npos) {
      Client next(server_->address());
      next.send(post(R"({"input":"abc"})"));
      reply = next.read_to(kEnd);
    }
  }
  void TearDown() override { engine_.set_closed(false); }

  FakeEngine engine_;
  ListenOptions options_{.address = "127.0.0.1:0", .drain_s = 20};
  std::unique_ptr<testing::ListeningServer> server_;  // ends before the engine
};

TEST_F(ListenerTest, AnswersOverTcpAndKeepsTheConnection) {
  start();
  Client client(server_->address());
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
    Client client(server_->address());
    client.send(post(R"({"input":"abc"})"));
    EXPECT_NE(client.read_to(kEnd).find("\"odd\""), std::string::npos);
    server_.reset();
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
  Client header(server_->address()), body(server_->address()), idle(server_->address());
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
  Client first(server_->address()), second(server_->address());
  first.send(post(R"({"input":"abc"})"));
  first.read_to(kEnd);
  second.send(post(R"({"input":"abc"})"));
  second.read_to(kEnd);
  Client third(server_->address());
  EXPECT_TRUE(third.read_all().starts_with("HTTP/1.1 503"));
  first.leave();
  wait_for_a_place();
}

// All of these clients come from 127.0.0.1.
TEST_F(ListenerTest, OneAddressHoldsItsShareOfConnections) {
  options_.of_one_address = 2;
  start();
  Client first(server_->address()), second(server_->address());
  for (Client* client : {&first, &second}) {
    client->send(post(R"({"input":"abc"})"));
    client->read_to(kEnd);
  }
  const std::string told = Client(server_->address()).read_all();
  EXPECT_TRUE(told.starts_with("HTTP/1.1 503")) << told;
  EXPECT_NE(told.find("2 connections are open from this address"), std::string::npos) << told;
  first.leave();
  wait_for_a_place();
  // Strangers get a few; on this machine, where a proxy is one client for all of its own, all.
  EXPECT_EQ(usual_of_one_address({.address = "0.0.0.0:1"}), 64U);
  EXPECT_EQ(usual_of_one_address({.address = "0.0.0.0:1", .connections = 8}), 8U);
  EXPECT_EQ(usual_of_one_address({.address = "127.0.0.1:1"}), 1024U);
  EXPECT_EQ(usual_of_one_address({.address = "unix:/x", .connections = 5000}), 5000U);
}

TEST_F(ListenerTest, AClientThatLeavesIsForgotten) {
  start();
  engine_.set_closed(true);
  Client runs(server_->address());
  runs.send(post(R"({"input":"abc"})"));
  wait_for_waiting(1);
  Client leaves(server_->address());
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
      clients.push_back(std::make_unique<Client>(server_->address()));
      clients.back()->send(post(R"({"input":"abc"})"));
    }
    wait_for_waiting(20);
    server_->stop();
    while (get("/readyz").find(" 503 ") == std::string::npos) {  // it says so before it ends
    }
    engine_.set_closed(false);
    for (const auto& client : clients) {
      EXPECT_NE(client->read_all().find("\"odd\""), std::string::npos) << "round " << round;
    }
    server_->wait();
  }
}

// The same while clients ask one request after the other: each answer that was made arrived.
TEST_F(ListenerTest, EndsUnderLoadAHundredTimes) {
  std::uint64_t answered = 0;
  for (int round = 0; round < 100; ++round) {
    start();
    std::atomic<std::uint64_t> read = 0;
    std::vector<std::thread> clients;
    clients.reserve(6);
    for (int i = 0; i < 6; ++i) {
      clients.emplace_back([&, address = server_->address()] {
        Client client(address);
        while (true) {
          client.send(post(R"({"input":"abc"})"));
          if (client.read_to(kEnd).find("\"odd\"") == std::string::npos) return;
          ++read;
        }
      });
    }
    while (read < static_cast<std::uint64_t>(round)) std::this_thread::yield();
    const Counters counters = server_->end();
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(counters.ended[static_cast<std::size_t>(Outcome::answered)], read);
    EXPECT_EQ(counters.accepted, read);
    answered += read;
  }
  EXPECT_GT(answered, 4000U);
}

// Who sends and never reads loses its connection; what it had sent is forgotten.
TEST_F(ListenerTest, AClientThatDoesNotReadIsEnded) {
  options_.connection.write_s = 0.2;
  start();
  Client client(server_->address());
  const std::string line = "\"" + std::string(50, 'x') + "\"\n";
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += line;
  client.send(
      "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  while (client.send(chunk(lines))) {  // until the server has gone
  }
  while (get("/metrics").find("breakeven_requests_waiting 0\n") == std::string::npos) {
  }
}

TEST_F(ListenerTest, ASecondSignalShortensTheEnd) {
  start();
  engine_.set_closed(true);
  Client client(server_->address());
  client.send(post(R"({"input":"abc"})"));
  wait_for_waiting(1);
  server_->stop();
  server_->stop();
  EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 503"));
  server_->wait();
}

}  // namespace
}  // namespace breakeven::serve

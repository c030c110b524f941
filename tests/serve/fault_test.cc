// The system fails: the n-th read, write, accept, thread start, allocation. This program has its
// own versions of those functions, which fail on demand on one thread and else do as told.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <new>
#include <system_error>

#include "serve/connection.h"
#include "serve/fake_service.h"
#include "serve/socket_client.h"

namespace {

enum class Call { none, receive, send, short_send, accept, start, allocate };
struct Fault {
  Call call = Call::none;
  int after = 0;  // calls that still work
  int error = 0;
  std::size_t least = 0;  // bytes of an allocation that counts
  bool failed = false;
};
thread_local Fault* fault = nullptr;

bool fails(Call call) {
  if (fault == nullptr || fault->call != call || fault->failed || fault->after-- > 0) return false;
  fault->failed = true;
  errno = fault->error;
  return true;
}

}  // namespace

extern "C" {
ssize_t recv(int socket, void* bytes, std::size_t count, int flags) {
  if (fails(Call::receive)) return -1;
  return ::syscall(SYS_recvfrom, socket, bytes, count, flags, nullptr, nullptr);
}
ssize_t recvmsg(int socket, msghdr* message, int flags) {
  if (fails(Call::receive)) return -1;
  return ::syscall(SYS_recvmsg, socket, message, flags);
}
ssize_t send(int socket, const void* bytes, std::size_t count, int flags) {
  if (fails(Call::send)) return -1;
  if (count > 1 && fails(Call::short_send)) count = 1;
  return ::syscall(SYS_sendto, socket, bytes, count, flags, nullptr, 0);
}
ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  if (fails(Call::send)) return -1;
  return ::syscall(SYS_sendmsg, socket, message, flags);
}
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*work)(void*),
                   void* argument) {
  if (fails(Call::start)) return EAGAIN;
  static const auto kReal =
      reinterpret_cast<decltype(&pthread_create)>(::dlsym(RTLD_NEXT, "pthread_create"));
  return kReal(thread, attributes, work, argument);
}
int accept(int socket, sockaddr* address, socklen_t* size) {
  if (fails(Call::accept)) return -1;
  return static_cast<int>(::syscall(SYS_accept4, socket, address, size, 0));
}
}

[[gnu::noinline]] void* operator new(std::size_t size) {
  const bool counts = fault != nullptr && size >= fault->least;
  if (counts && fails(Call::allocate)) throw std::bad_alloc();
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace breakeven::serve {
namespace {

using testing::FakeService;
using testing::ListeningServer;
using testing::SocketClient;

std::string post(const std::string& body) {
  return "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
         "Content-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

// What the door does when a call fails: at most the client that it was for loses its answer, and
// the next one is answered.
class DoorFault : public ::testing::Test {
 protected:
  // How many of some clients, each with two requests on one connection, got both answers.
  int answered(const std::string& address) {
    int good = 0;
    for (int i = 0; i < kClients; ++i) {
      SocketClient client(address);
      int replies = 0;
      for (int k = 0; k < 2; ++k) {
        client.send(post(R"({"input":"abc"})"));
        if (client.read_to("\"batch\":").find("\"odd\"") != std::string::npos) ++replies;
      }
      good += replies == 2 ? 1 : 0;
    }
    return good;
  }
  void sweep(Call call, int error, int least_answered) {
    for (int n = 0; n < 2 * kClients; ++n) {
      Fault planned{call, n, error};
      ListeningServer server(engine_, options_, [&] { fault = &planned; });
      EXPECT_GE(answered(server.address()), least_answered) << "call " << n;
      EXPECT_EQ(answered(server.address()), kClients) << "afterwards, call " << n;
      const Counters counters = server.end();
      EXPECT_TRUE(planned.failed) << n;
      EXPECT_EQ(counters.accepted, counters.ended[0] + counters.cancelled);
    }
  }
  static constexpr int kClients = 4;
  const ListenOptions options_{.address = "127.0.0.1:0"};
  testing::FakeEngine engine_;
};

TEST_F(DoorFault, Reads) {
  sweep(Call::receive, ECONNRESET, kClients - 1);
  sweep(Call::receive, EINTR, kClients);
}
TEST_F(DoorFault, Writes) {
  sweep(Call::send, EPIPE, kClients - 1);
  sweep(Call::short_send, 0, kClients);
}
// Who could not be taken waits in the system's queue.
TEST_F(DoorFault, Accepts) {
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, EINTR}) {
    for (int n = 0; n < kClients; ++n) {
      Fault planned{Call::accept, n, error};
      ListeningServer server(engine_, options_, [&] { fault = &planned; });
      EXPECT_EQ(answered(server.address()), kClients) << error << " " << n;
      server.end();
      EXPECT_TRUE(planned.failed);
    }
  }
}

TEST(ThreadFault, AServerThatCannotHaveItsThreadsDoesNotStart) {
  Fault planned{Call::start, 0, EAGAIN};
  fault = &planned;
  EXPECT_THROW(FakeService{}, std::system_error);
  fault = nullptr;
  EXPECT_TRUE(planned.failed);
}

TEST(ThreadFault, OnlyTheLiveBreakEvenNeedsAnotherOne) {
  FakeService fake;
  const ConnectionOptions options;
  Connection connection(fake.service(), options, [] {});
  Fault planned{Call::start, 0, EAGAIN};
  fault = &planned;
  const std::string get = "GET /v1/breakeven HTTP/1.1\r\nHost: a\r\n\r\n";
  connection.received(get + post(R"({"input":"abc"})"));
  fault = nullptr;
  fake.settle();
  const std::string all = connection.take_output();
  EXPECT_TRUE(all.starts_with("HTTP/1.1 503 ")) << all;
  EXPECT_NE(all.find("HTTP/1.1 200 "), std::string::npos);
  connection.received(get);
  while (fake.service().makes_live()) fake.poll();
  EXPECT_TRUE(connection.take_output().starts_with("HTTP/1.1 200 "));
}

// One run of a request and what comes after, in a process of its own: 0 = as it should be, 1 =
// not, 2 = nothing failed, there are fewer calls.
int with_failing_allocation(int n, std::size_t least, const std::string& request) {
  FakeService fake;
  const ConnectionOptions options;
  Fault planned{Call::allocate, n, ENOMEM, least};
  bool gone = false;
  {
    Connection connection(fake.service(), options, [] {});
    fault = &planned;
    connection.received(request);
    fake.settle();
    fault = nullptr;
    gone = connection.stuck();
    const std::string output = connection.take_output();
    connection.written(output.size());
    if (!gone && !output.starts_with("HTTP/1.1 ")) return 1;
  }
  Connection next(fake.service(), options, [] {});
  next.received(post(R"({"input":"abc"})"));
  fake.settle();
  const bool good =
      next.take_output().starts_with("HTTP/1.1 200") && fake.service().core().requests() == 0;
  if (!good || (gone && !planned.failed)) return 1;
  return planned.failed ? 0 : 2;
}

// The status of that process as the shell tells it: 128 + signal.
int status_of(int n, std::size_t least, const std::string& request) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(STDERR_FILENO);
    ::_exit(with_failing_allocation(n, least, request));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct Sweep {
  int survived = 0, ended = 0;
};
Sweep sweep_allocations(std::size_t least, const std::string& request) {
  Sweep sweep;
  for (int n = 0;; ++n) {
    const int status = status_of(n, least, request);
    if (status == 2) return sweep;
    EXPECT_TRUE(status == 0 || status == 128 + SIGABRT) << "allocation " << n << ": " << status;
    ++(status == 0 ? sweep.survived : sweep.ended);
    if (::testing::Test::HasFailure()) return sweep;
  }
}

// What a client makes large costs that client its connection and nobody else anything.
TEST(AllocationFault, LargeOnesEndTheConnectionAlone) {
  std::string body = R"({"top_k":"all","input":[)";
  for (int i = 0; i < 60; ++i) body += (i > 0 ? ",\"" : "\"") + std::string(8000, 'x') + '"';
  const Sweep sweep = sweep_allocations(6000, post(body + "]}"));
  EXPECT_GT(sweep.survived, 60);
  EXPECT_EQ(sweep.ended, 0);
}

// A small one in the middle of a decision ends the program by name; any other ends a connection.
TEST(AllocationFault, NoneIsAnsweredWronglyOrHangs) {
  const std::string stream =
      "POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n"
      "Content-Length: 8\r\n\r\n\"a\"\n\"bb\"";
  for (const std::string& request :
       {post(R"({"input":["a","bb"]})"), stream, std::string("x\r\n")}) {
    EXPECT_GT(sweep_allocations(0, request).survived, 5);
  }
}

}  // namespace
}  // namespace breakeven::serve

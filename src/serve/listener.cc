#include "serve/listener.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <variant>

#include "base/numbers.h"
#include "serve/http_reply.h"

namespace breakeven::serve {
namespace {

namespace asio = boost::asio;
using Failure = boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

constexpr auto kTick = std::chrono::milliseconds(50);
constexpr double kLinger_s = 2;      // for a client to read its last reply
constexpr double kAfterDrain_s = 1;  // for replies to leave
constexpr std::string_view kUnix = "unix:";

// A socket and its Connection. Lives as long as an operation on it is under way.
class Client : public std::enable_shared_from_this<Client> {
 public:
  Client(Socket socket, std::string from, Service& service, const ConnectionOptions& options)
      : socket_(std::move(socket)),
        from_(std::move(from)),
        service_(service),
        connection_(service, options, [this] { pump(); }) {}

  void pump();
  void tick();
  bool gone() const { return gone_; }
  const std::string& from() const { return from_; }
  // Nothing of it is left to write.
  bool quiet() const { return !writing_; }
  void close();

 private:
  void read();
  void write(std::string bytes);
  void linger();

  Socket socket_;
  std::string from_;  // its address
  Service& service_;
  Connection connection_;
  std::array<char, 16UL * 1024> bytes_{};
  std::string writes_;
  bool reading_ = false, writing_ = false, lingers_ = false, gone_ = false;
  double linger_until_s_ = 0;
};

void Client::pump() {
  if (gone_) return;
  if (!writing_) {
    std::string bytes = connection_.take_output();
    if (!bytes.empty()) {
      write(std::move(bytes));
    } else if (connection_.finished()) {
      linger();
    }
  }
  if (!reading_ && (lingers_ || connection_.wants_bytes())) read();
}

void Client::read() {
  reading_ = true;
  socket_.async_read_some(asio::buffer(bytes_),
                          [self = shared_from_this()](Failure failure, std::size_t count) {
                            self->reading_ = false;
                            if (self->gone_) return;
                            if (self->lingers_) {
                              if (failure) return self->close();
                            } else if (failure) {
                              self->connection_.peer_closed();
                              return self->close();
                            } else {
                              self->connection_.received({self->bytes_.data(), count});
                            }
                            self->pump();
                          });
}

void Client::write(std::string bytes) {
  writing_ = true;
  writes_ = std::move(bytes);
  asio::async_write(socket_, asio::buffer(writes_),
                    [self = shared_from_this()](Failure failure, std::size_t count) {
                      self->writing_ = false;
                      if (self->gone_) return;
                      if (failure) {
                        self->connection_.peer_closed();
                        return self->close();
                      }
                      self->connection_.written(count);
                      self->pump();
                    });
}

// Closing while bytes of the client are unread would make the system throw away our last reply.
void Client::linger() {
  if (lingers_) return;
  lingers_ = true;
  linger_until_s_ = service_.now_s() + kLinger_s;
  Failure ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void Client::close() {
  gone_ = true;
  Failure ignored;
  socket_.close(ignored);
}

void Client::tick() {
  if (gone_) return;
  if (lingers_ && service_.now_s() > linger_until_s_) return close();
  connection_.tick();
  // It gave up on a client that does not read.
  if (connection_.stuck()) return close();
  pump();
}

class AsioListener final : public Listener {
 public:
  explicit AsioListener(const ListenOptions& options)
      : options_(options), signals_(context_), timer_(context_) {}
  ~AsioListener() override {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  Result<void> listen();
  std::string address() const override { return address_; }
  std::function<void(std::function<void()>)> poster() override {
    return [this](std::function<void()> function) { asio::post(context_, std::move(function)); };
  }
  void hear_signals() override;
  void run(Service& service) override;
  void stop() override {
    asio::post(context_, [this] { asked_to_stop(); });
  }

 private:
  using Tcp = asio::ip::tcp::acceptor;
  using Local = asio::local::stream_protocol::acceptor;

  Result<void> listen_tcp();
  Result<void> listen_local();
  tl::unexpected<Error> cannot(const Failure& failure) const;
  template <class Acceptor>
  void accept(Acceptor& acceptor);
  void taken(Socket socket, std::string from);
  void turn_away(Socket socket, const std::string& why, const std::string& hint);
  void wait_for_signal();
  void asked_to_stop();
  void tick();

  ListenOptions options_;
  asio::io_context context_{1};
  asio::signal_set signals_;
  bool hears_signals_ = false;
  asio::steady_timer timer_;
  std::variant<std::monostate, Tcp, Local> acceptor_;
  std::string address_, path_;
  Service* service_ = nullptr;
  std::set<std::shared_ptr<Client>> clients_;
  std::map<std::string, std::size_t> of_address_;  // clients_ from each; none without one
  double drained_s_ = -1;
  bool accept_again_ = false;
};

tl::unexpected<Error> AsioListener::cannot(const Failure& failure) const {
  const bool in_use = failure == asio::error::address_in_use;
  return fail(in_use ? "serve/in-use" : "serve/address",
              fmt::format("cannot listen at {}: {}", options_.address, failure.message()),
              in_use ? "end what listens there, or choose another --listen"
                     : "give --listen HOST:PORT or unix:PATH");
}

// As many descriptors as connections, and some for the model, where the system lets us.
void raise_descriptor_limit(std::size_t connections) {
  constexpr rlim_t kOthers = 256;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= connections + kOthers) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, connections + kOthers);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<void> AsioListener::listen() {
  raise_descriptor_limit(options_.connections);
  return options_.address.starts_with(kUnix) ? listen_local() : listen_tcp();
}

Result<void> AsioListener::listen_tcp() {
  const std::string& text = options_.address;
  const std::size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon == std::string::npos ? 0 : colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host == "localhost") host = "127.0.0.1";
  Failure failure;
  const auto ip = asio::ip::make_address(host, failure);
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : parse_number<std::uint16_t>(text.substr(colon + 1));
  if (failure || !port) {
    return fail("serve/address", fmt::format("--listen '{}' is no address", text),
                "give HOST:PORT, as 127.0.0.1:8000 or [::1]:8000, or unix:PATH");
  }
  Tcp& acceptor = acceptor_.emplace<Tcp>(context_);
  const asio::ip::tcp::endpoint endpoint(ip, *port);
  acceptor.open(endpoint.protocol(), failure);
  if (!failure) acceptor.set_option(Tcp::reuse_address(true), failure);
  if (!failure) acceptor.bind(endpoint, failure);
  if (!failure) acceptor.listen(Tcp::max_listen_connections, failure);
  if (failure) return cannot(failure);
  const auto here = acceptor.local_endpoint(failure);
  address_ = ip.is_v6() ? fmt::format("[{}]:{}", host, here.port())
                        : fmt::format("{}:{}", host, here.port());
  return {};
}

Result<void> AsioListener::listen_local() {
  const std::string path = options_.address.substr(kUnix.size());
  if (path.empty() || path.size() > 100) {
    return fail("serve/address", fmt::format("--listen '{}' is no address", options_.address),
                "give a path of 1 to 100 bytes behind unix:");
  }
  // A socket that nobody listens at any more may stand in the way.
  struct stat state {};
  if (::stat(path.c_str(), &state) == 0 && S_ISSOCK(state.st_mode)) {
    asio::local::stream_protocol::socket probe(context_);
    Failure refused;
    probe.connect(path, refused);
    if (refused == asio::error::connection_refused) ::unlink(path.c_str());
  }
  Local& acceptor = acceptor_.emplace<Local>(context_);
  Failure failure;
  acceptor.open(asio::local::stream_protocol(), failure);
  if (!failure) acceptor.bind(path, failure);
  if (!failure) path_ = path;
  if (!failure) acceptor.listen(Local::max_listen_connections, failure);
  if (failure) return cannot(failure);
  address_ = options_.address;
  return {};
}

// Who is behind a connection: an IPv4 address, or the /64 that an IPv6 client may choose from.
std::string client_of(const asio::ip::tcp::socket& socket) {
  Failure gone;
  const auto address = socket.remote_endpoint(gone).address();
  if (gone) return "";
  if (!address.is_v6() || address.to_v6().is_v4_mapped()) {
    return address.is_v4()
               ? address.to_string()
               : asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  }
  const auto bytes = address.to_v6().to_bytes();
  return std::string(bytes.begin(), bytes.begin() + 8);
}

template <class Acceptor>
void AsioListener::accept(Acceptor& acceptor) {
  accept_again_ = false;
  // Else Asio waits for the next client where one gave up in the queue, though more may stand
  // there.
  Failure ignored_option;
  acceptor.set_option(asio::socket_base::enable_connection_aborted(true), ignored_option);
  acceptor.async_accept([this, &acceptor](Failure failure, auto socket) {
    if (failure == asio::error::operation_aborted) return;
    // Out of descriptors, most likely: the next try is the next tick's, so that nothing spins.
    if (failure) {
      accept_again_ = true;
      return;
    }
    std::string from;
    if constexpr (std::is_same_v<Acceptor, Tcp>) {
      Failure ignored;
      socket.set_option(asio::ip::tcp::no_delay(true), ignored);
      from = client_of(socket);
    }
    taken(Socket(std::move(socket)), std::move(from));
    accept(acceptor);
  });
}

void AsioListener::turn_away(Socket socket, const std::string& why, const std::string& hint) {
  ++service_->metrics().connections_refused;
  HttpReply reply{.status = 503, .close = true};
  reply.body = render_problem(Route::classify, {503, {"http/connections", why, hint}, 0});
  Failure ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(to_bytes(reply)), ignored);
}

void AsioListener::taken(Socket socket, std::string from) {
  if (clients_.size() >= options_.connections) {
    return turn_away(std::move(socket), fmt::format("{} connections are open", clients_.size()),
                     "keep connections and use them again");
  }
  const auto seen = of_address_.find(from);
  if (seen != of_address_.end() && seen->second >= options_.of_one_address) {
    return turn_away(std::move(socket),
                     fmt::format("{} connections are open from this address", seen->second),
                     "keep connections and use them again; --connections-per-address allows more");
  }
  ++of_address_[from];
  Metrics& metrics = service_->metrics();
  ++metrics.connections;
  const auto client =
      std::make_shared<Client>(std::move(socket), std::move(from), *service_, options_.connection);
  clients_.insert(client);
  metrics.connections_open = clients_.size();
  client->pump();
}

void AsioListener::wait_for_signal() {
  signals_.async_wait([this](Failure failure, int) {
    if (failure) return;
    asked_to_stop();
    wait_for_signal();
  });
}

void AsioListener::asked_to_stop() {
  service_->drain(service_->draining() ? 0 : options_.drain_s);
}

void AsioListener::tick() {
  timer_.expires_after(kTick);
  timer_.async_wait([this](Failure failure) {
    if (failure) return;
    service_->tick();
    for (auto at = clients_.begin(); at != clients_.end();) {
      (*at)->tick();
      if (!(*at)->gone()) {
        ++at;
        continue;
      }
      const auto from = of_address_.find((*at)->from());
      if (--from->second == 0) of_address_.erase(from);
      at = clients_.erase(at);
    }
    service_->metrics().connections_open = clients_.size();
    if (accept_again_) {
      std::visit(
          [this](auto& acceptor) {
            if constexpr (!std::is_same_v<std::decay_t<decltype(acceptor)>, std::monostate>) {
              accept(acceptor);
            }
          },
          acceptor_);
    }
    if (service_->hopeless() && !service_->draining()) asked_to_stop();
    if (service_->drained()) {
      const double now_s = service_->now_s();
      if (drained_s_ < 0) drained_s_ = now_s;
      bool quiet = true;
      for (const auto& client : clients_) quiet = quiet && client->quiet();
      if (quiet || now_s - drained_s_ > kAfterDrain_s) return context_.stop();
    }
    tick();
  });
}

void AsioListener::hear_signals() {
  if (std::exchange(hears_signals_, true)) return;
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  wait_for_signal();
}

void AsioListener::run(Service& service) {
  service_ = &service;
  hear_signals();
  std::visit(
      [this](auto& acceptor) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(acceptor)>, std::monostate>) {
          accept(acceptor);
        }
      },
      acceptor_);
  tick();
  context_.run();
  for (const auto& client : clients_) client->close();
  clients_.clear();
  of_address_.clear();
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(const ListenOptions& options) {
  auto listener = std::make_unique<AsioListener>(options);
  BREAKEVEN_TRY_VOID(listener->listen());
  return listener;
}

std::size_t usual_of_one_address(const ListenOptions& options) {
  constexpr std::size_t kStrangers = 64;
  return is_local(options.address) ? options.connections
                                   : std::min(kStrangers, options.connections);
}

bool is_local(const std::string& address) {
  return address.starts_with(kUnix) || address.starts_with("127.") ||
         address.starts_with("[::1]:") || address.starts_with("localhost:");
}

}  // namespace breakeven::serve

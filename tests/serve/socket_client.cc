#include "serve/socket_client.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"

namespace breakeven::testing {

SocketClient::SocketClient(const std::string& address) {
  const auto connect_to = [&](const auto& to) {
    connected_ = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  };
  if (address.starts_with("unix:")) {
    socket_.set(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    address.copy(to.sun_path, sizeof to.sun_path - 1, 5);
    connect_to(to);
    return;
  }
  socket_.set(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connect_to(to);
}

bool SocketClient::send(const std::string& bytes) {
  return connected_ && ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0;
}

std::string SocketClient::read_to(const std::string& end) {
  std::string all;
  char bytes[4096];
  while (end.empty() || all.find(end) == std::string::npos) {
    const ssize_t count = ::recv(socket_.get(), bytes, sizeof bytes, 0);
    if (count <= 0) break;
    all.append(bytes, static_cast<std::size_t>(count));
  }
  return all;
}

ListeningServer::ListeningServer(FakeEngine& engine, const serve::ListenOptions& options,
                                 const std::function<void()>& before,
                                 serve::ServiceOptions service_options) {
  auto opened = serve::Listener::open(options);
  BREAKEVEN_CHECK(opened, "{}", opened ? "" : opened.error().to_string());
  listener_ = *std::move(opened);
  service_options.post = listener_->poster();
  std::vector<serve::LaneSetup> lanes;
  lanes.push_back(fake_lane(engine));
  service_ = std::make_unique<serve::Service>(fake_served(), std::move(lanes), service_options);
  thread_ = std::thread([this, before] {
    before();
    listener_->run(*service_);
  });
}

ListeningServer::~ListeningServer() {
  end();
}

serve::Counters ListeningServer::end() {
  if (thread_.joinable()) {
    listener_->stop();
    thread_.join();
  }
  return service_->core().counters();
}

}  // namespace breakeven::testing

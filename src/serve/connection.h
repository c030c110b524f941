// One connection of a client, as bytes in and bytes out: reads requests, asks the service, writes
// replies in order. No sockets: whoever owns one carries the bytes and tells what happened to it.
// All from the server's thread.
//
// A request at a time: what a client sends behind it waits in a bounded buffer. A stream (NDJSON)
// has a bounded number of lines on their way; beyond that, or while its replies are not read, no
// more bytes are wanted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "serve/api.h"
#include "serve/http_reader.h"
#include "serve/http_reply.h"
#include "serve/service.h"

namespace breakeven::serve {

struct ConnectionOptions {
  HttpLimits http{};
  BodyLimits body{};
  std::size_t body_bytes = std::size_t{1} << 20;  // of a request, and of a line of a stream
  std::string api_key{};                          // "" = none is asked for
  std::size_t window = 64;                        // lines of a stream on their way
  double header_s = 5;                            // from its first byte on
  double body_s = 10;                             // and a second more for every 16 KiB
  double idle_s = 60;
  double write_s = 10;  // without a byte that the client took
};

class Connection {
 public:
  // `changed`: there is output, or finished() has changed, by the service's doing.
  Connection(Service& service, const ConnectionOptions& options, std::function<void()> changed);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();  // cancels what is on its way

  void received(std::string_view bytes);
  void peer_closed();  // it left: cancels
  void tick();         // a few times a second

  std::string take_output();        // what must be written
  void written(std::size_t bytes);  // of what was taken
  bool wants_bytes() const;
  bool finished() const { return closing_; }  // close when all is written
  bool stuck() const { return stuck_; }       // the client does not read: close now

 private:
  enum class Phase : std::uint8_t { idle, head, body, working, stream };
  struct Line {
    std::uint64_t request = 0;
    std::optional<std::string> reply{};
  };

  template <class Work>
  void try_to(const Work& work);
  void advance();
  void enter(Phase phase);
  void take_head();
  void forget_head();
  void take_body(std::string_view piece);
  void take_end();
  std::optional<Problem> check_head(Route route) const;
  bool known_key() const;
  void answer_known(Route route);
  void ask();
  void ask_live();
  void answer(const Form& form, const Checked<Answer>& result);
  void send(HttpReply reply);
  void send_problem(const Problem& problem, bool close);
  std::string common_fields() const;
  double limit_s(Problem* wrong) const;

  bool take_lines();
  void end_stream_early(const Problem& problem);
  bool take_line(std::string_view line);
  void line_done(std::uint64_t number, std::string reply);
  void write_lines();

  Service& service_;
  const ConnectionOptions& options_;
  std::function<void()> changed_;
  HttpReader reader_;
  Phase phase_ = Phase::idle;
  double since_s_ = 0;  // of the phase, or of the last byte where only silence ends it
  std::string input_;   // not read yet
  std::string output_;
  std::size_t unwritten_ = 0;
  double written_s_ = 0;
  bool closing_ = false, stuck_ = false;
  bool inside_ = false;  // advance()
  HttpHead head_;
  Route route_ = Route::classify;
  std::string body_;
  std::size_t body_seen_ = 0;
  std::uint64_t request_ = 0;  // on its way, of the service
  std::shared_ptr<const bool> here_ = std::make_shared<const bool>(true);  // until it is gone
  // Of a stream.
  std::string text_;  // lines that were not taken yet
  std::deque<Line> lines_;
  std::uint64_t first_line_ = 0;  // number of lines_.front()
  bool body_ended_ = false, cut_off_ = false;
};

}  // namespace breakeven::serve

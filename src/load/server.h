// A server that is to be measured: who it is, what it answers to each text, what it can do at most,
// and what the way there costs. Then windows of requests, each a record.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "load/interface.h"
#include "load/player.h"
#include "load/schedule.h"
#include "load/window.h"
#include "record/record.h"

namespace breakeven::load {

// What the user says of the server, and how it is asked.
struct ServerOptions {
  Url url;
  std::optional<Interface> interface {};  // nothing: by the path, or by what the server says
  std::string fields{};                   // of every request, each with its line end
  bool keep_alive = true;
  double timeout_s = 10;
  double p99_limit_s = 0;  // 0 = none
  // Where the server does not say so.
  std::optional<Device> device{};
  std::optional<Precision> precision{};
  std::optional<std::uint64_t> max_length{};
  const std::atomic<bool>* stop = nullptr;
};

class Server {
 public:
  // Asks it who it is. Errors: those of resolve() and Player::ask; load/interface (nobody knows
  // how to ask it), load/key (401, 403).
  static Result<std::unique_ptr<Server>> meet(const ServerOptions& options);

  // Asks for every text: what can go wrong with all of them does so here. Then again with more and
  // more in flight until it answers no more of them a second. Errors: load/route (404, 405),
  // load/key, load/status (any other), load/reply (no label), and the player's.
  Result<void> warm_up(std::span<const Text> texts, double most_s);
  // What somebody who has the server's model says of it, and the labels that it must give to the
  // texts of warm_up(): the flips go into every record. Errors: load/model (the server says that it
  // has another one, or knows other labels).
  struct Judge {
    record::Record facts;             // name, hash, shape
    std::string name;                 // "native cpu fp32"
    std::vector<std::string> labels;  // of each text
    std::vector<std::uint32_t> tokens;
    std::vector<std::string> all;  // labels that the model knows
  };
  Result<void> compare(const Judge& judge);
  // Asks for null replies, if it has one: as many as it gives, and at `rate_per_s`.
  Result<void> calibrate(double most_s);

  // Waits until it answers a lone request as quickly as it did at first, then plays. Errors: the
  // player's.
  Result<Windowed> window(const Schedule& schedule, double rate_per_s, Arrivals arrivals,
                          double most_per_s);

  // Tokens at which it cuts texts, where it or the user says so.
  std::optional<std::uint64_t> told_max_length() const;
  double most_per_s() const { return most_per_s_; }  // that it answered in the warm-up
  const Ask& ask() const { return ask_; }
  const record::Http& http() const { return http_; }
  const std::string& name() const { return http_.server; }
  // What all records of the run have: model, machine, cell, texts.
  record::Record prototype;

 private:
  Server() = default;
  Result<void> choose_interface();
  Result<Reply> get(std::string_view path);
  void take_info(const std::string& body);
  Result<void> refuse(const Reply& reply) const;
  Result<void> settle();
  void describe_tokens(std::vector<std::uint32_t> tokens);

  ServerOptions options_;
  Ask ask_;
  record::Http http_;
  std::unique_ptr<Player> player_;
  std::vector<std::string> requests_;
  std::string null_;                 // a request; "" = it has none
  std::vector<std::string> labels_;  // that it gave to each text
  double most_per_s_ = 0, lone_s_ = 0;
};

}  // namespace breakeven::load

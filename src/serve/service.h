// The core with real lanes: a thread for each classifier, texts and answers, metrics. All calls
// come from one thread, that of the server; lanes hand their batches back through `post`.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "classifier/classifier.h"
#include "serve/api.h"
#include "serve/core.h"
#include "serve/lane.h"
#include "serve/live.h"
#include "serve/metrics.h"
#include "serve/preparer.h"
#include "serve/traffic.h"

namespace breakeven::serve {

struct ServiceOptions {
  CoreLimits limits{};
  double limit_s = 10;  // of a request that names none
  const Clock* clock = &monotonic_clock();
  Prices prices{};
  std::vector<Machine> elsewhere{};  // devices that are not here, for the break-even
  // Tokenises one batch ahead, as the lanes' classifiers would; none = the lanes do it themselves.
  Preparer::Read read{};
  // Of lanes that fail: a line for whoever runs the server, of each lane one in kTellEvery_s, and
  // what becomes of a broken one. What clients sent is in none. On the server's thread.
  std::function<void(const std::string&)> tell = [](const std::string&) {};
  // Runs a function on the server's thread, soon. Called from other threads.
  std::function<void(std::function<void()>)> post;
};

class Service {
 public:
  static constexpr double kTellEvery_s = 10;
  using Done = std::function<void(Checked<Answer>)>;

  // At least one lane. When nobody asks, a text is asked again whose label must stay what the first
  // lane says now.
  Service(Served served, std::vector<LaneSetup> lanes, ServiceOptions options);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service();

  // `received_s`: when its last byte came. `limit_s` of time from then on: 0 = the service's;
  // infinity = none. `done` is called once, perhaps at once, but not after cancel().
  // Returns a number for cancel(); 0 = done was called.
  // Memory that is missing here or where a batch ends is the end of the program: half of a decision
  // is worse.
  std::uint64_t submit(std::vector<OwnedText> texts, double received_s, double limit_s,
                       Done done) noexcept;
  // Whether one who can wait (a stream) should go on: half of the room is for all others.
  bool has_room() const;
  void cancel(std::uint64_t request) noexcept;

  // A few times a second.
  void tick() noexcept;
  bool preparing() const { return preparer_ != nullptr && preparer_->busy(); }
  void drain(double within_s);
  bool drained() const { return core_.draining() && core_.requests() == 0; }
  bool draining() const { return core_.draining(); }

  bool ready() const;  // lately a batch gave what it must
  // No lane works, and none will: whoever runs it should end it and start it again.
  bool hopeless() const { return core_.hopeless(); }
  double now_s() const { return options_.clock->now_s(); }
  const Served& served() const { return served_; }
  const Core& core() const { return core_; }
  Metrics& metrics() { return metrics_; }
  std::string metrics_text() const { return metrics_.write(core_, now_s()); }
  std::string info_json() const;

  // The break-even of what came of late: kept for some seconds, made on a thread of its own. `done`
  // is called on the server's thread, perhaps at once; null = no thread could be had.
  void live(std::function<void(const Live*)> done);
  bool makes_live() const { return !live_waits_.empty(); }
  const Prices& prices() const { return options_.prices; }

 private:
  struct Waiting {
    std::shared_ptr<const std::vector<OwnedText>> texts;
    std::vector<std::shared_ptr<const TokenIds>> ids;  // of each text, as soon as they are made
    Answer answer;
    double received_s = 0;
    double first_start_s = -1, last_tokenize_s = 0;
    Done done;
  };

  void start();
  void prepare();
  void prepared(std::vector<Preparer::Job> jobs) noexcept;
  void finished(std::size_t lane, const LaneResult& result) noexcept;
  void failed(std::size_t lane, const Error& error);
  void repair();
  void repaired(std::size_t lane, const Result<void>& made) noexcept;
  void take(const Part& part, std::size_t place, const LaneResult& result, Waiting& waiting);
  void deliver();
  Checked<Answer> answer_of(Outcome outcome, Waiting& waiting);
  void probe(double now_s);
  std::vector<double> busy_s() const;
  void tell_live(const Live* live);

  Served served_;
  ServiceOptions options_;
  Core core_;
  TokensOfBytes tokens_;
  Metrics metrics_;
  std::uint64_t next_id_ = 0;
  std::unordered_map<std::uint64_t, Waiting> waiting_;
  std::vector<std::vector<Part>> running_;  // by lane
  std::vector<double> started_s_, expected_s_, told_s_;
  std::vector<MakeClassifier> make_anew_;  // and it gives the label that it must
  double answered_s_ = 0, probed_s_ = 0;
  std::size_t probe_label_ = 0;
  double started_at_s_ = 0;
  Traffic traffic_;
  std::unique_ptr<Live> live_;
  double live_at_s_ = 0;
  std::vector<std::function<void(const Live*)>> live_waits_;
  std::thread live_thread_;
  std::unique_ptr<Preparer> preparer_;
  std::vector<std::unique_ptr<Lane>> lanes_;  // last: their threads end first
};

}  // namespace breakeven::serve

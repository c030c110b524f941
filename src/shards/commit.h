// How a shard's result becomes visible: whole, once, whoever else does the same shard at the same
// time and wherever a process dies. Each step does one thing to the store, so that a test can stop
// and mix attempts anywhere.
//
// A part is written aside and published under its name unless there is one already; then a done
// file says so. The first part stays: a second attempt (slow, or stopped and woken up again) leaves
// it, whatever bits its own device made. A part without a done file is whole, and the next attempt
// only writes the done file.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace breakeven::shards {

// What stands in a file.
struct Seen {
  std::uint64_t bytes = 0, lines = 0;
  std::string sha256;
  bool operator==(const Seen&) const = default;
};

// A folder on a file system that all machines share, or a bucket.
class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;
  virtual Result<bool> has(const std::string& name) = 0;
  virtual Result<Seen> look(const std::string& name) = 0;
  // Under a name that nobody else uses and no reader of results sees.
  virtual Result<void> write_aside(const std::string& name, std::string_view content) = 0;
  // Makes what stands aside visible, whole and safe from a crash; false: there is one, which stays.
  virtual Result<bool> publish(const std::string& aside, const std::string& name) = 0;
  virtual void remove_aside(const std::string& name) = 0;
};

struct AttemptNames {
  std::string part, done;              // visible
  std::string part_aside, done_aside;  // this attempt's own
};

class Attempt {
 public:
  // Writes the part aside.
  using Work = std::function<Result<void>(const std::string& part_aside)>;
  // The done file's content for a part; `own`: this attempt computed these very bytes.
  using Receipt = std::function<Result<std::string>(const Seen& part, bool own)>;
  enum class Outcome : std::uint8_t { under_way, was_done, done, adopted };

  // `lines`: that a part has.
  Attempt(Store& store, AttemptNames names, std::uint64_t lines, Work work, Receipt receipt);

  // One operation on the store. Errors: its own, those of work and receipt, shards/damaged (a
  // part that is not whole); after one the attempt is over.
  Result<Outcome> step();
  // All steps; takes away what an error left aside.
  Result<Outcome> run();

 private:
  enum class State : std::uint8_t {
    look_for_done,
    look_for_part,
    work,
    look_aside,
    publish_part,
    look_at_part,
    write_receipt,
    publish_done,
    clear_part,
    clear_done,
    over
  };
  Result<void> take_seen(const std::string& name, Seen& seen);

  Store& store_;
  AttemptNames names_;
  std::uint64_t lines_;
  Work work_;
  Receipt receipt_;
  State state_ = State::look_for_done;
  Outcome outcome_ = Outcome::under_way;
  Seen mine_, part_;
};

}  // namespace breakeven::shards

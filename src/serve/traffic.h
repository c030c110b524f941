// What a server saw of late: how many requests and texts came, how long they were, how busy each
// lane was. Of a fixed size, pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace breakeven::serve {

struct Observed {
  double window_s = 0;  // that the rates are of; 0 = nothing was seen yet
  double requests_per_s = 0, texts_per_s = 0;
  std::vector<double> use;             // share of the time that each lane was busy
  std::vector<std::uint32_t> lengths;  // tokens of the last texts
};

class Traffic {
 public:
  static constexpr double kWindow_s = 60;
  static constexpr std::size_t kLengths = 1024;

  Traffic(std::size_t lanes, double now_s);

  void came(std::size_t texts);  // a request, let in or not
  void computed(std::uint32_t tokens);
  // From time to time: `busy_s` in all, of each lane.
  void tick(double now_s, const std::vector<double>& busy_s);

  Observed seen() const;

 private:
  struct Mark {
    double at_s = 0;
    std::uint64_t requests = 0, texts = 0;
    std::vector<double> busy_s;
  };
  std::deque<Mark> marks_;  // one a second, the oldest first
  Mark now_;
  std::vector<std::uint32_t> lengths_;
  std::size_t next_ = 0;
};

}  // namespace breakeven::serve

#include "serve/traffic.h"

#include <algorithm>

namespace breakeven::serve {

Traffic::Traffic(std::size_t lanes, double now_s) {
  now_.at_s = now_s;
  now_.busy_s.assign(lanes, 0);
  marks_.push_back(now_);
}

void Traffic::came(std::size_t texts) {
  ++now_.requests;
  now_.texts += texts;
}

void Traffic::computed(std::uint32_t tokens) {
  if (lengths_.size() < kLengths) {
    lengths_.push_back(tokens);
  } else {
    lengths_[next_] = tokens;
  }
  next_ = (next_ + 1) % kLengths;
}

void Traffic::tick(double now_s, const std::vector<double>& busy_s) {
  now_.at_s = now_s;
  now_.busy_s = busy_s;
  if (now_s - marks_.back().at_s < 1) return;
  marks_.push_back(now_);
  while (now_s - marks_[1].at_s >= kWindow_s) marks_.pop_front();
}

Observed Traffic::seen() const {
  const Mark& first = marks_.front();
  Observed seen;
  seen.lengths = lengths_;
  seen.use.assign(now_.busy_s.size(), 0);
  seen.window_s = now_.at_s - first.at_s;
  if (seen.window_s <= 0) return seen;
  seen.requests_per_s = static_cast<double>(now_.requests - first.requests) / seen.window_s;
  seen.texts_per_s = static_cast<double>(now_.texts - first.texts) / seen.window_s;
  for (std::size_t i = 0; i < seen.use.size(); ++i) {
    seen.use[i] = std::clamp((now_.busy_s[i] - first.busy_s[i]) / seen.window_s, 0.0, 1.0);
  }
  return seen;
}

}  // namespace breakeven::serve

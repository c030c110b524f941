// M/D/1: one server, Poisson arrivals, each served for the same time. The distribution of what a
// request waits is known in closed form. Erlang's sum of 1909 alternates and loses all digits at
// high load; this is Franx's of 2001, whose terms are all positive.
#pragma once

#include <cmath>
#include <vector>

namespace breakeven::testing {

class Md1 {
 public:
  // busy = rate × service time, below 1.
  Md1(double busy, double service_s) : busy_(busy), service_s_(service_s) {
    // In the system with probability p_n: p_i a_0 = p_0 A_i + Σ_{0<j<i} p_j A_{i+1-j}, where a_n is
    // the probability of n arrivals during one service and A_n that of n or more (Ramaswami 1988).
    std::vector<double> at_least(kMost + 2);
    for (int n = kMost + 1; n >= 0; --n) {
      const double next = n > kMost ? 0 : at_least[static_cast<std::size_t>(n) + 1];
      at_least[static_cast<std::size_t>(n)] = next + poisson(n, busy);
    }
    std::vector<double> p = {1 - busy};
    for (std::size_t i = 1; i <= kMost; ++i) {
      double sum = p[0] * at_least[i];
      for (std::size_t j = 1; j < i; ++j) sum += p[j] * at_least[i + 1 - j];
      p.push_back(sum / std::exp(-busy));
    }
    // At most so many wait behind the one that is served.
    double sum = p[0];
    for (std::size_t i = 1; i < p.size(); ++i) wait_at_most_.push_back(sum += p[i]);
  }

  double wait_at_most(double t_s) const {
    if (t_s < 0) return 0;
    const auto k = static_cast<std::size_t>(t_s / service_s_) + 1;
    const double x = busy_ * (static_cast<double>(k) - t_s / service_s_);
    double sum = 0;
    for (std::size_t j = 0; j < k && k - 1 - j < wait_at_most_.size(); ++j) {
      sum += wait_at_most_[k - 1 - j] * poisson(static_cast<int>(j), x);
    }
    return sum;
  }

  // Of the time from arrival to answer.
  double percentile_s(double share) const {
    double low = 0;
    double high = kMost * service_s_;
    for (int i = 0; i < 60; ++i) {
      const double middle = (low + high) / 2;
      (wait_at_most(middle) < share ? low : high) = middle;
    }
    return high + service_s_;
  }

  // The highest rate at which `share` of the requests are answered within `limit_s`.
  static double highest_rate(double service_s, double limit_s, double share) {
    double low = 0;
    double high = 0.995 / service_s;
    for (int i = 0; i < 30; ++i) {
      const double middle = (low + high) / 2;
      const bool keeps =
          Md1(middle * service_s, service_s).wait_at_most(limit_s - service_s) >= share;
      (keeps ? low : high) = middle;
    }
    return low;
  }

 private:
  static constexpr int kMost = 1500;  // in the system; nothing is left beyond at a load of 0.98
  static double poisson(int n, double mean) {
    if (mean <= 0) return n == 0 ? 1 : 0;
    return std::exp(n * std::log(mean) - mean - std::lgamma(n + 1.0));
  }

  double busy_, service_s_;
  std::vector<double> wait_at_most_;
};

}  // namespace breakeven::testing

// A made-up machine whose speed changes in time, as shared machines' do.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace breakeven::testing {

enum class Speed { independent, ar1_05, ar1_08, two_speed, drift, stalls };

inline std::string to_string(Speed kind) {
  constexpr const char* kNames[] = {"independent",      "AR(1) 0.5",     "AR(1) 0.8",
                                    "two speeds, 1.4x", "drift by 10 %", "rare stalls"};
  return kNames[static_cast<int>(kind)];
}

// Speed 1 is the usual one. Each second has a speed of its own (lognormal, standard deviation
// `noise`), correlated with the last second's in the AR(1) kinds (drift and stalls: 0.5).
// - two_speed: 1 or 1/1.4 for 10 to 30 s each, as a neighbour comes and goes.
// - drift: falls by 10 % in drift_s.
// - stalls: once in 100 s nothing moves for 0.5 to 2 s.
class SimulatedSpeed {
 public:
  SimulatedSpeed(Speed kind, std::uint64_t seed, double drift_s, double noise = 0.1)
      : kind_(kind), drift_s_(drift_s), noise_(noise), random_(seed), state_(normal_(random_)) {
    slow_ = random_() % 2 == 1;
  }

  // How long work takes from `start_s` on that takes `work_s` at speed 1. Starts never go back.
  double seconds(double start_s, double work_s) {
    cover(start_s);
    while (pieces_[now_].end_s <= start_s) ++now_;
    double at_s = start_s;
    for (std::size_t i = now_;; ++i) {
      if (i == pieces_.size()) add();
      const double possible = (pieces_[i].end_s - at_s) * pieces_[i].speed;
      if (possible >= work_s) return at_s + work_s / pieces_[i].speed - start_s;
      work_s -= possible;
      at_s = pieces_[i].end_s;
    }
  }

  // The mean from 0 to until_s; stalls do not count.
  double mean_speed(double until_s) {
    cover(until_s);
    double work = 0;
    double time = 0;
    double begin = 0;
    for (const Piece& piece : pieces_) {
      const double length = std::min(piece.end_s, until_s) - begin;
      if (length <= 0) break;
      begin = piece.end_s;
      if (piece.speed == 0) continue;
      time += length;
      work += length * piece.speed;
    }
    return work / time;
  }

  // The mean of a stationary kind over all time.
  static double long_run_speed(Speed kind, double noise = 0.1) {
    return kind == Speed::two_speed ? (1 + 1 / 1.4) / 2 : std::exp(noise * noise / 2);
  }

 private:
  struct Piece {
    double end_s, speed;
  };

  double end_s() const { return pieces_.empty() ? 0 : pieces_.back().end_s; }
  void cover(double time_s) {
    while (end_s() <= time_s) add();
  }

  void add() {
    if (kind_ == Speed::two_speed) {
      std::uniform_real_distribution<double> dwell_s(10, 30);
      double length_s = dwell_s(random_);
      // Begins within a stay, not at its start.
      if (pieces_.empty()) length_s *= std::uniform_real_distribution<double>(0, 1)(random_);
      pieces_.push_back({end_s() + length_s, slow_ ? 1 / 1.4 : 1});
      slow_ = !slow_;
      return;
    }
    const double phi = kind_ == Speed::independent ? 0 : (kind_ == Speed::ar1_08 ? 0.8 : 0.5);
    state_ = phi * state_ + std::sqrt(1 - phi * phi) * normal_(random_);
    double log_speed = noise_ * state_;
    if (kind_ == Speed::drift) log_speed -= 0.1 * end_s() / drift_s_;
    pieces_.push_back({end_s() + 1, std::exp(log_speed)});
    if (kind_ == Speed::stalls && std::uniform_real_distribution<double>(0, 100)(random_) < 1) {
      std::uniform_real_distribution<double> length_s(0.5, 2);
      pieces_.push_back({end_s() + length_s(random_), 0});
    }
  }

  Speed kind_;
  double drift_s_, noise_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
  double state_;
  bool slow_;
  std::vector<Piece> pieces_;
  std::size_t now_ = 0;
};

}  // namespace breakeven::testing

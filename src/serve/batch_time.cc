#include "serve/batch_time.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace breakeven::serve {
namespace {

constexpr std::size_t kRecent = 128;  // batches that the model follows
constexpr std::size_t kRefitEvery = 16;
constexpr double kPromised = 0.95;  // share of the batches that keep safe_seconds()
constexpr double kMostSafety = 4;   // one long stall must not close the door
constexpr double kLeast_s = 1e-7;

// Points of one size make no line; all of the time then counts as time by token.
decide::LatencyModel fit(const std::vector<decide::Point>& points) {
  if (auto fitted = decide::fit_latency(points)) return *std::move(fitted);
  decide::LatencyModel model;
  double ratio = 0;
  for (const decide::Point& point : points) ratio += point.seconds / point.shape.tokens;
  model.b_s_per_token.value = ratio / static_cast<double>(points.size());
  model.points = points.size();
  return model;
}

}  // namespace

BatchTime::BatchTime(std::vector<decide::Point> anchors) : anchors_(std::move(anchors)) {
  BREAKEVEN_CHECK(!anchors_.empty());
  for (decide::Point& anchor : anchors_) anchor.seconds = std::max(anchor.seconds, kLeast_s);
  first_ = model_ = fit(anchors_);
}

double BatchTime::seconds(const decide::Shape& shape) const {
  return std::max(kLeast_s, decide::seconds_of(model_, shape));
}

bool BatchTime::observe(const decide::Shape& shape, double seconds) {
  seconds = std::max(seconds, kLeast_s);
  const double ratio = seconds / this->seconds(shape);
  if (recent_.size() < kRecent) {
    recent_.push_back({shape, seconds});
    ratios_.push_back(ratio);
  } else {
    recent_[next_] = {shape, seconds};
    ratios_[next_] = ratio;
  }
  next_ = (next_ + 1) % kRecent;
  if (++unfitted_ < kRefitEvery) return false;
  unfitted_ = 0;
  refit();
  return true;
}

void BatchTime::refit() {
  std::vector<double> sorted = ratios_;
  const auto at = [&](double share) {
    const auto place = static_cast<std::ptrdiff_t>(share * static_cast<double>(sorted.size() - 1));
    std::nth_element(sorted.begin(), sorted.begin() + place, sorted.end());
    return sorted[static_cast<std::size_t>(place)];
  };
  safety_ = std::clamp(at(kPromised), 1.0, kMostSafety);
  // Stalls are no part of what a batch costs: a time far above the others counts as the median.
  const double median = at(0.5);
  std::vector<double> drifts;
  std::vector<decide::Point> points;
  for (std::size_t i = 0; i < recent_.size(); ++i) {
    decide::Point point = recent_[i];
    if (ratios_[i] > 2 * median) point.seconds *= median / ratios_[i];
    drifts.push_back(point.seconds / std::max(kLeast_s, decide::seconds_of(first_, point.shape)));
    points.push_back(point);
  }
  std::nth_element(drifts.begin(), drifts.begin() + std::ssize(drifts) / 2, drifts.end());
  const double drift = drifts[drifts.size() / 2];
  for (const decide::Point& anchor : anchors_) {
    points.push_back({anchor.shape, anchor.seconds * drift});
  }
  model_ = fit(points);
}

std::uint32_t TokensOfBytes::estimate(std::size_t bytes) const {
  const double tokens = 2 + per_byte_ * static_cast<double>(bytes);
  return static_cast<std::uint32_t>(std::clamp(std::ceil(tokens), 2.0, max_length_));
}

void TokensOfBytes::observe(std::size_t bytes, std::size_t tokens) {
  constexpr double kMemory = 0.02;
  if (bytes == 0 || tokens < 2) return;
  const double seen = static_cast<double>(tokens - 2) / static_cast<double>(bytes);
  per_byte_ += kMemory * (std::min(seen, 1.0) - per_byte_);
}

}  // namespace breakeven::serve

#include "measure/paced_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "measure/statistics.h"

namespace breakeven::measure {
namespace {

constexpr double kConfidence = 0.95;
constexpr std::size_t kFewestBlocks = 10;

// Requests of [begin, end) above a bound.
double above(std::span<const double> seconds, std::size_t begin, std::size_t end, double bound) {
  const auto from = seconds.begin();
  return static_cast<double>(std::count_if(from + static_cast<std::ptrdiff_t>(begin),
                                           from + static_cast<std::ptrdiff_t>(end),
                                           [bound](double x) { return x > bound; }));
}

// Requests of a block, and those of them above a bound.
struct Block {
  double requests = 0, hits = 0;
};

// How many more (or fewer) are above the bound than their share.
double excess(const Block& block, double share_above) {
  return block.hits - share_above * block.requests;
}

// Whether neighbours resemble each other: what one more of the queue, or of a slow machine, does to
// both shows as a correlation beyond what so many blocks show by chance (one in six).
bool resemble(std::span<const Block> blocks, double share_above) {
  double products = 0, squares = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const double here = excess(blocks[i], share_above);
    squares += here * here;
    if (i + 1 < blocks.size()) products += here * excess(blocks[i + 1], share_above);
  }
  return products * std::sqrt(static_cast<double>(blocks.size())) > squares;
}

// Two neighbours become one; an odd one at the end joins the last pair.
std::vector<Block> join_pairs(std::span<const Block> blocks) {
  std::vector<Block> joined(blocks.size() / 2);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    Block& both = joined[std::min(i / 2, joined.size() - 1)];
    both.requests += blocks[i].requests;
    both.hits += blocks[i].hits;
  }
  return joined;
}

std::size_t end_of(std::span<const std::size_t> begins, std::size_t i, std::size_t size) {
  return i + 1 < begins.size() ? begins[i + 1] : size;
}

}  // namespace

double ServerLoad::requests_an_independent() const {
  const double rho = std::clamp(share, 0.0, 1 - 1e-9);
  return 1 + rho * (1 + rho) * (1 + spread * spread) / ((1 - rho) * (1 - rho));
}

QueueSample::QueueSample(std::span<const double> due_s, std::span<const double> seconds,
                         const ServerLoad& load, std::span<const double> ended_s)
    : seconds_(seconds), ordered_(seconds.begin(), seconds.end()) {
  BREAKEVEN_CHECK(due_s.size() == seconds.size(), "due={} seconds={}", due_s.size(),
                  seconds.size());
  std::sort(ordered_.begin(), ordered_.end());
  // Noise of the machine outlives a busy period: blocks of several stand for it, too.
  const double block_size = std::sqrt(static_cast<double>(seconds.size()));
  const auto make_blocks = [&] {
    periods_.clear();
    blocks_.clear();
    double answered_s = -std::numeric_limits<double>::infinity();  // the latest of all before
    for (std::size_t i = 0; i < seconds.size(); ++i) {
      const double size = static_cast<double>(i - (blocks_.empty() ? 0 : blocks_.back()));
      if (due_s[i] >= answered_s || (is_cut_ && size >= 2 * block_size)) {
        periods_.push_back(i);
        if (blocks_.empty() || size >= block_size) blocks_.push_back(i);
      }
      answered_s = std::max(answered_s, ended_s.empty() ? due_s[i] + seconds[i] : ended_s[i]);
    }
  };
  make_blocks();
  is_cut_ = blocks_.size() < kFewestBlocks;
  if (is_cut_) make_blocks();
  most_independent_ = static_cast<double>(seconds.size()) / load.requests_an_independent();
}

// How many independent requests would tell as much about the share above the percentile; 0: pieces
// of busy periods resemble each other however long they are.
// `clusters`: in how many equal bunches they would have come (at most one a request).
double QueueSample::independent(double share, double& clusters) const {
  const double bound = measure::percentile(ordered_, share);
  const auto count = static_cast<double>(seconds_.size());
  const double mean = above(seconds_, 0, seconds_.size(), bound) / count;
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const std::size_t end = end_of(blocks_, i, seconds_.size());
    blocks.push_back(
        {static_cast<double>(end - blocks_[i]), above(seconds_, blocks_[i], end, bound)});
  }
  while (is_cut_ && resemble(blocks, mean)) {
    if (blocks.size() < 2 * kFewestBlocks) return 0;
    blocks = join_pairs(blocks);
  }
  double variance = 0, squares = 0;
  for (const Block& block : blocks) {
    variance += excess(block, mean) * excess(block, mean);
    squares += block.hits * block.hits;
  }
  const auto many = static_cast<double>(blocks.size());
  variance *= many / (many - 1);
  clusters = squares > 0 ? count * mean * count * mean / squares : many;
  return variance > 0 ? std::min(count, mean * (1 - mean) * count * count / variance) : count;
}

std::optional<record::Estimate> QueueSample::percentile(double share) const {
  if (blocks_.size() < kFewestBlocks) return std::nullopt;
  // The bunches above a high percentile are few, and a sample without its share of them looks the
  // surer for it; those above the 90th tell their size, too.
  double clusters = 0;
  double trials = independent(share, clusters);
  double of_most = 0;
  trials = std::min(trials, independent(std::min(share, 0.9), of_most));
  if (!carries(static_cast<std::size_t>(std::min(trials, most_independent_)), share)) {
    return std::nullopt;
  }
  // The variance is itself an estimate, of so many bunches: Student's t in place of the normal.
  const double stretch = student_t_quantile(0.5 + kConfidence / 2, std::max(1.0, clusters - 1)) /
                         normal_quantile(0.5 + kConfidence / 2);
  const auto interval = rank_interval(ordered_, share, trials / (stretch * stretch), kConfidence);
  if (!interval) return std::nullopt;
  return record::Estimate{measure::percentile(ordered_, share), interval, seconds_.size()};
}

std::size_t QueueSample::episodes(double share) const {
  if (seconds_.empty()) return 0;
  const double bound = measure::percentile(ordered_, share);
  std::size_t count = 0;
  for (std::size_t i = 0; i < periods_.size(); ++i) {
    const std::size_t end = end_of(periods_, i, seconds_.size());
    count += above(seconds_, periods_[i], end, bound) > 0 ? 1U : 0U;
  }
  return count;
}

}  // namespace breakeven::measure

#include "measure/steady.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "measure/statistics.h"

namespace breakeven::measure {

Steadiness steadiness(std::span<const double> pass_seconds, const SteadyRule& rule) {
  BREAKEVEN_CHECK(rule.window >= 2, "window={}", rule.window);
  Steadiness result;
  if (pass_seconds.size() < rule.window) return result;
  const auto last = pass_seconds.last(rule.window);
  const std::size_t half = rule.window / 2;
  const double middle = median(last);
  if (middle <= 0) {
    result.steady = true;
    return result;
  }
  result.level_shift = median(last.last(half)) / median(last.first(half)) - 1;
  std::vector<double> slopes;
  for (std::size_t i = 0; i < last.size(); ++i) {
    for (std::size_t j = i + 1; j < last.size(); ++j) {
      slopes.push_back((last[j] - last[i]) / static_cast<double>(j - i));
    }
  }
  result.trend = median(slopes) * static_cast<double>(last.size() - 1) / middle;
  result.steady = std::max(std::abs(result.level_shift), std::abs(result.trend)) <= rule.tolerance;
  return result;
}

}  // namespace breakeven::measure

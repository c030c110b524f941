#include "decide/latency_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "measure/statistics.h"

namespace breakeven::decide {
namespace {

constexpr std::size_t kTerms = 3;
using Terms = std::array<double, kTerms>;
using Matrix = std::array<Terms, kTerms>;

Terms terms_of(const Shape& shape) {
  return {1, shape.tokens, shape.squares};
}

// Weighted normal equations, each term scaled to 1 at its largest.
struct Normal {
  Matrix products{};
  Terms targets{}, scale{};
};

Normal normal_equations(std::span<const Point> points) {
  Normal normal;
  for (const Point& point : points) {
    const Terms terms = terms_of(point.shape);
    for (std::size_t i = 0; i < kTerms; ++i) normal.scale[i] = std::max(normal.scale[i], terms[i]);
  }
  for (double& scale : normal.scale) scale = scale > 0 ? scale : 1;
  for (const Point& point : points) {
    const Terms terms = terms_of(point.shape);
    for (std::size_t i = 0; i < kTerms; ++i) {
      const double row = terms[i] / normal.scale[i] / point.seconds;
      normal.targets[i] += row;  // the target is seconds ÷ seconds = 1
      for (std::size_t j = 0; j < kTerms; ++j) {
        normal.products[i][j] += row * terms[j] / normal.scale[j] / point.seconds;
      }
    }
  }
  return normal;
}

// Inverse of the rows and columns in `used` by Gauss-Jordan; nothing when they are dependent.
std::optional<Matrix> inverse_of(const Normal& normal, unsigned used) {
  Matrix left = normal.products;
  Matrix right{};
  for (std::size_t i = 0; i < kTerms; ++i) right[i][i] = 1;
  for (std::size_t pivot = 0; pivot < kTerms; ++pivot) {
    if ((used >> pivot & 1U) == 0) continue;
    // A term that the others explain leaves nothing of its own diagonal.
    if (!(left[pivot][pivot] > 1e-9 * normal.products[pivot][pivot])) return std::nullopt;
    const double factor = 1 / left[pivot][pivot];
    for (std::size_t j = 0; j < kTerms; ++j) {
      left[pivot][j] *= factor;
      right[pivot][j] *= factor;
    }
    for (std::size_t row = 0; row < kTerms; ++row) {
      if (row == pivot || (used >> row & 1U) == 0) continue;
      const double times = left[row][pivot];
      for (std::size_t j = 0; j < kTerms; ++j) {
        left[row][j] -= times * left[pivot][j];
        right[row][j] -= times * right[pivot][j];
      }
    }
  }
  return right;
}

struct Solution {
  Terms values{};  // of the scaled terms
  Matrix inverse{};
  unsigned used = 0;
  double squares = 0;  // of the relative residuals
};

double squares_of(std::span<const Point> points, const Normal& normal, const Terms& values) {
  double sum = 0;
  for (const Point& point : points) {
    const Terms terms = terms_of(point.shape);
    double fitted = 0;
    for (std::size_t i = 0; i < kTerms; ++i) fitted += values[i] * terms[i] / normal.scale[i];
    const double residual = 1 - fitted / point.seconds;
    sum += residual * residual;
  }
  return sum;
}

std::optional<Solution> solve(std::span<const Point> points, const Normal& normal, unsigned used) {
  const auto inverse = inverse_of(normal, used);
  if (!inverse) return std::nullopt;
  Solution solution;
  solution.inverse = *inverse;
  solution.used = used;
  for (std::size_t i = 0; i < kTerms; ++i) {
    if ((used >> i & 1U) == 0) continue;
    for (std::size_t j = 0; j < kTerms; ++j) {
      if ((used >> j & 1U) != 0) solution.values[i] += (*inverse)[i][j] * normal.targets[j];
    }
  }
  solution.squares = squares_of(points, normal, solution.values);
  return std::isfinite(solution.squares) ? std::optional(solution) : std::nullopt;
}

std::size_t size_of(unsigned used) {
  return static_cast<std::size_t>(__builtin_popcount(used));
}

// With three terms every choice of terms can be tried: the best whose values are all >= 0 is the
// non-negative least squares solution.
std::optional<Solution> best_solution(std::span<const Point> points, const Normal& normal,
                                      unsigned allowed) {
  std::optional<Solution> best;
  for (unsigned used = 1; used < 1U << kTerms; ++used) {
    if ((used & ~allowed) != 0 || size_of(used) > points.size()) continue;
    const auto solution = solve(points, normal, used);
    if (!solution) continue;
    if (*std::min_element(solution->values.begin(), solution->values.end()) < 0) continue;
    if (!best || solution->squares < best->squares) best = solution;
  }
  return best;
}

void fill_intervals(const Solution& solution, const Normal& normal, LatencyModel& model) {
  const std::array<record::Estimate*, kTerms> estimates = {&model.a_s, &model.b_s_per_token,
                                                           &model.c_s_per_token2};
  const std::size_t used = size_of(solution.used);
  for (std::size_t i = 0; i < kTerms; ++i) {
    estimates[i]->value = solution.values[i] / normal.scale[i];
    estimates[i]->samples = model.points;
  }
  if (model.points <= used) return;
  const auto degrees = static_cast<double>(model.points - used);
  const double variance = solution.squares / degrees;
  const double t = measure::student_t_quantile(0.975, degrees);
  for (std::size_t i = 0; i < kTerms; ++i) {
    if ((solution.used >> i & 1U) == 0) continue;
    const double half =
        t * std::sqrt(std::max(0.0, variance * solution.inverse[i][i])) / normal.scale[i];
    estimates[i]->interval = record::Interval{std::max(0.0, estimates[i]->value - half),
                                              estimates[i]->value + half, 0.95};
  }
  model.residual_relative_rms = std::sqrt(variance);
  model.half_width = t * model.residual_relative_rms;
}

bool usable(const Point& point) {
  const auto positive = [](double value) { return std::isfinite(value) && value > 0; };
  return positive(point.seconds) && positive(point.shape.texts) && positive(point.shape.tokens) &&
         std::isfinite(point.shape.squares) && point.shape.squares >= 0;
}

}  // namespace

Shape shape_of(std::span<const std::uint32_t> lengths, Padding padding, std::uint64_t max_length) {
  Shape shape;
  shape.texts = static_cast<double>(lengths.size());
  const auto cut = [&](std::uint64_t length) {
    return static_cast<double>(std::min(length, max_length));
  };
  if (padding == Padding::none) {
    for (const std::uint32_t length : lengths) {
      shape.tokens += cut(length);
      shape.squares += cut(length) * cut(length);
    }
    return shape;
  }
  const std::uint64_t longest =
      lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  const double rows = padding == Padding::longest ? cut(longest) : static_cast<double>(max_length);
  shape.tokens = shape.texts * rows;
  shape.squares = shape.tokens * rows;
  return shape;
}

std::vector<Shape> shapes_of(std::span<const std::uint32_t> lengths, std::uint64_t batch,
                             Padding padding, std::uint64_t max_length) {
  BREAKEVEN_CHECK(batch >= 1);
  std::vector<Shape> shapes;
  for (std::size_t first = 0; first < lengths.size();) {
    const std::size_t count = std::min<std::uint64_t>(batch, lengths.size() - first);
    shapes.push_back(shape_of(lengths.subspan(first, count), padding, max_length));
    first += count;
  }
  return shapes;
}

Result<LatencyModel> fit_latency(std::span<const Point> points, bool pairs_known) {
  for (const Point& point : points) {
    if (!usable(point)) {
      return fail("advise/fit", fmt::format("a batch of {} tokens in {} s is no measurement",
                                            point.shape.tokens, point.seconds));
    }
  }
  const bool differ = std::any_of(points.begin(), points.end(), [&](const Point& point) {
    return point.shape.tokens != points.front().shape.tokens;
  });
  if (!differ) {
    return fail("advise/fit", "all batches have one size: a line needs two",
                "measure several batch sizes (--batch 1,8,32)");
  }
  const Normal normal = normal_equations(points);
  const auto solution = best_solution(points, normal, pairs_known ? 7U : 3U);
  if (!solution) return fail("advise/fit", "no line with positive costs goes through these times");
  LatencyModel model;
  model.pairs_known = pairs_known;
  model.points = points.size();
  fill_intervals(*solution, normal, model);
  for (const Point& point : points) {
    const double residual = point.seconds / seconds_of(model, point.shape) - 1;
    model.residual_relative_max = std::max(model.residual_relative_max, std::abs(residual));
  }
  return model;
}

double seconds_of(const LatencyModel& model, const Shape& shape) {
  return model.a_s.value + model.b_s_per_token.value * shape.tokens +
         model.c_s_per_token2.value * shape.squares;
}

}  // namespace breakeven::decide

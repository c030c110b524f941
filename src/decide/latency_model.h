// How long a batch takes: t = a + b·Σs + c·Σs², over the rows s that each of its texts really
// computes (padding included). For B texts of one length S that is a + b·B·S + c·B·S²: a fixed cost
// a batch, work by token, attention by pair of tokens. Fitted to serial cells; nothing here
// measures.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/record.h"

namespace breakeven::decide {

// What a batch is to the model.
struct Shape {
  double texts = 0;
  double tokens = 0;   // Σs
  double squares = 0;  // Σs²
};

// The shape of one batch: `lengths` [texts] in tokens, cut at max_length; padding as in
// record::Cell.
Shape shape_of(std::span<const std::uint32_t> lengths, Padding padding, std::uint64_t max_length);
// Batches of one pass, `lengths` cut into `batch` texts in their order. batch >= 1.
std::vector<Shape> shapes_of(std::span<const std::uint32_t> lengths, std::uint64_t batch,
                             Padding padding, std::uint64_t max_length);

struct Point {
  Shape shape;
  double seconds = 0;  // > 0
};

struct LatencyModel {
  // Each >= 0. An interval is absent when no degrees of freedom are left.
  record::Estimate a_s, b_s_per_token, c_s_per_token2;
  bool pairs_known = true;  // false: lengths were not in the records, c could not be fitted
  std::size_t points = 0;
  double residual_relative_rms = 0;  // with the degrees of freedom taken off
  double residual_relative_max = 0;  // largest |residual|
  std::optional<double> half_width;  // relative, of the 95 % interval of one batch's time
};

// Non-negative least squares of the relative error, so that a batch of 20 ms counts as much as one
// of 2 s. Without `pairs_known` c stays 0. Errors: advise/fit (fewer than two different shapes, or
// a point that is not finite and above 0).
Result<LatencyModel> fit_latency(std::span<const Point> points, bool pairs_known = true);

// The fitted time alone.
double seconds_of(const LatencyModel& model, const Shape& shape);

}  // namespace breakeven::decide

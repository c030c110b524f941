// The latency model of everything that shares an engine: one fit over the serial cells of a device,
// precision and thread count, and what follows from it about padding, lengths and batch sizes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "decide/configuration.h"
#include "decide/latency_model.h"

namespace breakeven::decide {

// The residuals of one cell.
struct CellResidual {
  std::uint64_t batch = 0, max_length = 0;
  Padding padding = Padding::none;
  std::size_t points = 0;
  double mean = 0, largest = 0;  // relative: measured ÷ fitted - 1; largest by size
};

// A pass over the recorded texts with this padding and batch, by the model.
struct PaddingCost {
  Padding padding = Padding::none;
  std::uint64_t batch = 0;
  double waste_share = 0;  // of the computed tokens
  double pass_s = 0;
  double over_packed = 1;    // pass_s ÷ that without padding
  std::string extrapolated;  // as Prediction::outside; empty = inside what was measured
};

// What it costs that the texts are not all of one length: seconds a text in batches of `batch`,
// packed.
struct LengthCost {
  std::uint64_t batch = 0;
  double real_s = 0;     // the recorded lengths
  double at_mean_s = 0;  // if every text had the mean length
  double at_max_s = 0;   // if every text had max_length
};

struct LargestBatch {
  double mean_length = 0, longest = 0;               // tokens
  std::uint64_t at_mean_length = 0, at_longest = 0;  // texts; 0 = not even one
  std::string extrapolated;                          // about at_mean_length
};

struct Family {
  Side side = Side::cpu;
  const record::Record* any = nullptr;
  std::string machine;
  std::optional<LatencyModel> model;
  std::string why_not;  // when there is none
  std::vector<CellResidual> cells;
  std::vector<std::uint32_t> lengths;  // of the texts of a pass; empty when the records have none
  std::uint64_t max_length = 0;        // the largest of its cells
  double mean_tokens = 0;

  bool holds(const Configuration& configuration) const;
};

std::vector<Family> fit_families(std::span<const Configuration> configurations);

// For every padding and the batches that were measured; empty without a model or lengths.
std::vector<PaddingCost> padding_costs(const Family& family);
std::optional<LengthCost> length_cost(const Family& family);
std::optional<LargestBatch> largest_batch_within(const Family& family, double limit_s);

}  // namespace breakeven::decide

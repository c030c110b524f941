// The latency model of everything that shares an engine: one fit over the serial cells of a device,
// precision and thread count.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "decide/configuration.h"
#include "decide/latency_model.h"

namespace breakeven::decide {

struct Family {
  Side side = Side::cpu;
  const record::Record* any = nullptr;
  std::string machine;
  std::optional<LatencyModel> model;
  std::string why_not;                 // when there is none
  std::vector<std::uint32_t> lengths;  // of the texts of a pass; empty when the records have none
  std::uint64_t max_length = 0;        // the largest of its cells
  double mean_tokens = 0;

  bool holds(const Configuration& configuration) const;
};

std::vector<Family> fit_families(std::span<const Configuration> configurations);

}  // namespace breakeven::decide

// The question which machine to rent, as the report's page asks it: what advise answers to the
// prices and the load that the page starts with, as text, and the cells with their rates under a
// row of limits on p99 as JSON, from which the page answers every other question
// (src/report/page/decide.js).
#pragma once

#include <optional>
#include <span>
#include <string>

#include "record/record.h"
#include "report/document.h"

namespace breakeven::report {

// What the page starts with. Prices are of one machine an hour; examples unless given.
struct Start {
  double cpu_price = 0.19, gpu_price = 0.53;
  bool example_prices = true;
  std::optional<double> load_per_s;  // texts; without it a part of what the best machine does
  std::optional<double> p99_s;
  std::optional<double> budget_per_month, memory_bytes;
  std::optional<double> accuracy_loss;  // share; absent = what docs/parity.md lets pass
};

// More configurations than this are not decided in a page: each takes a queue model under each
// limit.
inline constexpr std::size_t kMostDecided = 100;

struct Decision {
  std::string headline;  // the answer at the start
  std::string asked;     // what was asked
  Document verdicts;     // bullets
  std::optional<Table> ranking;
  Document missing;  // bullets
  std::string json;  // for the page; "" = no question can be answered, and `headline` says why
};
Decision decide_for_page(std::span<const record::Record> records, const Start& start);

}  // namespace breakeven::report

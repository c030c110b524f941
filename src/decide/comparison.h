// Two runs of the same cells, before and after a change: which became faster, which slower, and
// which cannot be told. Pure: records in, a comparison out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/record.h"

namespace breakeven::decide {

struct CompareOptions {
  double minimum_effect = 0.03;  // a smaller change is "same"; in (0, 1)
  double confidence = 0.95;      // that all intervals hold together (Bonferroni over the cells)
};

// The name under runtime_settings that tells which records were measured in turns with each other
// (`run --against`): those that hold the same value there.
inline constexpr std::string_view kTurnsSetting = "turns";

enum class Change : std::uint8_t { faster, same, slower, cannot_tell };
std::string_view to_string(Change change);  // "faster", "same", "slower", "can't tell"

struct CellChange {
  record::Cell cell;
  Change change = Change::cannot_tell;
  record::Estimate ratio;                      // time after ÷ time before; value 0 = none
  record::Estimate before_per_s, after_per_s;  // reviews, as the records have them
  std::string doubt;                           // why it cannot be told, or what to bear in mind
};

struct Comparison {
  std::vector<CellChange> cells;  // in the order of `before`
  std::vector<record::Cell> only_before, only_after;
  std::vector<std::string> warnings;  // what differs beside the times, by name
  double confidence = 0.95;           // of each cell's interval
  double minimum_effect = 0.03;
  Change outcome = Change::cannot_tell;  // slower if any is, else can't tell if any is, else same
                                         // or faster
};

// Cells are matched by all their dimensions; of several records of one cell the last counts. Cells
// of fewer than three rounds (or turns) decide nothing. Rows that were not measured in turns, of
// machines whose speed moved between the rounds of a run or that have notes, decide only beyond a
// factor of two, and are never the same: what the machine did in one run and not in the other may
// be as large as that.
// Errors: compare/effect (out of range), compare/empty (a side holds no cell), compare/schema,
// compare/model, compare/texts (the same cell stands for other work: nothing can be compared).
Result<Comparison> compare(std::span<const record::Record> before,
                           std::span<const record::Record> after, const CompareOptions& options);

// "cpu bf16, batch 32, 2 threads, stream": all dimensions that are not their default.
std::string name_of_cell(const record::Cell& cell);

}  // namespace breakeven::decide

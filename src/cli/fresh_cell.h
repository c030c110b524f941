// One cell in a process of its own: its memory, and how long until its first label. The parent asks
// through measure/child.h; the child is the hidden subcommand `cell`.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/text.h"
#include "cli/study.h"
#include "study/sweep.h"

namespace breakeven::cli {

// Errors: those of measure::run_child and of runtimes::Pool; cell/answer.
Result<study::Fresh> measure_fresh(const Study& study, const record::Cell& cell);

// What parent and child say to each other, as JSON. `first_label_s` and the others are readings of
// the monotonic clock, which both share.
struct OwnedText {
  std::string first;
  std::optional<std::string> second{};  // of a pair
  Text view() const { return {first, second}; }
};
struct CellRequest {
  record::Cell cell;
  std::string model, instruction_set;
  std::vector<OwnedText> texts;  // the first batch of a pass, then the largest one
};
std::string to_json(const CellRequest& request);
Result<CellRequest> parse_cell_request(const std::string& json);  // errors: cell/request

struct CellAnswer {
  record::Memory memory;
  double loaded_s = 0, packed_s = 0, first_label_s = 0;
};
std::string to_json(const CellAnswer& answer);
Result<CellAnswer> parse_cell_answer(const std::string& json);  // errors: cell/answer

// The first batch of the pass and its largest one (by bytes).
std::vector<Text> texts_for_fresh(std::span<const Text> pass, std::size_t batch);

}  // namespace breakeven::cli

// The answer on one screen: who does how much of whose work and from where the GPU pays, how many
// machines a load takes, latency and throughput of each side's best, how sure all that is, and what
// to do next. What decides stands in decide/; here it gets words. No number without its range: "?"
// stands beside a value that has none, and alone where a sentence would need one.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "record/record.h"
#include "report/document.h"

namespace breakeven::report {

struct FirstScreen {
  std::optional<double> cpu_price, gpu_price;  // of a machine an hour; a break-even takes both
  // Rows of a GPU that ships with the program, for records that hold none; empty = none fits, and
  // `no_known` says why.
  std::vector<record::Record> known;
  std::string no_known;
  std::optional<double> time_s;  // that was given for measuring
  std::string journal = "FILE";  // for the commands that go on from here
};

// `records`: of cells; others are passed over.
Document first_screen(std::span<const record::Record> records, const FirstScreen& options);

}  // namespace breakeven::report

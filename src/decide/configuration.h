// Records sorted by what a person would rent and set up: one configuration of one machine, with
// what each mode said about it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "decide/rows.h"
#include "record/record.h"

namespace breakeven::decide {

// Everything of record::Cell but the mode and what only paced mode has, on one machine.
struct Configuration {
  Side side = Side::cpu;
  std::string machine;                     // tells machines apart; not for people
  const record::Record* any = nullptr;     // one of the records: model, cell, parity's precision
  const record::Record* serial = nullptr;  // may be null, as may the next
  const record::Record* stream = nullptr;
  std::vector<const record::Record*> paced;  // by rate

  const record::Cell& cell() const { return any->cell; }
  std::vector<const record::Record*> all() const;
};

struct Sorted {
  std::vector<Configuration> configurations;  // in order of appearance
  std::vector<std::string> notes;             // replaced records, kinds that were left out, mixes
};

// The last record of each cell and machine counts. Pointers go into `records`. Errors:
// advise/empty (no measured cell), advise/model (records of two models), advise/texts (texts whose
// mean length differs by more than 5 %).
Result<Sorted> sort_records(std::span<const record::Record> records);

}  // namespace breakeven::decide

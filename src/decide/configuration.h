// Rows sorted by what a person would rent and set up: one configuration of one machine, with what
// each mode said about it.
#pragma once

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
  std::string machine;                  // tells machines apart; not for people
  const record::Record* any = nullptr;  // one of the records: model, cell
  const Row* serial = nullptr;          // may be null, as may the next
  const Row* stream = nullptr;
  std::vector<const Row*> paced;  // by rate

  const record::Cell& cell() const { return any->cell; }
  std::vector<const Row*> all() const;
};

// Moving it keeps what the configurations point to.
struct Sorted {
  RowSet rows;
  std::vector<Configuration> configurations;  // in order of appearance
  std::vector<std::string> notes;             // replaced records, kinds that were left out, mixes
};

// The records must outlive what is returned, whatever they answer.
Sorted sort_rows(std::span<const record::Record> records);
// The same of records that answer one question. Errors: advise/empty (no measured cell),
// advise/model (records of two models), advise/texts (texts whose mean length differs by more than
// 5 %).
Result<Sorted> sort_records(std::span<const record::Record> records);

}  // namespace breakeven::decide

// Records sorted by what a person would rent and set up: one configuration of one machine, with
// what each mode said about it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "record/record.h"

namespace breakeven::decide {

enum class Side : std::uint8_t { cpu, gpu };
Side side_of(const record::Record& record);

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

// Why a record cannot be used at all ("INVALID: steal", "outputs break parity", "batch 0"); empty =
// it can.
std::string unusable(const record::Record& record);

// A number that a measurement can have given: finite, above 0, and not beyond all reason.
bool plausible(double value);

// The estimate's interval, made to hold its value; nothing when there is none or it is nonsense.
std::optional<record::Interval> interval_of(const record::Estimate& estimate);

}  // namespace breakeven::decide

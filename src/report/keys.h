// What tells the rows of a report apart: the dimensions of a cell that vary become columns, the
// others stand once in the header.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "record/record.h"
#include "report/table.h"

namespace breakeven::report {

enum class Dimension : std::uint8_t {
  machine,
  model,
  runtime,
  device,
  precision,
  batch,
  threads,
  max_length,
  padding
};

class Keys {
 public:
  explicit Keys(const std::vector<record::Record>& records);

  bool varies(Dimension dimension) const;
  const std::vector<Dimension>& varying() const { return varying_; }

  // A table whose first columns say which row it is, and a row of it.
  Table table(std::vector<Column> columns) const;
  std::vector<TableCell> row(const record::Record& record, std::vector<TableCell> cells) const;

  // "native cpu bf16, batch 32, 2 threads": what varies, always with device, precision and batch.
  std::string describe(const record::Record& record) const;

  // The fixed dimensions: "native on cpu, fp32, 2 threads, max length 512, padding none".
  std::string fixed() const;

  // One letter a machine, in order of appearance.
  std::string machine_letter(const record::Record& record) const;
  const std::vector<std::string>& machines() const { return machines_; }

 private:
  std::size_t index_of_machine(const record::Record& record) const;
  std::string value(Dimension dimension, const record::Record& record) const;

  std::vector<Dimension> varying_;
  std::vector<std::string> identities_;  // of distinct machines
  std::vector<std::string> machines_;    // their names, GPUs included
  std::vector<std::string> fixed_;
};

// "Intel Xeon ..., 2 CPUs, avx512_core_amx".
std::string name_of_machine(const record::Record& record);

}  // namespace breakeven::report

#include "report/keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace breakeven::report {
namespace {

constexpr std::array kDimensions = {Dimension::machine, Dimension::model,      Dimension::runtime,
                                    Dimension::device,  Dimension::precision,  Dimension::batch,
                                    Dimension::threads, Dimension::max_length, Dimension::padding};

std::string title(Dimension dimension) {
  switch (dimension) {
    case Dimension::machine:
      return "machine";
    case Dimension::model:
      return "model";
    case Dimension::runtime:
      return "runtime";
    case Dimension::device:
      return "device";
    case Dimension::precision:
      return "precision";
    case Dimension::batch:
      return "batch";
    case Dimension::threads:
      return "threads";
    case Dimension::max_length:
      return "max len";
    case Dimension::padding:
      return "padding";
  }
  return "";
}

bool is_number(Dimension dimension) {
  return dimension == Dimension::batch || dimension == Dimension::threads ||
         dimension == Dimension::max_length;
}

std::string with_unit(Dimension dimension, const std::string& value) {
  switch (dimension) {
    case Dimension::batch:
      return "batch " + value;
    case Dimension::threads:
      return value + (value == "1" ? " thread" : " threads");
    case Dimension::max_length:
      return "max length " + value;
    case Dimension::padding:
      return "padding " + value;
    case Dimension::machine:
      return "machine " + value;
    default:
      return value;
  }
}

// A GPU row and a CPU row of one host are one machine.
std::string identity_of_machine(const record::Record& record) {
  return record.machine.hostname_hash + " " + record.machine.cpu_model;
}

}  // namespace

std::string name_of_machine(const record::Record& record) {
  const record::Machine& machine = record.machine;
  std::vector<std::string> parts;
  if (!machine.cpu_model.empty()) parts.push_back(machine.cpu_model);
  if (machine.cpus_usable > 0) {
    parts.push_back(
        fmt::format("{} CPU{}", machine.cpus_usable, machine.cpus_usable == 1 ? "" : "s"));
  }
  if (!machine.instruction_set.empty()) parts.push_back(machine.instruction_set);
  return parts.empty() ? "unknown machine" : fmt::format("{}", fmt::join(parts, ", "));
}

Keys::Keys(const std::vector<record::Record>& records) {
  std::map<std::size_t, std::set<std::string>> sets;  // instruction sets that native ran on
  std::vector<std::string> machine_sets;
  for (const record::Record& record : records) {
    const std::string identity = identity_of_machine(record);
    if (std::find(identities_.begin(), identities_.end(), identity) == identities_.end()) {
      identities_.push_back(identity);
      machines_.push_back(name_of_machine(record));
      machine_sets.push_back(record.machine.instruction_set);
    }
    const std::size_t machine = index_of_machine(record);
    std::string& name = machines_[machine];
    if (record.gpu && name.find(record.gpu->name) == std::string::npos) {
      name += ", " + record.gpu->name;
    }
    const bool ours = record.cell.runtime.is_native() && record.cell.device.is_cpu();
    if (ours && !record.instruction_set.empty()) sets[machine].insert(record.instruction_set);
  }
  // A set that was forced, by BREAKEVEN_ISA for example, is not the machine's.
  for (const auto& [machine, names] : sets) {
    const std::string& own = machine_sets[machine];
    if (names.size() > 1 || *names.begin() != own) {
      machines_[machine] += fmt::format(", native ran on {}", fmt::join(names, " and "));
    }
  }
  for (const Dimension dimension : kDimensions) {
    std::set<std::string> values;
    for (const record::Record& record : records) values.insert(value(dimension, record));
    if (values.size() > 1) {
      varying_.push_back(dimension);
    } else if (!values.empty() && dimension != Dimension::machine &&
               dimension != Dimension::model) {
      fixed_.push_back(with_unit(dimension, *values.begin()));
    }
  }
}

std::string Keys::value(Dimension dimension, const record::Record& record) const {
  const record::Cell& cell = record.cell;
  switch (dimension) {
    case Dimension::machine:
      return machine_letter(record);
    case Dimension::model:
      return record.model_name;
    case Dimension::runtime:
      return to_string(cell.runtime);
    case Dimension::device:
      return to_string(cell.device);
    case Dimension::precision:
      return to_string(cell.precision);
    case Dimension::batch:
      return std::to_string(cell.batch);
    case Dimension::threads:
      return std::to_string(cell.threads);
    case Dimension::max_length:
      return std::to_string(cell.max_length);
    case Dimension::padding:
      return to_string(cell.padding);
  }
  return "";
}

bool Keys::varies(Dimension dimension) const {
  return std::find(varying_.begin(), varying_.end(), dimension) != varying_.end();
}

Table Keys::table(std::vector<Column> columns) const {
  std::vector<Column> all;
  for (const Dimension dimension : varying_) {
    all.push_back({title(dimension), !is_number(dimension), 0});
  }
  std::move(columns.begin(), columns.end(), std::back_inserter(all));
  return Table(std::move(all));
}

std::vector<TableCell> Keys::row(const record::Record& record, std::vector<TableCell> cells) const {
  std::vector<TableCell> all;
  for (const Dimension dimension : varying_) all.emplace_back(value(dimension, record));
  std::move(cells.begin(), cells.end(), std::back_inserter(all));
  return all;
}

std::string Keys::describe(const record::Record& record) const {
  const std::string runtime =
      varies(Dimension::runtime) ? to_string(record.cell.runtime) + " " : std::string();
  std::vector<std::string> parts = {
      runtime + to_string(record.cell.device) + " " + to_string(record.cell.precision),
      "batch " + std::to_string(record.cell.batch)};
  for (const Dimension dimension : varying_) {
    if (dimension == Dimension::runtime || dimension == Dimension::device ||
        dimension == Dimension::precision || dimension == Dimension::batch) {
      continue;
    }
    parts.push_back(with_unit(dimension, value(dimension, record)));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string Keys::fixed() const {
  return fmt::format("{}", fmt::join(fixed_, ", "));
}

std::size_t Keys::index_of_machine(const record::Record& record) const {
  const auto at = std::find(identities_.begin(), identities_.end(), identity_of_machine(record));
  return static_cast<std::size_t>(at - identities_.begin());
}

std::string Keys::machine_letter(const record::Record& record) const {
  const std::size_t index = index_of_machine(record);
  return index < 26 ? std::string(1, static_cast<char>('A' + index)) : std::to_string(index + 1);
}

}  // namespace breakeven::report

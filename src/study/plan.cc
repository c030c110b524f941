#include "study/plan.h"

#include <algorithm>
#include <optional>

#include "base/check.h"

namespace breakeven::study {
namespace {

template <class T>
std::vector<T> distinct(const std::vector<T>& values) {
  std::vector<T> result;
  for (const T& value : values) {
    if (std::find(result.begin(), result.end(), value) == result.end()) result.push_back(value);
  }
  return result;
}

template <class T>
bool contains(const std::vector<T>& values, const T& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

// The cells of one batch size, each in every one of `ways` (mode, and what a paced one adds).
// `cell` has all but runtime, device, precision, padding and mode; without a padding each runtime
// takes its own.
void plan_of_batch(const Axes& axes, record::Cell cell, std::optional<Padding> padding,
                   const std::vector<record::Cell>& ways, std::vector<record::Cell>& out) {
  for (const RuntimeAxis& runtime : axes.runtimes) {
    cell.runtime = runtime.runtime;
    for (const Device& device : distinct(axes.devices)) {
      for (const Precision precision : distinct(axes.precisions)) {
        const auto can = std::find_if(
            runtime.abilities.begin(), runtime.abilities.end(), [&](const Ability& ability) {
              return ability.device == device && ability.precision == precision &&
                     (!padding || contains(ability.paddings, *padding));
            });
        if (can == runtime.abilities.end()) continue;
        cell.device = device;
        cell.precision = precision;
        cell.padding = padding.value_or(can->paddings.front());
        for (const record::Cell& way : ways) {
          cell.mode = way.mode;
          cell.rate_per_s = way.rate_per_s;
          cell.arrivals = way.arrivals;
          cell.max_wait_s = way.max_wait_s;
          out.push_back(cell);
        }
      }
    }
  }
}

std::vector<record::Cell> closed_loop_ways(const Axes& axes) {
  std::vector<record::Cell> ways;
  for (const Mode mode : distinct(axes.modes)) {
    if (mode != Mode::paced) ways.emplace_back().mode = mode;
  }
  return ways;
}

std::vector<record::Cell> paced_ways(const Axes& axes) {
  std::vector<record::Cell> ways;
  if (!contains(axes.modes, Mode::paced)) return ways;
  for (const double rate : distinct(axes.rates)) {
    record::Cell& way = ways.emplace_back();
    way.mode = Mode::paced;
    way.rate_per_s = rate;
    way.arrivals = axes.arrivals;
    way.max_wait_s = axes.max_wait_s;
  }
  return ways;
}

}  // namespace

Spec spec_of(const record::Cell& cell) {
  Spec spec{cell};
  spec.mode = Mode::serial;
  spec.rate_per_s = 0;
  spec.arrivals = Arrivals::none;
  spec.max_wait_s = 0;
  return spec;
}

std::vector<record::Cell> plan_cells(const Axes& axes) {
  std::vector<record::Cell> cells;
  const std::vector<record::Cell> closed = closed_loop_ways(axes);
  const std::vector<record::Cell> paced = paced_ways(axes);
  std::vector<std::optional<Padding>> paddings;
  for (const Padding padding : distinct(axes.paddings)) paddings.emplace_back(padding);
  if (paddings.empty()) paddings.emplace_back();
  // The outer loops are those that nobody compares across: block_sizes() cuts between them.
  for (const std::uint64_t max_length : distinct(axes.max_lengths)) {
    for (const std::optional<Padding> padding : paddings) {
      for (const unsigned threads : distinct(axes.threads)) {
        record::Cell cell;
        cell.threads = threads;
        cell.max_length = max_length;
        for (const std::uint64_t batch : distinct(axes.batches)) {
          cell.batch = batch;
          plan_of_batch(axes, cell, padding, closed, cells);
        }
        for (const std::uint64_t batch : distinct(axes.paced_batches)) {
          cell.batch = batch;
          plan_of_batch(axes, cell, padding, paced, cells);
        }
      }
    }
  }
  return cells;
}

bool is_search(const record::Cell& cell) {
  return cell.mode == Mode::paced && cell.rate_per_s == 0;
}

bool answers(record::Cell made, const record::Cell& asked) {
  if (is_search(asked)) made.rate_per_s = 0;
  return made == asked;
}

std::vector<Group> group_cells(std::span<const record::Cell> cells) {
  std::vector<Group> groups;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    Spec spec = spec_of(cells[i]);
    const auto found = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
      spec.batch = group.spec.batch;
      return group.spec == spec;
    });
    if (found == groups.end()) {
      spec.batch = cells[i].batch;
      groups.push_back({std::move(spec), {i}});
    } else {
      found->spec.batch = std::max(found->spec.batch, cells[i].batch);
      found->cells.push_back(i);
    }
  }
  return groups;
}

std::vector<std::size_t> block_sizes(std::span<const record::Cell> cells, std::size_t most) {
  BREAKEVEN_CHECK(most > 0);
  // Runs of cells that belong together because only runtime, device, precision, padding or mode
  // differ.
  std::vector<std::size_t> runs;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto family = [](const record::Cell& cell) {
      return std::tuple(cell.max_length, cell.threads, cell.batch);
    };
    if (i > 0 && family(cells[i]) == family(cells[i - 1])) {
      ++runs.back();
    } else {
      runs.push_back(1);
    }
  }
  std::vector<std::size_t> blocks;
  for (const std::size_t run : runs) {
    if (!blocks.empty() && blocks.back() + run <= most) {
      blocks.back() += run;
    } else {
      blocks.push_back(run);
    }
  }
  return blocks;
}

}  // namespace breakeven::study

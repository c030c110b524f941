// Which cells a sweep has, how they share classifiers and time. Pure: nothing here measures.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "record/record.h"

namespace breakeven::study {

// One way of using a runtime, and what it can do.
struct RuntimeAxis {
  Runtime runtime{};
  std::vector<Ability> abilities = {Ability{}};
};

// Every list multiplies (batches and modes: see the last four); what a runtime cannot do gives no
// cell. A value that is given twice counts once.
struct Axes {
  std::vector<RuntimeAxis> runtimes = {RuntimeAxis{}};
  std::vector<Device> devices = {Device{}};
  std::vector<Precision> precisions = {Precision::fp32};
  std::vector<std::uint64_t> batches = {1, 32};
  std::vector<unsigned> threads = {1};
  std::vector<std::uint64_t> max_lengths = {512};
  std::vector<Padding> paddings{};  // none given = each runtime's own choice
  std::vector<Mode> modes = {Mode::serial, Mode::stream};
  // What paced mode multiplies with, instead of `batches`.
  std::vector<double> rates{};  // requests a second; 0 = the highest under a limit is searched
  std::vector<std::uint64_t> paced_batches = {32};
  Arrivals arrivals = Arrivals::poisson;
  double max_wait_s = 0;
};
std::vector<record::Cell> plan_cells(const Axes& axes);

// A paced cell without a rate: the highest that keeps a limit is searched.
bool is_search(const record::Cell& cell);
// Whether what was measured of `made` is what was asked for: the cell itself, or a rate that its
// search tried.
bool answers(record::Cell made, const record::Cell& asked);

// What a classifier must be made for: its largest batch, and no mode, so that cells that differ
// only in batch and mode share one.
struct Spec : Setup {
  bool reference = false;  // the plain loops
  bool operator==(const Spec&) const = default;
};

// Of the cell alone.
Spec spec_of(const record::Cell& cell);

struct Group {
  Spec spec;
  std::vector<std::size_t> cells;  // indices
};
std::vector<Group> group_cells(std::span<const record::Cell> cells);

// Cuts a long sweep into blocks that are measured and written one after the other, so that an
// interruption costs one block. Cells interleave within a block; those that differ only in runtime,
// device, precision, padding and mode stay together. Sums to cells.size().
std::vector<std::size_t> block_sizes(std::span<const record::Cell> cells, std::size_t most = 24);

}  // namespace breakeven::study

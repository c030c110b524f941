#include "ops/cuda/emulator/shadow.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace breakeven::emulator {
namespace {

constexpr std::uint32_t kLanes = 32;

}  // namespace

void Report::add(const std::string& finding) {
  constexpr std::size_t kMost = 20;
  if (findings.size() < kMost &&
      std::find(findings.begin(), findings.end(), finding) == findings.end()) {
    findings.push_back(finding);
  }
}

std::string place_of(const std::source_location& where) {
  const std::string file = where.file_name();
  return fmt::format("{}:{}", file.substr(file.rfind('/') + 1), where.line());
}

void Shadow::Free::operator()(Cell* cells) const {
  std::free(cells);
}

void Shadow::add(const void* begin, std::size_t bytes, const char* what) {
  const std::size_t cells = bytes / kGranule_bytes + 1;
  auto* memory = static_cast<Cell*>(std::calloc(cells, sizeof(Cell)));  // zeros are a fresh Cell
  BREAKEVEN_CHECK(memory != nullptr);
  storage_.emplace_back(memory);
  regions_[reinterpret_cast<std::uintptr_t>(begin)] = {bytes, what, memory};
}

void Shadow::remove(const void* begin) {
  const auto found = regions_.find(reinterpret_cast<std::uintptr_t>(begin));
  BREAKEVEN_CHECK(found != regions_.end());
  std::erase_if(storage_, [&](const auto& held) { return held.get() == found->second.cells; });
  regions_.erase(found);
}

void Shadow::reset(const void* begin) {
  Region& region = regions_.at(reinterpret_cast<std::uintptr_t>(begin));
  std::fill_n(region.cells, region.bytes / kGranule_bytes + 1, Cell{});
}

std::string Shadow::Actor::text() const {
  if (where == nullptr) return name;
  return fmt::format("{} {}", place_of(*where), writes ? "writes" : "reads");
}

Shadow::Region* Shadow::find(const void* at, std::size_t bytes, const Actor& who,
                             std::size_t& offset) {
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  auto after = regions_.upper_bound(address);
  if (after != regions_.begin()) {
    auto& [begin, region] = *std::prev(after);
    offset = address - begin;
    if (offset + bytes <= region.bytes) return &region;
    if (offset < region.bytes + 4096) {
      report_.add(fmt::format("out of bounds: {}, {} bytes at {} of {}'s {}", who.text(), bytes,
                              offset, region.what, region.bytes));
      return nullptr;
    }
  }
  report_.add(fmt::format("out of bounds: {}, {} bytes in no known memory", who.text(), bytes));
  return nullptr;
}

void Shadow::set_written(const void* at, std::size_t bytes, const char* by) {
  std::size_t offset = 0;
  Region* region = find(at, bytes, {.name = by}, offset);
  if (region == nullptr) return;
  for (std::size_t i = offset / kGranule_bytes; i * kGranule_bytes < offset + bytes; ++i) {
    region->cells[i] = {};
    region->cells[i].initialised = true;
  }
}

void Shadow::require_written(const void* at, std::size_t bytes, const char* by) {
  std::size_t offset = 0;
  const Region* region = find(at, bytes, {.name = by}, offset);
  if (region == nullptr) return;
  for (std::size_t i = offset / kGranule_bytes; i * kGranule_bytes < offset + bytes; ++i) {
    if (!region->cells[i].initialised) {
      report_.add(fmt::format("not written: {} reads {}", by, region->what));
      return;
    }
  }
}

// Whether what happened before is sure to be over now.
bool Shadow::ordered(const Access& before, const Moment& now, bool both_read) {
  const Moment& then = before.moment;
  if (both_read || then.launch != now.launch) return true;
  if (then.block != now.block || before.several_blocks) return false;
  if (then.block_epoch != now.block_epoch) return true;
  if (before.several_warps || then.thread / kLanes != now.thread / kLanes) return false;
  if (then.warp_epoch != now.warp_epoch) return true;
  return !before.several_lanes && then.thread == now.thread;
}

bool Shadow::check(bool is_write, const void* at, std::size_t bytes, const Moment& now,
                   const std::source_location& where) {
  const Actor who{.where = &where, .writes = is_write};
  std::size_t offset = 0;
  Region* region = find(at, bytes, who, offset);
  if (region == nullptr) return false;
  if (offset % bytes != 0 || reinterpret_cast<std::uintptr_t>(at) % bytes != 0) {
    report_.add(fmt::format("misaligned: {}, {} bytes at {} of {}", who.text(), bytes, offset,
                            region->what));
  }
  for (std::size_t i = offset / kGranule_bytes; i * kGranule_bytes < offset + bytes; ++i) {
    Cell& cell = region->cells[i];
    if (cell.pending) {
      report_.add(fmt::format("race: {} {} that a copy under way will overwrite", who.text(),
                              region->what));
    }
    if (!is_write && !cell.initialised) {
      report_.add(fmt::format("not written: {} {}", who.text(), region->what));
    }
    if (!ordered(cell.written, now, false)) {
      report_.add(fmt::format("race: {} {} that another thread writes", who.text(), region->what));
    }
    if (is_write) {
      if (!ordered(cell.read, now, false)) {
        report_.add(fmt::format("race: {} {} that another thread reads", who.text(), region->what));
      }
      cell.written = {now, false, false, false};
      cell.read = {};
      cell.initialised = true;
      continue;
    }
    Access& read = cell.read;
    const Moment& then = read.moment;
    if (then.launch != now.launch) {
      read = {now, false, false, false};
      continue;
    }
    const bool other_block = then.block != now.block;
    const bool same_epoch = !other_block && then.block_epoch == now.block_epoch;
    const bool other_warp = same_epoch && then.thread / kLanes != now.thread / kLanes;
    const bool other_lane =
        same_epoch && !other_warp && then.warp_epoch == now.warp_epoch && then.thread != now.thread;
    const bool blocks = read.several_blocks || other_block;
    const bool warps = same_epoch && (read.several_warps || other_warp);
    const bool lanes = same_epoch && !other_warp && then.warp_epoch == now.warp_epoch &&
                       (read.several_lanes || other_lane);
    read = {now, lanes, warps, blocks};
  }
  return true;
}

bool Shadow::read(const void* at, std::size_t bytes, const Moment& now,
                  const std::source_location& where) {
  return check(false, at, bytes, now, where);
}

bool Shadow::write(const void* at, std::size_t bytes, const Moment& now,
                   const std::source_location& where) {
  return check(true, at, bytes, now, where);
}

void Shadow::set_pending(const void* at, std::size_t bytes, bool pending) {
  std::size_t offset = 0;
  Region* region = find(at, bytes, {.name = "a copy"}, offset);
  if (region == nullptr) return;
  for (std::size_t i = offset / kGranule_bytes; i * kGranule_bytes < offset + bytes; ++i) {
    region->cells[i].pending = pending;
  }
}

}  // namespace breakeven::emulator

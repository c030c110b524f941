#include "cli/known_gpu.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "decide/known_gpu.h"
#include "record/known.h"

namespace breakeven::cli {
namespace {

// Of the newest record that can stand in: it was made by the engine nearest to this one. `advise
// --gpu` takes any.
Result<std::vector<record::Record>> known_on(std::span<const record::Record> records) {
  BREAKEVEN_TRY(const std::vector<std::string> names, record::known_names());
  Result<std::vector<record::Record>> newest =
      fail("known/none", "no record of a GPU ships with this program");
  for (const std::string& name : names) {
    BREAKEVEN_TRY(const std::vector<record::Record> known, record::known_records(name));
    auto carried = decide::on_own_texts(known, records);
    if (!newest || (carried && carried->front().started_at > newest->front().started_at)) {
      newest = std::move(carried);
    }
  }
  return newest;
}

}  // namespace

void compare_with_known(std::span<const record::Record> records, report::FirstScreen& first) {
  const bool any_gpu = std::any_of(records.begin(), records.end(),
                                   [](const auto& record) { return !record.cell.device.is_cpu(); });
  if (any_gpu || records.empty()) return;
  if (auto known = known_on(records)) {
    first.known = *std::move(known);
  } else {
    first.no_known =
        "No GPU was measured, and of those that ship with the program none can stand "
        "in for one: " +
        known.error().message + ".";
  }
}

}  // namespace breakeven::cli

#include "cli/known_gpu.h"

#include <fmt/format.h>

#include <algorithm>

#include "decide/known_gpu.h"
#include "record/known.h"

namespace breakeven::cli {
namespace {

// The only one yet; the newest of several would be a choice for advise --gpu.
constexpr const char* kGpu = "h100";

Result<std::vector<record::Record>> known_on(std::span<const record::Record> records) {
  BREAKEVEN_TRY(const std::vector<record::Record> known, record::known_records(kGpu));
  return decide::on_own_texts(known, records);
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

// Whatever a result file holds: no crash, and what was read can be written and read again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "record/journal.h"
#include "record/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace breakeven::record;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto journal = parse_journal(text, "input");
  if (!journal) return 0;
  for (const Record& record : journal->records) {
    const auto line = to_json_line(record);
    BREAKEVEN_CHECK(line.has_value());
    const auto again = parse_record(*line);
    BREAKEVEN_CHECK(again.has_value());
    BREAKEVEN_CHECK(*again == record);
  }
  return 0;
}

// Any bytes as a CSV file: no crash, every record as wide as the header, and records that are
// written out again with every field in quotes are read back the same. The first byte chooses how
// the file is said to be written; 0 says no more than its name.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "data/csv_reader.h"
#include "data/file_sources.h"
#include "data/json_line.h"

namespace {

using namespace breakeven;        // NOLINT
using namespace breakeven::data;  // NOLINT

using Records = std::vector<std::vector<std::string>>;

Records records_of(std::string_view input) {
  LineReader lines(bytes_of(input, "fuzz"), 4096);
  CsvReader reader(lines, {});
  Records records;
  std::vector<std::string> fields;
  for (;;) {
    const auto found = reader.next(fields);
    if (!found || !*found) return records;
    records.push_back(fields);
  }
}

std::string quoted(const Records& records) {
  std::string out;
  for (const auto& fields : records) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      out += i == 0 ? "\"" : ",\"";
      for (const char c : fields[i]) out.append(c == '"' ? 2 : 1, c);
      out += '"';
    }
    out += '\n';
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Records records = records_of(input);
  const std::string again = quoted(records);
  // Quoting makes a record longer; over the limit it would be refused.
  if (again.size() < 4096) BREAKEVEN_CHECK(records_of(again) == records);

  SourceOptions options;
  options.labels = {"NEGATIVE", "POSITIVE"};
  if ((data[0] & 1) != 0) options.label_field = "";
  constexpr Quoting kQuoting[] = {Quoting::automatic, Quoting::on, Quoting::off,
                                  Quoting::automatic};
  options.quoting = kQuoting[data[0] >> 2 & 3];
  options.header = (data[0] & 16) == 0;
  if (!options.header) options.text_field = "1";
  if ((data[0] & 32) != 0) options.separator = ';';
  const char by_name = (data[0] & 2) != 0 ? '\t' : ',';
  auto source =
      open_csv({std::make_unique<LineReader>(bytes_of(input, "fuzz"), 4096), {}}, by_name, options);
  while (source) {
    const auto review = (*source)->next();
    if (!review || !*review) break;
    if ((*review)->extra.empty()) continue;
    std::vector<JsonField> fields;
    BREAKEVEN_CHECK(parse_object((*review)->extra, fields).has_value(), "{}", (*review)->extra);
    BREAKEVEN_CHECK(is_valid_utf8((*review)->extra));
  }
  return 0;
}

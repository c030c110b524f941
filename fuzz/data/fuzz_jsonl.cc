// Any bytes as a JSONL file: no crash, texts and passed-on fields are valid UTF-8, and a line is
// accepted exactly when nlohmann::json accepts it as an object.
#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "data/file_sources.h"
#include "data/json_line.h"

namespace {

using namespace breakeven;        // NOLINT
using namespace breakeven::data;  // NOLINT

void check_source(std::string_view input) {
  SourceOptions options;
  options.labels = {"NEGATIVE", "POSITIVE"};
  // A small limit, so that long lines are among the cases.
  auto source =
      open_jsonl({std::make_unique<LineReader>(bytes_of(input, "fuzz"), 4096), {}}, options);
  BREAKEVEN_CHECK(source.has_value());
  for (;;) {
    const auto review = (*source)->next();
    if (!review || !*review) break;
    BREAKEVEN_CHECK(is_valid_utf8((*review)->text));
    BREAKEVEN_CHECK(is_valid_utf8((*review)->extra));
    if ((*review)->label) BREAKEVEN_CHECK(*(*review)->label == 0 || *(*review)->label == 1);
    if ((*review)->extra.empty()) continue;
    std::vector<JsonField> fields;
    BREAKEVEN_CHECK(parse_object((*review)->extra, fields).has_value(), "{}", (*review)->extra);
    for (const JsonField& field : fields) {
      BREAKEVEN_CHECK(is_valid_utf8(decode_key(field.key)));
      if (field.is_string()) BREAKEVEN_CHECK(is_valid_utf8(decode_string(field.value)));
    }
  }
}

// Where the two parsers differ on purpose: numbers over the range of double, surrogates, nesting.
bool is_outside_comparison(std::string_view line, const std::string& why) {
  return why.find("out_of_range") != std::string::npos ||
         why.find("surrogate") != std::string::npos ||
         std::count(line.begin(), line.end(), '[') + std::count(line.begin(), line.end(), '{') >
             200;
}

void check_against_nlohmann(std::string_view line) {
  if (!is_valid_utf8(line) || line.find('\0') != std::string_view::npos ||
      line.starts_with("\xEF\xBB\xBF")) {
    return;
  }
  std::vector<JsonField> fields;
  const bool ours = parse_object(line, fields).has_value();
  bool theirs = false;
  std::string why;
  try {
    theirs = nlohmann::json::parse(line).is_object();
  } catch (const nlohmann::json::exception& error) {
    why = error.what();
  }
  if (ours == theirs || is_outside_comparison(line, why)) return;
  BREAKEVEN_CHECK(ours == theirs, "ours {} theirs {} ({}): {}", ours, theirs, why, line);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_source(input);
  check_against_nlohmann(input.substr(0, input.find('\n')));
  // What is written as a JSON string is read back as the same text.
  std::string written;
  append_json_string(input, written);
  BREAKEVEN_CHECK(decode_string(written) == repair_utf8(input));
  return 0;
}

// Records as JSON. One field list (record/fields.h) serves writing, reading and the test of
// docs/schema.md. A field that holds nothing (an absent optional) is left out. NaN and infinity are
// never written. Reading fills absent fields with their defaults, ignores unknown ones, and refuses
// a wrong type, a negative count and a newer schema by name.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/record.h"

namespace breakeven::record {

// One line without its newline. Errors: record/not-finite, with the field's path.
Result<std::string> to_json_line(const Record& record);

// All records as one indented JSON array. Errors: record/not-finite.
Result<std::string> to_json_array(std::span<const Record> records);

// Errors: record/json (not JSON), record/schema (newer or unknown schema_version), record/field (a
// field is missing that must be there, or has a wrong type or value; its path is named).
Result<Record> parse_record(std::string_view json);

// Every field's path in order ("cell.batch", "reasons[].code" ...): what docs/schema.md must list.
std::vector<std::string> field_paths();

}  // namespace breakeven::record

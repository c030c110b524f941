// Which fields of a record hold its text, or the two texts of a pair.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "data/source.h"

namespace breakeven::data {

struct TextFields {
  std::string first;
  std::string second;    // "" = no pair
  bool by_name = false;  // nobody said so: a pair by the usual names of its fields
};

// Whether a record has a field of this name.
using HasField = std::function<bool(std::string_view name)>;

// What the options name. Where they name neither field: "text", with "text_pair" where that is
// there, too; else the one usual pair of names that the record has (premise and hypothesis, query
// and passage, ...); else "text", which is then missing. Errors: data/ambiguous-pair (two usual
// pairs); its message starts with what is wrong and names no file.
Result<TextFields> find_text_fields(const SourceOptions& options, const HasField& has);

// Whether a record has the fields that its texts can be read from.
bool has_texts(const SourceOptions& options, const HasField& has);

// What a person should know of fields that were found by name; nothing else.
std::optional<std::string> assumption_of(const TextFields& fields, const std::string& source);

}  // namespace breakeven::data

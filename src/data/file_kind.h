// Files that hold no plain text, recognised by their content and refused by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace breakeven::data {

// `head`: a file's first bytes. Errors: data/binary, which names the kind of file and says how to
// make a text file of it.
Result<void> refuse_known_binary(std::string_view head, const std::string& name);
// The same for a zip archive, by the names of its members.
Result<void> refuse_known_zip(const std::vector<std::string>& members, const std::string& name);
// Bytes of no kind that is known and that no text has, UTF-16 without a byte order mark among them.
// Errors: data/binary.
Result<void> refuse_unknown_binary(std::string_view head, const std::string& name);

}  // namespace breakeven::data

// The verdict in plain words: who is fastest, by how much, at which precision, and what cannot be
// told.
#pragma once

#include <string>
#include <vector>

#include "record/record.h"
#include "report/keys.h"

namespace breakeven::report {

// Sentences, most important first. Rows that are INVALID or break parity take no part.
std::vector<std::string> verdict(const std::vector<record::Record>& records, const Keys& keys);

}  // namespace breakeven::report

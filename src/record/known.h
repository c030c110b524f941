// Journals of GPUs that ship with the program (data/known), for a machine that has none: h100.jsonl
// is what `breakeven run` wrote on one, less what no table and no latency model needs
// (tools/make_known_gpu.py).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/record.h"

namespace breakeven::record {

// "h100", "h200": what known_records() takes, in alphabetical order. Errors: known/none (no
// folder).
Result<std::vector<std::string>> known_names();

// Native rows of one GPU, serial and stream, of one model shape; never empty. Errors: known/none,
// known/name (tells which there are), those of read_journal().
Result<std::vector<Record>> known_records(std::string_view name);

}  // namespace breakeven::record

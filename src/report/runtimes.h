// Other runtimes beside ours: how many times faster the native rows are, what each runtime ran
// with, and what their judge says of our outputs.
#pragma once

#include <string>
#include <vector>

#include "record/record.h"
#include "report/keys.h"
#include "report/table.h"

namespace breakeven::report {

// Whether any row is another runtime's.
bool has_other_runtimes(const std::vector<record::Record>& records);

// One row for each row of another runtime that has a native one beside it: same machine, model,
// device, precision, batch, threads, maximum length and mode; the native padding is none where that
// was measured. Ratios of reviews a second, and in serial mode of the compute stage alone, so that
// a fast tokenizer is not mistaken for a fast engine. Above 1 = native is faster; "-" where either
// has no whole pass, because then the texts differ.
Table ratio_table(const std::vector<record::Record>& records, const Keys& keys);

// "pytorch:seed 2.15.0: threads 2, attention sdpa ...": one line a runtime, variant and precision.
std::vector<std::string> runtime_notes(const std::vector<record::Record>& records);

// "pytorch:seed cpu fp32 judges our rows: fp32 0 flips of 64 texts ..."; empty without such a
// judge.
std::vector<std::string> other_judge_notes(const std::vector<record::Record>& records);

}  // namespace breakeven::report

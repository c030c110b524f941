// Made-up records for the report's tests: plausible figures, nothing measured.
#pragma once

#include <string>
#include <vector>

#include "record/record.h"

namespace breakeven::testing {

record::Record sample_record(Precision precision, std::uint64_t batch, Mode mode,
                             double seconds_per_review);

// fp32, bf16 and int8 at batch 1 and 32, serial and stream, on a CPU.
std::vector<record::Record> sample_run();

// The same beside PyTorch as people run it (fp32, max_length) and OpenVINO (bf16, longest).
std::vector<record::Record> sample_run_of_runtimes();

// bf16 under 10 and 40 requests a second, and more than it can do; fp32 that a p99 is missing for.
std::vector<record::Record> sample_paced();

// One linear and one that is not.
std::vector<record::Record> sample_scaling();

}  // namespace breakeven::testing

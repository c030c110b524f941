// One cell in a fresh process: memory and cold start can be told apart from the rest only there.
// The parent runs its own binary again with a hidden subcommand, writes a JSON request to its stdin
// and reads one JSON answer from its stdout. A child that crashes, hangs, is killed or prints
// something else becomes an error that says so, with the last line of its stderr.
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/record.h"

namespace breakeven::measure {

struct ChildAnswer {
  std::string json;      // one JSON value, checked to be well-formed
  double started_s = 0;  // monotonic clock, right before the process was made
  double wall_s = 0;     // until it had ended
};

// `arguments` without the program's name; `program` "" = /proc/self/exe. At most limit_s seconds,
// then the child is killed. Errors: child/spawn, child/time-limit, child/interrupted (the flag
// `stop`), child/killed (a signal, named; SIGKILL without us hints at the memory), child/failed
// (exit code not 0), child/garbage (the answer is no JSON or longer than 256 MB).
Result<ChildAnswer> run_child(const std::vector<std::string>& arguments, std::string_view request,
                              double limit_s, const std::atomic<bool>* stop = nullptr,
                              const std::string& program = {});

}  // namespace breakeven::measure

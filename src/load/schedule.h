// The whole schedule of a window before its first byte: when each request is due, and which text it
// asks for. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "setup/setup.h"

namespace breakeven::load {

struct Schedule {
  std::vector<double> due_s;         // from the start, ascending
  std::vector<std::uint32_t> texts;  // by request
  double window_s = 0;               // in which they are due
  std::uint64_t seed = 0;            // of the moments and texts
};

// Moments at which requests came once: how a trace's load bunches, played at any rate.
struct Trace {
  std::vector<double>
      gap_s;  // before each request but the first, and one behind the last: the mean
  double rate_per_s() const;  // its own
  std::size_t requests() const { return gap_s.size(); }
};
// A number of seconds a line, ascending; blank lines and lines that begin with # do not count.
// Errors: load/trace, with the line; those of read_file.
Result<Trace> read_trace(const std::string& path);
Result<Trace> parse_trace(const std::string& content, const std::string& name);

// `count` requests at the rate. Of a trace its gaps, again and again, all longer or shorter by one
// factor: over the whole trace the rate is right.
Schedule make_schedule(Arrivals arrivals, double rate_per_s, std::size_t count,
                       std::size_t text_count, std::uint64_t seed, const Trace& trace = {});

}  // namespace breakeven::load

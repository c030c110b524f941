// Which rate to try next when the highest that keeps a limit is asked for: twice as high until one
// misses it; then halves, on the log scale, of what lies between the highest that keeps it and the
// next, down to 5 %; that one twice more, with fresh seeds; last, the same halves below the lowest
// that misses it, when there are rates between of which it cannot be told. Pure: whoever measures
// tells it what came out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>

#include "measure/paced_limit.h"
#include "record/record.h"

namespace breakeven::study {

class RateSearch {
 public:
  // A guess of the rate to begin with, > 0.
  explicit RateSearch(double first_per_s) : first_per_s_(first_per_s) {}

  // Tells what the records say that answer a search, `asked`; returns how many do.
  std::uint64_t tell_all(std::span<const record::Record> records, const record::Cell& asked,
                         double p99_limit_s);

  // The rate to try; nothing = found, or none is low enough to be worth a try.
  std::optional<double> next() const;

  void tell(double rate_per_s, measure::LimitKept seen);

  // Rates that it will probably try in all, for a share of the time.
  static constexpr int kProbes = 12;

 private:
  struct Seen {
    int times = 0;  // tried
    measure::LimitKept worst = measure::LimitKept::kept;
  };
  double first_per_s_;
  std::map<double, Seen> rates_;
};

}  // namespace breakeven::study

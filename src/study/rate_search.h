// Which rate to try next, and with how many requests, when the highest that keeps a limit on the
// p99 is asked for. Short tries go twice as high until one misses it (or half as low, where the
// first does). Long ones, with the requests that a p99 needs at that load, then prove rates: half
// of what the machine can do, and halves on the log scale between the highest that keeps the limit
// and what lies above, down to 5 %; what was found twice more, with fresh seeds. Last, halves
// below the lowest rate that misses it. Pure: whoever measures tells it what came out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>

#include "measure/paced_limit.h"
#include "record/record.h"

namespace breakeven::study {

class RateSearch {
 public:
  struct Try {
    double rate_per_s = 0;
    std::size_t requests = 0;  // to be played, those that are not counted included

    double window_s() const { return static_cast<double>(requests) / rate_per_s; }
  };
  struct Told {
    double rate_per_s = 0;
    measure::LimitKept seen = measure::LimitKept::too_few;
    std::size_t requests = 0;  // as of Try
    double most_per_s = 0;     // what it answered at its limit; 0 = that was not reached
  };

  // A guess of a quarter of what the machine can do, > 0.
  explicit RateSearch(double first_per_s) : first_per_s_(first_per_s) {}

  // Tells what the records say that answer a search, `asked`; returns how many do.
  std::uint64_t tell_all(std::span<const record::Record> records, const record::Cell& asked,
                         double p99_limit_s);
  void tell(const record::Record& record, double p99_limit_s);
  void tell(const Told& told);

  // What to try when so many seconds are left; nothing = found, or nothing that is worth a try
  // fits.
  std::optional<Try> next(double left_s = std::numeric_limits<double>::infinity()) const;

 private:
  struct Seen {
    measure::LimitKept worst = measure::LimitKept::too_few;
    int kept = 0;     // windows that kept the limit
    int too_few = 0;  // long windows that carried no p99

    bool not_kept() const;
  };
  using Rates = std::map<double, Seen>;

  double played_for(double percentile, double rate_per_s) const;
  Try brief(double rate_per_s) const;
  std::optional<Try> proof(double rate_per_s) const;  // nothing: no record holds so many requests
  std::optional<Try> higher_or_lower() const;
  std::optional<Try> prove(double low, double high, double left_s) const;

  double most_per_s() const;
  std::optional<Try> miss(double left_s) const;

  double first_per_s_;
  double at_limit_per_s_ = 0;  // what it answered there
  double kept_up_per_s_ = 0;   // the highest rate at which it was not at its limit
  Rates rates_;
};

}  // namespace breakeven::study

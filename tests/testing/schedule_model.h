// The schedule played out in time by its own cost model.
#pragma once

#include <cstddef>

#include "engine/schedule.h"

namespace breakeven::engine {

// What comes of it, by the model alone. All times in rows.
struct ModelledPass {
  double end = 0;
  double least_end = 0;  // but for helpers that change lanes, none ends earlier
  std::size_t groups = 0;
  double busy_share() const { return least_end / end; }
};
// All batches in flight at once (stream), or one after the other (serial).
ModelledPass model_stream(const Work& work, Threads threads, const CostModel& model);
ModelledPass model_serial(const Work& work, Threads threads, const CostModel& model);

}  // namespace breakeven::engine

// What a job in shards did: devices, rates, cost, and how two kinds of devices agree.
#pragma once

#include <span>

#include "record/record.h"
#include "report/document.h"
#include "report/first_screen.h"

namespace breakeven::report {

// Nothing where no record is of a shard. `options`: the prices.
void shard_blocks(Document& document, std::span<const record::Record> records,
                  const FirstScreen& options);

}  // namespace breakeven::report

// How a child process is started (base/process.h uses it).
#pragma once

#include "base/descriptor.h"
#include "base/process.h"

namespace breakeven {

// Our ends of a child's streams, non-blocking. stdin is a socket, because writing to a pipe whose
// reader has died raises SIGPIPE.
struct ProcessStreams {
  Descriptor in, out, err;
};

// The pid. Errors: process/spawn.
Result<int> start_process(const ProcessOptions& options, ProcessStreams& streams);

}  // namespace breakeven

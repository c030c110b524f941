// Ctrl-C, for commands that end well when it comes.
#pragma once

#include <atomic>

namespace breakeven::cli {

// Sets a flag on the first Ctrl-C (or SIGTERM); the second ends the program as usual.
const std::atomic<bool>& stop_on_interrupt();

}  // namespace breakeven::cli

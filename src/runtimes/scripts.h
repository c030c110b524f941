// Where the scripts of the workers lie: one NAME.py a runtime.
#pragma once

#include <string>

#include "base/result.h"

namespace breakeven::runtimes {

// $BREAKEVEN_RUNTIMES, beside an installed program, or the source tree it was built from. Errors:
// runtime/no-scripts.
Result<std::string> scripts_folder();

}  // namespace breakeven::runtimes

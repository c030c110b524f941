// What is said of a file that cannot be written.
#pragma once

#include <string>

#include "base/result.h"

namespace breakeven {

// "cannot write PATH: WHY", with the advice that fits the reason. Error: file/unwritable.
tl::unexpected<Error> unwritable(const std::string& path, int error_number);

}  // namespace breakeven

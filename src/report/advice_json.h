// An advice for a program: one indented JSON object.
#pragma once

#include <string>

#include "decide/advice.h"

namespace breakeven::report {

// Numbers that are infinite or not known are null.
std::string to_json(const decide::Advice& advice, const decide::Question& question);

}  // namespace breakeven::report

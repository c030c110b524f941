// An advice for a program: one indented JSON object.
#pragma once

#include <string>

#include "advise/advise.h"

namespace breakeven::report {

// Numbers that are infinite or not known are null.
std::string to_json(const advise::Advice& advice, const advise::Question& question);

}  // namespace breakeven::report

// Breaks the rule on purpose: text may know base only.
#include <string>

#include "base/result.h"
#include "model/plan.h"

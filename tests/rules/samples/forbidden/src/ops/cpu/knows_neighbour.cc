// Breaks the rule on purpose: backends do not know each other, and paths start at src/.
#include "../reference/backend.h"
#include "ops/cuda/device_list.h"
#include "backend.h"

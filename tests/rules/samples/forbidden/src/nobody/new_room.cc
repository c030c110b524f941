// Breaks the rule on purpose: a folder without a line in layers.txt.
#include "base/result.h"

// Allowed: the command line may know every room.
#include <CLI/CLI.hpp>

#include "model/plan.h"
#include "ops/cpu/backend.h"

// Breaks the rule on purpose: the forward pass knows the contract, no backend, and no CUDA header.
#include <cuda_runtime.h>

#include "ops/cpu/backend.h"
#include "ops/ops.h"

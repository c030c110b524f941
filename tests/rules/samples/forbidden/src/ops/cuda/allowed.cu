// Allowed: this is where CUDA headers belong.
#include <cublas_v2.h>
#include <cuda_bf16.h>

#include "ops/ops.h"

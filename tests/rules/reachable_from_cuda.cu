// Compiled by nvcc in the `cuda` preset: every header that a .cu file may include is C++20 that
// nvcc understands, and what they offer can be used there.
#include "reachable_headers.inc"

static_assert(__cplusplus == 202002L, "CUDA files are C++20");

__global__ void kernel_that_sees_our_headers(breakeven::ops::Act) {}

breakeven::Result<breakeven::ops::Precision> host_code_in_a_cuda_file(int rows) {
  BREAKEVEN_CHECK(rows > 0, "rows={}", rows);
  BREAKEVEN_TRY(const breakeven::ops::Precision precision,
                breakeven::parse<breakeven::Precision>("bf16"));
  if (rows > 512) return breakeven::fail("ops/memory", "too many rows");
  return precision;
}

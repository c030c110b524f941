#include "ops/cuda/gemm_call.h"

namespace breakeven::ops::cuda {

ColumnMajorGemm to_column_major(const GemmCall& call) {
  return {.m = call.columns,
          .n = call.rows,
          .k = call.depth,
          .transpose_first = !call.b_in_by_out,
          .first = call.b,
          .first_ld = call.b_row,
          .first_stride = call.b_stride,
          .second = call.a,
          .second_ld = call.a_row,
          .second_stride = call.a_stride,
          .bias = call.bias,
          .bias_stride = call.bias_stride,
          .out = call.out,
          .out_ld = call.out_row,
          .out_stride = call.out_stride,
          .batch = call.batch};
}

}  // namespace breakeven::ops::cuda

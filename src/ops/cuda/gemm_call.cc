#include "ops/cuda/gemm_call.h"

#include <fmt/format.h>

#include <algorithm>

namespace breakeven::ops::cuda {
namespace {

constexpr std::size_t kBestAlignment_bytes = 256;

std::size_t alignment_of(const void* at) {
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  if (address == 0) return kBestAlignment_bytes;
  return std::min<std::size_t>(address & (~address + 1), kBestAlignment_bytes);
}

}  // namespace

GemmCall dense_product(std::size_t rows, std::size_t columns, std::size_t depth, const void* a,
                       const void* b, void* out) {
  return {.rows = rows,
          .columns = columns,
          .depth = depth,
          .a = a,
          .a_row = depth,
          .b = b,
          .b_row = depth,
          .out = out,
          .out_row = columns};
}

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
          .first_scale = call.column_scale,
          .second_scale = call.row_scale,
          .bias = call.bias,
          .bias_stride = call.bias_stride,
          .add = call.add,
          .out = call.out,
          .out_ld = call.out_row,
          .out_stride = call.out_stride,
          .batch = call.batch};
}

std::size_t alignment_of(const GemmCall& call) {
  return std::min(
      {alignment_of(call.a), alignment_of(call.b), alignment_of(call.add), alignment_of(call.out)});
}

std::string key_of(const GemmCall& call, std::size_t workspace_bytes) {
  return fmt::format("{}:{}x{}x{}:{}:{},{}:{},{}{}:{},{}:{}{}{}:{}:{}", to_string(call.precision),
                     call.rows, call.columns, call.depth, call.batch, call.a_row, call.a_stride,
                     call.b_row, call.b_stride, call.b_in_by_out ? "t" : "", call.out_row,
                     call.out_stride, call.bias == nullptr ? "none" : "bias",
                     call.add == nullptr ? "" : ",add", call.row_scale == nullptr ? "" : ",scales",
                     alignment_of(call), workspace_bytes);
}

}  // namespace breakeven::ops::cuda

// A matrix product as plain data: what a runtime is asked for, and the same as BLAS says it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "ops/ops.h"

namespace breakeven::ops::cuda {

// out[b][r][c] = add[b][r][c] + bias[b][c] + sum over d of a[b][r][d] * w[b][c][d], for every b of
// the batch.
// Everything is row-major and of one number format; sums are fp32. Strides count values. int8: a
// and w are s8, out and the sums s32; fp8: a and w are e4m3, out is bf16, and values stand for
// themselves, without a scale. In both w is [columns][depth], with neither bias nor add. fp8 with
// scales: out and bias are fp16, out[r][c] = bias[c] + the sum times row_scale[r] column_scale[c].
// fp32x3: a and w are halves as kernels/split.h has them, three for each number of the depth, and
// the sums are divided by kSplitLift; bias and out are fp32, and there is no add.
struct GemmCall {
  Precision precision = Precision::fp32;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t depth = 0;
  std::size_t batch = 1;
  const void* a = nullptr;
  std::size_t a_row = 0;     // from one row to the next
  std::size_t a_stride = 0;  // from one product of the batch to the next
  const void* b = nullptr;   // w
  std::size_t b_row = 0;
  std::size_t b_stride = 0;
  bool b_in_by_out = false;    // w is stored [depth][columns], not [columns][depth]
  const void* bias = nullptr;  // [columns], or null
  std::size_t bias_stride = 0;
  const void* add = nullptr;            // laid out as out, and another matrix; or null
  const float* row_scale = nullptr;     // [rows]; fp8 only, of one product, and both or none
  const float* column_scale = nullptr;  // [columns]
  void* out = nullptr;
  std::size_t out_row = 0;
  std::size_t out_stride = 0;
};

// The call of one product whose matrices are stored without gaps: a [rows, depth], w [columns,
// depth], out [rows, columns].
GemmCall dense_product(std::size_t rows, std::size_t columns, std::size_t depth, const void* a,
                       const void* b, void* out);

// The same product in BLAS's words, where every matrix is column-major: out^T = w a^T. First is w,
// second is a; bias is one value a row of the result, as cublasLt's BIAS epilogue adds it.
struct ColumnMajorGemm {
  std::size_t m = 0, n = 0, k = 0;  // result [m, n]
  bool transpose_first = false;     // the first operand is stored [k, m], else [m, k]
  const void* first = nullptr;
  std::size_t first_ld = 0;
  std::size_t first_stride = 0;
  const void* second = nullptr;  // stored [k, n]
  std::size_t second_ld = 0;
  std::size_t second_stride = 0;
  const float* first_scale = nullptr;   // [m]
  const float* second_scale = nullptr;  // [n]
  const void* bias = nullptr;           // [m]
  std::size_t bias_stride = 0;
  const void* add = nullptr;  // BLAS's C, with beta 1; laid out as out
  void* out = nullptr;
  std::size_t out_ld = 0;
  std::size_t out_stride = 0;
  std::size_t batch = 1;
};
ColumnMajorGemm to_column_major(const GemmCall& call);

// One of the library's ways to compute a call, in the library's own code: of use to the same
// library, kind of device and call only.
struct GemmAlgorithm {
  std::array<std::uint64_t, 8> code{};
  friend bool operator==(const GemmAlgorithm&, const GemmAlgorithm&) = default;
};

// How the operands of a call are aligned, 256 at most.
std::size_t alignment_of(const GemmCall& call);
// All that an algorithm may depend on, as one word: "fp16 4096x768x3072 ...". Calls that differ in
// their addresses only have the same.
std::string key_of(const GemmCall& call, std::size_t workspace_bytes);

}  // namespace breakeven::ops::cuda

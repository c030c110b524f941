#include "ops/cpu/kernels.h"

namespace breakeven::ops::cpu {

std::size_t attention_scratch_floats(std::size_t longest, std::size_t head_size) {
  const std::size_t keys = padded(longest, kPanel);
  const std::size_t depth = padded(head_size, kPanel);
  return 2 * keys * depth + kQueryRows * (keys + 2 * depth) + kGemmScratchBytes / sizeof(float);
}

const Kernels& kernels_for(bool avx512) {
  static const Kernels kAvx2 = [] {
    Kernels table{};
    N_AVX2::fill_row_kernels(table);
    N_AVX2::fill_matrix_kernels(table);
    N_AVX2::fill_gemm_kernels(table);
    return table;
  }();
  static const Kernels kAvx512 = [] {
    Kernels table{};
    N_AVX3::fill_row_kernels(table);
    N_AVX3::fill_matrix_kernels(table);
    N_AVX3::fill_gemm_kernels(table);
    return table;
  }();
  return avx512 ? kAvx512 : kAvx2;
}

}  // namespace breakeven::ops::cpu

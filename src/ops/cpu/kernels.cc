#include "ops/cpu/kernels.h"

namespace breakeven::ops::cpu {

// What fp32 takes; bf16's shares beside their scores take less than its keys and values save.
std::size_t attention_scratch_bytes(std::size_t longest, std::size_t head_size,
                                    std::size_t distances) {
  const std::size_t keys = padded(longest, kPanel);
  const std::size_t depth = padded(head_size, kPanel);
  std::size_t floats = 2 * keys * depth + kQueryRows * (keys + 2 * depth);
  if (distances > 0) {
    // Products of keys and of a few queries with all distances; q, k and v widened.
    floats += (keys + kQueryRows) * padded(distances, kPanel) + 3 * keys * head_size;
  }
  return floats * sizeof(float);
}

namespace {

template <auto... Fill>
const Kernels& filled_by() {
  static const Kernels kTable = [] {
    Kernels table{};
    (Fill(table), ...);
    return table;
  }();
  return kTable;
}

}  // namespace

// What fills a table is compiled for its instruction set like the kernels, and stores pointers by
// the vector: a CPU without AVX-512 must not reach it.
const Kernels& kernels_for(bool avx512) {
  if (avx512) {
    return filled_by<N_AVX3::fill_row_kernels, N_AVX3::fill_matrix_kernels,
                     N_AVX3::fill_gemm_kernels, N_AVX3::fill_attention_kernels>();
  }
  return filled_by<N_AVX2::fill_row_kernels, N_AVX2::fill_matrix_kernels, N_AVX2::fill_gemm_kernels,
                   N_AVX2::fill_attention_kernels>();
}

}  // namespace breakeven::ops::cpu

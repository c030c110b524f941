#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "ops/cuda/cublas_lt.cuh"
#include "ops/cuda/packages.h"
#include "ops/cuda/runtime.h"

// A scale for each row and each column of a product came with 12.9.
#define BREAKEVEN_OUTER_SCALES (CUBLAS_VERSION >= 120900)

namespace breakeven::ops::cuda {
namespace {

static_assert(sizeof(GemmAlgorithm) == sizeof(cublasLtMatmulAlgo_t));

template <class Function>
bool find(void* handle, const char* symbol, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(handle, symbol));
  return function != nullptr;
}

CublasLtApi load() {
  CublasLtApi api;
  void* handle = nullptr;
  for (const std::string& file :
       cublas_lt_files(CUBLAS_VER_MAJOR, BREAKEVEN_CUDA_LIBRARIES, package_folders())) {
    api.tried += (api.tried.empty() ? "" : ", ") + file;
    handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) break;
  }
  if (handle == nullptr) {
    api.note = fmt::format("libcublasLt.so.{} cannot be loaded", CUBLAS_VER_MAJOR);
    return api;
  }
  api.loaded = find(handle, "cublasLtCreate", api.create) &&
               find(handle, "cublasLtDestroy", api.destroy) &&
               find(handle, "cublasLtGetVersion", api.version) &&
               find(handle, "cublasLtGetStatusString", api.status) &&
               find(handle, "cublasLtMatmul", api.matmul) &&
               find(handle, "cublasLtMatmulDescCreate", api.description_create) &&
               find(handle, "cublasLtMatmulDescDestroy", api.description_destroy) &&
               find(handle, "cublasLtMatmulDescSetAttribute", api.description_set) &&
               find(handle, "cublasLtMatrixLayoutCreate", api.layout_create) &&
               find(handle, "cublasLtMatrixLayoutDestroy", api.layout_destroy) &&
               find(handle, "cublasLtMatrixLayoutSetAttribute", api.layout_set) &&
               find(handle, "cublasLtMatmulPreferenceCreate", api.preference_create) &&
               find(handle, "cublasLtMatmulPreferenceDestroy", api.preference_destroy) &&
               find(handle, "cublasLtMatmulPreferenceSetAttribute", api.preference_set) &&
               find(handle, "cublasLtMatmulAlgoGetHeuristic", api.heuristic) &&
               find(handle, "cublasLtMatmulAlgoCheck", api.algorithm_check) &&
               find(handle, "cublasLtMatmulAlgoConfigGetAttribute", api.algorithm_get);
  if (api.loaded) {
    const std::size_t version = api.version();
    api.note =
        fmt::format("cublasLt {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
    api.outer_scales = BREAKEVEN_OUTER_SCALES && version >= 120900;
  } else {
    api.note = fmt::format("libcublasLt.so.{} lacks functions", CUBLAS_VER_MAJOR);
  }
  return api;
}

void check(const CublasLtApi& api, cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw DeviceFailure(fmt::format("{}: {}", what, api.status(status)));
}

cublasLtMatmulAlgo_t to_library(const GemmAlgorithm& algorithm) {
  cublasLtMatmulAlgo_t own;
  std::memcpy(&own, &algorithm, sizeof(own));
  return own;
}

// What the numbers of a call are called by the library.
struct Types {
  cudaDataType_t in = CUDA_R_32F;
  cudaDataType_t out = CUDA_R_32F;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cudaDataType_t scale = CUDA_R_32F;
};
Types types_of(const GemmCall& call) {
  switch (call.precision) {
    case Precision::fp16:
      return {.in = CUDA_R_16F, .out = CUDA_R_16F};
    case Precision::bf16:
      return {.in = CUDA_R_16BF, .out = CUDA_R_16BF};
    case Precision::int8:
      return {CUDA_R_8I, CUDA_R_32I, CUBLAS_COMPUTE_32I, CUDA_R_32I};
    // Without scale pointers, a tensor's scale is 1; without FAST_ACCUM, parts of sums that tensor
    // cores keep in fewer bits are added in fp32.
    case Precision::fp8:
      return {.in = CUDA_R_8F_E4M3, .out = call.row_scale == nullptr ? CUDA_R_16BF : CUDA_R_16F};
    case Precision::fp32x3:
      return {.in = CUDA_R_16F, .out = CUDA_R_32F};
    default:
      return {};
  }
}

}  // namespace

const CublasLtApi& cublas_lt() {
  static const CublasLtApi api = load();
  return api;
}

// Descriptions of one product; made for each call, which happens once a bucket with graphs.
struct CublasLt::Descriptions {
  Descriptions(const CublasLtApi& api_in, const GemmCall& call) : api(api_in) {
    const ColumnMajorGemm gemm = to_column_major(call);
    const Types types = types_of(call);
    check(api, api.description_create(&product, types.compute, types.scale),
          "cublasLtMatmulDescCreate");
    const cublasOperation_t first_operation = gemm.transpose_first ? CUBLAS_OP_T : CUBLAS_OP_N;
    set(CUBLASLT_MATMUL_DESC_TRANSA, first_operation);
    if (gemm.bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, gemm.bias);
      if (gemm.batch > 1) {
        set(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, static_cast<std::int64_t>(gemm.bias_stride));
      }
    }
#if BREAKEVEN_OUTER_SCALES
    if (gemm.first_scale != nullptr) {
      const auto mode = static_cast<std::int32_t>(CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F);
      set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, mode);
      set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, mode);
      set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, gemm.first_scale);
      set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, gemm.second_scale);
    }
#endif
    const std::size_t height = gemm.transpose_first ? gemm.k : gemm.m;
    const std::size_t width = gemm.transpose_first ? gemm.m : gemm.k;
    lay_out(first, types.in, height, width, gemm.first_ld, gemm.first_stride, gemm.batch);
    lay_out(second, types.in, gemm.k, gemm.n, gemm.second_ld, gemm.second_stride, gemm.batch);
    lay_out(out, types.out, gemm.m, gemm.n, gemm.out_ld, gemm.out_stride, gemm.batch);
  }
  Descriptions(const Descriptions&) = delete;
  Descriptions& operator=(const Descriptions&) = delete;
  ~Descriptions() {
    for (const cublasLtMatrixLayout_t layout : {first, second, out}) {
      if (layout != nullptr) api.layout_destroy(layout);
    }
    if (product != nullptr) api.description_destroy(product);
  }

  template <class V>
  void set(cublasLtMatmulDescAttributes_t attribute, const V& value) {
    check(api, api.description_set(product, attribute, &value, sizeof(value)),
          "cublasLtMatmulDescSetAttribute");
  }
  void lay_out(cublasLtMatrixLayout_t& layout, cudaDataType_t type, std::size_t rows,
               std::size_t columns, std::size_t ld, std::size_t stride, std::size_t batch) {
    check(api, api.layout_create(&layout, type, rows, columns, static_cast<std::int64_t>(ld)),
          "cublasLtMatrixLayoutCreate");
    if (batch == 1) return;
    const auto count = static_cast<std::int32_t>(batch);
    const auto step = static_cast<std::int64_t>(stride);
    check(api, api.layout_set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof(count)),
          "cublasLtMatrixLayoutSetAttribute");
    check(api,
          api.layout_set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof(step)),
          "cublasLtMatrixLayoutSetAttribute");
  }

  const CublasLtApi& api;
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t first = nullptr, second = nullptr, out = nullptr;
};

CublasLt::CublasLt() : api_(cublas_lt()) {
  check(api_, api_.create(&handle_), "cublasLtCreate");
}

CublasLt::~CublasLt() {
  api_.destroy(handle_);
}

std::vector<GemmAlgorithm> CublasLt::algorithms(const GemmCall& call, std::size_t workspace_bytes,
                                                std::size_t most) const {
  const Descriptions descriptions(api_, call);
  cublasLtMatmulPreference_t preference = nullptr;
  check(api_, api_.preference_create(&preference), "cublasLtMatmulPreferenceCreate");
  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    if (status != CUBLAS_STATUS_SUCCESS) return;
    status = api_.preference_set(preference, attribute, &value, sizeof(value));
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(workspace_bytes));
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  const auto bytes = static_cast<std::uint32_t>(alignment_of(call));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, bytes);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, bytes);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, bytes);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, bytes);
  constexpr std::size_t kMost = 32;
  cublasLtMatmulHeuristicResult_t proposals[kMost] = {};
  int found = 0;
  if (status == CUBLAS_STATUS_SUCCESS) {
    status = api_.heuristic(handle_, descriptions.product, descriptions.first, descriptions.second,
                            descriptions.out, descriptions.out, preference,
                            static_cast<int>(std::min(most, kMost)), proposals, &found);
  }
  api_.preference_destroy(preference);
  // With scales, what it cannot do it may call an invalid value.
  if (status == CUBLAS_STATUS_NOT_SUPPORTED ||
      (status != CUBLAS_STATUS_SUCCESS && call.row_scale != nullptr))
    return {};
  check(api_, status, "cublasLtMatmulAlgoGetHeuristic");
  std::vector<GemmAlgorithm> usable;
  for (int i = 0; i < found; ++i) {
    const cublasLtMatmulHeuristicResult_t& proposal = proposals[i];
    if (proposal.state != CUBLAS_STATUS_SUCCESS || proposal.workspaceSize > workspace_bytes) {
      continue;
    }
    GemmAlgorithm algorithm;
    std::memcpy(&algorithm, &proposal.algo, sizeof(algorithm));
    // The mask above only asks; this is what would run.
    std::uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_NONE;
    std::size_t written = 0;
    if (api_.algorithm_get(&proposal.algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &reduction,
                           sizeof(reduction), &written) == CUBLAS_STATUS_SUCCESS &&
        reduction != CUBLASLT_REDUCTION_SCHEME_NONE &&
        reduction != CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) {
      continue;
    }
    usable.push_back(algorithm);
  }
  return usable;
}

bool CublasLt::takes(const GemmCall& call, const GemmAlgorithm& algorithm,
                     std::size_t workspace_bytes) const {
  const Descriptions descriptions(api_, call);
  const cublasLtMatmulAlgo_t own = to_library(algorithm);
  cublasLtMatmulHeuristicResult_t result{};
  return api_.algorithm_check(handle_, descriptions.product, descriptions.first,
                              descriptions.second, descriptions.out, descriptions.out, &own,
                              &result) == CUBLAS_STATUS_SUCCESS &&
         result.workspaceSize <= workspace_bytes;
}

void CublasLt::multiply(const GemmCall& call, const GemmAlgorithm& algorithm, void* workspace,
                        std::size_t workspace_bytes, cudaStream_t stream) const {
  const Descriptions descriptions(api_, call);
  const cublasLtMatmulAlgo_t own = to_library(algorithm);
  // Of the scale's type: fp32, or s32 for int8. What halves' sums are multiplied with is not beta's
  // one: they have nothing to add.
  const float one = call.precision == Precision::fp32x3 ? 1 / kSplitLift : 1;
  const float zero = 0;
  const std::int32_t whole_one = 1;
  const std::int32_t whole_zero = 0;
  const bool whole = call.precision == Precision::int8;
  const void* alpha = whole ? static_cast<const void*>(&whole_one) : &one;
  const void* nothing = whole ? static_cast<const void*>(&whole_zero) : &zero;
  const bool adds = call.add != nullptr;
  check(api_,
        api_.matmul(handle_, descriptions.product, alpha, call.b, descriptions.first, call.a,
                    descriptions.second, adds ? alpha : nothing, adds ? call.add : call.out,
                    descriptions.out, call.out, descriptions.out, &own, workspace, workspace_bytes,
                    stream),
        "cublasLtMatmul");
}

}  // namespace breakeven::ops::cuda

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "ops/cuda/cublas_lt.cuh"
#include "ops/cuda/runtime.h"

namespace breakeven::ops::cuda {
namespace {

constexpr std::size_t kBestAlignment_bytes = 256;

std::vector<std::string> candidates() {
  const std::string name = fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR);
  std::vector<std::string> files;
  if (const char* file = std::getenv("BREAKEVEN_CUBLASLT")) return {file};
  files.push_back(name);
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) files.push_back((program.parent_path().parent_path() / "lib" / name).string());
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    if (const char* home = std::getenv(variable)) {
      files.push_back(fmt::format("{}/lib64/{}", home, name));
      files.push_back(fmt::format("{}/lib/{}", home, name));
    }
  }
  files.push_back(fmt::format("{}/{}", BREAKEVEN_CUDA_LIBRARIES, name));
  files.push_back("/usr/local/cuda/lib64/" + name);
  return files;
}

template <class Function>
bool find(void* handle, const char* symbol, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(handle, symbol));
  return function != nullptr;
}

CublasLtApi load() {
  CublasLtApi api;
  void* handle = nullptr;
  for (const std::string& file : candidates()) {
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
               find(handle, "cublasLtMatmulAlgoGetHeuristic", api.heuristic);
  if (api.loaded) {
    const std::size_t version = api.version();
    api.note =
        fmt::format("cublasLt {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
  } else {
    api.note = fmt::format("libcublasLt.so.{} lacks functions", CUBLAS_VER_MAJOR);
  }
  return api;
}

void check(const CublasLtApi& api, cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw DeviceFailure(fmt::format("{}: {}", what, api.status(status)));
}

std::size_t alignment_of(const void* at) {
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  if (address == 0) return kBestAlignment_bytes;
  return std::min<std::size_t>(address & (~address + 1), kBestAlignment_bytes);
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
    const cudaDataType_t type = call.precision == Precision::fp32   ? CUDA_R_32F
                                : call.precision == Precision::fp16 ? CUDA_R_16F
                                                                    : CUDA_R_16BF;
    check(api, api.description_create(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "cublasLtMatmulDescCreate");
    const cublasOperation_t first_operation = gemm.transpose_first ? CUBLAS_OP_T : CUBLAS_OP_N;
    set(CUBLASLT_MATMUL_DESC_TRANSA, first_operation);
    if (gemm.bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, gemm.bias);
      set(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, static_cast<std::int64_t>(gemm.bias_stride));
    }
    const std::size_t height = gemm.transpose_first ? gemm.k : gemm.m;
    const std::size_t width = gemm.transpose_first ? gemm.m : gemm.k;
    lay_out(first, type, height, width, gemm.first_ld, gemm.first_stride, gemm.batch);
    lay_out(second, type, gemm.k, gemm.n, gemm.second_ld, gemm.second_stride, gemm.batch);
    lay_out(out, type, gemm.m, gemm.n, gemm.out_ld, gemm.out_stride, gemm.batch);
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

cublasLtMatmulAlgo_t CublasLt::algorithm_for(const Key& key, const Descriptions& descriptions,
                                             std::size_t workspace_bytes, std::size_t alignment) {
  const std::lock_guard lock(mutex_);
  if (const auto known = algorithms_.find(key); known != algorithms_.end()) return known->second;
  cublasLtMatmulPreference_t preference = nullptr;
  check(api_, api_.preference_create(&preference), "cublasLtMatmulPreferenceCreate");
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    check(api_, api_.preference_set(preference, attribute, &value, sizeof(value)),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  const auto bytes = static_cast<std::uint32_t>(alignment);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, bytes);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, bytes);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, bytes);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, bytes);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  const cublasStatus_t status =
      api_.heuristic(handle_, descriptions.product, descriptions.first, descriptions.second,
                     descriptions.out, descriptions.out, preference, 1, &best, &found);
  api_.preference_destroy(preference);
  check(api_, status, "cublasLtMatmulAlgoGetHeuristic");
  if (found == 0) throw DeviceFailure("cublasLt knows no algorithm for a matrix product");
  algorithms_[key] = best.algo;
  return best.algo;
}

void CublasLt::multiply(const GemmCall& call, void* workspace, std::size_t workspace_bytes,
                        cudaStream_t stream) {
  const Descriptions descriptions(api_, call);
  const std::size_t alignment =
      std::min({alignment_of(call.a), alignment_of(call.b), alignment_of(call.out)});
  const Key key{call.precision, call.rows,  call.columns, call.depth,       call.batch,
                call.a_row,     call.b_row, call.out_row, call.b_in_by_out, call.bias != nullptr,
                alignment};
  const cublasLtMatmulAlgo_t algorithm =
      algorithm_for(key, descriptions, workspace_bytes, alignment);
  const float one = 1;
  const float zero = 0;
  check(api_,
        api_.matmul(handle_, descriptions.product, &one, call.b, descriptions.first, call.a,
                    descriptions.second, &zero, call.out, descriptions.out, call.out,
                    descriptions.out, &algorithm, workspace, workspace_bytes, stream),
        "cublasLtMatmul");
}

}  // namespace breakeven::ops::cuda

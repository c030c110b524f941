// The Runtime on CUDA. The runtime library is linked statically and cublasLt loaded when a device
// is first used, so that a program with this inside starts on a machine without either.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "base/units.h"
#include "ops/cuda/cublas_lt.cuh"
#include "ops/cuda/cuda_backend.h"
#include "ops/cuda/launch.cuh"
#include "ops/cuda/runtime.h"

namespace breakeven::ops::cuda {
namespace {

void check_cuda(cudaError_t error, const char* expression, int line) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // else a later call would return this error again
  throw DeviceFailure(fmt::format("{} (cuda_runtime.cu:{}): {}: {}", expression, line,
                                  cudaGetErrorName(error), cudaGetErrorString(error)));
}
#define BREAKEVEN_CUDA_CHECK(expression) check_cuda((expression), #expression, __LINE__)

// What the library's kernels and graphs take when they are first used, after a lane was made.
constexpr std::size_t kLoadedLater_bytes = std::size_t{128} << 20;

class CudaRuntime final : public Runtime {
 public:
  explicit CudaRuntime(int device) : device_(device) {
    use();
    cudaDeviceProp properties{};
    BREAKEVEN_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
    info_.name = properties.name;
    info_.major = properties.major;
    info_.minor = properties.minor;
    info_.memory_bytes = properties.totalGlobalMem;
    info_.multiprocessors = properties.multiProcessorCount;
    BREAKEVEN_CUDA_CHECK(cudaDriverGetVersion(&info_.driver));
    info_.gemm_library = cublas_lt().loaded;
    info_.gemm_note = cublas_lt().note;
    info_.scaled_gemm = cublas_lt().outer_scales && info_.major == 9;
    if (info_.gemm_library) gemm_ = std::make_unique<CublasLt>();
  }

  DeviceInfo info() const override { return info_; }
  void load_kernels(Precision precision) override {
    use();
    switch (precision) {
      case Precision::fp32:
      case Precision::fp32x3:
        return BREAKEVEN_CUDA_CHECK(cuda::load_kernels<float>());
      case Precision::bf16:
        return BREAKEVEN_CUDA_CHECK(cuda::load_kernels<Bf16>());
      case Precision::fp16:
      case Precision::int8:
      case Precision::fp8:
        return BREAKEVEN_CUDA_CHECK(cuda::load_kernels<Half>());
    }
  }
  std::size_t free_bytes() const override {
    use();
    std::size_t free = 0;
    std::size_t total = 0;
    BREAKEVEN_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    return free - std::min(free, kLoadedLater_bytes);
  }
  MemoryUse memory_use() const override {
    const std::lock_guard lock(mutex_);
    return use_;
  }

  Result<std::unique_ptr<Memory>> allocate(std::size_t bytes, Purpose purpose) override;
  Result<std::unique_ptr<Memory>> allocate_pinned(std::size_t bytes) override;
  std::unique_ptr<Stream> make_stream() override {
    use();
    auto stream = std::make_unique<CudaStream>();
    BREAKEVEN_CUDA_CHECK(cudaStreamCreateWithFlags(&stream->handle, cudaStreamNonBlocking));
    return stream;
  }
  std::unique_ptr<Event> make_event() override {
    use();
    auto event = std::make_unique<CudaEvent>();
    BREAKEVEN_CUDA_CHECK(cudaEventCreate(&event->handle));
    return event;
  }

  void copy_to_device(Stream& stream, void* to, const void* from, std::size_t bytes) override {
    use();
    BREAKEVEN_CUDA_CHECK(
        cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, handle_of(stream)));
  }
  void copy_to_host(Stream& stream, void* to, const void* from, std::size_t bytes) override {
    use();
    BREAKEVEN_CUDA_CHECK(
        cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, handle_of(stream)));
  }
  void fill_zero(Stream& stream, void* at, std::size_t bytes) override {
    use();
    BREAKEVEN_CUDA_CHECK(cudaMemsetAsync(at, 0, bytes, handle_of(stream)));
  }
  void launch(Stream& stream, const KernelCall& call) override {
    use();
    const auto queue = [&]<class... K>(const std::variant<K...>& kernel) {
      return launch_kernel<FormatOf<std::variant<K...>>>(kernel, call.grid, handle_of(stream));
    };
    BREAKEVEN_CUDA_CHECK(std::visit(queue, call.kernel));
  }
  std::vector<GemmAlgorithm> gemm_algorithms(const GemmCall& call, std::size_t workspace_bytes,
                                             std::size_t most) override {
    use();
    return gemm_->algorithms(call, workspace_bytes, most);
  }
  bool takes(const GemmCall& call, const GemmAlgorithm& algorithm,
             std::size_t workspace_bytes) override {
    use();
    return gemm_->takes(call, algorithm, workspace_bytes);
  }
  void multiply(Stream& stream, const GemmCall& call, const GemmAlgorithm& algorithm,
                const Memory& workspace) override {
    use();
    gemm_->multiply(call, algorithm, workspace.data, workspace.bytes, handle_of(stream));
  }
  void record(Event& event, Stream& stream) override {
    use();
    BREAKEVEN_CUDA_CHECK(cudaEventRecord(static_cast<CudaEvent&>(event).handle, handle_of(stream)));
  }
  void launch(Stream& stream, const Graph& graph) override {
    use();
    BREAKEVEN_CUDA_CHECK(
        cudaGraphLaunch(static_cast<const CudaGraph&>(graph).handle, handle_of(stream)));
  }
  // Of this thread only: other lanes may allocate meanwhile.
  void begin_capture(Stream& stream) override {
    use();
    BREAKEVEN_CUDA_CHECK(
        cudaStreamBeginCapture(handle_of(stream), cudaStreamCaptureModeThreadLocal));
  }
  std::unique_ptr<Graph> end_capture(Stream& stream) override {
    use();
    cudaGraph_t captured = nullptr;
    BREAKEVEN_CUDA_CHECK(cudaStreamEndCapture(handle_of(stream), &captured));
    auto graph = std::make_unique<CudaGraph>();
    const cudaError_t error = cudaGraphInstantiateWithFlags(&graph->handle, captured, 0);
    cudaGraphDestroy(captured);
    BREAKEVEN_CUDA_CHECK(error);
    return graph;
  }
  void drop_capture(Stream& stream) override {
    cudaGraph_t captured = nullptr;
    forget(cudaStreamEndCapture(handle_of(stream), &captured));  // none of a capture that broke
    if (captured != nullptr) forget(cudaGraphDestroy(captured));
  }
  void synchronise(Stream& stream) override {
    use();
    BREAKEVEN_CUDA_CHECK(cudaStreamSynchronize(handle_of(stream)));
  }
  double seconds_between(const Event& from, const Event& to) const override {
    use();
    float milliseconds = 0;
    BREAKEVEN_CUDA_CHECK(cudaEventElapsedTime(&milliseconds,
                                              static_cast<const CudaEvent&>(from).handle,
                                              static_cast<const CudaEvent&>(to).handle));
    return static_cast<double>(milliseconds) * 1e-3;
  }

 private:
  template <class Variant>
  using FormatOf =
      std::conditional_t<std::is_same_v<Variant, KernelOf<float>>, float,
                         std::conditional_t<std::is_same_v<Variant, KernelOf<Half>>, Half, Bf16>>;

  // Nothing here may throw, and a failure is ignored: after an error that lasts all of these fail.
  struct CudaStream final : Stream {
    cudaStream_t handle = nullptr;
    ~CudaStream() override {
      if (handle != nullptr) forget(cudaStreamDestroy(handle));
    }
  };
  struct CudaEvent final : Event {
    cudaEvent_t handle = nullptr;
    ~CudaEvent() override {
      if (handle != nullptr) forget(cudaEventDestroy(handle));
    }
  };
  struct CudaGraph final : Graph {
    cudaGraphExec_t handle = nullptr;
    ~CudaGraph() override {
      if (handle != nullptr) forget(cudaGraphExecDestroy(handle));
    }
  };
  struct DeviceMemory final : Memory {
    CudaRuntime* runtime = nullptr;
    Purpose purpose = Purpose::activations;
    ~DeviceMemory() override {
      if (data == nullptr) return;
      forget(cudaFree(data));  // of whichever device it is
      runtime->count(purpose, bytes, false);
    }
  };
  struct PinnedMemory final : Memory {
    ~PinnedMemory() override {
      if (data != nullptr) forget(cudaFreeHost(data));
    }
  };
  static void forget(cudaError_t error) {
    if (error != cudaSuccess) cudaGetLastError();
  }

  static cudaStream_t handle_of(Stream& stream) { return static_cast<CudaStream&>(stream).handle; }
  // CUDA's current device is a setting of each thread; lanes are driven by several.
  void use() const {
    thread_local int current = -1;
    if (current == device_) return;
    BREAKEVEN_CUDA_CHECK(cudaSetDevice(device_));
    current = device_;
  }
  void count(Purpose purpose, std::size_t bytes, bool taken) {
    const std::lock_guard lock(mutex_);
    std::size_t& part = purpose == Purpose::weights       ? use_.weights
                        : purpose == Purpose::activations ? use_.activations
                                                          : use_.library;
    part = taken ? part + bytes : part - bytes;
    use_.peak = std::max(use_.peak, use_.weights + use_.activations + use_.library);
  }

  int device_;
  DeviceInfo info_;
  std::unique_ptr<CublasLt> gemm_;
  mutable std::mutex mutex_;
  MemoryUse use_;
};

Result<std::unique_ptr<Runtime::Memory>> CudaRuntime::allocate(std::size_t bytes, Purpose purpose) {
  use();
  auto memory = std::make_unique<DeviceMemory>();
  memory->runtime = this;
  memory->purpose = purpose;
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not sticky: forget it
    return fail("ops/memory",
                fmt::format("{} of device memory, {} are free on {}",
                            format_bytes(static_cast<double>(bytes)),
                            format_bytes(static_cast<double>(free_bytes())), info_.name),
                "take a smaller batch, a smaller maximum length or a lower --precision");
  }
  BREAKEVEN_CUDA_CHECK(error);
  memory->data = static_cast<std::byte*>(data);
  memory->bytes = bytes;
  count(purpose, bytes, true);
  return std::unique_ptr<Memory>(std::move(memory));
}

Result<std::unique_ptr<Runtime::Memory>> CudaRuntime::allocate_pinned(std::size_t bytes) {
  use();
  auto memory = std::make_unique<PinnedMemory>();
  void* data = nullptr;
  const cudaError_t error = cudaHostAlloc(&data, bytes, cudaHostAllocDefault);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return fail("ops/memory",
                fmt::format("{} of pinned host memory", format_bytes(static_cast<double>(bytes))),
                "take a smaller batch");
  }
  BREAKEVEN_CUDA_CHECK(error);
  memory->data = static_cast<std::byte*>(data);
  memory->bytes = bytes;
  return std::unique_ptr<Memory>(std::move(memory));
}

}  // namespace

Result<std::shared_ptr<Runtime>> make_cuda_runtime(int device) {
  try {
    return std::shared_ptr<Runtime>(std::make_shared<CudaRuntime>(device));
  } catch (const DeviceFailure& failure) {
    cudaGetLastError();
    return fail("device/failed", fmt::format("cuda:{} cannot be used: {}", device, failure.what()),
                "see what `breakeven info` finds, and whether the driver is new enough");
  }
}

}  // namespace breakeven::ops::cuda

namespace breakeven::ops {

std::optional<Error> why_no_cuda_engine() {
  return std::nullopt;
}

}  // namespace breakeven::ops

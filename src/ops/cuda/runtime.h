// What the backend needs of a GPU, as few calls as possible: memory, streams, events, kernels,
// matrix products, graphs. cuda_runtime.cu implements it on CUDA; the tests implement it on the
// CPU, where kernels are executed lane by lane. So all that is above it is tested without a GPU.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/cuda/gemm_call.h"
#include "ops/cuda/kernels/call.h"
#include "ops/ops.h"

namespace breakeven::ops::cuda {

struct DeviceInfo {
  std::string name;  // "NVIDIA H100 80GB HBM3"
  int major = 0;     // compute capability
  int minor = 0;
  std::size_t memory_bytes = 0;
  bool gemm_library = false;  // cublasLt could be loaded
  std::string gemm_note{};    // its version, or why it could not
  // Whether the library may have fp8 products that know scales: which, it must be asked.
  bool scaled_gemm = false;
  int multiprocessors = 0;
  int driver = 0;  // newest CUDA that the driver supports, 13000 = 13.0
  bool at_least(int wanted_major, int wanted_minor) const {
    return major > wanted_major || (major == wanted_major && minor >= wanted_minor);
  }
};

// What a piece of device memory is for, so that the peak can be split.
enum class Purpose : std::uint8_t { weights, activations, library };

struct MemoryUse {
  std::size_t weights = 0;
  std::size_t activations = 0;
  std::size_t library = 0;
  std::size_t peak = 0;  // of their sum
};

class Runtime {
 public:
  // Handles release what they stand for.
  struct Stream {
    virtual ~Stream() = default;
  };
  struct Event {
    virtual ~Event() = default;
  };
  struct Graph {
    virtual ~Graph() = default;
  };
  struct Memory {
    virtual ~Memory() = default;
    std::byte* data = nullptr;
    std::size_t bytes = 0;
  };

  Runtime() = default;
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  virtual ~Runtime() = default;

  virtual DeviceInfo info() const = 0;
  // Makes the driver load the kernels of this precision's number format now, and not in a timed
  // pass. Those of other formats it loads when they are first launched. Throws DeviceFailure.
  virtual void load_kernels(Precision precision) = 0;

  // The library's proposals for a call, its best guess first, `most` at most: only such that give
  // the same bits each time. Empty when it cannot compute the call.
  virtual std::vector<GemmAlgorithm> gemm_algorithms(const GemmCall& call,
                                                     std::size_t workspace_bytes,
                                                     std::size_t most) = 0;
  // Whether the library still takes what it once proposed.
  virtual bool takes(const GemmCall& call, const GemmAlgorithm& algorithm,
                     std::size_t workspace_bytes) = 0;

  virtual std::size_t free_bytes() const = 0;
  virtual MemoryUse memory_use() const = 0;

  // 256-byte aligned, not initialised. Errors: ops/memory, with what was asked for and what is
  // free.
  virtual Result<std::unique_ptr<Memory>> allocate(std::size_t bytes, Purpose purpose) = 0;
  // Host memory that the device copies from and to directly, and that kernels may read and write
  // by the same address. Errors: ops/memory.
  virtual Result<std::unique_ptr<Memory>> allocate_pinned(std::size_t bytes) = 0;
  virtual std::unique_ptr<Stream> make_stream() = 0;
  virtual std::unique_ptr<Event> make_event() = 0;

  // All of these are queued on the stream and return at once; all throw DeviceFailure.
  virtual void copy_to_device(Stream& stream, void* to, const void* from, std::size_t bytes) = 0;
  virtual void copy_to_host(Stream& stream, void* to, const void* from, std::size_t bytes) = 0;
  virtual void fill_zero(Stream& stream, void* at, std::size_t bytes) = 0;
  virtual void launch(Stream& stream, const KernelCall& call) = 0;
  // By the library; info().gemm_library must hold. `workspace` is the caller's, one a stream.
  virtual void multiply(Stream& stream, const GemmCall& call, const GemmAlgorithm& algorithm,
                        const Memory& workspace) = 0;
  virtual void record(Event& event, Stream& stream) = 0;
  virtual void launch(Stream& stream, const Graph& graph) = 0;

  // Between the two, what is queued on the stream becomes a graph instead of being executed; no
  // allocation and no synchronisation may happen.
  virtual void begin_capture(Stream& stream) = 0;
  virtual std::unique_ptr<Graph> end_capture(Stream& stream) = 0;
  // Ends a capture in which something has failed; never throws.
  virtual void drop_capture(Stream& stream) = 0;

  // Blocks until all that is queued on the stream is done.
  virtual void synchronise(Stream& stream) = 0;
  // Between two events that the device has passed.
  virtual double seconds_between(const Event& from, const Event& to) const = 0;
};

}  // namespace breakeven::ops::cuda

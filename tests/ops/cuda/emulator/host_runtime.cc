#include "ops/cuda/emulator/host_runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/check.h"

namespace breakeven::emulator {

using ops::Precision;
using ops::cuda::Bf16;
using ops::cuda::ColumnMajorGemm;
using ops::cuda::GemmCall;
using ops::cuda::Half;
using ops::cuda::KernelCall;
using ops::cuda::Purpose;

struct HostRuntime::Queue final : Stream {
  std::deque<Action> actions;
  std::unique_ptr<Recording> capture;
  ~Queue() override;
};

struct HostRuntime::Mark final : Event {
  double at = -1;  // not passed yet
};

struct HostRuntime::Recording final : Graph {
  std::vector<Action> actions;
};

HostRuntime::Queue::~Queue() = default;

struct HostRuntime::DeviceBlock final : Memory {
  DeviceBlock(HostRuntime& owner, std::size_t size, Purpose why) : runtime(owner), purpose(why) {
    bytes = size;
    data = static_cast<std::byte*>(std::aligned_alloc(256, (size + 255) / 256 * 256));
    BREAKEVEN_CHECK(data != nullptr);
    runtime.shadow_.add(data, size,
                        why == Purpose::weights       ? "the weights' memory"
                        : why == Purpose::activations ? "the activations' memory"
                                                      : "the library's memory");
    runtime.used_ += size;
    runtime.use_of(purpose) += size;
    runtime.use_.peak = std::max(runtime.use_.peak, runtime.used_);
  }
  ~DeviceBlock() override {
    runtime.shadow_.remove(data);
    runtime.used_ -= bytes;
    runtime.use_of(purpose) -= bytes;
    std::free(data);
  }
  HostRuntime& runtime;
  Purpose purpose;
};

struct HostRuntime::PinnedBlock final : Memory {
  explicit PinnedBlock(std::size_t size) : storage(size) {
    data = storage.data();
    bytes = size;
  }
  std::vector<std::byte> storage;
};

HostRuntime::HostRuntime(HostDevice device)
    : device_(std::move(device)), shadow_(report_), executor_(shadow_, report_, device_.seed) {}

HostRuntime::~HostRuntime() {
  BREAKEVEN_CHECK(used_ == 0, "{} bytes of device memory outlive their runtime", used_);
}

ops::cuda::DeviceInfo HostRuntime::info() const {
  return {.name = "host executor",
          .major = device_.major,
          .minor = device_.minor,
          .memory_bytes = device_.memory_bytes,
          .gemm_library = device_.gemm_library,
          .gemm_note = device_.gemm_library ? "interpreted" : "switched off"};
}

std::size_t& HostRuntime::use_of(Purpose purpose) {
  switch (purpose) {
    case Purpose::weights:
      return use_.weights;
    case Purpose::activations:
      return use_.activations;
    case Purpose::library:
      break;
  }
  return use_.library;
}

Result<std::unique_ptr<ops::cuda::Runtime::Memory>> HostRuntime::allocate(std::size_t bytes,
                                                                          Purpose purpose) {
  if (capturing()) report_.add("capture: memory is allocated while a graph is captured");
  if (bytes > free_bytes()) {
    return fail("ops/memory",
                fmt::format("{} bytes of device memory, {} are free", bytes, free_bytes()));
  }
  return std::unique_ptr<Memory>(std::make_unique<DeviceBlock>(*this, bytes, purpose));
}

Result<std::unique_ptr<ops::cuda::Runtime::Memory>> HostRuntime::allocate_pinned(
    std::size_t bytes) {
  if (capturing()) report_.add("capture: memory is pinned while a graph is captured");
  return std::unique_ptr<Memory>(std::make_unique<PinnedBlock>(bytes));
}

std::unique_ptr<ops::cuda::Runtime::Stream> HostRuntime::make_stream() {
  return std::make_unique<Queue>();
}

std::unique_ptr<ops::cuda::Runtime::Event> HostRuntime::make_event() {
  return std::make_unique<Mark>();
}

void HostRuntime::push(Stream& stream, Action action) {
  auto& queue = static_cast<Queue&>(stream);
  if (queue.capture != nullptr) {
    queue.capture->actions.push_back(std::move(action));
  } else {
    queue.actions.push_back(std::move(action));
  }
}

void HostRuntime::copy_to_device(Stream& stream, void* to, const void* from, std::size_t bytes) {
  push(stream, [=, this] {
    shadow_.set_written(to, bytes, "a copy to the device");
    std::memcpy(to, from, bytes);
  });
}

void HostRuntime::copy_to_host(Stream& stream, void* to, const void* from, std::size_t bytes) {
  push(stream, [=, this] {
    shadow_.require_written(from, bytes, "a copy to the host");
    std::memcpy(to, from, bytes);
  });
}

void HostRuntime::fill_zero(Stream& stream, void* at, std::size_t bytes) {
  push(stream, [=, this] {
    shadow_.set_written(at, bytes, "a fill");
    std::memset(at, 0, bytes);
  });
}

void HostRuntime::launch(Stream& stream, const KernelCall& call) {
  constexpr std::size_t kMostBlocks = 65535;  // along y and z
  constexpr std::size_t kMostShared_bytes = 48 * 1024;
  const char* name = std::visit(
      [](const auto& kernels) {
        return std::visit([](const auto& kernel) { return &kernel.kName[0]; }, kernels);
      },
      call.kernel);
  if (call.grid.x == 0 || call.grid.y == 0 || call.grid.z == 0 || call.grid.y > kMostBlocks ||
      call.grid.z > kMostBlocks || call.grid.shared_bytes > kMostShared_bytes) {
    report_.add(fmt::format("launch: {} over {} x {} x {} blocks with {} bytes of shared memory",
                            name, call.grid.x, call.grid.y, call.grid.z, call.grid.shared_bytes));
    return;
  }
  if (!capturing()) {
    warm_.insert(name);
  } else if (!warm_.contains(name)) {
    report_.add(fmt::format("capture: {} is captured before it was loaded by a launch", name));
  }
  push(stream, [=, this] { execute(call); });
}

namespace {

// What a broken kernel does: its first output is off.
template <class Kernel>
constexpr bool kWritesContext = requires(const Kernel& kernel) {
  kernel.p.ctx;
};

}  // namespace

void HostRuntime::execute(const KernelCall& call) {
  std::visit(
      [&](const auto& kernels) {
        std::visit(
            [&](const auto& kernel) {
              executor_.run(call.grid, kernel.kThreads, kernel.kName,
                            [&kernel](EmulatedThread& thread) { kernel(thread); });
              if (device_.broken != kernel.kName) return;
              using KernelType = std::remove_cvref_t<decltype(kernel)>;
              if constexpr (kWritesContext<KernelType>) {
                std::memset(static_cast<void*>(kernel.p.ctx), 0x3C, 64);
              } else if constexpr (requires { kernel.x; }) {
                std::memset(const_cast<void*>(static_cast<const void*>(kernel.x)), 0x3C, 64);
              }
            },
            kernels);
      },
      call.kernel);
}

// What cublasLt asks of its operands.
void HostRuntime::check_gemm(const GemmCall& call) {
  const std::size_t size = call.precision == Precision::fp32 ? 4 : 2;
  const auto aligned = [&](const void* at, std::size_t row) {
    return reinterpret_cast<std::uintptr_t>(at) % 16 == 0 && row * size % 16 == 0;
  };
  if (!aligned(call.a, call.a_row) || !aligned(call.b, call.b_row) ||
      !aligned(call.out, call.out_row) || call.a_stride * size % 16 != 0 ||
      call.b_stride * size % 16 != 0 || call.out_stride * size % 16 != 0) {
    report_.add(fmt::format("gemm: {} x {} x {} is not 16-byte aligned", call.rows, call.columns,
                            call.depth));
  }
}

template <class T>
void multiply_column_major(const ColumnMajorGemm& gemm) {
  for (std::size_t batch = 0; batch < gemm.batch; ++batch) {
    const T* first = static_cast<const T*>(gemm.first) + batch * gemm.first_stride;
    const T* second = static_cast<const T*>(gemm.second) + batch * gemm.second_stride;
    const T* bias = gemm.bias == nullptr
                        ? nullptr
                        : static_cast<const T*>(gemm.bias) + batch * gemm.bias_stride;
    T* out = static_cast<T*>(gemm.out) + batch * gemm.out_stride;
    for (std::size_t n = 0; n < gemm.n; ++n) {
      for (std::size_t m = 0; m < gemm.m; ++m) {
        double sum = 0;
        for (std::size_t k = 0; k < gemm.k; ++k) {
          const T left =
              gemm.transpose_first ? first[k + m * gemm.first_ld] : first[m + k * gemm.first_ld];
          sum += static_cast<double>(ops::cuda::to_float(left)) *
                 static_cast<double>(ops::cuda::to_float(second[k + n * gemm.second_ld]));
        }
        if (bias != nullptr) sum += static_cast<double>(ops::cuda::to_float(bias[m]));
        out[m + n * gemm.out_ld] = ops::cuda::from_float<T>(static_cast<float>(sum));
      }
    }
  }
}
template void multiply_column_major<float>(const ColumnMajorGemm& gemm);
template void multiply_column_major<Half>(const ColumnMajorGemm& gemm);
template void multiply_column_major<Bf16>(const ColumnMajorGemm& gemm);

void HostRuntime::interpret(const GemmCall& call) {
  const ColumnMajorGemm gemm = to_column_major(call);
  const std::size_t size = call.precision == Precision::fp32 ? 4 : 2;
  const auto columns = [&](const void* at, std::size_t stride, std::size_t ld, std::size_t height,
                           std::size_t width, auto&& visit) {
    for (std::size_t b = 0; b < gemm.batch; ++b) {
      for (std::size_t c = 0; c < width; ++c) {
        visit(static_cast<const std::byte*>(at) + (b * stride + c * ld) * size, height * size);
      }
    }
  };
  const auto require = [&](const void* at, std::size_t bytes) {
    shadow_.require_written(at, bytes, "a matrix product");
  };
  columns(gemm.first, gemm.first_stride, gemm.first_ld, gemm.transpose_first ? gemm.k : gemm.m,
          gemm.transpose_first ? gemm.m : gemm.k, require);
  columns(gemm.second, gemm.second_stride, gemm.second_ld, gemm.k, gemm.n, require);
  if (gemm.bias != nullptr) columns(gemm.bias, gemm.bias_stride, 0, gemm.m, 1, require);
  columns(gemm.out, gemm.out_stride, gemm.out_ld, gemm.m, gemm.n,
          [&](const void* at, std::size_t bytes) {
            shadow_.set_written(at, bytes, "a matrix product");
          });
  if (!report_.findings.empty()) return;  // it might read or write anywhere
  switch (call.precision) {
    case Precision::fp32:
      multiply_column_major<float>(gemm);
      break;
    case Precision::fp16:
      multiply_column_major<Half>(gemm);
      break;
    case Precision::bf16:
      multiply_column_major<Bf16>(gemm);
      break;
    case Precision::int8:
      BREAKEVEN_CHECK(false, "no int8 here");
  }
  if (device_.broken == "gemm") std::memset(gemm.out, 0x3C, 16);
}

void HostRuntime::multiply(Stream& stream, const GemmCall& call, const Memory& workspace) {
  BREAKEVEN_CHECK(device_.gemm_library);
  if (workspace.data == nullptr) report_.add("gemm: no workspace");
  check_gemm(call);
  push(stream, [=, this] { interpret(call); });
}

void HostRuntime::record(Event& event, Stream& stream) {
  auto& mark = static_cast<Mark&>(event);
  mark.at = -1;
  push(stream, [&mark, this] { mark.at = clock_ += 1e-3; });
}

void HostRuntime::launch(Stream& stream, const Graph& graph) {
  if (capturing()) report_.add("capture: a graph is launched while another is captured");
  ++graph_launches_;
  const auto& recording = static_cast<const Recording&>(graph);
  push(stream, [&recording] {
    for (const Action& action : recording.actions) action();
  });
}

void HostRuntime::begin_capture(Stream& stream) {
  auto& queue = static_cast<Queue&>(stream);
  BREAKEVEN_CHECK(queue.capture == nullptr);
  queue.capture = std::make_unique<Recording>();
  ++captures_;
}

std::unique_ptr<ops::cuda::Runtime::Graph> HostRuntime::end_capture(Stream& stream) {
  auto& queue = static_cast<Queue&>(stream);
  BREAKEVEN_CHECK(queue.capture != nullptr);
  --captures_;
  return std::move(queue.capture);
}

void HostRuntime::synchronise(Stream& stream) {
  if (capturing()) report_.add("capture: somebody waits while a graph is captured");
  ++synchronisations_;
  auto& queue = static_cast<Queue&>(stream);
  while (!queue.actions.empty()) {
    const Action action = std::move(queue.actions.front());
    queue.actions.pop_front();
    action();
  }
}

double HostRuntime::seconds_between(const Event& from, const Event& to) const {
  const double begin = static_cast<const Mark&>(from).at;
  const double end = static_cast<const Mark&>(to).at;
  if (begin < 0 || end < 0) throw ops::DeviceFailure("an event that was not passed");
  return end - begin;
}

}  // namespace breakeven::emulator

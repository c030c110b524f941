#include "ops/cuda/emulator/host_runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "base/check.h"

namespace breakeven::emulator {

using ops::Precision;
using ops::cuda::Bf16;
using ops::cuda::ColumnMajorGemm;
using ops::cuda::E4m3;
using ops::cuda::GemmCall;
using ops::cuda::Half;
using ops::cuda::KernelCall;
using ops::cuda::Purpose;

namespace {

constexpr double kEvent_s = 1e-6;

}  // namespace

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
    const std::lock_guard lock(runtime.mutex_);
    runtime.shadow_.remove(data);
    runtime.used_ -= bytes;
    runtime.use_of(purpose) -= bytes;
    std::free(data);
  }
  HostRuntime& runtime;
  Purpose purpose;
};

struct HostRuntime::PinnedBlock final : Memory {
  PinnedBlock(HostRuntime& owner, std::size_t size) : runtime(owner), storage(size) {
    data = storage.data();
    bytes = size;
    runtime.shadow_.add(data, size, "the host's pinned memory");
  }
  ~PinnedBlock() override {
    const std::lock_guard lock(runtime.mutex_);
    runtime.shadow_.remove(data);
  }
  HostRuntime& runtime;
  std::vector<std::byte> storage;
};

HostRuntime::HostRuntime(HostDevice device)
    : device_(std::move(device)), shadow_(report_), executor_(shadow_, report_, device_.seed) {}

HostRuntime::~HostRuntime() {
  BREAKEVEN_CHECK(used_ == 0, "{} bytes of device memory outlive their runtime", used_);
}

ops::cuda::DeviceInfo HostRuntime::info() const {
  return {.name = device_.name,
          .major = device_.major,
          .minor = device_.minor,
          .memory_bytes = device_.memory_bytes,
          .gemm_library = device_.gemm_library,
          .gemm_note = device_.gemm_library ? "interpreted" : "switched off",
          .scaled_gemm = device_.gemm_library && device_.major == 9,
          .multiprocessors = 1,
          .driver = 13000};
}

void HostRuntime::require_alive() const {
  if (launches_ > device_.fails_after) throw ops::DeviceFailure(device_.name + " has fallen off");
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
  const std::lock_guard lock(mutex_);
  if (capturing()) report_.add("capture: memory is allocated while a graph is captured");
  if (bytes > free_bytes()) {
    return fail("ops/memory",
                fmt::format("{} bytes of device memory, {} are free", bytes, free_bytes()));
  }
  return std::unique_ptr<Memory>(std::make_unique<DeviceBlock>(*this, bytes, purpose));
}

Result<std::unique_ptr<ops::cuda::Runtime::Memory>> HostRuntime::allocate_pinned(
    std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (capturing()) report_.add("capture: memory is pinned while a graph is captured");
  return std::unique_ptr<Memory>(std::make_unique<PinnedBlock>(*this, bytes));
}

std::unique_ptr<ops::cuda::Runtime::Stream> HostRuntime::make_stream() {
  return std::make_unique<Queue>();
}

std::unique_ptr<ops::cuda::Runtime::Event> HostRuntime::make_event() {
  return std::make_unique<Mark>();
}

void HostRuntime::push(Stream& stream, Action action) {
  const std::lock_guard lock(mutex_);
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
  ++copies_to_host_;
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
  const std::lock_guard lock(mutex_);
  ++launches_;
  require_alive();
  constexpr std::size_t kMostBlocks = 65535;  // along y and z
  constexpr std::size_t kMostShared_bytes = 48 * 1024;
  const char* name = std::visit(
      [](const auto& kernels) {
        return std::visit([](const auto& kernel) { return &kernel.kName[0]; }, kernels);
      },
      call.kernel);
  if (refused_ == name) throw ops::DeviceFailure(std::string(name) + " is refused");
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
              if constexpr (requires { kernel.out.values; }) {
                std::memset(kernel.out.values, 0x3C, 64);
              } else if constexpr (kWritesContext<KernelType>) {
                std::memset(static_cast<void*>(kernel.p.ctx), 0x3C, 64);
              } else if constexpr (requires { kernel.p.mix; }) {
                std::memset(static_cast<void*>(kernel.p.mix), 0x3C, 64);
              } else if constexpr (requires { kernel.narrow.x; }) {
                std::memset(static_cast<void*>(kernel.narrow.x), 0x3C, 64);
              } else if constexpr (requires { kernel.norm.x; }) {
                std::memset(static_cast<void*>(kernel.norm.x), 0x3C, 64);
              } else if constexpr (requires { kernel.post.x; }) {
                std::memset(static_cast<void*>(kernel.post.x), 0x3C, 64);
              } else if constexpr (requires { kernel.qkv; }) {
                std::memset(static_cast<void*>(kernel.qkv), 0x3C, 64);
              } else if constexpr (requires { *kernel.out; }) {
                std::memset(static_cast<void*>(kernel.out), 0x3C, 64);
              } else if constexpr (requires { kernel.x; }) {
                std::memset(const_cast<void*>(static_cast<const void*>(kernel.x)), 0x3C, 64);
              }
            },
            kernels);
      },
      call.kernel);
}

namespace {

bool is_coded(Precision precision) {
  return precision == Precision::int8 || precision == Precision::fp8;
}
std::size_t input_size(Precision precision) {
  if (is_coded(precision)) return 1;
  return precision == Precision::fp32 ? 4 : 2;  // fp32x3: halves
}
std::size_t output_size(Precision precision) {
  if (precision == Precision::fp8) return 2;
  if (precision == Precision::int8 || precision == Precision::fp32x3) return 4;
  return input_size(precision);
}

}  // namespace

// What cublasLt asks of its operands.
void HostRuntime::check_gemm(const GemmCall& call) {
  const std::size_t size = input_size(call.precision);
  const std::size_t out_size = output_size(call.precision);
  const auto aligned = [](const void* at, std::size_t row, std::size_t stride, std::size_t bytes) {
    return reinterpret_cast<std::uintptr_t>(at) % 16 == 0 && row * bytes % 16 == 0 &&
           stride * bytes % 16 == 0;
  };
  if (!aligned(call.a, call.a_row, call.a_stride, size) ||
      !aligned(call.b, call.b_row, call.b_stride, size) ||
      !aligned(call.out, call.out_row, call.out_stride, out_size) ||
      !aligned(call.add, call.out_row, call.out_stride, out_size)) {
    report_.add(fmt::format("gemm: {} x {} x {} is not 16-byte aligned", call.rows, call.columns,
                            call.depth));
  }
  // The library takes C in D's place, but a product that is measured is made several times.
  if (call.add == call.out) report_.add("gemm: what is added is overwritten");
  // Of its int8 kernels for plain layouts: weights transposed, m and k multiples of 4, no epilogue.
  if (call.precision == Precision::int8 &&
      (call.b_in_by_out || call.bias != nullptr || call.add != nullptr || call.columns % 4 != 0 ||
       call.depth % 4 != 0)) {
    report_.add("gemm: not a product that the library has for int8");
  }
  if ((call.row_scale == nullptr) != (call.column_scale == nullptr)) {
    report_.add("gemm: one scale without the other");
  }
  if (call.row_scale != nullptr &&
      (call.precision != Precision::fp8 || call.batch != 1 || !info().scaled_gemm)) {
    report_.add("gemm: scales where the library takes none");
  }
  // Of its fp8 kernels: weights transposed, m and k as wide as 16 bytes, GPUs that have e4m3.
  if (call.precision != Precision::fp8) return;
  if (call.b_in_by_out || call.columns % 16 != 0 || call.depth % 16 != 0) {
    report_.add("gemm: not a product that the library has for fp8");
  }
  if (!info().at_least(8, 9)) report_.add("gemm: fp8 on a GPU without e4m3");
}

template <class T, class Out>
void multiply_column_major(const ColumnMajorGemm& gemm, double scale) {
  for (std::size_t batch = 0; batch < gemm.batch; ++batch) {
    const T* first = static_cast<const T*>(gemm.first) + batch * gemm.first_stride;
    const T* second = static_cast<const T*>(gemm.second) + batch * gemm.second_stride;
    const Out* bias = gemm.bias == nullptr
                          ? nullptr
                          : static_cast<const Out*>(gemm.bias) + batch * gemm.bias_stride;
    const Out* add =
        gemm.add == nullptr ? nullptr : static_cast<const Out*>(gemm.add) + batch * gemm.out_stride;
    Out* out = static_cast<Out*>(gemm.out) + batch * gemm.out_stride;
    for (std::size_t n = 0; n < gemm.n; ++n) {
      for (std::size_t m = 0; m < gemm.m; ++m) {
        double sum = 0;
        for (std::size_t k = 0; k < gemm.k; ++k) {
          const T left =
              gemm.transpose_first ? first[k + m * gemm.first_ld] : first[m + k * gemm.first_ld];
          sum += static_cast<double>(ops::cuda::to_float(left)) *
                 static_cast<double>(ops::cuda::to_float(second[k + n * gemm.second_ld]));
        }
        sum *= scale;
        if (gemm.first_scale != nullptr) {
          sum *=
              static_cast<double>(gemm.first_scale[m]) * static_cast<double>(gemm.second_scale[n]);
        }
        if (bias != nullptr) sum += static_cast<double>(ops::cuda::to_float(bias[m]));
        if (add != nullptr)
          sum += static_cast<double>(ops::cuda::to_float(add[m + n * gemm.out_ld]));
        out[m + n * gemm.out_ld] = ops::cuda::from_float<Out>(static_cast<float>(sum));
      }
    }
  }
}
// The same in whole numbers.
static void multiply_column_major_int8(const ColumnMajorGemm& gemm) {
  BREAKEVEN_CHECK(gemm.transpose_first && gemm.bias == nullptr);
  for (std::size_t batch = 0; batch < gemm.batch; ++batch) {
    const auto* first = static_cast<const std::int8_t*>(gemm.first) + batch * gemm.first_stride;
    const auto* second = static_cast<const std::int8_t*>(gemm.second) + batch * gemm.second_stride;
    auto* out = static_cast<std::int32_t*>(gemm.out) + batch * gemm.out_stride;
    for (std::size_t n = 0; n < gemm.n; ++n) {
      for (std::size_t m = 0; m < gemm.m; ++m) {
        std::int32_t sum = 0;
        for (std::size_t k = 0; k < gemm.k; ++k) {
          sum += std::int32_t{first[k + m * gemm.first_ld]} * second[k + n * gemm.second_ld];
        }
        out[m + n * gemm.out_ld] = sum;
      }
    }
  }
}

template void multiply_column_major<float>(const ColumnMajorGemm& gemm, double scale);
template void multiply_column_major<Half>(const ColumnMajorGemm& gemm, double scale);
template void multiply_column_major<Half, float>(const ColumnMajorGemm& gemm, double scale);
template void multiply_column_major<Bf16>(const ColumnMajorGemm& gemm, double scale);
template void multiply_column_major<E4m3, Bf16>(const ColumnMajorGemm& gemm, double scale);
template void multiply_column_major<E4m3, Half>(const ColumnMajorGemm& gemm, double scale);

void HostRuntime::interpret(const GemmCall& call) {
  const ColumnMajorGemm gemm = to_column_major(call);
  const std::size_t in_size = input_size(call.precision);
  const auto columns = [&](const void* at, std::size_t size, std::size_t stride, std::size_t ld,
                           std::size_t height, std::size_t width, auto&& visit) {
    for (std::size_t b = 0; b < gemm.batch; ++b) {
      for (std::size_t c = 0; c < width; ++c) {
        visit(static_cast<const std::byte*>(at) + (b * stride + c * ld) * size, height * size);
      }
    }
  };
  const auto require = [&](const void* at, std::size_t bytes) {
    shadow_.require_written(at, bytes, "a matrix product");
  };
  columns(gemm.first, in_size, gemm.first_stride, gemm.first_ld,
          gemm.transpose_first ? gemm.k : gemm.m, gemm.transpose_first ? gemm.m : gemm.k, require);
  columns(gemm.second, in_size, gemm.second_stride, gemm.second_ld, gemm.k, gemm.n, require);
  if (gemm.bias != nullptr)
    columns(gemm.bias, output_size(call.precision), gemm.bias_stride, 0, gemm.m, 1, require);
  if (gemm.first_scale != nullptr) require(gemm.first_scale, gemm.m * sizeof(float));
  if (gemm.second_scale != nullptr) require(gemm.second_scale, gemm.n * sizeof(float));
  if (gemm.add != nullptr) {
    columns(gemm.add, output_size(call.precision), gemm.out_stride, gemm.out_ld, gemm.m, gemm.n,
            require);
  }
  columns(gemm.out, output_size(call.precision), gemm.out_stride, gemm.out_ld, gemm.m, gemm.n,
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
      multiply_column_major_int8(gemm);
      break;
    case Precision::fp8:
      if (gemm.first_scale == nullptr) {
        multiply_column_major<E4m3, Bf16>(gemm);
      } else {
        multiply_column_major<E4m3, Half>(gemm);
      }
      break;
    case Precision::fp32x3:
      multiply_column_major<Half, float>(gemm, 1.0 / static_cast<double>(ops::cuda::kSplitLift));
      break;
  }
  if (device_.broken == "gemm" || (device_.broken == "residual gemm" && gemm.add != nullptr) ||
      (device_.broken == "scaled gemm" && gemm.first_scale != nullptr)) {
    std::memset(gemm.out, 0x3C, 16);
  }
}

std::vector<ops::cuda::GemmAlgorithm> HostRuntime::gemm_algorithms(const GemmCall& call,
                                                                   std::size_t /*workspace_bytes*/,
                                                                   std::size_t most) {
  std::vector<ops::cuda::GemmAlgorithm> algorithms;
  if (call.row_scale != nullptr && !device_.has_scaled_gemm) return algorithms;
  for (std::size_t i = 0; i < std::min(most, device_.gemm_seconds.size()); ++i) {
    algorithms.push_back({{i, 0xF00D}});
  }
  return algorithms;
}

bool HostRuntime::takes(const GemmCall& /*call*/, const ops::cuda::GemmAlgorithm& algorithm,
                        std::size_t /*workspace_bytes*/) {
  return algorithm.code[1] == 0xF00D && algorithm.code[0] < device_.gemm_seconds.size();
}

void HostRuntime::multiply(Stream& stream, const GemmCall& call,
                           const ops::cuda::GemmAlgorithm& algorithm, const Memory& workspace) {
  const std::lock_guard lock(mutex_);
  BREAKEVEN_CHECK(device_.gemm_library);
  if (workspace.data == nullptr) report_.add("gemm: no workspace");
  const double seconds = device_.gemm_seconds.at(algorithm.code[0]);
  if (seconds < 0) throw ops::DeviceFailure("this algorithm is not supported");
  ++products_;
  last_algorithm_ = algorithm.code[0];
  check_gemm(call);
  push(stream, [=, this] {
    interpret(call);
    clock_ += seconds;
  });
}

void HostRuntime::record(Event& event, Stream& stream) {
  auto& mark = static_cast<Mark&>(event);
  mark.at = -1;
  push(stream, [&mark, this] { mark.at = clock_ += kEvent_s; });
}

void HostRuntime::launch(Stream& stream, const Graph& graph) {
  const std::lock_guard lock(mutex_);
  ++launches_;
  require_alive();
  if (capturing()) report_.add("capture: a graph is launched while another is captured");
  ++graph_launches_;
  const auto& recording = static_cast<const Recording&>(graph);
  push(stream, [&recording] {
    for (const Action& action : recording.actions) action();
  });
}

void HostRuntime::begin_capture(Stream& stream) {
  const std::lock_guard lock(mutex_);
  auto& queue = static_cast<Queue&>(stream);
  BREAKEVEN_CHECK(queue.capture == nullptr);
  queue.capture = std::make_unique<Recording>();
  captures_.insert(std::this_thread::get_id());
}

std::unique_ptr<ops::cuda::Runtime::Graph> HostRuntime::end_capture(Stream& stream) {
  const std::lock_guard lock(mutex_);
  auto& queue = static_cast<Queue&>(stream);
  BREAKEVEN_CHECK(queue.capture != nullptr);
  captures_.erase(std::this_thread::get_id());
  return std::move(queue.capture);
}

void HostRuntime::drop_capture(Stream& stream) {
  const std::lock_guard lock(mutex_);
  auto& queue = static_cast<Queue&>(stream);
  BREAKEVEN_CHECK(queue.capture != nullptr);
  captures_.erase(std::this_thread::get_id());
  queue.capture.reset();
}

void HostRuntime::synchronise(Stream& stream) {
  if (device_.synchronise_s > 0) {
    std::this_thread::sleep_for(std::chrono::duration<double>(device_.synchronise_s));
  }
  const std::lock_guard lock(mutex_);
  require_alive();
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

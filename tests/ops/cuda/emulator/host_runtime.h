// A Runtime on the CPU: kernels go to the BlockExecutor, matrix products are interpreted in the
// words of BLAS, and streams really are queues: nothing happens before somebody waits, so that
// whoever reads too early reads the wrong thing. Breaches of CUDA's rules become findings. Several
// threads may use it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ops/cuda/emulator/block.h"
#include "ops/cuda/runtime.h"

namespace breakeven::emulator {

struct HostDevice {
  int major = 8;
  int minor = 0;
  std::size_t memory_bytes = std::size_t{1} << 30;
  bool gemm_library = true;
  std::uint32_t seed = 1;
  std::string broken{};         // a kernel of this name gives wrong results; "gemm": the library;
                                // "residual gemm": where it adds; "scaled gemm": where it scales
  bool has_scaled_gemm = true;  // the library finds one, where it may have one (sm_90)
  // Seconds that the library's algorithms take, in the order in which it proposes them; a negative
  // time is one that is refused when it is run.
  std::vector<double> gemm_seconds{1e-6};
  std::string driver_refuses{};        // launches of this kernel fail
  std::size_t fails_after = SIZE_MAX;  // launches; from then on everything fails, as a lost device
  std::string name = "host executor";
  double synchronise_s = 0;  // a slow device: what every wait takes longer
};

// The product as the library would compute it: column-major, one value at a time, sums in double,
// times `scale`.
template <class T, class Out = T>
void multiply_column_major(const ops::cuda::ColumnMajorGemm& gemm, double scale = 1);

class HostRuntime final : public ops::cuda::Runtime {
 public:
  explicit HostRuntime(HostDevice device = {});
  ~HostRuntime() override;

  const Report& report() const { return report_; }
  // From now on launches of this kernel fail, which the device survives; "" for none.
  void refuse(const std::string& kernel) { refused_ = kernel; }
  const std::set<ops::Precision>& loaded() const { return loaded_; }
  // Kernels and graphs.
  std::size_t launches() const { return launches_; }
  std::size_t graph_launches() const { return graph_launches_; }
  std::size_t synchronisations() const { return synchronisations_; }
  std::size_t copies_to_host() const { return copies_to_host_; }
  std::size_t products() const { return products_; }  // queued, not counting replays
  // Of the last product.
  std::size_t last_algorithm() const { return last_algorithm_; }

  ops::cuda::DeviceInfo info() const override;
  void load_kernels(ops::Precision precision) override { loaded_.insert(precision); }
  std::size_t free_bytes() const override {
    const std::lock_guard lock(mutex_);
    return device_.memory_bytes - used_;
  }
  ops::cuda::MemoryUse memory_use() const override {
    const std::lock_guard lock(mutex_);
    return use_;
  }
  Result<std::unique_ptr<Memory>> allocate(std::size_t bytes, ops::cuda::Purpose purpose) override;
  Result<std::unique_ptr<Memory>> allocate_pinned(std::size_t bytes) override;
  std::unique_ptr<Stream> make_stream() override;
  std::unique_ptr<Event> make_event() override;
  void copy_to_device(Stream& stream, void* to, const void* from, std::size_t bytes) override;
  void copy_to_host(Stream& stream, void* to, const void* from, std::size_t bytes) override;
  void fill_zero(Stream& stream, void* at, std::size_t bytes) override;
  void launch(Stream& stream, const ops::cuda::KernelCall& call) override;
  std::vector<ops::cuda::GemmAlgorithm> gemm_algorithms(const ops::cuda::GemmCall& call,
                                                        std::size_t workspace_bytes,
                                                        std::size_t most) override;
  bool takes(const ops::cuda::GemmCall& call, const ops::cuda::GemmAlgorithm& algorithm,
             std::size_t workspace_bytes) override;
  void multiply(Stream& stream, const ops::cuda::GemmCall& call,
                const ops::cuda::GemmAlgorithm& algorithm, const Memory& workspace) override;
  void record(Event& event, Stream& stream) override;
  void launch(Stream& stream, const Graph& graph) override;
  void begin_capture(Stream& stream) override;
  std::unique_ptr<Graph> end_capture(Stream& stream) override;
  void drop_capture(Stream& stream) override;
  void synchronise(Stream& stream) override;
  double seconds_between(const Event& from, const Event& to) const override;

 private:
  using Action = std::function<void()>;
  struct Queue;
  struct Mark;
  struct Recording;
  struct DeviceBlock;
  struct PinnedBlock;

  void push(Stream& stream, Action action);
  void execute(const ops::cuda::KernelCall& call);
  void check_gemm(const ops::cuda::GemmCall& call);
  void interpret(const ops::cuda::GemmCall& call);
  // By this thread: captures are thread-local.
  bool capturing() const { return captures_.contains(std::this_thread::get_id()); }
  void require_alive() const;
  std::size_t& use_of(ops::cuda::Purpose purpose);

  HostDevice device_;
  Report report_;
  Shadow shadow_;
  BlockExecutor executor_;
  ops::cuda::MemoryUse use_;
  std::size_t used_ = 0;
  mutable std::recursive_mutex mutex_;
  std::set<std::thread::id> captures_;
  std::size_t graph_launches_ = 0;
  std::size_t synchronisations_ = 0;
  std::size_t copies_to_host_ = 0;
  std::size_t products_ = 0;
  std::size_t last_algorithm_ = 0;
  std::size_t launches_ = 0;
  std::string refused_;
  std::set<ops::Precision> loaded_;
  double clock_ = 0;
  std::set<std::string> warm_;  // kernels that ran outside of a capture
};

}  // namespace breakeven::emulator

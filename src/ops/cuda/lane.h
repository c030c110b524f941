// A lane of the CUDA backend: a stream, one block of device memory for every activation, pinned
// buffers at fixed addresses, and the graphs of the buckets that it has seen.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "ops/cuda/buckets.h"
#include "ops/cuda/packed_model.h"
#include "ops/cuda/runtime.h"
#include "ops/ops.h"

namespace breakeven::ops::cuda {

// What a pass needs to know of its group, one after the other so that one copy brings it to the
// device. Sequences and tiles of the bucket beyond the group stand at row 0 and write nothing.
struct GroupInput {
  AttentionTile* tiles = nullptr;     // [tiles_of(bucket)]
  std::int32_t* ids = nullptr;        // [T]
  std::int32_t* places = nullptr;     // [T] row of the position table
  std::int32_t* kinds = nullptr;      // [T] token type
  std::int32_t* first_row = nullptr;  // [B]
  std::int32_t* valid = nullptr;      // [B]
};
// The same layout on the device and in pinned memory.
GroupInput input_at(std::byte* base, const Bucket& bucket);
std::size_t input_bytes(const Bucket& bucket);
// Writes a group, padded to its bucket.
void write_input(const Batch& batch, std::int32_t uncounted_id, const Bucket& bucket,
                 const GroupInput& to);

// cublasLt's scratch: what its fastest kernels ask for on this architecture.
std::size_t workspace_bytes(int major);

// int8 and fp8: rows that go through a product and the kernel after it before the next ones do, so
// that the sums, four or two bytes a value and more values than any other activation, stay few.
inline constexpr std::size_t kQuantisedChunk = 4096;

// What they have beside the activations of T; of a chunk.
struct QuantisedScratch {
  void* sums = nullptr;  // [chunk, the most columns of a product]: s32, or bf16 of e4m3
  QuantisedRows inner;   // [chunk, max(H, F)]: the FFN's hidden layer, or context rows
};

template <class T>
struct Activations {
  using R = ResidualOf<T>;
  T* x = nullptr;               // [T, H]
  R* residual = nullptr;        // [T, H], or null where x itself is the residual stream
  float* stream = nullptr;      // [T, H]: the residual stream where norms stand before the blocks
  T* ctx = nullptr;             // [T, H]; later the FFN's second GEMM's result
  T* wide = nullptr;            // [T, ModelShape::wide()]: qkv, projections, the FFN's hidden layer
  std::size_t wide_values = 0;  // of the largest bucket
  T* x_cls = nullptr;           // [B, H]
  R* residual_cls = nullptr;
  float* stream_cls = nullptr;
  T* query_cls = nullptr;  // [B, H]
  T* keys_cls = nullptr;   // [B, N, H]
  T* mix_cls = nullptr;    // [B, N, H]
  T* ctx_cls = nullptr;    // [B, H]
  float* logits = nullptr;
  std::byte* input = nullptr;
  QuantisedRows quantised, quantised_cls;  // x and x_cls once more
  QuantisedScratch scratch;
  SplitHalf* split_x = nullptr;      // [max(T, B), 3 H]: x or x_cls by halves, for fp32x3
  SplitHalf* split_inner = nullptr;  // [max(T, B), 3 max(H, F)]: ctx, or the FFN's hidden layer
  void lay_out(Arena& arena, const ModelShape& shape, const Bucket& bucket);
};

template <class T>
class DeviceLane final : public Lane {
 public:
  // Errors: ops/memory.
  static Result<std::unique_ptr<DeviceLane>> make(std::shared_ptr<const DeviceModel<T>> model,
                                                  const LaneLimits& limits,
                                                  const std::shared_ptr<Runtime>& runtime);
  static std::size_t bytes(const ModelShape& shape, const LaneLimits& limits, int major);
  // Waits for what a failed pass may have left on its way from and to pinned memory.
  ~DeviceLane() override;
  std::size_t activation_bytes() const override { return memory_->bytes; }

  // `wide_tiles`: whether attention tiles may have 128 rows (bucket_for).
  void upload(const Batch& batch, bool wide_tiles);
  // Runs body eagerly the first time that a bucket is seen, so that kernels are loaded and GEMM
  // algorithms chosen; captures it the second time; replays the graph from then on. True when the
  // bucket was new.
  // `pinned_logits`: logits() may be the host's.
  bool run(const std::function<void()>& body, bool graphs, bool pinned_logits);
  std::span<const float> wait();
  DeviceSeconds seconds() const;
  // Copies what the device has at `from` to the host, now. Not while a graph is captured.
  void read(const void* from, void* to, std::size_t bytes);

  const DeviceModel<T>& model() const { return *model_; }
  Runtime& runtime() const { return *runtime_; }
  Runtime::Stream& stream() const { return *stream_; }
  const Runtime::Memory& workspace() const { return *workspace_; }
  const Bucket& bucket() const { return bucket_; }
  const Activations<T>& act() const { return act_; }
  // Where the head writes: the device's own memory, or, while rows are few, the host's, which saves
  // a copy of a few bytes that takes longer than they do.
  float* logits() const { return writes_to_host_ ? host_logits() : act_.logits; }
  GroupInput input() const { return input_at(act_.input, bucket_); }
  bool capturing() const { return capturing_; }
  std::size_t rows() const { return rows_; }
  std::size_t sequences() const { return sequences_; }

 private:
  // Graphs of the buckets seen so far; an entry without a graph was run eagerly.
  static constexpr std::size_t kMostGraphs = 256;
  struct Known {
    std::unique_ptr<Runtime::Graph> graph;
    std::uint64_t last_used = 0;
  };
  float* host_logits() const { return reinterpret_cast<float*>(pinned_logits_->data); }
  void forget_oldest();
  std::unique_ptr<Runtime::Graph> capture(const std::function<void()>& body);

  std::shared_ptr<Runtime> runtime_;  // outlives all below
  std::shared_ptr<const DeviceModel<T>> model_;
  LaneLimits limits_;
  std::unique_ptr<Runtime::Stream> stream_;
  std::unique_ptr<Runtime::Event> begin_, uploaded_, computed_, downloaded_;
  std::unique_ptr<Runtime::Memory> memory_, workspace_, pinned_input_, pinned_logits_;
  Activations<T> act_;
  Bucket bucket_;
  std::size_t rows_ = 0;
  std::size_t sequences_ = 0;
  bool capturing_ = false;
  bool writes_to_host_ = false;
  std::uint64_t passes_ = 0;
  std::map<Bucket, Known> known_;
};

}  // namespace breakeven::ops::cuda

// A model's weights in device memory: matrices and tables in the backend's number format as the
// file has them ([out, in], row-major), queries, keys and values as one matrix; norms, the biases
// that kernels add and the classifier in fp32.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "ops/cuda/arena.h"
#include "ops/cuda/model_shape.h"
#include "ops/cuda/runtime.h"

namespace breakeven::ops::cuda {

class Uploader;

struct Norm {
  float* gamma = nullptr;
  float* beta = nullptr;
  float eps = 0;
  NormParameters parameters() const { return {gamma, beta, eps}; }
};

// A matrix of codes with a scale for each output column, and for each block of its depth where it
// has several (kernels/quantised.h).
struct QuantisedLinear {
  std::uint8_t* weight = nullptr;  // [out, in], the bits of s8 or e4m3
  float* scale = nullptr;          // [blocks, out]
  std::int32_t* sum = nullptr;     // [blocks, out] of a column's s8 weights; null for e4m3
  float* bias = nullptr;           // [out]
};

// Where products are of codes or halves, the matrices of T are null but for the last layer's qkv,
// and the others stand after them.
template <class T>
struct DeviceLayer {
  T* qkv = nullptr;  // [3 H, H]
  // [3 H]: added by the GEMM; biases that a model lacks are zeros. fp8: beside coded_qkv's.
  T* qkv_bias = nullptr;
  T* project = nullptr;  // [H, H]
  float* project_bias = nullptr;
  Norm attention_norm;
  T* up = nullptr;  // [F, H]; of a gated FFN [2 F, H]
  float* up_bias = nullptr;
  T* down = nullptr;  // [H, F]
  float* down_bias = nullptr;
  Norm ffn_norm;
  unsigned window = KeyWindow::kAll;  // how far keys may be from their query
  const float* rotary = nullptr;      // rotary_table(); null: none
  T* distance_keys = nullptr;         // [2 span, H] as RelativeKeys has them
  T* distance_queries = nullptr;
  QuantisedLinear coded_qkv, coded_project, coded_up, coded_down;
  SplitHalf* split_qkv = nullptr;  // [3 H, 3 H], as the others three times as deep
  SplitHalf* split_project = nullptr;
  SplitHalf* split_up = nullptr;
  SplitHalf* split_down = nullptr;
};

template <class T>
class DeviceModel final : public PackedModel {
 public:
  // Converts on the host, a tensor at a time, on all usable CPUs, and copies. Errors:
  // ops/unsupported (of shape_of, and weights that fp16 halves cannot hold), ops/memory.
  static Result<std::shared_ptr<const DeviceModel>> pack(const EncoderWeights& weights,
                                                         Precision precision,
                                                         const std::shared_ptr<Runtime>& runtime);
  std::size_t weight_bytes() const override { return memory_->bytes; }
  const ModelShape& shape() const { return shape_; }

  T* word = nullptr;
  // Without positions by a table the token types', or one row of zeros: what is added in its place.
  T* position = nullptr;
  T* token_type = nullptr;  // null when the model has none, or they stand above
  Norm embedding_norm;
  T* embedding_project = nullptr;  // [H, E], null where E is H
  T* embedding_project_bias = nullptr;
  std::vector<DeviceLayer<T>> layers;
  Norm final_norm;                        // where norms stand before the blocks
  std::int32_t* distance_rows = nullptr;  // [2 P - 1]
  std::map<double, float*> rotary;        // [positions, D], by theta
  Norm head_norm;
  T* dense = nullptr;  // [H, H]
  float* dense_bias = nullptr;
  float* classifier = nullptr;  // [C, H]
  float* classifier_bias = nullptr;

  DeviceModel(const ModelShape& shape, const std::set<double>& thetas)
      : shape_(shape), thetas_(thetas) {}
  void lay_out(Arena& arena);

 private:
  Result<void> upload(Uploader& uploader, const EncoderWeights& weights);
  Result<void> project_distances(Uploader& uploader, const EncoderWeights& weights);
  std::size_t added_rows() const {  // of the table that stands as `position`
    return shape_.places ? shape_.positions : std::max<std::size_t>(shape_.token_types, 1);
  }

  ModelShape shape_;
  std::set<double> thetas_;           // of rotary positions
  std::shared_ptr<Runtime> runtime_;  // outlives the memory below
  std::unique_ptr<Runtime::Memory> memory_;
};

}  // namespace breakeven::ops::cuda

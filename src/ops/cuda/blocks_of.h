// The block ops of one number format. quantised_blocks.cc replaces those whose products are of
// codes, split_blocks.cc those whose products are of halves.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "ops/cuda/blocks.h"

namespace breakeven::ops::cuda {

inline std::size_t blocks_for(std::size_t work, std::size_t a_block) {
  return (work + a_block - 1) / a_block;
}

// The rows that an op works on: all of them, or row 0 of each sequence.
template <class T>
struct RowSet {
  T* x;
  ResidualOf<T>* residual;
  float* stream;  // where norms stand before the blocks
  T* ctx;
  QuantisedRows quantised;  // x once more, where products are of codes
  std::size_t rows;
};

template <class T>
class Blocks : public Backend {
 public:
  using R = ResidualOf<T>;
  Blocks(std::shared_ptr<Runtime> runtime, Precision precision, BlocksOptions options);

  BackendInfo info() const override;
  bool has_device() const override { return true; }
  std::string kernels() const override;
  std::string gemm_algorithms() const override;
  Result<std::shared_ptr<const PackedModel>> pack(const EncoderWeights& weights) override;
  std::size_t lane_bytes(const PackedModel& model, const LaneLimits& limits) const override;
  Result<std::unique_ptr<Lane>> make_lane(std::shared_ptr<const PackedModel> model,
                                          const LaneLimits& limits) override;
  void upload(Lane& lane, const Batch& batch) override {
    own(lane).upload(batch, used_.wide_attention);
  }
  void run(Lane& lane, const std::function<void()>& body) override;
  std::span<const float> wait(Lane& lane) override { return own(lane).wait(); }
  DeviceSeconds device_seconds(const Lane& lane) const override {
    return static_cast<const DeviceLane<T>&>(lane).seconds();
  }
  std::size_t peak_device_bytes() const override { return runtime_->memory_use().peak; }
  std::size_t free_device_bytes() const override { return runtime_->free_bytes(); }

  void embed_ln(Lane& base) override;
  void attention(Lane& base, std::size_t layer) override;
  void cls_attention(Lane& base, std::size_t layer) override;
  void project_ln(Lane& base, std::size_t layer, Act x) override;
  void ffn_ln(Lane& base, std::size_t layer, Act x) override;
  void head(Lane& base) override;
  void tap(Lane& base, Act act, std::span<float> out) override;

 protected:
  static DeviceLane<T>& own(Lane& lane) { return static_cast<DeviceLane<T>&>(lane); }
  static unsigned narrow(std::size_t value) { return static_cast<unsigned>(value); }
  static RowSet<T> rows_of(const DeviceLane<T>& lane, Act x);
  const KernelChoice& used() const { return used_; }

  template <class K>
  static void launch(const DeviceLane<T>& lane, const K& kernel, const Grid& grid) {
    lane.runtime().launch(lane.stream(), {KernelOf<T>(kernel), grid});
  }
  // `work`: rows, or values, of which a block takes kRowsABlock.
  template <class Fast, class Plain>
  void launch_rows(const DeviceLane<T>& lane, const Fast& fast, const Plain& plain,
                   std::size_t work) const {
    if (used_.rows) {
      launch(lane, fast, {.x = blocks_for(work, Fast::kRowsABlock)});
    } else {
      launch(lane, plain, {.x = blocks_for(work, Plain::kRowsABlock)});
    }
  }
  template <class Wide, class Fast, class Plain>
  void launch_norm(const DeviceLane<T>& lane, const Fast& fast, const Plain& plain) const {
    if (!used_.rows || !used_.wide_rows || fast.rows > kRowsOfAWave) {
      return launch_rows(lane, fast, plain, fast.rows);
    }
    launch(lane, Wide{{}, fast}, {.x = fast.rows, .shared_bytes = Wide::kSharedBytes});
  }
  // Queues the product with the library's algorithm; false when there is none.
  bool by_library(const DeviceLane<T>& lane, const GemmCall& call) const;
  void multiply(const DeviceLane<T>& lane, GemmCall call) const;
  // Queries, keys and values stand in `wide`; the result goes to ctx: of all rows, or at least of
  // row 0 of each sequence.
  void attend(const DeviceLane<T>& lane, std::size_t layer, bool first_rows = false) const;
  // The norm that makes what the next block reads, behind a layer's attention or its FFN.
  static const Norm& norm_behind(const DeviceModel<T>& model, std::size_t layer, bool ffn) {
    const DeviceLayer<T>& own = model.layers.at(layer);
    if (!model.shape().pre_norm()) return ffn ? own.ffn_norm : own.attention_norm;
    if (!ffn) return own.ffn_norm;
    return layer + 1 < model.layers.size() ? model.layers[layer + 1].attention_norm
                                           : model.final_norm;
  }
  // stream += in + bias, x = LN(stream).
  void pre_norm(const DeviceLane<T>& lane, const RowSet<T>& rows, const T* in, const float* bias,
                const Norm& norm) const;
  // The halves in `wide`, `rows` of them, to their product behind them, which it returns.
  T* gate(const DeviceLane<T>& lane, const float* bias, std::size_t rows) const;

 private:
  template <class Value>
  static void read_as_float(DeviceLane<T>& lane, const Value* from, std::span<float> out) {
    std::vector<Value> values(out.size());
    lane.read(from, values.data(), values.size() * sizeof(Value));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = to_float(values[i]);
  }
  static float score_scale(const ModelShape& shape) {
    return 1.0F / std::sqrt(static_cast<float>(shape.head_size * (shape.relative() ? 3 : 1)));
  }
  // The product of `call`, its bias, the residual stream and LayerNorm.
  void multiply_and_norm(const DeviceLane<T>& lane, const RowSet<T>& rows, GemmCall call,
                         const float* bias, const Norm& norm) const;
  // attention() in T, whatever the precision of the other layers.
  void attend_rows(const DeviceLane<T>& lane, std::size_t layer, bool first_rows) const;
  template <class Scope>
  void attend_in(const DeviceLane<T>& lane, const AttentionParameters<T>& parameters,
                 const Scope& scope) const;
  template <unsigned HeadSize>
  void attend_in_wide_tiles(const DeviceLane<T>& lane,
                            const AttentionParameters<T>& parameters) const;
  void gather_first_rows(const DeviceLane<T>& lane) const;
  void attend_cls(const DeviceLane<T>& lane, const GroupInput& input) const;
  void choose_kernels(const ModelShape& shape);
  template <unsigned Warps>
  void attend_cls_in_tiles(const DeviceLane<T>& lane, const ClsParameters<T>& parameters) const;

  std::shared_ptr<Runtime> runtime_;
  Precision precision_;
  BlocksOptions options_;
  KernelChoice used_;  // options_.kernels that fit the model and are not switched off
};

extern template class Blocks<float>;
extern template class Blocks<Half>;
extern template class Blocks<Bf16>;

// `precision`: int8 or fp8.
std::unique_ptr<Backend> make_quantised_blocks(std::shared_ptr<Runtime> runtime,
                                               Precision precision, const BlocksOptions& options);
// fp32x3.
std::unique_ptr<Backend> make_split_blocks(std::shared_ptr<Runtime> runtime,
                                           const BlocksOptions& options);

}  // namespace breakeven::ops::cuda

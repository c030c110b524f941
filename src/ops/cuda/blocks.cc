#include "ops/cuda/blocks.h"

#include <cmath>
#include <utility>

#include "base/check.h"

namespace breakeven::ops::cuda {
namespace {

template <class T>
constexpr Precision kPrecisionOf = std::is_same_v<T, float>  ? Precision::fp32
                                   : std::is_same_v<T, Half> ? Precision::fp16
                                                             : Precision::bf16;

std::size_t blocks_for(std::size_t work, std::size_t a_block) {
  return (work + a_block - 1) / a_block;
}

// The rows that an op works on: all of them, or row 0 of each sequence.
template <class T>
struct Stream {
  T* x;
  ResidualOf<T>* residual;
  T* ctx;
  std::size_t rows;
};

template <class T>
class Blocks final : public DeviceBackend {
 public:
  using R = ResidualOf<T>;
  Blocks(std::shared_ptr<Runtime> runtime, const BlocksOptions& options)
      : runtime_(std::move(runtime)), options_(options) {
    options_.kernels.gemm &= runtime_->info().gemm_library;
  }

  BackendInfo info() const override {
    const DeviceInfo device = runtime_->info();
    return {"cuda", "sm_" + std::to_string(device.major) + std::to_string(device.minor),
            kPrecisionOf<T>, options_.kernels.gemm ? device.gemm_note : "own"};
  }
  std::string kernels() const override {
    return to_string(used_) + (options_.note.empty() ? "" : " (" + options_.note + ")");
  }

  Result<std::shared_ptr<const PackedModel>> pack(const EncoderWeights& weights) override {
    BREAKEVEN_TRY(auto model, DeviceModel<T>::pack(weights, runtime_));
    used_ = fitting(model->shape(), kPrecisionOf<T>, options_.kernels);
    return std::shared_ptr<const PackedModel>(std::move(model));
  }

  std::size_t lane_bytes(const PackedModel& model, const LaneLimits& limits) const override {
    return DeviceLane<T>::bytes(static_cast<const DeviceModel<T>&>(model).shape(), limits,
                                runtime_->info().major);
  }

  Result<std::unique_ptr<Lane>> make_lane(std::shared_ptr<const PackedModel> model,
                                          const LaneLimits& limits) override {
    auto own = std::static_pointer_cast<const DeviceModel<T>>(std::move(model));
    // A model may have come from the cache of another backend object: its shape decides here, too.
    used_ = fitting(own->shape(), kPrecisionOf<T>, options_.kernels);
    BREAKEVEN_TRY(auto lane, DeviceLane<T>::make(std::move(own), limits, runtime_));
    return std::unique_ptr<Lane>(std::move(lane));
  }

  void upload(Lane& lane, const Batch& batch) override { own(lane).upload(batch); }
  void run(Lane& lane, const std::function<void()>& body) override {
    own(lane).run(body, options_.graphs);
  }
  std::span<const float> wait(Lane& lane) override { return own(lane).wait(); }
  DeviceSeconds device_seconds(const Lane& lane) const override {
    return static_cast<const DeviceLane<T>&>(lane).seconds();
  }
  std::size_t peak_device_bytes() const override { return runtime_->memory_use().peak; }
  std::size_t free_device_bytes() const override { return runtime_->free_bytes(); }

  void embed_ln(Lane& base) override {
    DeviceLane<T>& lane = own(base);
    const DeviceModel<T>& model = lane.model();
    const Activations<T>& act = lane.act();
    const GroupInput input = lane.input();
    const EmbedNorm<T, R> kernel{
        .tables = {model.word, model.position, model.token_type, model.embedding_norm.parameters()},
        .ids = input.ids,
        .places = input.places,
        .kinds = input.kinds,
        .x = act.x,
        .residual = act.residual,
        .rows = narrow(lane.bucket().rows),
        .hidden = narrow(model.shape().hidden)};
    launch_rows(lane, kernel, PlainEmbedNorm<T, R>{kernel}, kernel.rows);
  }

  void attention(Lane& base, std::size_t layer) override {
    DeviceLane<T>& lane = own(base);
    const DeviceLayer<T>& weights = lane.model().layers.at(layer);
    const ModelShape& shape = lane.model().shape();
    multiply(lane, {.rows = lane.bucket().rows,
                    .columns = 3 * shape.hidden,
                    .depth = shape.hidden,
                    .a = lane.act().x,
                    .a_row = shape.hidden,
                    .b = weights.qkv,
                    .b_row = shape.hidden,
                    .bias = weights.qkv_bias,
                    .out = lane.act().wide,
                    .out_row = 3 * shape.hidden});
    const AttentionParameters<T> parameters{.tiles = lane.input().tiles,
                                            .qkv = lane.act().wide,
                                            .ctx = lane.act().ctx,
                                            .hidden = narrow(shape.hidden),
                                            .head_size = narrow(shape.head_size),
                                            .scale = score_scale(shape)};
    Grid grid{.x = tiles_of(lane.bucket()), .y = shape.heads};
    if constexpr (sizeof(T) == 2) {
      if (used_.attention && shape.head_size == 64) {
        grid.shared_bytes = FlashAttention<T, 64>::kSharedBytes;
        return launch(lane, FlashAttention<T, 64>{parameters}, grid);
      }
      if (used_.attention && shape.head_size == 32) {
        grid.shared_bytes = FlashAttention<T, 32>::kSharedBytes;
        return launch(lane, FlashAttention<T, 32>{parameters}, grid);
      }
    }
    launch(lane, PlainAttention<T>{parameters}, grid);
  }

  void cls_attention(Lane& base, std::size_t layer) override {
    DeviceLane<T>& lane = own(base);
    const DeviceLayer<T>& weights = lane.model().layers.at(layer);
    const ModelShape& shape = lane.model().shape();
    const Activations<T>& act = lane.act();
    const GroupInput input = lane.input();
    const std::size_t sequences = lane.bucket().sequences;
    launch(lane,
           GatherCls<T, R>{input.first_row, act.x, act.residual, act.x_cls, act.residual_cls,
                           narrow(sequences), narrow(shape.hidden)},
           {.x = blocks_for(sequences, GatherCls<T, R>::kThreads / kWarp)});
    const std::size_t hidden = shape.hidden;
    multiply(lane, {.rows = sequences,
                    .columns = hidden,
                    .depth = hidden,
                    .a = act.x_cls,
                    .a_row = hidden,
                    .b = weights.qkv,
                    .b_row = hidden,
                    .bias = weights.qkv_bias,
                    .out = act.query_cls,
                    .out_row = hidden});
    // keys[b, h] = Wk_h^T q[b, h]: Wk's rows h D .. + D as a matrix [D, H].
    multiply(lane, {.rows = sequences,
                    .columns = hidden,
                    .depth = shape.head_size,
                    .batch = shape.heads,
                    .a = act.query_cls,
                    .a_row = hidden,
                    .a_stride = shape.head_size,
                    .b = weights.qkv + hidden * hidden,
                    .b_row = hidden,
                    .b_stride = shape.head_size * hidden,
                    .b_in_by_out = true,
                    .out = act.keys_cls,
                    .out_row = shape.heads * hidden,
                    .out_stride = hidden});
    attend_cls(lane, input);
    // ctx[b, h] = Wv_h mix[b, h] + bv_h
    multiply(lane, {.rows = sequences,
                    .columns = shape.head_size,
                    .depth = hidden,
                    .batch = shape.heads,
                    .a = act.mix_cls,
                    .a_row = shape.heads * hidden,
                    .a_stride = hidden,
                    .b = weights.qkv + 2 * hidden * hidden,
                    .b_row = hidden,
                    .b_stride = shape.head_size * hidden,
                    .bias = weights.qkv_bias + 2 * hidden,
                    .bias_stride = shape.head_size,
                    .out = act.ctx_cls,
                    .out_row = hidden,
                    .out_stride = shape.head_size});
  }

  void project_ln(Lane& base, std::size_t layer, Act x) override {
    DeviceLane<T>& lane = own(base);
    const DeviceLayer<T>& weights = lane.model().layers.at(layer);
    const std::size_t hidden = lane.model().shape().hidden;
    const Stream<T> stream = stream_of(lane, x);
    multiply(lane, {.rows = stream.rows,
                    .columns = hidden,
                    .depth = hidden,
                    .a = stream.ctx,
                    .a_row = hidden,
                    .b = weights.project,
                    .b_row = hidden,
                    .out = lane.act().wide,
                    .out_row = hidden});
    residual_norm(lane, stream, lane.act().wide, weights.project_bias, weights.attention_norm);
  }

  void ffn_ln(Lane& base, std::size_t layer, Act x) override {
    DeviceLane<T>& lane = own(base);
    const DeviceLayer<T>& weights = lane.model().layers.at(layer);
    const ModelShape& shape = lane.model().shape();
    const Stream<T> stream = stream_of(lane, x);
    T* hidden_layer = lane.act().wide;
    multiply(lane, {.rows = stream.rows,
                    .columns = shape.intermediate,
                    .depth = shape.hidden,
                    .a = stream.x,
                    .a_row = shape.hidden,
                    .b = weights.up,
                    .b_row = shape.hidden,
                    .out = hidden_layer,
                    .out_row = shape.intermediate});
    const BiasActivation<T> kernel{hidden_layer, weights.up_bias, shape.activation,
                                   narrow(stream.rows), narrow(shape.intermediate)};
    const std::size_t values = stream.rows * shape.intermediate;
    if (used_.rows) {
      launch(lane, kernel, {.x = blocks_for(values, BiasActivation<T>::kValuesABlock)});
    } else {
      launch(lane, PlainBiasActivation<T>{kernel},
             {.x = blocks_for(values, PlainBiasActivation<T>::kValuesABlock)});
    }
    // The context has been used: its memory takes the result.
    multiply(lane, {.rows = stream.rows,
                    .columns = shape.hidden,
                    .depth = shape.intermediate,
                    .a = hidden_layer,
                    .a_row = shape.intermediate,
                    .b = weights.down,
                    .b_row = shape.intermediate,
                    .out = stream.ctx,
                    .out_row = shape.hidden});
    residual_norm(lane, stream, stream.ctx, weights.down_bias, weights.ffn_norm);
  }

  void head(Lane& base) override {
    DeviceLane<T>& lane = own(base);
    const DeviceModel<T>& model = lane.model();
    const ModelShape& shape = model.shape();
    const std::size_t sequences = lane.bucket().sequences;
    multiply(lane, {.rows = sequences,
                    .columns = shape.hidden,
                    .depth = shape.hidden,
                    .a = lane.act().x_cls,
                    .a_row = shape.hidden,
                    .b = model.dense,
                    .b_row = shape.hidden,
                    .out = lane.act().wide,
                    .out_row = shape.hidden});
    launch(lane,
           Head<T>{lane.act().wide, model.dense_bias, model.classifier, model.classifier_bias,
                   lane.act().logits, shape.head_activation, narrow(sequences),
                   narrow(shape.hidden), narrow(shape.labels)},
           {.x = blocks_for(sequences * shape.labels, Head<T>::kThreads / kWarp)});
  }

  void tap(Lane& base, Act act, std::span<float> out) override {
    DeviceLane<T>& lane = own(base);
    const bool cls = act == Act::x_cls || act == Act::ctx_cls;
    const std::size_t rows = cls ? lane.sequences() : lane.rows();
    BREAKEVEN_CHECK(out.size() == rows * lane.model().shape().hidden, "tap of {} into {}",
                    rows * lane.model().shape().hidden, out.size());
    const Activations<T>& from = lane.act();
    const R* residual = act == Act::x       ? from.residual
                        : act == Act::x_cls ? from.residual_cls
                                            : nullptr;
    if (residual != nullptr) return read_as_float(lane, residual, out);
    read_as_float(lane,
                  act == Act::x       ? from.x
                  : act == Act::ctx   ? from.ctx
                  : act == Act::x_cls ? from.x_cls
                                      : from.ctx_cls,
                  out);
  }

 private:
  static DeviceLane<T>& own(Lane& lane) { return static_cast<DeviceLane<T>&>(lane); }
  static unsigned narrow(std::size_t value) { return static_cast<unsigned>(value); }
  static float score_scale(const ModelShape& shape) {
    return 1.0F / std::sqrt(static_cast<float>(shape.head_size));
  }
  static Stream<T> stream_of(const DeviceLane<T>& lane, Act x) {
    BREAKEVEN_CHECK(x == Act::x || x == Act::x_cls, "act={}", static_cast<int>(x));
    const Activations<T>& act = lane.act();
    if (x == Act::x) return {act.x, act.residual, act.ctx, lane.bucket().rows};
    return {act.x_cls, act.residual_cls, act.ctx_cls, lane.bucket().sequences};
  }
  template <class Value>
  static void read_as_float(DeviceLane<T>& lane, const Value* from, std::span<float> out) {
    std::vector<Value> values(out.size());
    lane.read(from, values.data(), values.size() * sizeof(Value));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = to_float(values[i]);
  }

  template <class K>
  static void launch(const DeviceLane<T>& lane, const K& kernel, const Grid& grid) {
    lane.runtime().launch(lane.stream(), {KernelOf<T>(kernel), grid});
  }
  template <class Fast, class Plain>
  void launch_rows(const DeviceLane<T>& lane, const Fast& fast, const Plain& plain,
                   std::size_t rows) const {
    if (used_.rows) {
      launch(lane, fast, {.x = blocks_for(rows, Fast::kRowsABlock)});
    } else {
      launch(lane, plain, {.x = blocks_for(rows, Plain::kRowsABlock)});
    }
  }

  void residual_norm(const DeviceLane<T>& lane, const Stream<T>& stream, const T* in,
                     const float* bias, const Norm& norm) const {
    const ResidualNorm<T, R> kernel{.in = in,
                                    .bias = bias,
                                    .norm = norm.parameters(),
                                    .x = stream.x,
                                    .residual = stream.residual,
                                    .rows = narrow(stream.rows),
                                    .hidden = narrow(lane.model().shape().hidden)};
    launch_rows(lane, kernel, PlainResidualNorm<T, R>{kernel}, stream.rows);
  }

  void attend_cls(const DeviceLane<T>& lane, const GroupInput& input) const {
    const ModelShape& shape = lane.model().shape();
    const std::size_t sequences = lane.bucket().sequences;
    const ClsParameters<T> parameters{.first_row = input.first_row,
                                      .valid = input.valid,
                                      .x = lane.act().x,
                                      .keys = lane.act().keys_cls,
                                      .mix = lane.act().mix_cls,
                                      .hidden = narrow(shape.hidden),
                                      .heads = narrow(shape.heads),
                                      .longest = narrow(shape.positions),
                                      .scale = score_scale(shape)};
    if (used_.cls_attention) {
      launch(lane, ClsAttention<T>{parameters},
             {.x = sequences,
              .y = blocks_for(shape.heads, ClsAttention<T>::kHeads),
              .shared_bytes = ClsAttention<T>::shared_bytes(shape.hidden, shape.positions)});
    } else {
      launch(lane, PlainClsAttention<T>{parameters, narrow(sequences)},
             {.x = blocks_for(sequences * shape.heads, PlainClsAttention<T>::kThreads)});
    }
  }

  void multiply(const DeviceLane<T>& lane, GemmCall call) const {
    call.precision = kPrecisionOf<T>;
    if (used_.gemm) return lane.runtime().multiply(lane.stream(), call, lane.workspace());
    constexpr std::size_t kTile = PlainGemm<T>::kTile;
    launch(lane, PlainGemm<T>{call},
           {.x = blocks_for(call.columns, kTile),
            .y = blocks_for(call.rows, kTile),
            .z = call.batch,
            .shared_bytes = PlainGemm<T>::kSharedBytes});
  }

  std::shared_ptr<Runtime> runtime_;
  BlocksOptions options_;
  KernelChoice used_;  // options_.kernels that fit the model
};

}  // namespace

std::unique_ptr<DeviceBackend> make_blocks(std::shared_ptr<Runtime> runtime, Precision precision,
                                           const BlocksOptions& options) {
  switch (precision) {
    case Precision::fp32:
      return std::make_unique<Blocks<float>>(std::move(runtime), options);
    case Precision::fp16:
      return std::make_unique<Blocks<Half>>(std::move(runtime), options);
    case Precision::bf16:
      return std::make_unique<Blocks<Bf16>>(std::move(runtime), options);
    case Precision::int8:
      break;
  }
  BREAKEVEN_CHECK(false, "precision={}", to_string(precision));
}

}  // namespace breakeven::ops::cuda

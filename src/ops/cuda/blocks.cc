#include "ops/cuda/blocks.h"

#include <algorithm>
#include <utility>

#include "ops/cuda/blocks_of.h"

namespace breakeven::ops::cuda {

template <class T>
Blocks<T>::Blocks(std::shared_ptr<Runtime> runtime, Precision precision, BlocksOptions options)
    : runtime_(std::move(runtime)), precision_(precision), options_(std::move(options)) {
  options_.kernels.gemm &= runtime_->info().gemm_library;
  options_.kernels.scaled_gemm &= runtime_->info().scaled_gemm && options_.switches.product_scales;
  options_.kernels.residual_gemm &= options_.switches.residual_beta;
  if (options_.tuner == nullptr) {
    options_.tuner = std::make_shared<GemmTuner>(runtime_, TunerOptions{.measure = false});
  }
}

template <class T>
BackendInfo Blocks<T>::info() const {
  const DeviceInfo device = runtime_->info();
  return {"cuda", "sm_" + std::to_string(device.major) + std::to_string(device.minor), precision_,
          options_.kernels.gemm ? device.gemm_note : "own"};
}

template <class T>
std::string Blocks<T>::kernels() const {
  std::string text = to_string(used_) + (options_.note.empty() ? "" : " (" + options_.note + ")");
  const std::string without = to_string(options_.switches);
  return without.empty() ? text : text + "; " + without;
}

template <class T>
std::string Blocks<T>::gemm_algorithms() const {
  return options_.kernels.gemm ? options_.tuner->summary() : "";
}

template <class T>
Result<std::shared_ptr<const PackedModel>> Blocks<T>::pack(const EncoderWeights& weights) {
  BREAKEVEN_TRY(auto model, DeviceModel<T>::pack(weights, precision_, runtime_));
  choose_kernels(model->shape());
  return std::shared_ptr<const PackedModel>(std::move(model));
}

template <class T>
void Blocks<T>::choose_kernels(const ModelShape& shape) {
  used_ = fitting(shape, options_.kernels);
  if (std::is_same_v<T, float>) used_.attention &= options_.switches.fp32_tiles;
  if (shape.relative()) used_.attention &= sizeof(T) == 2;
  used_.wide_rows &= options_.switches.wide_rows;
  used_.wide_attention &= sizeof(T) == 2 && options_.switches.wide_attention;
  used_.cls_tiles &= sizeof(T) == 2 && options_.switches.cls_tiles;
}

template <class T>
std::size_t Blocks<T>::lane_bytes(const PackedModel& model, const LaneLimits& limits) const {
  return DeviceLane<T>::bytes(static_cast<const DeviceModel<T>&>(model).shape(), limits,
                              runtime_->info().major);
}

template <class T>
Result<std::unique_ptr<Lane>> Blocks<T>::make_lane(std::shared_ptr<const PackedModel> model,
                                                   const LaneLimits& limits) {
  auto own = std::static_pointer_cast<const DeviceModel<T>>(std::move(model));
  // A model may have come from the cache of another backend object: its shape decides here, too.
  choose_kernels(own->shape());
  BREAKEVEN_TRY(auto lane, DeviceLane<T>::make(std::move(own), limits, runtime_));
  return std::unique_ptr<Lane>(std::move(lane));
}

template <class T>
void Blocks<T>::run(Lane& lane, const std::function<void()>& body) {
  // What the first pass of a bucket has measured is kept.
  if (own(lane).run(body, options_.switches.graphs, options_.switches.pinned_logits))
    options_.tuner->save();
}

template <class T>
void Blocks<T>::embed_ln(Lane& base) {
  DeviceLane<T>& lane = own(base);
  const DeviceModel<T>& model = lane.model();
  const Activations<T>& act = lane.act();
  const GroupInput input = lane.input();
  const ModelShape& shape = model.shape();
  const auto embed = [&]<class Stream>(Stream* stream) {
    const EmbedNorm<T, Stream> kernel{
        .tables = {model.word, model.position, model.token_type, model.embedding_norm.parameters()},
        .ids = input.ids,
        .places = shape.places ? input.places : input.kinds,
        .kinds = input.kinds,
        .x = shape.projects ? act.ctx : act.x,
        .residual = stream,
        .rows = narrow(lane.bucket().rows),
        .hidden = narrow(shape.embedding)};
    launch_norm<WideEmbedNorm<T, Stream>>(lane, kernel, PlainEmbedNorm<T, Stream>{kernel});
  };
  if (shape.pre_norm()) return embed(act.stream);
  embed(act.residual);
  if (!shape.projects) return;
  GemmCall call = dense_product(lane.bucket().rows, shape.hidden, shape.embedding, act.ctx,
                                model.embedding_project, act.x);
  call.bias = model.embedding_project_bias;
  multiply(lane, call);
}

template <class T>
void Blocks<T>::attention(Lane& base, std::size_t layer) {
  attend_rows(own(base), layer, false);
}

template <class T>
void Blocks<T>::attend_rows(const DeviceLane<T>& lane, std::size_t layer, bool first_rows) const {
  const DeviceLayer<T>& weights = lane.model().layers.at(layer);
  const ModelShape& shape = lane.model().shape();
  GemmCall call = dense_product(lane.bucket().rows, 3 * shape.hidden, shape.hidden, lane.act().x,
                                weights.qkv, lane.act().wide);
  call.bias = weights.qkv_bias;
  multiply(lane, call);
  attend(lane, layer, first_rows);
}

template <class T>
void Blocks<T>::attend(const DeviceLane<T>& lane, std::size_t layer, bool first_rows) const {
  const ModelShape& shape = lane.model().shape();
  const DeviceLayer<T>& weights = lane.model().layers.at(layer);
  if (weights.rotary != nullptr) {
    const Rotate<T> kernel{.qkv = lane.act().wide,
                           .table = weights.rotary,
                           .places = lane.input().places,
                           .rows = narrow(lane.bucket().rows),
                           .heads = narrow(shape.heads),
                           .head_size = narrow(shape.head_size)};
    const std::size_t pairs = lane.bucket().rows * shape.hidden;
    if (used_.rows) {
      launch(lane, kernel, {.x = blocks_for(pairs / 8, Rotate<T>::kRowsABlock)});
    } else {
      launch(lane, PlainRotate<T>{kernel}, {.x = blocks_for(pairs, PlainRotate<T>::kRowsABlock)});
    }
  }
  const AttentionParameters<T> parameters{.tiles = lane.input().tiles,
                                          .qkv = lane.act().wide,
                                          .ctx = lane.act().ctx,
                                          .hidden = narrow(shape.hidden),
                                          .head_size = narrow(shape.head_size),
                                          .scale = score_scale(shape)};
  if (shape.relative()) {
    const RelativeKeys<T> relative{.keys = weights.distance_keys,
                                   .queries = weights.distance_queries,
                                   .places = lane.model().distance_rows,
                                   .positions = narrow(shape.positions),
                                   .hidden = narrow(shape.hidden),
                                   .rows = first_rows ? 1 : KeyWindow::kAll};
    Grid grid{.x = tiles_of(lane.bucket()), .y = shape.heads};
    if constexpr (sizeof(T) == 2) {
      if (used_.attention && shape.head_size == 64) {
        grid.shared_bytes = RelativeAttention<T, 64>::kSharedBytes;
        return launch(lane, RelativeAttention<T, 64>{{parameters}, relative}, grid);
      }
      if (used_.attention && shape.head_size == 32) {
        grid.shared_bytes = RelativeAttention<T, 32>::kSharedBytes;
        return launch(lane, RelativeAttention<T, 32>{{parameters}, relative}, grid);
      }
    }
    return launch(lane, PlainAttention<T, RelativeKeys<T>>{parameters, relative}, grid);
  }
  if (!first_rows && weights.window == KeyWindow::kAll)
    return attend_in(lane, parameters, AllKeys{});
  attend_in(lane, parameters, KeyWindow{weights.window, first_rows ? 1 : KeyWindow::kAll});
}

template <class T>
template <class Scope>
void Blocks<T>::attend_in(const DeviceLane<T>& lane, const AttentionParameters<T>& parameters,
                          const Scope& scope) const {
  const std::size_t head_size = parameters.head_size;
  Grid grid{.x = tiles_of(lane.bucket()), .y = lane.model().shape().heads};
  if constexpr (sizeof(T) == 2) {
    if (lane.bucket().tile_rows == kWideTileRows) {
      if (head_size == 64) return attend_in_wide_tiles<64>(lane, parameters);
      return attend_in_wide_tiles<32>(lane, parameters);
    }
  }
  if (used_.attention && head_size == 64) {
    grid.shared_bytes = FlashAttention<T, 64>::kSharedBytes;
    return launch(lane, FlashAttention<T, 64, Scope>{parameters, scope}, grid);
  }
  if (used_.attention && head_size == 32) {
    grid.shared_bytes = FlashAttention<T, 32>::kSharedBytes;
    return launch(lane, FlashAttention<T, 32, Scope>{parameters, scope}, grid);
  }
  launch(lane, PlainAttention<T, Scope>{parameters, scope}, grid);
}

// Only models whose layers all see every key have such tiles.
template <class T>
template <unsigned HeadSize>
void Blocks<T>::attend_in_wide_tiles(const DeviceLane<T>& lane,
                                     const AttentionParameters<T>& parameters) const {
  launch(lane, WideAttention<T, HeadSize>{{parameters}},
         {.x = tiles_of(lane.bucket()),
          .y = lane.model().shape().heads,
          .shared_bytes = WideAttention<T, HeadSize>::kSharedBytes});
}

// Of x, and of the residual stream wherever it is.
template <class T>
void Blocks<T>::gather_first_rows(const DeviceLane<T>& lane) const {
  const Activations<T>& act = lane.act();
  const GroupInput input = lane.input();
  const auto hidden = narrow(lane.model().shape().hidden);
  const Grid grid{.x = lane.bucket().sequences};
  if (act.stream != nullptr) {
    return launch(
        lane,
        GatherCls<T, float>{input.first_row, act.x, act.stream, act.x_cls, act.stream_cls, hidden},
        grid);
  }
  launch(lane,
         GatherCls<T, R>{input.first_row, act.x, act.residual, act.x_cls, act.residual_cls, hidden},
         grid);
}

template <class T>
void Blocks<T>::cls_attention(Lane& base, std::size_t layer) {
  DeviceLane<T>& lane = own(base);
  const DeviceLayer<T>& weights = lane.model().layers.at(layer);
  const ModelShape& shape = lane.model().shape();
  const Activations<T>& act = lane.act();
  const GroupInput input = lane.input();
  const std::size_t sequences = lane.bucket().sequences;
  const std::size_t hidden = shape.hidden;
  gather_first_rows(lane);
  if (!shape.absorbs()) {  // keys and values of all rows, queries of the first
    Blocks<T>::attend_rows(lane, layer, true);
    launch(lane,
           GatherCls<T, R>{input.first_row, act.ctx, nullptr, act.ctx_cls, nullptr, narrow(hidden)},
           {.x = sequences});
    return;
  }
  GemmCall queries =
      dense_product(sequences, hidden, hidden, act.x_cls, weights.qkv, act.query_cls);
  queries.bias = weights.qkv_bias;
  multiply(lane, queries);
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

template <class T>
void Blocks<T>::project_ln(Lane& base, std::size_t layer, Act x) {
  DeviceLane<T>& lane = own(base);
  const DeviceLayer<T>& weights = lane.model().layers.at(layer);
  const std::size_t hidden = lane.model().shape().hidden;
  const RowSet<T> rows = rows_of(lane, x);
  multiply_and_norm(
      lane, rows,
      dense_product(rows.rows, hidden, hidden, rows.ctx, weights.project, lane.act().wide),
      weights.project_bias, norm_behind(lane.model(), layer, false));
}

template <class T>
void Blocks<T>::ffn_ln(Lane& base, std::size_t layer, Act x) {
  DeviceLane<T>& lane = own(base);
  const DeviceLayer<T>& weights = lane.model().layers.at(layer);
  const ModelShape& shape = lane.model().shape();
  const RowSet<T> rows = rows_of(lane, x);
  T* hidden_layer = lane.act().wide;
  multiply(lane, dense_product(rows.rows, shape.up_width(), shape.hidden, rows.x, weights.up,
                               hidden_layer));
  if (shape.gated()) {
    hidden_layer = gate(lane, weights.up_bias, rows.rows);
  } else {
    const BiasActivation<T> kernel{hidden_layer, weights.up_bias, shape.activation,
                                   narrow(rows.rows), narrow(shape.intermediate)};
    launch_rows(lane, kernel, PlainBiasActivation<T>{kernel}, rows.rows * shape.intermediate);
  }
  // The context has been used: its memory takes the result.
  multiply_and_norm(lane, rows,
                    dense_product(rows.rows, shape.hidden, shape.intermediate, hidden_layer,
                                  weights.down, rows.ctx),
                    weights.down_bias, norm_behind(lane.model(), layer, true));
}

template <class T>
T* Blocks<T>::gate(const DeviceLane<T>& lane, const float* bias, std::size_t rows) const {
  const ModelShape& shape = lane.model().shape();
  T* halves = lane.act().wide;
  const GatedActivation<T> kernel{.in = halves,
                                  .bias = bias,
                                  .out = halves + rows * shape.up_width(),
                                  .activation = shape.activation,
                                  .rows = narrow(rows),
                                  .width = narrow(shape.intermediate)};
  launch_rows(lane, kernel, PlainGatedActivation<T>{kernel}, rows * shape.intermediate);
  return kernel.out;
}

template <class T>
void Blocks<T>::head(Lane& base) {
  DeviceLane<T>& lane = own(base);
  const DeviceModel<T>& model = lane.model();
  const ModelShape& shape = model.shape();
  const std::size_t sequences = lane.bucket().sequences;
  if (shape.takes_mean()) {
    const GroupInput input = lane.input();
    launch(lane,
           MeanRows<T>{input.first_row, input.valid, lane.act().x, lane.act().x_cls,
                       narrow(shape.hidden)},
           {.x = sequences,
            .y = blocks_for(shape.hidden, kWarp),
            .shared_bytes = MeanRows<T>::kSharedBytes});
  }
  multiply(lane, dense_product(sequences, shape.hidden, shape.hidden, lane.act().x_cls, model.dense,
                               lane.act().wide));
  const Head<T> kernel{lane.act().wide,       model.dense_bias,     model.classifier,
                       model.classifier_bias, lane.logits(),        shape.head_activation,
                       narrow(sequences),     narrow(shape.hidden), narrow(shape.labels)};
  const Grid grid{.x = blocks_for(sequences * shape.labels, Head<T>::kThreads / kWarp)};
  if (!shape.head_norm) return launch(lane, kernel, grid);
  launch(lane, NormHead<T>{kernel, model.head_norm.parameters()}, grid);
}

template <class T>
void Blocks<T>::tap(Lane& base, Act act, std::span<float> out) {
  DeviceLane<T>& lane = own(base);
  const bool cls = act == Act::x_cls || act == Act::ctx_cls;
  const std::size_t rows = cls ? lane.sequences() : lane.rows();
  BREAKEVEN_CHECK(out.size() == rows * lane.model().shape().hidden, "tap of {} into {}",
                  rows * lane.model().shape().hidden, out.size());
  const Activations<T>& from = lane.act();
  if (from.stream != nullptr && (act == Act::x || act == Act::x_cls)) {
    return read_as_float(lane, act == Act::x ? from.stream : from.stream_cls, out);
  }
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

template <class T>
RowSet<T> Blocks<T>::rows_of(const DeviceLane<T>& lane, Act x) {
  BREAKEVEN_CHECK(x == Act::x || x == Act::x_cls, "act={}", static_cast<int>(x));
  const Activations<T>& act = lane.act();
  if (x == Act::x) {
    return {act.x, act.residual, act.stream, act.ctx, act.quantised, lane.bucket().rows};
  }
  return {act.x_cls,   act.residual_cls,  act.stream_cls,
          act.ctx_cls, act.quantised_cls, lane.bucket().sequences};
}

// Where the residual is kept in T, the product reads it under its sums and ResidualNorm reads one
// matrix for two. bf16's is kept in fp32: the product would have to write fp32, too, which is more
// than is saved.
template <class T>
void Blocks<T>::multiply_and_norm(const DeviceLane<T>& lane, const RowSet<T>& rows, GemmCall call,
                                  const float* bias, const Norm& norm) const {
  if (rows.stream != nullptr) {
    multiply(lane, call);
    return pre_norm(lane, rows, static_cast<const T*>(call.out), bias, norm);
  }
  const bool adds = std::is_same_v<T, R> && used_.residual_gemm;
  if (adds) call.add = rows.x;
  multiply(lane, call);
  const ResidualNorm<T, R> kernel{.in = static_cast<const T*>(call.out),
                                  .bias = bias,
                                  .norm = norm.parameters(),
                                  .x = rows.x,
                                  .residual = rows.residual,
                                  .rows = narrow(rows.rows),
                                  .hidden = narrow(lane.model().shape().hidden),
                                  .added = adds};
  launch_norm<WideResidualNorm<T, R>>(lane, kernel, PlainResidualNorm<T, R>{kernel});
}

template <class T>
void Blocks<T>::pre_norm(const DeviceLane<T>& lane, const RowSet<T>& rows, const T* in,
                         const float* bias, const Norm& norm) const {
  const PreNorm<T> kernel{.in = in,
                          .bias = bias,
                          .norm = norm.parameters(),
                          .x = rows.x,
                          .stream = rows.stream,
                          .rows = narrow(rows.rows),
                          .hidden = narrow(lane.model().shape().hidden)};
  launch_norm<WidePreNorm<T>>(lane, kernel, PlainPreNorm<T>{kernel});
}

template <class T>
void Blocks<T>::attend_cls(const DeviceLane<T>& lane, const GroupInput& input) const {
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
  if constexpr (sizeof(T) == 2) {
    if (used_.cls_tiles && shape.hidden <= ClsTiles<T, 4>::kWidest) {
      return attend_cls_in_tiles<4>(lane, parameters);
    }
    if (used_.cls_tiles) return attend_cls_in_tiles<8>(lane, parameters);
  }
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

// `wide` is free until the projection.
template <class T>
template <unsigned Warps>
void Blocks<T>::attend_cls_in_tiles(const DeviceLane<T>& lane,
                                    const ClsParameters<T>& parameters) const {
  const ModelShape& shape = lane.model().shape();
  const std::size_t sequences = lane.bucket().sequences;
  const std::size_t room = lane.act().wide_values * sizeof(T) / sizeof(float) /
                           ClsSplit::floats(shape.heads, shape.hidden);
  const std::size_t parts =
      ClsSplit::parts_for(sequences, std::min(lane.bucket().rows, shape.positions), room);
  auto* mixes = reinterpret_cast<float*>(lane.act().wide);
  const ClsSplit split{narrow(parts), mixes,
                       mixes + sequences * parts * shape.heads * shape.hidden};
  launch(lane, ClsTiles<T, Warps>{parameters, split},
         {.x = sequences,
          .y = parts,
          .z = blocks_for(shape.heads, kClsHeads),
          .shared_bytes = ClsTiles<T, Warps>::kSharedBytes});
  if (parts == 1) return;
  launch(lane, ClsMerge<T>{parameters, split}, {.x = sequences, .y = shape.heads});
}

template <class T>
bool Blocks<T>::by_library(const DeviceLane<T>& lane, const GemmCall& call) const {
  if (!used_.gemm) return false;
  const GemmAlgorithm* algorithm =
      options_.tuner->choose(call, lane.stream(), lane.workspace(), !lane.capturing());
  if (algorithm == nullptr) return false;
  lane.runtime().multiply(lane.stream(), call, *algorithm, lane.workspace());
  return true;
}

template <class T>
void Blocks<T>::multiply(const DeviceLane<T>& lane, GemmCall call) const {
  call.precision = kPrecisionOf<T>;
  if (by_library(lane, call)) return;
  launch(lane, PlainGemm<T>{call}, PlainGemm<T>::grid(call));
}

template class Blocks<float>;
template class Blocks<Half>;
template class Blocks<Bf16>;

std::unique_ptr<Backend> make_blocks(std::shared_ptr<Runtime> runtime, Precision precision,
                                     const BlocksOptions& options) {
  switch (precision) {
    case Precision::fp32:
      return std::make_unique<Blocks<float>>(std::move(runtime), precision, options);
    case Precision::fp16:
      return std::make_unique<Blocks<Half>>(std::move(runtime), precision, options);
    case Precision::bf16:
      return std::make_unique<Blocks<Bf16>>(std::move(runtime), precision, options);
    case Precision::int8:
    case Precision::fp8:
      return make_quantised_blocks(std::move(runtime), precision, options);
    case Precision::fp32x3:
      return make_split_blocks(std::move(runtime), options);
  }
  BREAKEVEN_CHECK(false, "precision={}", to_string(precision));
}

}  // namespace breakeven::ops::cuda

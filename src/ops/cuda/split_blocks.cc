// fp32x3: the products of all layers but the last one's attention by fp16 halves, three times as
// deep (kernels/split.h), with fp32 around them. Embeddings, attention, the residual stream, the
// last layer's absorbed attention and the head are those of fp32.
#include <utility>

#include "ops/cuda/blocks_of.h"

namespace breakeven::ops::cuda {
namespace {

class SplitBlocks final : public Blocks<float> {
 public:
  SplitBlocks(std::shared_ptr<Runtime> runtime, const BlocksOptions& options)
      : Blocks<float>(std::move(runtime), Precision::fp32x3, options) {}

  void embed_ln(Lane& base) override {
    Blocks<float>::embed_ln(base);
    const DeviceLane<float>& lane = own(base);
    split(lane, {.in = lane.act().x,
                 .out = lane.act().split_x,
                 .rows = narrow(lane.bucket().rows),
                 .width = narrow(lane.model().shape().hidden)});
  }

  void attention(Lane& base, std::size_t layer) override {
    const DeviceLane<float>& lane = own(base);
    const DeviceLayer<float>& weights = lane.model().layers.at(layer);
    const std::size_t hidden = lane.model().shape().hidden;
    multiply(lane, lane.bucket().rows, 3 * hidden, hidden, lane.act().split_x, weights.split_qkv,
             lane.act().wide, weights.qkv_bias);
    attend(lane, layer);
  }

  void project_ln(Lane& base, std::size_t layer, Act which) override {
    const DeviceLane<float>& lane = own(base);
    const DeviceLayer<float>& weights = lane.model().layers.at(layer);
    const std::size_t hidden = lane.model().shape().hidden;
    const RowSet<float> x = rows_of(lane, which);
    const Activations<float>& act = lane.act();
    split(lane,
          {.in = x.ctx, .out = act.split_inner, .rows = narrow(x.rows), .width = narrow(hidden)});
    multiply(lane, x.rows, hidden, hidden, act.split_inner, weights.split_project, act.wide);
    add_and_norm(lane, x, act.wide, weights.project_bias, norm_behind(lane.model(), layer, false));
  }

  void ffn_ln(Lane& base, std::size_t layer, Act which) override {
    const DeviceLane<float>& lane = own(base);
    const ModelShape& shape = lane.model().shape();
    const DeviceLayer<float>& weights = lane.model().layers.at(layer);
    const RowSet<float> x = rows_of(lane, which);
    const Activations<float>& act = lane.act();
    multiply(lane, x.rows, shape.up_width(), shape.hidden, act.split_x, weights.split_up, act.wide);
    split(lane, {.in = shape.gated() ? gate(lane, weights.up_bias, x.rows) : act.wide,
                 .bias = shape.gated() ? nullptr : weights.up_bias,
                 .out = act.split_inner,
                 .activation = shape.activation,
                 .rows = narrow(x.rows),
                 .width = narrow(shape.intermediate)});
    // The context has been used: its memory takes the result.
    multiply(lane, x.rows, shape.hidden, shape.intermediate, act.split_inner, weights.split_down,
             x.ctx);
    add_and_norm(lane, x, x.ctx, weights.down_bias, norm_behind(lane.model(), layer, true));
  }

 private:
  void split(const DeviceLane<float>& lane, const SplitRows& kernel) const {
    launch_rows(lane, kernel, PlainSplitRows{kernel}, std::size_t{kernel.rows} * kernel.width);
  }

  // out = rows x weights + bias, over `depth` numbers of three halves.
  void multiply(const DeviceLane<float>& lane, std::size_t rows, std::size_t columns,
                std::size_t depth, const SplitHalf* from, const SplitHalf* weights, float* out,
                const float* bias = nullptr) const {
    GemmCall call = dense_product(rows, columns, 3 * depth, from, weights, out);
    call.precision = Precision::fp32x3;
    call.bias = bias;
    if (by_library(lane, call)) return;
    launch(lane, PlainGemm<SplitHalf>{call}, PlainGemm<SplitHalf>::grid(call));
  }

  // x or x_cls, and its halves.
  void add_and_norm(const DeviceLane<float>& lane, const RowSet<float>& x, const float* in,
                    const float* bias, const Norm& norm) const {
    if (x.stream != nullptr) {
      pre_norm(lane, x, in, bias, norm);
      return split(lane, {.in = x.x,
                          .out = lane.act().split_x,
                          .rows = narrow(x.rows),
                          .width = narrow(lane.model().shape().hidden)});
    }
    const SplitNorm kernel{.norm = {.in = in,
                                    .bias = bias,
                                    .norm = norm.parameters(),
                                    .x = x.x,
                                    .rows = narrow(x.rows),
                                    .hidden = narrow(lane.model().shape().hidden)},
                           .out = lane.act().split_x};
    if (used().rows) {
      return launch(lane, kernel, {.x = blocks_for(x.rows, SplitNorm::kRowsABlock)});
    }
    const PlainResidualNorm<float, float> plain{kernel.norm};
    launch(lane, plain, {.x = blocks_for(x.rows, PlainResidualNorm<float, float>::kRowsABlock)});
    split(lane,
          {.in = x.x, .out = kernel.out, .rows = kernel.norm.rows, .width = kernel.norm.hidden});
  }
};

}  // namespace

std::unique_ptr<Backend> make_split_blocks(std::shared_ptr<Runtime> runtime,
                                           const BlocksOptions& options) {
  return std::make_unique<SplitBlocks>(std::move(runtime), options);
}

}  // namespace breakeven::ops::cuda

// int8 and fp8: the products of all layers but the last one's attention by rows and weights of
// 8-bit codes, with fp16 around them (kernels/quantised.h has the arithmetic). Embeddings,
// attention, the residual stream, the last layer's absorbed attention and the head are those of
// fp16.
#include <algorithm>
#include <utility>

#include "ops/cuda/blocks_of.h"

namespace breakeven::ops::cuda {
namespace {

template <class Code>
class QuantisedBlocks final : public Blocks<Half> {
 public:
  QuantisedBlocks(std::shared_ptr<Runtime> runtime, const BlocksOptions& options)
      : Blocks<Half>(std::move(runtime), kPrecisionOfCode<Code>, options) {}

  void embed_ln(Lane& base) override {
    Blocks<Half>::embed_ln(base);
    DeviceLane<Half>& lane = own(base);
    const RowSet<Half> rows = rows_of(lane, Act::x);
    quantise(lane, rows.x, rows.quantised, rows.rows, lane.model().shape().hidden);
  }

  void attention(Lane& base, std::size_t layer) override {
    DeviceLane<Half>& lane = own(base);
    const std::size_t columns = 3 * lane.model().shape().hidden;
    const QuantisedLinear& weights = lane.model().layers.at(layer).coded_qkv;
    const RowSet<Half> x = rows_of(lane, Act::x);
    if (used().scaled_gemm && multiply_with_scales(lane, layer, x)) return attend(lane, layer);
    for_chunks(x.rows, [&](std::size_t first, std::size_t rows) {
      const QuantisedRows in = part(lane, x.quantised, first);
      multiply(lane, in, weights, rows, columns);
      dequantise(lane, sums_of(lane, in, weights), lane.act().wide + first * columns, rows,
                 columns);
    });
    attend(lane, layer);
  }

  void project_ln(Lane& base, std::size_t layer, Act which) override {
    DeviceLane<Half>& lane = own(base);
    const std::size_t hidden = lane.model().shape().hidden;
    const DeviceLayer<Half>& weights = lane.model().layers.at(layer);
    const RowSet<Half> x = rows_of(lane, which);
    const QuantisedRows& context = lane.act().scratch.inner;
    for_chunks(x.rows, [&](std::size_t first, std::size_t rows) {
      quantise(lane, x.ctx + first * hidden, context, rows, hidden);
      multiply(lane, context, weights.coded_project, rows, hidden);
      add_and_norm(lane, x, sums_of(lane, context, weights.coded_project), first, rows, 1,
                   norm_behind(lane.model(), layer, false));
    });
  }

  void ffn_ln(Lane& base, std::size_t layer, Act which) override {
    DeviceLane<Half>& lane = own(base);
    const ModelShape& shape = lane.model().shape();
    const DeviceLayer<Half>& weights = lane.model().layers.at(layer);
    const RowSet<Half> x = rows_of(lane, which);
    const QuantisedRows& inner = lane.act().scratch.inner;
    const std::size_t blocks = shape.ffn_blocks();
    for_chunks(x.rows, [&](std::size_t first, std::size_t rows) {
      const QuantisedRows in = part(lane, x.quantised, first);
      multiply(lane, in, weights.coded_up, rows, shape.up_width());
      activate(lane, sums_of(lane, in, weights.coded_up), inner, rows);
      // sums[block] = inner[:, block] x down[:, block]
      product(lane, {.precision = kPrecisionOfCode<Code>,
                     .rows = rows,
                     .columns = shape.hidden,
                     .depth = shape.ffn_block,
                     .batch = blocks,
                     .a = inner.values,
                     .a_row = shape.intermediate,
                     .a_stride = shape.ffn_block,
                     .b = weights.coded_down.weight,
                     .b_row = shape.intermediate,
                     .b_stride = shape.ffn_block,
                     .out = lane.act().scratch.sums,
                     .out_row = shape.hidden,
                     .out_stride = rows * shape.hidden});
      add_and_norm(lane, x, sums_of(lane, inner, weights.coded_down), first, rows, blocks,
                   norm_behind(lane.model(), layer, true));
    });
  }

 private:
  template <class Body>
  static void for_chunks(std::size_t rows, const Body& body) {
    for (std::size_t first = 0; first < rows; first += kQuantisedChunk) {
      body(first, std::min(kQuantisedChunk, rows - first));
    }
  }
  static QuantisedRows part(const DeviceLane<Half>& lane, const QuantisedRows& x,
                            std::size_t first) {
    return {x.values + first * lane.model().shape().hidden, x.scale + first,
            kHasZero<Code> ? x.zero + first : nullptr};
  }
  static Dequantise<Code> sums_of(const DeviceLane<Half>& lane, const QuantisedRows& in,
                                  const QuantisedLinear& weights) {
    return {static_cast<const SumOf<Code>*>(lane.act().scratch.sums),
            in.scale,
            in.zero,
            weights.scale,
            weights.sum,
            weights.bias};
  }

  // to = sums + bias, in fp16.
  void dequantise(const DeviceLane<Half>& lane, const Dequantise<Code>& in, Half* to,
                  std::size_t rows, std::size_t columns) const {
    const DequantiseBias<Half, Code> kernel{
        .in = in, .out = to, .rows = narrow(rows), .columns = narrow(columns)};
    launch_rows(lane, kernel, PlainDequantiseBias<Half, Code>{kernel}, rows * columns);
  }
  void quantise(const DeviceLane<Half>& lane, const Half* from, const QuantisedRows& to,
                std::size_t rows, std::size_t width) const {
    const QuantiseRows<Half, Code> kernel{
        .in = from, .out = to, .rows = narrow(rows), .width = narrow(width)};
    launch_rows(lane, kernel, PlainQuantiseRows<Half, Code>{kernel}, rows);
  }

  void product(const DeviceLane<Half>& lane, const GemmCall& call) const {
    if (by_library(lane, call)) return;
    launch(lane, PlainGemm<Code>{call}, PlainGemm<Code>::grid(call));
  }
  // sums = in x weights, over all H of the depth.
  void multiply(const DeviceLane<Half>& lane, const QuantisedRows& in,
                const QuantisedLinear& weights, std::size_t rows, std::size_t columns) const {
    const std::size_t hidden = lane.model().shape().hidden;
    GemmCall call =
        dense_product(rows, columns, hidden, in.values, weights.weight, lane.act().scratch.sums);
    call.precision = kPrecisionOfCode<Code>;
    product(lane, call);
  }

  // e4m3: queries, keys and values of all rows at once, by a product that knows both scales and
  // the bias. False where the library has none for this size.
  bool multiply_with_scales(const DeviceLane<Half>& lane, std::size_t layer,
                            const RowSet<Half>& x) const {
    const std::size_t hidden = lane.model().shape().hidden;
    const DeviceLayer<Half>& weights = lane.model().layers.at(layer);
    GemmCall call = dense_product(x.rows, 3 * hidden, hidden, x.quantised.values,
                                  weights.coded_qkv.weight, lane.act().wide);
    call.precision = kPrecisionOfCode<Code>;
    call.row_scale = x.quantised.scale;
    call.column_scale = weights.coded_qkv.scale;
    call.bias = weights.qkv_bias;
    return by_library(lane, call);
  }

  // The FFN's hidden layer, quantised.
  void activate(const DeviceLane<Half>& lane, const Dequantise<Code>& in, const QuantisedRows& out,
                std::size_t rows) const {
    const ModelShape& shape = lane.model().shape();
    const std::size_t blocks = shape.ffn_blocks();
    if (shape.gated()) {  // its halves lie apart, each a part of every block
      dequantise(lane, in, lane.act().wide, rows, shape.up_width());
      quantise(lane, gate(lane, nullptr, rows), out, rows * blocks, shape.ffn_block);
      return;
    }
    if constexpr (kHasZero<Code>) {
      const DequantiseActivation kernel{.in = in,
                                        .out = out,
                                        .activation = shape.activation,
                                        .rows = narrow(rows),
                                        .width = narrow(shape.ffn_block),
                                        .blocks = narrow(blocks)};
      launch_rows(lane, kernel, PlainDequantiseActivation{kernel}, rows * blocks);
    } else {
      const DequantiseRowActivation kernel{.in = in,
                                           .out = out,
                                           .activation = shape.activation,
                                           .width = narrow(shape.intermediate)};
      const PlainDequantiseRowActivation plain{kernel, narrow(rows)};
      if (used().rows) {
        return launch(lane, kernel,
                      {.x = rows, .shared_bytes = DequantiseRowActivation::kSharedBytes});
      }
      launch(lane, plain, {.x = blocks_for(rows, PlainDequantiseRowActivation::kRowsABlock)});
    }
  }

  void add_and_norm(const DeviceLane<Half>& lane, const RowSet<Half>& x, const Dequantise<Code>& in,
                    std::size_t first, std::size_t rows, std::size_t blocks,
                    const Norm& norm) const {
    const std::size_t hidden = lane.model().shape().hidden;
    const DequantiseNorm<Half, Code> kernel{.in = in,
                                            .norm = norm.parameters(),
                                            .x = x.x + first * hidden,
                                            .out = part(lane, x.quantised, first),
                                            .rows = narrow(rows),
                                            .hidden = narrow(hidden),
                                            .blocks = narrow(blocks)};
    if (x.stream == nullptr) {
      return launch_rows(lane, kernel, PlainDequantiseNorm<Half, Code>{kernel}, rows);
    }
    const DequantisePreNorm<Half, Code> pre{kernel, x.stream + first * hidden};
    launch_rows(lane, pre, PlainDequantisePreNorm<Half, Code>{pre}, rows);
  }
};

}  // namespace

std::unique_ptr<Backend> make_quantised_blocks(std::shared_ptr<Runtime> runtime,
                                               Precision precision, const BlocksOptions& options) {
  if (precision == Precision::fp8) {
    return std::make_unique<QuantisedBlocks<E4m3>>(std::move(runtime), options);
  }
  return std::make_unique<QuantisedBlocks<std::int8_t>>(std::move(runtime), options);
}

}  // namespace breakeven::ops::cuda

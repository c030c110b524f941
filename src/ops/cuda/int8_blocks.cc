// int8: the products of all layers but the last one's attention by s8 rows and s8 weights, with
// fp16 around them (kernels/int8.h has the arithmetic). Embeddings, attention, the residual stream,
// the last layer's absorbed attention and the head are those of fp16.
#include <algorithm>
#include <utility>

#include "ops/cuda/blocks_of.h"

namespace breakeven::ops::cuda {
namespace {

class Int8Blocks final : public Blocks<Half> {
 public:
  Int8Blocks(std::shared_ptr<Runtime> runtime, const BlocksOptions& options)
      : Blocks<Half>(std::move(runtime), Precision::int8, options) {}

  void embed_ln(Lane& base) override {
    Blocks<Half>::embed_ln(base);
    DeviceLane<Half>& lane = own(base);
    const RowSet<Half> rows = rows_of(lane, Act::x);
    quantise(lane, rows.x, rows.quantised, rows.rows);
  }

  void attention(Lane& base, std::size_t layer) override {
    DeviceLane<Half>& lane = own(base);
    const std::size_t columns = 3 * lane.model().shape().hidden;
    const Int8Linear& weights = lane.model().layers.at(layer).int8_qkv;
    const RowSet<Half> x = rows_of(lane, Act::x);
    for_chunks(x.rows, [&](std::size_t first, std::size_t rows) {
      const QuantisedRows in = part(lane, x.quantised, first);
      multiply(lane, in, weights, rows, columns);
      const DequantiseBias<Half> kernel{.in = sums_of(lane, in, weights),
                                        .out = lane.act().wide + first * columns,
                                        .rows = narrow(rows),
                                        .columns = narrow(columns)};
      launch_rows(lane, kernel, PlainDequantiseBias<Half>{kernel}, rows * columns);
    });
    attend(lane);
  }

  void project_ln(Lane& base, std::size_t layer, Act which) override {
    DeviceLane<Half>& lane = own(base);
    const std::size_t hidden = lane.model().shape().hidden;
    const DeviceLayer<Half>& weights = lane.model().layers.at(layer);
    const RowSet<Half> x = rows_of(lane, which);
    const QuantisedRows& context = lane.act().int8.inner;
    for_chunks(x.rows, [&](std::size_t first, std::size_t rows) {
      quantise(lane, x.ctx + first * hidden, context, rows);
      multiply(lane, context, weights.int8_project, rows, hidden);
      add_and_norm(lane, x, sums_of(lane, context, weights.int8_project), first, rows, 1,
                   weights.attention_norm);
    });
  }

  void ffn_ln(Lane& base, std::size_t layer, Act which) override {
    DeviceLane<Half>& lane = own(base);
    const ModelShape& shape = lane.model().shape();
    const DeviceLayer<Half>& weights = lane.model().layers.at(layer);
    const RowSet<Half> x = rows_of(lane, which);
    const QuantisedRows& inner = lane.act().int8.inner;
    const std::size_t blocks = shape.ffn_blocks();
    for_chunks(x.rows, [&](std::size_t first, std::size_t rows) {
      const QuantisedRows in = part(lane, x.quantised, first);
      multiply(lane, in, weights.int8_up, rows, shape.intermediate);
      const DequantiseActivation kernel{.in = sums_of(lane, in, weights.int8_up),
                                        .out = inner,
                                        .activation = shape.activation,
                                        .rows = narrow(rows),
                                        .width = narrow(shape.ffn_block),
                                        .blocks = narrow(blocks)};
      launch_rows(lane, kernel, PlainDequantiseActivation{kernel}, rows * blocks);
      // sums[block] = inner[:, block] x down[:, block]
      product(lane, {.precision = Precision::int8,
                     .rows = rows,
                     .columns = shape.hidden,
                     .depth = shape.ffn_block,
                     .batch = blocks,
                     .a = inner.values,
                     .a_row = shape.intermediate,
                     .a_stride = shape.ffn_block,
                     .b = weights.int8_down.weight,
                     .b_row = shape.intermediate,
                     .b_stride = shape.ffn_block,
                     .out = lane.act().int8.sums,
                     .out_row = shape.hidden,
                     .out_stride = rows * shape.hidden});
      add_and_norm(lane, x, sums_of(lane, inner, weights.int8_down), first, rows, blocks,
                   weights.ffn_norm);
    });
  }

 private:
  template <class Body>
  static void for_chunks(std::size_t rows, const Body& body) {
    for (std::size_t first = 0; first < rows; first += kInt8Chunk) {
      body(first, std::min(kInt8Chunk, rows - first));
    }
  }
  static QuantisedRows part(const DeviceLane<Half>& lane, const QuantisedRows& x,
                            std::size_t first) {
    return {x.values + first * lane.model().shape().hidden, x.scale + first, x.zero + first};
  }
  static Dequantise sums_of(const DeviceLane<Half>& lane, const QuantisedRows& in,
                            const Int8Linear& weights) {
    return {lane.act().int8.sums, in.scale, in.zero, weights.scale, weights.sum, weights.bias};
  }

  void quantise(const DeviceLane<Half>& lane, const Half* from, const QuantisedRows& to,
                std::size_t rows) const {
    const QuantiseRows<Half> kernel{
        .in = from, .out = to, .rows = narrow(rows), .width = narrow(lane.model().shape().hidden)};
    launch_rows(lane, kernel, PlainQuantiseRows<Half>{kernel}, rows);
  }

  void product(const DeviceLane<Half>& lane, const GemmCall& call) const {
    if (by_library(lane, call)) return;
    launch(lane, PlainInt8Gemm{call}, PlainInt8Gemm::grid(call));
  }
  // sums = in x weights, over all H of the depth.
  void multiply(const DeviceLane<Half>& lane, const QuantisedRows& in, const Int8Linear& weights,
                std::size_t rows, std::size_t columns) const {
    const std::size_t hidden = lane.model().shape().hidden;
    product(lane, {.precision = Precision::int8,
                   .rows = rows,
                   .columns = columns,
                   .depth = hidden,
                   .a = in.values,
                   .a_row = hidden,
                   .b = weights.weight,
                   .b_row = hidden,
                   .out = lane.act().int8.sums,
                   .out_row = columns});
  }

  void add_and_norm(const DeviceLane<Half>& lane, const RowSet<Half>& x, const Dequantise& in,
                    std::size_t first, std::size_t rows, std::size_t blocks,
                    const Norm& norm) const {
    const std::size_t hidden = lane.model().shape().hidden;
    const DequantiseNorm<Half> kernel{.in = in,
                                      .norm = norm.parameters(),
                                      .x = x.x + first * hidden,
                                      .out = part(lane, x.quantised, first),
                                      .rows = narrow(rows),
                                      .hidden = narrow(hidden),
                                      .blocks = narrow(blocks)};
    launch_rows(lane, kernel, PlainDequantiseNorm<Half>{kernel}, rows);
  }
};

}  // namespace

std::unique_ptr<DeviceBackend> make_int8_blocks(std::shared_ptr<Runtime> runtime,
                                                const BlocksOptions& options) {
  return std::make_unique<Int8Blocks>(std::move(runtime), options);
}

}  // namespace breakeven::ops::cuda

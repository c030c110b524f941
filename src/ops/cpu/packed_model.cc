#include "ops/cpu/packed_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/cpu/packer.h"

namespace breakeven::ops::cpu {
namespace {

constexpr std::size_t kLargestHead = 128;
// Weights of one FFN block stay in L2 together with a chunk's rows up to about this many columns.
constexpr std::size_t kLargestBlock = 1024;

DataType data_type(Narrow::Format format) {
  switch (format) {
    case Narrow::Format::bf16:
      return DataType::bf16;
    case Narrow::Format::u8:
      return DataType::u8;
    default:
      return DataType::f32;
  }
}

// As wide as the hidden layer when that divides F, so that all GEMMs share one set of primitives.
void cut_ffn(ModelShape& shape, std::size_t step) {
  const std::size_t width = padded(shape.intermediate, step);
  if (width % shape.hidden_padded == 0 && shape.hidden_padded <= kLargestBlock) {
    shape.block = shape.hidden_padded;
    shape.blocks = width / shape.block;
    return;
  }
  shape.blocks = (width + kLargestBlock - 1) / kLargestBlock;
  shape.block = padded((width + shape.blocks - 1) / shape.blocks, step);
}

}  // namespace

Formats formats_for(Precision precision, InstructionSet set, bool own_gemm) {
  Formats formats;
  formats.precision = precision;
  formats.set = set;
  if (precision == Precision::bf16) formats.gemm_in = Narrow::Format::bf16;
  if (precision == Precision::int8) formats.gemm_in = Narrow::Format::u8;
  if (precision == Precision::fp32x3) formats.gemm_in = Narrow::Format::split;
  const bool full = precision == Precision::fp32 || precision == Precision::fp32x3;
  // oneDNN's bf16 layout of a narrower matrix changes with the number of rows.
  if (precision == Precision::bf16) formats.width_step = 64;
  formats.own_gemm = own_gemm;
  // Whole panels; on tiles also whole rows of a tile.
  if (own_gemm) formats.width_step = formats.on_tiles() ? 64 : kPanel;
  formats.bf16_attention = !full && has_amx(set);
  formats.bf16_context = formats.bf16_attention || precision == Precision::bf16;
  // Without VNNI two u8 x s8 products are added in 16 bits: 2 * 255 * 64 just fits.
  formats.weight_limit = has_vnni(set) ? 127 : 63;
  return formats;
}

Result<ModelShape> shape_of(const EncoderWeights& weights, const Formats& formats) {
  ModelShape shape;
  shape.hidden = weights.hidden;
  shape.heads = weights.heads;
  shape.layers = weights.layers.size();
  if (shape.layers == 0 || shape.heads == 0 || shape.hidden % shape.heads != 0) {
    return fail(
        "ops/unsupported",
        fmt::format("{} layers, hidden size {}, {} heads", shape.layers, shape.hidden, shape.heads),
        "a model needs at least one layer, and heads that divide the hidden size");
  }
  shape.head_size = shape.hidden / shape.heads;
  if (shape.head_size > kLargestHead) {
    return fail("ops/unsupported",
                fmt::format("heads of {} are larger than {}", shape.head_size, kLargestHead),
                "use the reference backend");
  }
  shape.intermediate = weights.intermediate;
  shape.vocabulary = weights.vocabulary;
  shape.positions = weights.positions;
  shape.token_types = weights.embedding.token_type.size() / weights.hidden;
  shape.labels = weights.labels;
  shape.hidden_padded = padded(shape.hidden, formats.width_step);
  shape.head_padded = padded(shape.head_size);
  shape.heads_padded = padded(shape.heads);
  shape.labels_padded = padded(shape.labels);
  shape.activation = weights.activation;
  shape.head_activation = weights.head.activation;
  cut_ffn(shape, formats.width_step);
  return shape;
}

Result<void> CpuModel::make_gemms() {
  if (formats_.own_gemm) return {};
  const std::size_t hidden = shape_.hidden_padded;
  const bool int8 = formats_.precision == Precision::int8;
  GemmSpec plain;
  plain.depth = hidden;
  plain.columns = hidden;
  plain.in = data_type(formats_.gemm_in);
  plain.weights = int8 ? DataType::s8 : plain.in;
  plain.out = int8 ? DataType::s32 : DataType::f32;
  BREAKEVEN_TRY(gemms_.plain, Gemm::make(plain, kBuckets));
  gemms_.qkv = gemms_.plain;
  if (!int8) {
    GemmSpec qkv = plain;
    qkv.bias = true;
    if (formats_.bf16_attention) qkv.out = DataType::bf16;
    BREAKEVEN_TRY(gemms_.qkv, Gemm::make(qkv, kBuckets));
  }
  gemms_.up = gemms_.plain;
  gemms_.down_first = gemms_.plain;
  if (shape_.block != hidden) {
    GemmSpec up = plain;
    up.columns = shape_.block;
    BREAKEVEN_TRY(gemms_.up, Gemm::make(up, kBuckets));
    GemmSpec down = plain;
    down.depth = shape_.block;
    BREAKEVEN_TRY(gemms_.down_first, Gemm::make(down, kBuckets));
  }
  if (!int8 && shape_.blocks > 1) {
    GemmSpec next = gemms_.down_first->spec();
    next.accumulate = true;
    BREAKEVEN_TRY(gemms_.down_next, Gemm::make(next, kBuckets));
  }
  return {};
}

void CpuModel::lay_out_layer(Arena& arena, std::size_t index) {
  const bool int8 = formats_.precision == Precision::int8;
  const auto linear = [&](Linear& l, const Gemm& gemm) {
    const std::size_t columns = gemm.spec().columns;
    l.data = arena.take<std::byte>(gemm.weight_bytes());
    l.bias = arena.take<float>(columns);
    if (int8) l.column_scale = arena.take<float>(columns);
    if (int8) l.column_sum = arena.take<std::int32_t>(columns);
  };
  Layer& layer = layers_[index];
  if (index + 1 < shape_.layers) {
    for (Linear* l : {&layer.query, &layer.key, &layer.value}) linear(*l, *gemms_.qkv);
  }
  linear(layer.project, *gemms_.plain);
  layer.up.resize(shape_.blocks);
  layer.down.resize(shape_.blocks);
  for (Linear& l : layer.up) linear(l, *gemms_.up);
  for (Linear& l : layer.down) linear(l, *gemms_.down_first);
}

void CpuModel::lay_out_panels(Arena& arena, std::size_t index) {
  const bool int8 = formats_.precision == Precision::int8;
  const std::size_t hidden = shape_.hidden_padded;
  const auto linear = [&](PanelLinear& l, std::size_t columns, std::size_t depth) {
    l.columns = columns;
    l.depth = depth;
    l.format = formats_.weights();
    l.data = arena.take<std::byte>(panel_weight_bytes(columns, depth, l.format));
    l.bias = arena.take<float>(columns);
    if (int8) l.column_scale = arena.take<float>(columns);
    if (int8) l.column_sum = arena.take<float>(columns);
  };
  PanelLayer& layer = layers_[index].panels;
  if (index + 1 < shape_.layers) linear(layer.qkv, 3 * hidden, hidden);
  linear(layer.project, hidden, hidden);
  layer.up.resize(shape_.blocks);
  layer.down.resize(shape_.blocks);
  for (PanelLinear& l : layer.up) linear(l, shape_.block, hidden);
  for (PanelLinear& l : layer.down) linear(l, hidden, shape_.block);
  if (index + 1 == shape_.layers) return;
  PanelLayer& next = layers_[index + 1].panels;
  layer.following = index + 2 < shape_.layers ? &next.qkv : &next.project;
}

void CpuModel::lay_out(Arena& arena) {
  const std::size_t hidden = shape_.hidden_padded;
  const auto norm = [&](Norm& n) {
    n.gamma = arena.take<float>(hidden);
    n.beta = arena.take<float>(hidden);
  };
  if (formats_.precision == Precision::fp32 || formats_.precision == Precision::fp32x3) {
    embedding_.word_f32 = arena.take<float>(shape_.vocabulary * hidden);
  } else {
    embedding_.word_bf16 = arena.take<Bf16>(shape_.vocabulary * hidden);
  }
  embedding_.position = arena.take<float>(shape_.positions * hidden);
  if (shape_.token_types > 0) {
    embedding_.token_type = arena.take<float>(shape_.token_types * hidden);
  }
  norm(embedding_.norm);
  layers_.resize(shape_.layers);
  for (std::size_t index = 0; index < shape_.layers; ++index) {
    if (formats_.own_gemm) {
      lay_out_panels(arena, index);
    } else {
      lay_out_layer(arena, index);
    }
    norm(layers_[index].attention_norm);
    norm(layers_[index].ffn_norm);
  }
  const std::size_t heads = shape_.heads;
  cls_.query = arena.take<float>(heads * hidden * shape_.head_padded);
  cls_.query_bias = arena.take<float>(heads * shape_.head_padded);
  cls_.key = arena.take<float>(heads * shape_.head_size * hidden);
  cls_.value = arena.take<float>(heads * hidden * shape_.head_padded);
  cls_.value_bias = arena.take<float>(heads * shape_.head_padded);
  head_.dense = arena.take<float>(hidden * hidden);
  head_.dense_bias = arena.take<float>(hidden);
  head_.classifier = arena.take<float>(hidden * shape_.labels_padded);
  head_.classifier_bias = arena.take<float>(shape_.labels_padded);
}

Result<std::shared_ptr<const CpuModel>> CpuModel::pack(const EncoderWeights& weights,
                                                       const Formats& formats) {
  auto model = std::make_shared<CpuModel>();
  model->formats_ = formats;
  BREAKEVEN_TRY(model->shape_, shape_of(weights, formats));
  BREAKEVEN_TRY_VOID(model->make_gemms());
  Arena counted;
  model->lay_out(counted);
  BREAKEVEN_TRY(model->arena_, Arena::allocate(counted.used()));
  model->lay_out(model->arena_);
  BREAKEVEN_TRY_VOID(Packer(weights, *model).run());
  return std::shared_ptr<const CpuModel>(std::move(model));
}

}  // namespace breakeven::ops::cpu

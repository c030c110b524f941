#include "ops/cpu/packed_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "ops/cpu/packer.h"

namespace breakeven::ops::cpu {
namespace {

constexpr std::size_t kLargestHead = 128;
}  // namespace

Formats formats_for(Precision precision, InstructionSet set) {
  return formats_for(precision, set, kernels_for(has_avx512(set)),
                     has_amx(set) ? &amx_tiles() : nullptr);
}

Formats formats_for(Precision precision, InstructionSet set, const Kernels& kernels,
                    const TileKernels* tiles) {
  Formats formats;
  formats.precision = precision;
  formats.set = set;
  formats.kernels = &kernels;
  formats.tiles = tiles;
  if (precision == Precision::bf16) formats.gemm_in = NumberFormat::bf16;
  if (precision == Precision::int8) formats.gemm_in = NumberFormat::u8;
  if (precision == Precision::fp32x3) formats.gemm_in = NumberFormat::split;
  // Whole panels; on tiles also whole rows of a tile.
  formats.width_step = formats.on_tiles() ? 64 : kPanel;
  // Intel's product of bf16 on vectors takes four times as long as a multiply-add
  // (docs/decisions/0018).
  const bool fast_bf16 = has_amx(set) || (has_bf16(set) && !__builtin_cpu_is("intel"));
  formats.bf16_attention =
      precision == Precision::bf16 || (precision == Precision::int8 && fast_bf16);
  // Without VNNI two u8 x s8 products are added in 16 bits: 2 * 255 * 64 just fits.
  formats.weight_limit = has_vnni(set) ? 127 : 63;
  return formats;
}

MultiplyPanels* gemm_for(const Formats& formats) {
  if (formats.on_tiles()) return formats.tiles->multiply;
  const Kernels& kernels = *formats.kernels;
  switch (formats.weights()) {
    case WeightFormat::bf16:
      return kernels.multiply_bf16;
    case WeightFormat::s8:
      return has_vnni(formats.set) ? kernels.multiply_s8 : kernels.multiply_small_s8;
    case WeightFormat::f32:
    case WeightFormat::split:  // on tiles only
      break;
  }
  return kernels.multiply_f32;
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
  shape.form = weights.form;
  if (shape.rotates()) {
    BREAKEVEN_CHECK(shape.head_size % 2 == 0, "heads of {}", shape.head_size);
    for (const LayerWeights& layer : weights.layers) {
      if (std::find(shape.thetas.begin(), shape.thetas.end(), layer.theta) == shape.thetas.end()) {
        shape.thetas.push_back(layer.theta);
      }
    }
  }
  shape.intermediate = weights.intermediate;
  shape.vocabulary = weights.vocabulary;
  shape.positions = weights.positions;
  shape.embedding = weights.embedding.width(weights.hidden);
  shape.projects = weights.embedding.project.out != 0;
  shape.distances = 2 * weights.relative.distances.span;
  shape.distance_bytes =
      panel_weight_bytes(padded(shape.distances, kPanel), formats.distance_depth(shape.head_size),
                         formats.tile_attention() ? WeightFormat::bf16 : WeightFormat::f32);
  shape.uncounted_id = weights.embedding.uncounted_id;
  shape.token_types = weights.embedding.token_type.size() / shape.embedding;
  shape.labels = weights.labels;
  shape.hidden_padded = padded(shape.hidden, formats.width_step);
  shape.embedding_padded = shape.projects ? padded(shape.embedding) : shape.hidden_padded;
  shape.head_padded = padded(shape.head_size);
  shape.heads_padded = padded(shape.heads);
  shape.labels_padded = padded(shape.labels);
  shape.activation = weights.activation;
  shape.head_activation = weights.head.activation;
  const FfnCut ffn = cut_ffn(shape.hidden, shape.intermediate);
  shape.block = ffn.block;
  shape.blocks = ffn.blocks;
  return shape;
}

void CpuModel::lay_out_layer(Arena& arena, std::size_t index) {
  const bool int8 = formats_.precision == Precision::int8;
  const std::size_t hidden = shape_.hidden_padded;
  const auto linear = [&](Linear& l, std::size_t columns, std::size_t depth) {
    l.columns = columns;
    l.depth = depth;
    l.format = formats_.weights();
    l.data = arena.take<std::byte>(panel_weight_bytes(columns, depth, l.format));
    l.bias = arena.take<float>(columns);
    if (int8) l.column_scale = arena.take<float>(columns);
    if (int8) l.column_sum = arena.take<float>(columns);
  };
  Layer& layer = layers_[index];
  if (shape_.has_qkv(index)) {
    linear(layer.qkv, 3 * hidden, hidden);
    layer.distance_keys = arena.take<std::byte>(shape_.heads * shape_.distance_bytes);
    layer.distance_queries = arena.take<std::byte>(shape_.heads * shape_.distance_bytes);
  }
  linear(layer.project, hidden, hidden);
  layer.up.resize(shape_.blocks);
  layer.down.resize(shape_.blocks);
  for (Linear& l : layer.up) linear(l, shape_.up_columns() * shape_.block, hidden);
  for (Linear& l : layer.down) linear(l, hidden, shape_.block);
  const bool last = index + 1 == shape_.layers;
  layer.after_attention = shape_.pre_norm() ? &layer.ffn_norm : &layer.attention_norm;
  layer.after_ffn = !shape_.pre_norm() ? &layer.ffn_norm
                    : last             ? &final_norm_
                                       : &layers_[index + 1].attention_norm;
  if (last) return;
  const Layer& next = layers_[index + 1];
  layer.following = shape_.has_qkv(index + 1) ? &next.qkv : &next.project;
}

void CpuModel::lay_out_cls(Arena& arena) {
  const std::size_t hidden = shape_.hidden_padded;
  const std::size_t heads = shape_.heads;
  cls_.query = arena.take<float>(heads * hidden * shape_.head_padded);
  cls_.query_bias = arena.take<float>(heads * shape_.head_padded);
  cls_.key = arena.take<float>(heads * shape_.head_size * hidden);
  cls_.value = arena.take<float>(heads * hidden * shape_.head_padded);
  cls_.value_bias = arena.take<float>(heads * shape_.head_padded);
  if (shape_.distances > 0) {
    cls_.distance_keys = arena.take<float>(heads * shape_.head_padded * shape_.cls_distances());
    cls_.distance_bias = arena.take<float>(heads * shape_.cls_distances());
    cls_.distance_queries =
        arena.take<float>(shape_.cls_distances() * hidden * shape_.heads_padded);
  }
}

void CpuModel::lay_out(Arena& arena) {
  const std::size_t hidden = shape_.hidden_padded;
  const std::size_t embedding = shape_.embedding_padded;
  const auto norm = [&](Norm& n, std::size_t width) {
    n.gamma = arena.take<float>(width);
    n.beta = arena.take<float>(width);
  };
  if (formats_.precision == Precision::fp32 || formats_.precision == Precision::fp32x3) {
    embedding_.word_f32 = arena.take<float>(shape_.vocabulary * embedding);
  } else {
    embedding_.word_bf16 = arena.take<Bf16>(shape_.vocabulary * embedding);
  }
  switch (shape_.form.position) {
    case EncoderForm::Position::learned:
      embedding_.position = arena.take<float>(shape_.positions * embedding);
      break;
    case EncoderForm::Position::relative:
      distance_rows_ = arena.take<std::int32_t>(2 * shape_.positions - 1);
      break;
    case EncoderForm::Position::rotary:
      rotary_.clear();
      for (std::size_t i = 0; i < shape_.thetas.size(); ++i) {
        rotary_.push_back(arena.take<float>(shape_.positions * shape_.head_size));
      }
      break;
  }
  if (shape_.token_types > 0) {
    embedding_.token_type = arena.take<float>(shape_.token_types * embedding);
  }
  norm(embedding_.norm, embedding);
  if (shape_.projects) {
    embedding_.project = arena.take<float>(shape_.embedding * hidden);
    embedding_.project_bias = arena.take<float>(hidden);
  }
  layers_.resize(shape_.layers);
  for (std::size_t index = 0; index < shape_.layers; ++index) {
    lay_out_layer(arena, index);
    norm(layers_[index].attention_norm, hidden);
    norm(layers_[index].ffn_norm, hidden);
  }
  if (shape_.absorbs()) lay_out_cls(arena);
  norm(final_norm_, hidden);
  norm(head_.norm, hidden);
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
  Arena counted;
  model->lay_out(counted);
  BREAKEVEN_TRY(model->arena_, Arena::allocate(counted.used()));
  model->lay_out(model->arena_);
  Packer(weights, *model).run();
  return std::shared_ptr<const CpuModel>(std::move(model));
}

}  // namespace breakeven::ops::cpu

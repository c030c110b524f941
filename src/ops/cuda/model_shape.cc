#include "ops/cuda/model_shape.h"

#include <fmt/format.h>

#include "ops/cuda/kernels/call.h"

namespace breakeven::ops::cuda {
namespace {

// What a block gets without asking for more, on every architecture.
constexpr std::size_t kSharedLimit_bytes = std::size_t{48} * 1024;

// Projected embeddings stand in memory made for x, and the product's rows become x at once: in bf16
// the residual stream would need them in fp32.
Result<void> check_embedding(const ModelShape& shape, Precision precision) {
  if (!shape.projects) return {};
  const std::string what = fmt::format("embeddings of {} values, projected to the model's {}",
                                       shape.embedding, shape.hidden);
  if (precision == Precision::bf16) {
    return fail("ops/unsupported",
                fmt::format("the CUDA backend does not compute {}, in bf16", what),
                "use --precision fp16, or --device cpu");
  }
  if (shape.embedding > shape.hidden || shape.pre_norm()) {
    return fail("ops/unsupported", fmt::format("the CUDA backend does not compute {}", what),
                "use --device cpu");
  }
  return {};
}

// mDeBERTa has activations beyond fp16's 65,504 (microsoft/DeBERTa#77), which all of these
// precisions have around their products. Its config.json is DeBERTa-v3-base's but for vocab_size,
// 251,000 against 128,100, and no published DeBERTa but those made of it has so many words.
Result<void> check_range(const ModelShape& shape, Precision precision) {
  constexpr std::size_t kWordsOfMDeberta = 250'000;
  if (!shape.relative() || shape.vocabulary < kWordsOfMDeberta || precision == Precision::fp32 ||
      precision == Precision::bf16) {
    return {};
  }
  return fail("ops/unsupported",
              fmt::format("{} on a GPU of a DeBERTa with {} words (mDeBERTa): its activations go "
                          "beyond the 65,504 that fp16 holds",
                          to_string(precision), shape.vocabulary),
              "use --precision bf16 or fp32");
}

}  // namespace

Result<ModelShape> shape_of(const EncoderWeights& weights, Precision precision) {
  if (weights.form.position == EncoderForm::Position::relative &&
      weights.form.attention == EncoderForm::Attention::windowed) {
    return fail("ops/unsupported",
                "the CUDA backend does not compute relative positions in a window",
                "use --device cpu, or another runtime: --runtime pytorch");
  }
  ModelShape shape{
      .hidden = weights.hidden,
      .heads = weights.heads,
      .head_size = weights.hidden / weights.heads,
      .intermediate = weights.intermediate,
      .vocabulary = weights.vocabulary,
      .positions = weights.positions,
      .token_types = weights.embedding.token_type.size() / weights.embedding.width(weights.hidden),
      .labels = weights.labels,
      .layers = weights.layers.size(),
      .uncounted_id = weights.embedding.uncounted_id,
      .embedding = weights.embedding.width(weights.hidden),
      .projects = weights.embedding.project.out != 0,
      .form = weights.form,
      .distances = 2 * weights.relative.distances.span,
      .places = !weights.embedding.position.empty(),
      .head_norm = !weights.head.norm.gamma.empty(),
      .activation = weights.activation,
      .head_activation = weights.head.activation};
  BREAKEVEN_TRY_VOID(check_embedding(shape, precision));
  BREAKEVEN_TRY_VOID(check_range(shape, precision));
  if (precision == Precision::int8) shape.codes = Codes::s8;
  if (precision == Precision::fp8) shape.codes = Codes::e4m3;
  if (shape.codes == Codes::s8 || (shape.quantised() && shape.gated())) {
    const FfnCut ffn = cut_ffn(shape.hidden, shape.intermediate);
    shape.ffn_block = ffn.block;
    shape.intermediate = ffn.block * ffn.blocks;
  } else if (shape.quantised()) {  // a row of e4m3 has one scale; but warps quantise a gated FFN's
    shape.ffn_block = shape.intermediate;
  }
  shape.split = precision == Precision::fp32x3;
  if (shape.split && (shape.hidden % 8 != 0 || shape.intermediate % 8 != 0)) {
    return fail(
        "ops/unsupported",
        fmt::format("fp32x3 on a GPU with widths of {} and {}, which are not both multiples "
                    "of 8",
                    shape.hidden, shape.intermediate),
        "use --precision fp32");
  }
  if (shape.layers == 0) return fail("ops/unsupported", "a model without layers");
  if (shape.pre_norm() && !weights.layers.front().attention_norm.gamma.empty()) {
    return fail("ops/unsupported",
                "the CUDA backend does not compute a norm of the embeddings' norm",
                "use --device cpu");
  }
  if (shape.head_size > PlainAttention<float>::kWidestHead) {
    return fail("ops/unsupported", fmt::format("attention heads of {} values", shape.head_size),
                fmt::format("up to {} can run on a GPU here; use --device cpu",
                            PlainAttention<float>::kWidestHead));
  }
  return shape;
}

KernelChoice fitting(const ModelShape& shape, const KernelChoice& allowed) {
  KernelChoice choice = allowed;
  choice.rows &= row_kernels_fit(shape.hidden) && row_kernels_fit(shape.embedding) &&
                 shape.intermediate % 8 == 0;
  const bool by_block = shape.codes == Codes::s8 || shape.gated();
  if (shape.quantised() && by_block) choice.rows &= row_kernels_fit(shape.ffn_block);
  if (shape.codes == Codes::e4m3 && !by_block) {
    choice.rows &= shape.intermediate <= DequantiseRowActivation::kWidest;
  }
  if (shape.pre_norm() || shape.gated() || shape.rotary()) choice.rows &= choice.form_rows;
  if (shape.rotary()) choice.rows &= shape.head_size % 16 == 0;
  choice.attention &= shape.hidden % 8 == 0 && (shape.head_size == 64 || shape.head_size == 32);
  // One list of tiles serves all layers of a model.
  choice.wide_attention &= choice.attention && shape.absorbs();
  if (shape.windowed()) choice.attention &= choice.window;
  if (shape.relative()) choice.attention &= choice.relative;
  // Where keys are not absorbed, the last layer's attention is that of the others.
  if (shape.absorbs()) {
    choice.cls_attention &=
        shape.hidden % 8 == 0 &&
        ClsAttention<float>::shared_bytes(shape.hidden, shape.positions) <= kSharedLimit_bytes;
  }
  choice.cls_tiles &= shape.hidden % 8 == 0 && shape.hidden <= ClsTiles<Half, 8>::kWidest;
  // The library wants rows of 16 bytes.
  choice.gemm &= shape.embedding % 8 == 0 && shape.hidden % 8 == 0 && shape.intermediate % 8 == 0 &&
                 shape.head_size % 8 == 0;
  if (shape.quantised()) choice.gemm &= shape.hidden % 16 == 0 && shape.ffn_block % 16 == 0;
  choice.residual_gemm &= choice.gemm;
  choice.scaled_gemm &= choice.gemm && shape.codes == Codes::e4m3;
  return choice;
}

std::string to_string(const KernelChoice& choice) {
  std::string plain;
  const auto add = [&plain](bool fast, const char* name) {
    if (!fast) plain += (plain.empty() ? "plain: " : ", ") + std::string(name);
  };
  add(choice.rows, "rows");
  add(choice.attention, "attention");
  add(choice.cls_attention || choice.cls_tiles, "cls attention");
  add(choice.gemm, "gemm");
  return plain.empty() ? "fast" : plain;
}

}  // namespace breakeven::ops::cuda

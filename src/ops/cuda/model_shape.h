// The sizes of a model, and which fast kernels fit them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "ops/ops.h"

namespace breakeven::ops::cuda {

// What rows and weights are quantised to (kernels/quantised.h).
enum class Codes : std::uint8_t { none, s8, e4m3 };

struct ModelShape {
  std::size_t hidden = 0, heads = 0, head_size = 0;
  std::size_t intermediate = 0;  // with the zeros behind it of ops::cut_ffn, where that cuts it
  std::size_t vocabulary = 0, positions = 0, token_types = 0, labels = 0, layers = 0;
  std::int32_t uncounted_id = -1;  // as EmbeddingWeights has it
  std::size_t embedding = 0;       // E
  bool projects = false;           // whether it is not H
  EncoderForm form{};
  std::size_t distances = 0;  // rows of the tables of relative positions, 2 span
  bool places = true;         // whether there is a table of positions
  bool head_norm = false;     // between the head's activation and its classifier
  Activation activation = Activation::gelu_erf;
  Activation head_activation = Activation::relu;
  Codes codes = Codes::none;
  // Columns of the FFN's hidden layer that share a scale where it is quantised, else 0.
  std::size_t ffn_block = 0;
  bool split = false;  // products of halves (kernels/split.h)
  bool quantised() const { return codes != Codes::none; }
  std::size_t ffn_blocks() const { return quantised() ? intermediate / ffn_block : 1; }
  bool pre_norm() const { return form.norm == EncoderForm::Norm::pre; }
  bool gated() const { return form.ffn == EncoderForm::Ffn::gated; }
  bool rotary() const { return form.position == EncoderForm::Position::rotary; }
  bool relative() const { return distances > 0; }
  bool windowed() const { return form.attention == EncoderForm::Attention::windowed; }
  bool takes_mean() const { return form.pooling == EncoderForm::Pooling::mean; }
  // Whether the last layer's keys and values are absorbed into other products (kernels/cls.h),
  // which wants scores that are those of the rows alone.
  bool absorbs() const { return !takes_mean() && !rotary() && !windowed() && !relative(); }
  std::size_t up_width() const { return (gated() ? 2 : 1) * intermediate; }
  // Values a row of the widest that stands between two products: queries, keys and values, or the
  // FFN's hidden layer, and behind a gated one's halves their product.
  std::size_t wide() const { return std::max(3 * hidden, (gated() ? 3 : 1) * intermediate); }
};
// Errors: ops/unsupported (no layer, a head larger than 256, projected embeddings in bf16 or before
// norms, relative positions in a window, mDeBERTa where fp16 is part of it, widths that are no
// multiples of 8 in fp32x3).
Result<ModelShape> shape_of(const EncoderWeights& weights, Precision precision);

// Which kernels run: the fast ones, or their plain twins.
struct KernelChoice {
  bool rows = true;            // embed_norm, residual_norm, bias_activation, quantising
  bool form_rows = true;       // those of kernels/forms.h; counts where they are needed
  bool wide_rows = true;       // wide_embed_norm, wide_residual_norm: where rows are few
  bool attention = true;       // flash_attention
  bool wide_attention = true;  // wide_attention, where sequences are many and of more than 64 rows
  bool window = true;          // flash_attention with a window; counts where it is needed
  bool relative = true;        // relative_attention; counts where it is needed, in 16 bits
  bool cls_attention = true;   // cls_attention
  bool cls_tiles = true;       // cls_tiles and cls_merge, where they fit instead of cls_attention
  bool gemm = true;            // the library's
  bool scaled_gemm = true;  // the library's with scales, where fp8's queries, keys and values come
  bool residual_gemm = true;  // the library's, where it adds the residual
  friend bool operator==(const KernelChoice&, const KernelChoice&) = default;
};
// `allowed` without those that this shape does not fit.
KernelChoice fitting(const ModelShape& shape, const KernelChoice& allowed);
// "fast", or "plain: attention, gemm".
std::string to_string(const KernelChoice& choice);

}  // namespace breakeven::ops::cuda

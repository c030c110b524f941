// A model's weights as the CPU backend reads them: GEMM weights in panels, all widths padded to
// kPad with zeros, the FFN cut into column blocks, one block of memory for all.
#pragma once

#include <cmath>
#include <cstddef>
#include <memory>
#include <vector>

#include "ops/cpu/arena.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/panels.h"
#include "ops/cpu/tile_kernels.h"
#include "ops/ops.h"

namespace breakeven::ops::cpu {

// What a backend's precision and instruction set mean for its number formats.
struct Formats {
  Precision precision = Precision::fp32;
  InstructionSet set = InstructionSet::avx2;
  const Kernels* kernels = nullptr;          // on vectors
  const TileKernels* tiles = nullptr;        // null: the set has none
  NumberFormat gemm_in = NumberFormat::f32;  // what GEMMs read
  bool bf16_attention = false;               // q, k, v, the shares and the context are bf16
  std::size_t width_step = kPad;             // H and F are padded to a multiple of it
  int weight_limit = 127;                    // int8: largest magnitude of a weight

  // What q, k, v and the context are.
  NumberFormat plane() const { return half_or_float(bf16_attention); }
  // What activation(up(x)) is, int8's before it is quantised: on vectors rounding to bf16 would
  // cost more than it saves.
  NumberFormat inner() const {
    return gemm_in != NumberFormat::u8 ? gemm_in : half_or_float(on_tiles());
  }
  // GEMMs run on AMX tiles, not on vectors.
  bool on_tiles() const { return tiles != nullptr && gemm_in != NumberFormat::f32; }
  bool tile_attention() const { return tiles != nullptr && bf16_attention; }
  // What a head's depth is padded to where it is multiplied by distances.
  std::size_t distance_depth(std::size_t head_size) const {
    return padded(head_size, tile_attention() ? 2 * kPad : kDepthStep);
  }
  // What GEMMs multiply by.
  WeightFormat weights() const {
    return gemm_in == NumberFormat::u8      ? WeightFormat::s8
           : gemm_in == NumberFormat::bf16  ? WeightFormat::bf16
           : gemm_in == NumberFormat::split ? WeightFormat::split
                                            : WeightFormat::f32;
  }

 private:
  static NumberFormat half_or_float(bool half) {
    return half ? NumberFormat::bf16 : NumberFormat::f32;
  }
};
Formats formats_for(Precision precision, InstructionSet set);
// With kernels that are not the set's own: what tests put in the place of instructions.
Formats formats_for(Precision precision, InstructionSet set, const Kernels& kernels,
                    const TileKernels* tiles);

// The GEMM that multiplies by weights of these formats.
MultiplyPanels* gemm_for(const Formats& formats);

struct ModelShape {
  std::size_t hidden = 0, heads = 0, head_size = 0, intermediate = 0;
  std::size_t vocabulary = 0, positions = 0, token_types = 0, labels = 0, layers = 0;
  // Padded widths.
  std::size_t embedding = 0;         // E
  std::size_t embedding_padded = 0;  // as hidden_padded where E is H
  bool projects = false;             // whether it is not
  std::size_t hidden_padded = 0, head_padded = 0, heads_padded = 0, labels_padded = 0;
  std::size_t block = 0;   // columns of one FFN block
  std::size_t blocks = 0;  // FFN blocks
  EncoderForm form;
  std::vector<double> thetas;      // of rotary positions, each once
  std::int32_t uncounted_id = -1;  // as EmbeddingWeights has it
  std::size_t distances = 0;       // rows of RelativeWeights::table; 0: none
  std::size_t distance_bytes = 0;  // of one head's projected distances
  // What scores are multiplied by.
  float score_scale() const {
    return 1.0F / std::sqrt(static_cast<float>((distances > 0 ? 3 : 1) * head_size));
  }
  // Rows that row 0 of a sequence meets, padded: those of distances from 0 down.
  std::size_t cls_distances() const { return padded(distances / 2 + 1); }
  bool pre_norm() const { return form.norm == EncoderForm::Norm::pre; }
  bool takes_mean() const { return form.pooling == EncoderForm::Pooling::mean; }
  bool rotates() const { return form.position == EncoderForm::Position::rotary; }
  // Columns of `up` that make one of the FFN's inner values.
  std::size_t up_columns() const { return form.ffn == EncoderForm::Ffn::gated ? 2 : 1; }
  // Whether the last layer is only for row 0 of each sequence, with K and V absorbed
  // (ClsAttention). Rotary positions turn each key in another way, so nothing can be absorbed.
  bool absorbs() const { return !takes_mean() && !rotates(); }
  bool has_qkv(std::size_t layer) const { return layer + 1 < layers || !absorbs(); }
  Activation activation = Activation::gelu_erf;
  Activation head_activation = Activation::relu;
};
// Errors: ops/unsupported (no layer, a head larger than 128).
Result<ModelShape> shape_of(const EncoderWeights& weights, const Formats& formats);

// The memory of one weight matrix; PanelWeights views it.
struct Linear {
  std::size_t columns = 0;
  std::size_t depth = 0;
  std::byte* data = nullptr;
  WeightFormat format = WeightFormat::bf16;
  float* bias = nullptr;
  float* column_scale = nullptr;  // int8
  float* column_sum = nullptr;    // int8: sum of a column's quantised weights
  PanelWeights weights(bool with_bias = true) const {
    return {data, depth, columns, format, with_bias ? bias : nullptr, column_scale, column_sum};
  }
};

struct Norm {
  float* gamma = nullptr;  // null: no norm
  float* beta = nullptr;
  float eps = 0;
  NormParameters parameters(std::size_t width) const { return {gamma, beta, eps, width}; }
};

// q, k and v are one matrix. The FFN's intermediate columns are cut into blocks: up[b] makes the
// columns that down[b] multiplies. Of a gated FFN 16 columns that are activated and the 16 that
// they are multiplied by are a panel.
struct Layer {
  Linear qkv, project;
  std::byte* distance_keys = nullptr;     // [N, distance_bytes], as DistanceTerms has them
  std::byte* distance_queries = nullptr;  // likewise
  std::vector<Linear> up, down;
  const Linear* following = nullptr;  // what the next layer multiplies by first; null: none
  Norm attention_norm, ffn_norm;
  // What follows the residual sum behind attention and behind the FFN.
  const Norm *after_attention = nullptr, *after_ffn = nullptr;
  std::size_t window = 0;         // as LayerWeights has it
  const float* rotary = nullptr;  // rotary_table(); null: none
};

// The last layer's attention in fp32, for row 0 of each sequence, with
// K and V absorbed: scores are (Wk_h^T q_h) . x_j, the context is Wv_h (sum_j p_j x_j) + bv_h; q .
// bk cancels in the softmax.
// With relative positions scores have q . key(R)[r] + (Wk_h^T query(R)[r]) . x_j + query(R)[r] .
// bk, too, for the rows r of distances from 0 down.
struct ClsAttention {
  float* query = nullptr;             // [N, padded H, padded D]
  float* query_bias = nullptr;        // [N, padded D]
  float* key = nullptr;               // [N, D, padded H]
  float* value = nullptr;             // [N, padded H, padded D]
  float* value_bias = nullptr;        // [N, padded D]
  float* distance_keys = nullptr;     // [N, padded D, cls_distances()]
  float* distance_bias = nullptr;     // [N, cls_distances()]: query(R)[r] . bk
  float* distance_queries = nullptr;  // [cls_distances(), padded H, padded N]
};

struct HeadPack {
  float* dense = nullptr;       // [padded H, padded H], in by out
  float* dense_bias = nullptr;  // [padded H]
  Norm norm;
  float* classifier = nullptr;       // [padded H, padded C], in by out
  float* classifier_bias = nullptr;  // [padded C]
};

// Rows of padded E.
struct EmbeddingPack {
  float* word_f32 = nullptr;  // fp32 only
  Bf16* word_bf16 = nullptr;  // bf16 and int8
  float* position = nullptr;
  float* token_type = nullptr;
  Norm norm;
  float* project = nullptr;       // [E, padded H], in by out, fp32; null where E is H
  float* project_bias = nullptr;  // [padded H]
};

class CpuModel final : public PackedModel {
 public:
  // Errors: ops/unsupported, ops/memory.
  static Result<std::shared_ptr<const CpuModel>> pack(const EncoderWeights& weights,
                                                      const Formats& formats);
  std::size_t weight_bytes() const override { return arena_.used(); }

  const Formats& formats() const { return formats_; }
  const ModelShape& shape() const { return shape_; }
  const Layer& layer(std::size_t index) const { return layers_[index]; }
  const ClsAttention& cls() const { return cls_; }
  const HeadPack& head() const { return head_; }
  const EmbeddingPack& embedding() const { return embedding_; }
  // What the first layer reads is the norm of the embeddings' stream.
  const Norm& first_norm() const { return layers_.front().attention_norm; }
  // [key - query]; null without relative positions.
  const std::int32_t* distance_rows() const {
    return distance_rows_ == nullptr ? nullptr : distance_rows_ + shape_.positions - 1;
  }

 private:
  friend class Packer;
  void lay_out(Arena& arena);
  void lay_out_layer(Arena& arena, std::size_t index);
  void lay_out_cls(Arena& arena);

  Formats formats_;
  ModelShape shape_;
  Arena arena_;
  EmbeddingPack embedding_;
  std::int32_t* distance_rows_ = nullptr;  // RelativeDistances::rows
  std::vector<float*> rotary_;             // rotary_table() of each of shape().thetas
  Norm final_norm_;
  std::vector<Layer> layers_;
  ClsAttention cls_;
  HeadPack head_;
};

}  // namespace breakeven::ops::cpu

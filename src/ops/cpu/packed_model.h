// A model's weights as the CPU backend reads them: GEMM weights in panels or in oneDNN's blocked
// layout, all widths padded to kPad with zeros, the FFN cut into column blocks, one block
// of memory for all.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ops/cpu/arena.h"
#include "ops/cpu/gemm.h"
#include "ops/cpu/gemm_amx.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/kernels.h"
#include "ops/ops.h"

namespace breakeven::ops::cpu {

// Row counts that have primitives. Rows are cut into chunks of the largest or fewer, so that a
// chunk's intermediate values stay in a core's L2 (docs/decisions/0007-cpu-backend.md).
inline constexpr std::array<std::size_t, 10> kBuckets{16, 32, 48, 64, 96, 128, 160, 192, 224, 256};

// What a backend's precision and instruction set mean for its number formats.
struct Formats {
  Precision precision = Precision::fp32;
  InstructionSet set = InstructionSet::avx2;
  Narrow::Format gemm_in = Narrow::Format::f32;  // what GEMMs read
  bool bf16_attention = false;    // q, k, v and the context are bf16, attention runs on AMX tiles
  bool bf16_context = false;      // the context is bf16
  std::size_t width_step = kPad;  // H and F are padded to a multiple of it
  int weight_limit = 127;         // int8: largest magnitude of a weight
  bool own_gemm = false;          // GEMMs by the kernels of this folder, not oneDNN's

  // What q, k and v are, and the context.
  Narrow::Format plane() const { return half_or_float(bf16_attention); }
  Narrow::Format context() const { return half_or_float(bf16_context); }
  // What activation(up(x)) is, int8's before it is quantised: on vectors rounding to bf16 would
  // cost more than it saves.
  Narrow::Format inner() const {
    return gemm_in != Narrow::Format::u8 ? gemm_in : half_or_float(on_tiles());
  }
  // The own GEMM works on AMX tiles, not on vectors.
  bool on_tiles() const { return own_gemm && has_amx(set) && gemm_in != Narrow::Format::f32; }
  // What the own GEMM multiplies by.
  WeightFormat weights() const {
    return gemm_in == Narrow::Format::u8      ? WeightFormat::s8
           : gemm_in == Narrow::Format::bf16  ? WeightFormat::bf16
           : gemm_in == Narrow::Format::split ? WeightFormat::split
                                              : WeightFormat::f32;
  }

 private:
  static Narrow::Format half_or_float(bool half) {
    return half ? Narrow::Format::bf16 : Narrow::Format::f32;
  }
};
Formats formats_for(Precision precision, InstructionSet set, bool own_gemm);

struct ModelShape {
  std::size_t hidden = 0, heads = 0, head_size = 0, intermediate = 0;
  std::size_t vocabulary = 0, positions = 0, token_types = 0, labels = 0, layers = 0;
  // Padded widths.
  std::size_t hidden_padded = 0, head_padded = 0, heads_padded = 0, labels_padded = 0;
  std::size_t block = 0;   // columns of one FFN block
  std::size_t blocks = 0;  // FFN blocks
  Activation activation = Activation::gelu_erf;
  Activation head_activation = Activation::relu;
};
// Errors: ops/unsupported (no layer, a head larger than 128).
Result<ModelShape> shape_of(const EncoderWeights& weights, const Formats& formats);

// oneDNN's primitives of one model, none when the own GEMM runs: several of them are the same one
// when the FFN block is as wide as the hidden layer.
struct Gemms {
  std::shared_ptr<const Gemm> qkv;         // [H, H] with bias, to q, k or v
  std::shared_ptr<const Gemm> plain;       // [H, H] without
  std::shared_ptr<const Gemm> up;          // [H, block]
  std::shared_ptr<const Gemm> down_first;  // [block, H]
  std::shared_ptr<const Gemm> down_next;   // [block, H], added; null for int8
};

struct Linear {
  PackedMatrix matrix;
  void* data = nullptr;
  float* bias = nullptr;
  float* column_scale = nullptr;       // int8
  std::int32_t* column_sum = nullptr;  // int8: sum of a column's quantised weights
};

// The same for the own GEMM: PanelWeights views it.
struct PanelLinear {
  std::size_t columns = 0;
  std::size_t depth = 0;
  std::byte* data = nullptr;
  WeightFormat format = WeightFormat::bf16;
  float* bias = nullptr;
  float* column_scale = nullptr;
  float* column_sum = nullptr;
  PanelWeights weights(bool with_bias = true) const {
    return {data, depth, columns, format, with_bias ? bias : nullptr, column_scale, column_sum};
  }
};

// A layer for the own GEMM. q, k and v are one matrix; FFN blocks as in Layer.
struct PanelLayer {
  PanelLinear qkv, project;
  std::vector<PanelLinear> up, down;
  const PanelLinear* following = nullptr;  // what the next layer multiplies by first; null: none
};

struct Norm {
  float* gamma = nullptr;
  float* beta = nullptr;
  float eps = 0;
  NormParameters parameters(std::size_t width) const { return {gamma, beta, eps, width}; }
};

struct Layer {
  Linear query, key, value, project;
  std::vector<Linear> up, down;
  PanelLayer panels;  // instead of all the above, when the own GEMM runs
  Norm attention_norm, ffn_norm;
};

// The last layer's attention in fp32, for row 0 of each sequence, with K and V absorbed: scores are
// (Wk_h^T q_h) . x_j, the context is Wv_h (sum_j p_j x_j) + bv_h; q . bk cancels in the softmax.
struct ClsAttention {
  float* query = nullptr;       // [N, padded H, padded D]
  float* query_bias = nullptr;  // [N, padded D]
  float* key = nullptr;         // [N, D, padded H]
  float* value = nullptr;       // [N, padded H, padded D]
  float* value_bias = nullptr;  // [N, padded D]
};

struct HeadPack {
  float* dense = nullptr;            // [padded H, padded H], in by out
  float* dense_bias = nullptr;       // [padded H]
  float* classifier = nullptr;       // [padded H, padded C], in by out
  float* classifier_bias = nullptr;  // [padded C]
};

struct EmbeddingPack {
  float* word_f32 = nullptr;  // fp32 only
  Bf16* word_bf16 = nullptr;  // bf16 and int8
  float* position = nullptr;
  float* token_type = nullptr;
  Norm norm;
};

class CpuModel final : public PackedModel {
 public:
  // Errors: ops/unsupported, ops/memory.
  static Result<std::shared_ptr<const CpuModel>> pack(const EncoderWeights& weights,
                                                      const Formats& formats);
  std::size_t weight_bytes() const override { return arena_.used(); }

  const Formats& formats() const { return formats_; }
  const ModelShape& shape() const { return shape_; }
  const Gemms& gemms() const { return gemms_; }
  const Layer& layer(std::size_t index) const { return layers_[index]; }
  const ClsAttention& cls() const { return cls_; }
  const HeadPack& head() const { return head_; }
  const EmbeddingPack& embedding() const { return embedding_; }

 private:
  friend class Packer;
  Result<void> make_gemms();
  void lay_out(Arena& arena);
  void lay_out_layer(Arena& arena, std::size_t index);
  void lay_out_panels(Arena& arena, std::size_t index);

  Formats formats_;
  ModelShape shape_;
  Gemms gemms_;
  Arena arena_;
  EmbeddingPack embedding_;
  std::vector<Layer> layers_;
  ClsAttention cls_;
  HeadPack head_;
};

}  // namespace breakeven::ops::cpu

// The Backend of this folder; made by make_cpu_backend (cpu_backend.h).
#pragma once

#include "ops/cpu/gemm_cut.h"
#include "ops/cpu/lane.h"

namespace breakeven::ops::cpu {

// Where a unit's queries, keys and values lie in their planes: the first one's element, and the
// elements from row to row.
struct HeadPosition {
  std::size_t at = 0;
  std::size_t stride = 0;
};

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const Formats& formats)
      : formats_(formats), kernels_(*formats.kernels), multiply_panels_(gemm_for(formats)) {}

  BackendInfo info() const override;
  Result<std::shared_ptr<const PackedModel>> pack(const EncoderWeights& weights) override;
  std::size_t lane_bytes(const PackedModel& model, const LaneLimits& limits) const override;
  Result<std::unique_ptr<Lane>> make_lane(std::shared_ptr<const PackedModel> model,
                                          const LaneLimits& limits) override;
  void upload(Lane& lane, const Batch& batch) override;
  void run(Lane& lane, const std::function<void()>& body) override;
  std::span<const float> wait(Lane& lane) override;
  void embed_ln(Lane& lane) override;
  void attention(Lane& lane, std::size_t layer) override;
  void cls_attention(Lane& lane, std::size_t layer) override;
  void project_ln(Lane& lane, std::size_t layer, Act x) override;
  void ffn_ln(Lane& lane, std::size_t layer, Act x) override;
  void head(Lane& lane) override;
  void tap(Lane& lane, Act act, std::span<float> out) override;

 private:
  // One member's part of a GEMM. `next`: the panel that it multiplies by afterwards, or null.
  void multiply(CpuLane& lane, unsigned member, const GemmRows& in, const PanelWeights& weights,
                const GemmOutput& out, const GemmPart& part, const std::byte* next) const;
  // x's rows from `first` on, in the form that GEMMs read.
  GemmInput gemm_input(const CpuLane& lane, const HiddenStates& x, std::size_t first) const;

  // attention.cc
  void project_qkv(CpuLane& lane, const Layer& layer) const;
  void rotate(const CpuLane& lane, const Layer& layer, void* plane, std::size_t first,
              std::size_t rows, std::size_t heads, std::size_t stride) const;
  void attend(CpuLane& lane, unsigned member, const Layer& layer, const AttentionUnit& unit,
              const HeadPosition& from, void* ctx) const;
  void attend_by_blocks(CpuLane& lane, const Layer& layer, Act x) const;
  // Of all rows, or of row 0 of each sequence (x_cls).
  void attend_all(CpuLane& lane, const Layer& layer, Act x) const;

  // blocks.cc
  void project_embedding(const CpuLane& lane, std::size_t first, std::size_t count) const;
  void quantise(CpuLane& lane, void* from, NumberFormat format, std::size_t columns,
                std::size_t blocks, std::size_t step, std::size_t rows) const;
  void split(CpuLane& lane, const float* from, std::size_t columns, std::size_t rows) const;
  void norm_rows(const CpuLane& lane, const Norm& norm, const HiddenStates& rows, std::size_t first,
                 std::size_t count) const;
  void layer_norm(CpuLane& lane, const Norm& norm, const HiddenStates& x, std::size_t first,
                  std::size_t rows) const;
  void project(CpuLane& lane, const Layer& layer, const HiddenStates& x, const void* ctx,
               std::size_t rows) const;
  void ffn(CpuLane& lane, const Layer& layer, const HiddenStates& x, std::size_t rows) const;
  void ffn_blocks(CpuLane& lane, const Layer& layer, const GemmRows& in, const HiddenStates& x,
                  std::size_t first, std::size_t rows, std::size_t block_begin,
                  std::size_t block_end, const Linear* following) const;

  // cls.cc: row 0 of sequences begin .. end.
  void cls_keys(CpuLane& lane, unsigned member, std::size_t head, std::size_t begin,
                std::size_t end) const;
  void cls_add_distances(const CpuLane& lane, const float* x, std::size_t keys, std::size_t slot,
                         float* scores, float* scratch) const;
  void take_means(CpuLane& lane) const;
  void cls_mix(CpuLane& lane, unsigned member, std::size_t sequence, std::size_t begin) const;
  void cls_values(CpuLane& lane, unsigned member, std::size_t head, std::size_t begin,
                  std::size_t end) const;

  Formats formats_;
  const Kernels& kernels_;
  MultiplyPanels* multiply_panels_;
};

}  // namespace breakeven::ops::cpu

// The Backend of this folder; made by make_cpu_backend (cpu_backend.h).
#pragma once

#include "ops/cpu/lane.h"

namespace breakeven::ops::cpu {

// One member's part of an own GEMM.
struct GemmPart {
  std::size_t row, rows, panel_begin, panel_end;
};

// The own GEMM that multiplies by PanelWeights of these formats.
MultiplyPanels* own_gemm(const Formats& formats);

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const Formats& formats)
      : formats_(formats),
        kernels_(kernels_for(has_avx512(formats.set))),
        own_gemm_(own_gemm(formats)) {}

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
  // A GEMM from rows of `in` into the member's scratch, bias and scales still open.
  Accumulated multiply(CpuLane& lane, unsigned member, GemmCaller& gemm, std::size_t bucket,
                       const Narrow& in, const Linear& linear) const;
  void project_qkv(CpuLane& lane, const Layer& layer, unsigned member, const Chunk& chunk) const;
  void attend(CpuLane& lane, unsigned member, const AttentionUnit& unit,
              const HeadRows& from) const;
  void project_chunk(CpuLane& lane, const Layer& layer, unsigned member, const Chunk& chunk,
                     const Rows& x, const void* ctx) const;
  void ffn_chunk(CpuLane& lane, const Layer& layer, unsigned member, const Chunk& chunk,
                 const Rows& x) const;
  // The ops on the own GEMM (blocks_own.cc).
  void multiply_part(CpuLane& lane, unsigned member, const GemmRows& in,
                     const PanelWeights& weights, const GemmOutput& out, const GemmPart& part,
                     const std::byte* next) const;
  void own_qkv(CpuLane& lane, const PanelLayer& layer) const;
  void attend_by_blocks(CpuLane& lane, const PanelLayer& layer) const;
  void own_project(CpuLane& lane, const Layer& layer, const Rows& x, const void* ctx,
                   std::size_t rows) const;
  void own_ffn(CpuLane& lane, const Layer& layer, const Rows& x, std::size_t rows) const;
  void own_ffn_blocks(CpuLane& lane, const PanelLayer& layer, const GemmRows& in, const Rows& x,
                      std::size_t first, std::size_t rows, std::size_t block_begin,
                      std::size_t block_end, const PanelLinear* following) const;
  void quantise_between(CpuLane& lane, void* from, Narrow::Format format, std::size_t columns,
                        std::size_t blocks, std::size_t step, std::size_t rows) const;
  void split_between(CpuLane& lane, const float* from, std::size_t columns, std::size_t rows) const;
  void own_norm(CpuLane& lane, const Norm& norm, const Rows& x, std::size_t first,
                std::size_t rows) const;
  // Row 0 of sequences begin .. end.
  void cls_keys(CpuLane& lane, unsigned member, std::size_t head, std::size_t begin,
                std::size_t end) const;
  void cls_mix(CpuLane& lane, unsigned member, std::size_t sequence, std::size_t begin) const;
  void cls_values(CpuLane& lane, unsigned member, std::size_t head, std::size_t begin,
                  std::size_t end) const;
  // x's rows from `first` on, in the form that GEMMs read.
  Narrow narrow(const CpuLane& lane, const Rows& x, std::size_t first) const;

  Formats formats_;
  const Kernels& kernels_;
  MultiplyPanels* own_gemm_;
};

}  // namespace breakeven::ops::cpu

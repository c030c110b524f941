// Fills a CpuModel's memory from fp32 weights, with all cores.
#pragma once

#include <functional>
#include <vector>

#include "ops/cpu/packed_model.h"

namespace breakeven::ops::cpu {

class Packer {
 public:
  Packer(const EncoderWeights& weights, CpuModel& model) : weights_(weights), model_(model) {}
  void run();

 private:
  void add_embedding();
  void add_layer(std::size_t index);
  void add_cls_attention();
  void add_distances();
  void pack_distances(const LinearWeights& linear, std::byte* to) const;
  void pack_cls_distances(const LayerWeights& from, const ClsAttention& to) const;
  // linear(R), [distances, padded H]
  std::vector<float> project_distances(const LinearWeights& linear) const;
  void add_head();
  // Output channels out_begin .. and inputs in_begin .. of the matrix into columns `column` ..
  // `column` + `columns` of `to`.
  void add_linear(const LinearWeights& from, std::size_t out_begin, std::size_t in_begin,
                  Linear& to, std::size_t column, std::size_t columns);
  void add_norm(const NormWeights& from, Norm& to);

  const EncoderWeights& weights_;
  CpuModel& model_;
  std::vector<float> distances_;  // RelativeWeights::normed
  std::vector<std::function<void()>> jobs_;
};

}  // namespace breakeven::ops::cpu

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
  void add_rotary();
  void add_head();
  // Which output channel a column holds: out_begin on, or, of a gated FFN of `gates` values, 16 of
  // those and then the 16 that they are multiplied by.
  struct Channels {
    std::size_t out_begin = 0;
    std::size_t gates = 0;
    // Past the matrix where there is none.
    std::size_t of(std::size_t column) const {
      constexpr std::size_t kGated = kPanel / 2;
      if (gates == 0) return out_begin + column;
      const std::size_t value = out_begin + column / kPanel * kGated + column % kGated;
      return value >= gates ? 2 * gates : column % kPanel < kGated ? value : gates + value;
    }
  };
  // Those channels and inputs in_begin .. of the matrix into columns `column` .. `column` +
  // `columns` of `to`.
  void add_linear(const LinearWeights& from, const Channels& channels, std::size_t in_begin,
                  Linear& to, std::size_t column, std::size_t columns);
  void add_norm(const NormWeights& from, Norm& to);

  const EncoderWeights& weights_;
  CpuModel& model_;
  std::vector<float> distances_;  // RelativeWeights::normed
  std::vector<std::function<void()>> jobs_;
};

}  // namespace breakeven::ops::cpu

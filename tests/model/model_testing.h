// What the tests of the model share: token ids of several texts, and the reference's answer to
// them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/check.h"
#include "base/cpus.h"
#include "base/files.h"
#include "model/checkpoint.h"
#include "model/forward.h"
#include "ops/reference/reference.h"
#include "testing/paths.h"

namespace breakeven::model::testing {

#ifdef NDEBUG
inline constexpr bool kOptimised = true;
#else
inline constexpr bool kOptimised = false;
#endif

inline std::filesystem::path builtin_folder() {
  return breakeven::testing::source_dir() / "models" / "builtin";
}

// Packed ids of several texts.
struct Tokens {
  std::vector<std::int32_t> ids, token_types, cu_seqlens{0}, valid_len;

  void add(const std::vector<std::int32_t>& text) {
    ids.insert(ids.end(), text.begin(), text.end());
    cu_seqlens.push_back(static_cast<std::int32_t>(ids.size()));
    valid_len.push_back(static_cast<std::int32_t>(text.size()));
  }
  ops::Batch batch() const { return {ids, token_types, cu_seqlens, valid_len}; }
  std::size_t sequences() const { return valid_len.size(); }
  std::vector<std::int32_t> text(std::size_t b) const {
    return {ids.begin() + cu_seqlens[b], ids.begin() + cu_seqlens[b + 1]};
  }
};

// A checkpoint on the reference, ready for groups of up to `rows` rows.
class ReferenceModel {
 public:
  ReferenceModel(const Checkpoint& checkpoint, std::size_t rows, std::size_t sequences)
      : plan(checkpoint.plan), backend(ops::make_reference_backend()) {
    auto packed = backend->pack(checkpoint.weights.view());
    BREAKEVEN_CHECK(packed.has_value(), "{}", packed.error().message);
    auto made = backend->make_lane(*packed, {rows, sequences, usable_cpus().threads()});
    BREAKEVEN_CHECK(made.has_value(), "{}", made.error().message);
    lane = *std::move(made);
  }
  std::span<const float> logits(const ops::Batch& batch) {
    backend->upload(*lane, batch);
    forward(*backend, *lane, plan);
    return backend->wait(*lane);
  }

  EncoderPlan plan;
  std::unique_ptr<ops::Backend> backend;
  std::unique_ptr<ops::Lane> lane;
};

// Logits [B, C], all texts in one group.
inline std::vector<float> reference_logits(const Checkpoint& checkpoint, const Tokens& tokens) {
  ReferenceModel model(checkpoint, tokens.ids.size(), tokens.sequences());
  const auto logits = model.logits(tokens.batch());
  return {logits.begin(), logits.end()};
}

}  // namespace breakeven::model::testing

#include "ops/reference/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/memory.h"
#include "base/units.h"
#include "ops/reference/loops.h"

namespace breakeven::ops {
namespace reference {
namespace {

ReferenceLane& lane_of(Lane& lane) {
  return static_cast<ReferenceLane&>(lane);
}

void check_batch(const ReferenceLane& lane, const Batch& batch) {
  const ReferenceModel& model = *lane.model;
  const std::size_t rows = batch.rows();
  const std::size_t sequences = batch.sequences();
  BREAKEVEN_CHECK(rows >= 1 && rows <= lane.limits.rows, "T={} limit={}", rows, lane.limits.rows);
  BREAKEVEN_CHECK(sequences >= 1 && sequences <= lane.limits.sequences, "B={} limit={}", sequences,
                  lane.limits.sequences);
  BREAKEVEN_CHECK(batch.token_types.empty() || batch.token_types.size() == rows, "{} types",
                  batch.token_types.size());
  BREAKEVEN_CHECK(batch.cu_seqlens.size() == sequences + 1 && batch.cu_seqlens[0] == 0 &&
                      std::cmp_equal(batch.cu_seqlens[sequences], rows),
                  "cu_seqlens of {} for B={} T={}", batch.cu_seqlens.size(), sequences, rows);
  for (std::size_t b = 0; b < sequences; ++b) {
    const std::int32_t length = batch.cu_seqlens[b + 1] - batch.cu_seqlens[b];
    BREAKEVEN_CHECK(
        length >= 1 && std::cmp_less_equal(length + model.uncounted_id + 1, model.positions),
        "sequence {} has {} rows, P={}", b, length, model.positions);
    BREAKEVEN_CHECK(batch.valid_len[b] >= 1 && batch.valid_len[b] <= length,
                    "sequence {} has {} valid of {} rows", b, batch.valid_len[b], length);
  }
  for (const std::int32_t id : batch.ids) {
    BREAKEVEN_CHECK(id >= 0 && std::cmp_less(id, model.vocabulary), "id={} V={}", id,
                    model.vocabulary);
  }
  if (model.token_types() == 0) return;
  for (const std::int32_t type : batch.token_types) {
    BREAKEVEN_CHECK(type >= 0 && std::cmp_less(type, model.token_types()), "type={} of {}", type,
                    model.token_types());
  }
}

class ReferenceBackend final : public Backend {
 public:
  BackendInfo info() const override { return {"reference", "", Precision::fp32}; }

  Result<std::shared_ptr<const PackedModel>> pack(const EncoderWeights& weights) override {
    try {
      return std::shared_ptr<const PackedModel>(std::make_shared<ReferenceModel>(weights));
    } catch (const std::bad_alloc&) {
      const MemoryLeft left = memory_left();
      return fail("ops/memory",
                  "the weights do not fit into memory a second time, for the reference: " +
                      left.to_string(),
                  left.advice() + " or take a smaller model");
    }
  }

  std::size_t lane_bytes(const PackedModel& model, const LaneLimits& limits) const override {
    return lane_bytes_of(static_cast<const ReferenceModel&>(model), limits);
  }

  Result<std::unique_ptr<Lane>> make_lane(std::shared_ptr<const PackedModel> model,
                                          const LaneLimits& limits) override {
    BREAKEVEN_CHECK(limits.rows >= 1 && limits.sequences >= 1 && limits.threads >= 1,
                    "T={} B={} threads={}", limits.rows, limits.sequences, limits.threads);
    // The kernel promises more than there is: told before it is taken.
    const std::size_t bytes = lane_bytes(*model, limits);
    const auto refuse = [&] {
      return fail("ops/memory",
                  fmt::format("the activations of {} tokens need {}, and {}", limits.rows,
                              format_bytes(static_cast<double>(bytes)), memory_left().to_string()),
                  "take a smaller batch or a smaller maximum length");
    };
    if (bytes > memory_left().bytes) return refuse();
    try {
      return std::unique_ptr<Lane>(std::make_unique<ReferenceLane>(
          std::static_pointer_cast<const ReferenceModel>(std::move(model)), limits));
    } catch (const std::bad_alloc&) {
      return refuse();
    }
  }

  void upload(Lane& base, const Batch& batch) override {
    ReferenceLane& lane = lane_of(base);
    check_batch(lane, batch);
    lane.rows = batch.rows();
    lane.sequences = batch.sequences();
    std::copy(batch.ids.begin(), batch.ids.end(), lane.ids);
    if (batch.token_types.empty()) {
      std::fill_n(lane.token_types, lane.rows, 0);
    } else {
      std::copy(batch.token_types.begin(), batch.token_types.end(), lane.token_types);
    }
    write_positions(batch, lane.model->uncounted_id, {lane.positions, lane.rows});
    std::copy(batch.cu_seqlens.begin(), batch.cu_seqlens.end(), lane.cu_seqlens);
    std::copy(batch.valid_len.begin(), batch.valid_len.end(), lane.valid_len);
    lane.team.open();
  }

  void run(Lane&, const std::function<void()>& body) override { body(); }

  std::span<const float> wait(Lane& base) override {
    ReferenceLane& lane = lane_of(base);
    lane.team.close();
    return {lane.logits, lane.sequences * lane.model->labels};
  }

  void embed_ln(Lane& base) override {
    ReferenceLane& lane = lane_of(base);
    const ReferenceModel& model = *lane.model;
    float* const embedded = model.projects() ? lane.sum : lane.x;
    lane.share_out(lane.sequences, 1, [&](std::size_t b, std::size_t, unsigned) {
      for (std::size_t s = 0; s < lane.sequence_rows(b); ++s) {
        embed_row(model, lane, lane.first_row(b) + s, embedded);
      }
    });
    if (model.projects()) linear(lane, model.embedding_project, embedded, lane.rows, lane.x);
    if (model.pre_norm()) {
      norm_rows(lane, model.layers.front().attention_norm, lane.x, lane.rows, lane.read);
    }
  }

  void attention(Lane& base, std::size_t layer) override {
    ReferenceLane& lane = lane_of(base);
    const Layer& weights = lane.model->layers.at(layer);
    linear(lane, weights.query, lane.read, lane.rows, lane.query);
    if (weights.rotary != nullptr) rotate(lane, weights.rotary, lane.query);
    attend_all(lane, weights, [&lane](std::size_t b) {
      const std::size_t offset = lane.first_row(b) * lane.model->hidden;
      return Queries{lane.query + offset, lane.ctx + offset, lane.sequence_rows(b)};
    });
  }

  void cls_attention(Lane& base, std::size_t layer) override {
    ReferenceLane& lane = lane_of(base);
    const Layer& weights = lane.model->layers.at(layer);
    const std::size_t hidden = lane.model->hidden;
    for (std::size_t b = 0; b < lane.sequences; ++b) {
      std::copy_n(lane.x + lane.first_row(b) * hidden, hidden, lane.x_cls + b * hidden);
      std::copy_n(lane.read + lane.first_row(b) * hidden, hidden, lane.read_cls + b * hidden);
    }
    // At position 0 rotary positions turn nothing.
    linear(lane, weights.query, lane.read_cls, lane.sequences, lane.query);
    attend_all(lane, weights, [&lane, hidden](std::size_t b) {
      return Queries{lane.query + b * hidden, lane.ctx_cls + b * hidden, 1};
    });
  }

  void project_ln(Lane& base, std::size_t layer, Act x) override {
    ReferenceLane& lane = lane_of(base);
    const Layer& weights = lane.model->layers.at(layer);
    const auto [rows, stream, read] = residual_stream(lane, x);
    linear_residual_norm(lane, weights.project,
                         lane.model->pre_norm() ? weights.ffn_norm : weights.attention_norm,
                         x == Act::x ? lane.ctx : lane.ctx_cls, rows, stream, read);
  }

  void ffn_ln(Lane& base, std::size_t layer, Act x) override {
    ReferenceLane& lane = lane_of(base);
    const ReferenceModel& model = *lane.model;
    const Layer& weights = model.layers.at(layer);
    const auto [rows, stream, read] = residual_stream(lane, x);
    linear(lane, weights.up, read, rows, lane.up);
    activate_rows(lane, rows);
    const Norm& norm = !model.pre_norm()                 ? weights.ffn_norm
                       : layer + 1 < model.layers.size() ? model.layers[layer + 1].attention_norm
                                                         : model.final_norm;
    linear_residual_norm(lane, weights.down, norm, lane.inner, rows, stream, read);
  }

  void head(Lane& base) override {
    ReferenceLane& lane = lane_of(base);
    const ReferenceModel& model = *lane.model;
    if (model.takes_mean()) mean_rows(lane, lane.read, lane.read_cls);
    linear(lane, model.dense, lane.read_cls, lane.sequences, lane.sum);
    activate(model.head_activation, {lane.sum, lane.sequences * model.hidden});
    if (!model.head_norm.gamma.empty()) {
      norm_rows(lane, model.head_norm, lane.sum, lane.sequences, lane.sum);
    }
    linear(lane, model.classifier, lane.sum, lane.sequences, lane.logits);
  }

  void tap(Lane& base, Act act, std::span<float> out) override {
    const ReferenceLane& lane = lane_of(base);
    const bool cls = act == Act::x_cls || act == Act::ctx_cls;
    const std::size_t size = (cls ? lane.sequences : lane.rows) * lane.model->hidden;
    BREAKEVEN_CHECK(out.size() == size, "tap of {} into {}", size, out.size());
    const float* from = act == Act::x       ? lane.x
                        : act == Act::ctx   ? lane.ctx
                        : act == Act::x_cls ? lane.x_cls
                                            : lane.ctx_cls;
    std::copy_n(from, size, out.data());
  }

 private:
  // Keys and values of all rows, then every (sequence, head) with the queries that
  // queries_of(sequence) names.
  template <class QueriesOf>
  static void attend_all(ReferenceLane& lane, const Layer& weights, const QueriesOf& queries_of) {
    linear(lane, weights.key, lane.read, lane.rows, lane.key);
    linear(lane, weights.value, lane.read, lane.rows, lane.value);
    if (weights.rotary != nullptr) rotate(lane, weights.rotary, lane.key);
    const std::size_t heads = lane.model->heads;
    lane.share_out(lane.sequences * heads, 1, [&](std::size_t i, std::size_t, unsigned member) {
      attend(lane, weights, i / heads, i % heads, queries_of(i / heads), member);
    });
  }

  struct Stream {
    std::size_t rows;
    float *x, *read;
  };
  static Stream residual_stream(const ReferenceLane& lane, Act x) {
    BREAKEVEN_CHECK(x == Act::x || x == Act::x_cls, "act={}", static_cast<int>(x));
    if (x == Act::x) return {lane.rows, lane.x, lane.read};
    return {lane.sequences, lane.x_cls, lane.read_cls};
  }
};

}  // namespace
}  // namespace reference

std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<reference::ReferenceBackend>();
}

}  // namespace breakeven::ops

// A lane of the reference: its threads, and one piece of memory for each activation.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/thread_team.h"
#include "ops/reference/model.h"

namespace breakeven::ops::reference {

// Rows (of an attention: query rows) that one thread takes at a time.
inline constexpr std::size_t kRowsAtATime = 12;

// Longest sequence that a lane can meet.
inline std::size_t longest_sequence(const ReferenceModel& model, const LaneLimits& limits) {
  return std::min(model.positions, limits.rows);
}

// Doubles of one thread's scratch for reference::multiply.
inline std::size_t scratch_doubles(const ReferenceModel& model, const LaneLimits& limits) {
  return kRowsAtATime * std::max({model.hidden, model.embedding_width(), model.intermediate,
                                  longest_sequence(model, limits)});
}

// Who may take part in an op.
inline std::size_t members(const LaneLimits& limits) {
  return limits.threads + limits.helpers;
}

// Floats of one thread's workspace: keys and values of one head in panels, scores of a few queries,
// products of all keys and of those queries with the projected distances.
inline std::size_t workspace_floats(const ReferenceModel& model, const LaneLimits& limits) {
  const std::size_t longest = longest_sequence(model, limits);
  return round_up_to_panel(longest) * model.head_size() +
         round_up_to_panel(model.head_size()) * longest + kRowsAtATime * longest +
         (longest + kRowsAtATime) * model.distances();
}

// Of the buffer that holds sums before they are added, and embeddings before they are projected.
inline std::size_t sum_width(const ReferenceModel& model) {
  return std::max(model.hidden, model.embedding_width());
}

inline std::size_t lane_floats(const ReferenceModel& model, const LaneLimits& limits) {
  // x q k v ctx, sum, up, and where they are others than these what is read of x and what is gated
  const std::size_t rows = (model.pre_norm() ? 6 : 5) * model.hidden + sum_width(model) +
                           (model.gated() ? 3 : 1) * model.intermediate;
  const std::size_t cls = (model.pre_norm() ? 3 : 2) * model.hidden;  // x_cls, ctx_cls, read_cls
  return limits.rows * rows + limits.sequences * (cls + model.labels) +
         members(limits) * workspace_floats(model, limits);
}

inline std::size_t lane_integers(const LaneLimits& limits) {
  return 3 * limits.rows + 2 * limits.sequences + 1;
}

inline std::size_t lane_bytes_of(const ReferenceModel& model, const LaneLimits& limits) {
  return lane_floats(model, limits) * sizeof(float) + lane_integers(limits) * sizeof(std::int32_t) +
         members(limits) * scratch_doubles(model, limits) * sizeof(double);
}

class ReferenceLane final : public Lane {
 public:
  ReferenceLane(std::shared_ptr<const ReferenceModel> packed, const LaneLimits& lane_limits)
      : model(std::move(packed)),
        limits(lane_limits),
        team(lane_limits.threads, {}, lane_limits.helpers) {
    floats_.resize(lane_floats(*model, limits));
    integers_.resize(lane_integers(limits));
    scratch_.resize(members(limits) * scratch_doubles(*model, limits));
    float* next = floats_.data();
    const auto take = [&next](std::size_t count) { return std::exchange(next, next + count); };
    const std::size_t hidden_rows = limits.rows * model->hidden;
    x = take(hidden_rows);
    query = take(hidden_rows);
    key = take(hidden_rows);
    value = take(hidden_rows);
    ctx = take(hidden_rows);
    sum = take(limits.rows * sum_width(*model));
    inner = take(limits.rows * model->intermediate);
    up = model->gated() ? take(limits.rows * 2 * model->intermediate) : inner;
    read = model->pre_norm() ? take(hidden_rows) : x;
    x_cls = take(limits.sequences * model->hidden);
    read_cls = model->pre_norm() ? take(limits.sequences * model->hidden) : x_cls;
    ctx_cls = take(limits.sequences * model->hidden);
    logits = take(limits.sequences * model->labels);
    workspace_ = take(members(limits) * workspace_floats(*model, limits));
    std::int32_t* integers = integers_.data();
    ids = integers;
    token_types = ids + limits.rows;
    positions = token_types + limits.rows;
    cu_seqlens = positions + limits.rows;
    valid_len = cu_seqlens + limits.sequences + 1;
  }

  std::size_t activation_bytes() const override {
    return floats_.size() * sizeof(float) + integers_.size() * sizeof(std::int32_t) +
           scratch_.size() * sizeof(double);
  }

  bool help() override { return team.help(); }

  float* workspace(unsigned member) const {
    return workspace_ + member * workspace_floats(*model, limits);
  }
  std::span<double> scratch(unsigned member) {
    const std::size_t size = scratch_doubles(*model, limits);
    return {scratch_.data() + member * size, size};
  }
  std::size_t first_row(std::size_t b) const { return static_cast<std::size_t>(cu_seqlens[b]); }
  std::size_t sequence_rows(std::size_t b) const { return first_row(b + 1) - first_row(b); }

  // Calls work(first, last, member) until all of [0, count) is done, each thread taking `step` at a
  // time. Who computes a row changes nothing in it.
  template <class Work>
  void share_out(std::size_t count, std::size_t step, const Work& work) {
    std::atomic<std::size_t> next{0};
    const auto member_work = [&](unsigned member) {
      for (std::size_t first = next.fetch_add(step); first < count; first = next.fetch_add(step)) {
        work(first, std::min(first + step, count), member);
      }
    };
    team.admit();
    team.run(std::cref(member_work));  // a reference: std::function need not allocate
  }

  std::shared_ptr<const ReferenceModel> model;
  LaneLimits limits;
  ThreadTeam team;
  std::size_t rows = 0;       // of the uploaded batch
  std::size_t sequences = 0;  // of the uploaded batch
  std::int32_t *ids, *token_types, *positions, *cu_seqlens, *valid_len;
  float *x, *query, *key, *value, *ctx, *sum, *up, *inner, *x_cls, *ctx_cls, *logits;
  float *read, *read_cls;  // what blocks and head read: x and x_cls, or their norms

 private:
  std::vector<float> floats_;
  std::vector<std::int32_t> integers_;
  std::vector<double> scratch_;
  float* workspace_;
};

}  // namespace breakeven::ops::reference

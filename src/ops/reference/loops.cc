#include "ops/reference/loops.h"

#include <algorithm>
#include <cmath>

namespace breakeven::ops::reference {

void embed_row(const ReferenceModel& model, ReferenceLane& lane, std::size_t row, float* out) {
  const std::size_t width = model.embedding_width();
  const float* word = model.word.data() + static_cast<std::size_t>(lane.ids[row]) * width;
  const std::span<float> x(out + row * width, width);
  std::copy_n(word, width, x.begin());
  if (!model.position.empty()) {
    const float* place =
        model.position.data() + static_cast<std::size_t>(lane.positions[row]) * width;
    for (std::size_t h = 0; h < width; ++h) x[h] += place[h];
  }
  if (model.token_types() > 0) {
    const float* type =
        model.token_type.data() + static_cast<std::size_t>(lane.token_types[row]) * width;
    for (std::size_t h = 0; h < width; ++h) x[h] += type[h];
  }
  layer_norm(x, model.embedding_norm.view(), x);
}

void linear(ReferenceLane& lane, const Linear& weights, const float* in, std::size_t rows,
            float* out) {
  const Panels& panels = weights.panels;
  lane.share_out(rows, kRowsAtATime, [&](std::size_t first, std::size_t last, unsigned member) {
    multiply(in + first * panels.in, last - first, panels.in, panels, weights.bias,
             out + first * panels.out, panels.out, lane.scratch(member));
  });
}

void linear_residual_norm(ReferenceLane& lane, const Linear& weights, const Norm& norm,
                          const float* in, std::size_t rows, float* x, float* read) {
  linear(lane, weights, in, rows, lane.sum);
  const std::size_t values = rows * lane.model->hidden;
  for (std::size_t i = 0; i < values; ++i) x[i] += lane.sum[i];
  norm_rows(lane, norm, x, rows, read);
}

void norm_rows(ReferenceLane& lane, const Norm& norm, const float* x, std::size_t rows,
               float* read) {
  const std::size_t hidden = lane.model->hidden;
  lane.share_out(rows, kRowsAtATime, [&](std::size_t first, std::size_t last, unsigned) {
    for (std::size_t r = first; r < last; ++r) {
      const std::span<float> to(read + r * hidden, hidden);
      if (norm.gamma.empty()) {
        std::copy_n(x + r * hidden, hidden, to.begin());
      } else {
        layer_norm({x + r * hidden, hidden}, norm.view(), to);
      }
    }
  });
}

void rotate(ReferenceLane& lane, const float* table, float* rows) {
  const ReferenceModel& model = *lane.model;
  const std::size_t half = model.head_size() / 2;
  lane.share_out(lane.rows, kRowsAtATime, [&](std::size_t first, std::size_t last, unsigned) {
    for (std::size_t r = first; r < last; ++r) {
      const float* cosine = table + static_cast<std::size_t>(lane.positions[r]) * 2 * half;
      const float* sine = cosine + half;
      for (std::size_t head = 0; head < model.heads; ++head) {
        float* const low = rows + r * model.hidden + head * 2 * half;
        float* const high = low + half;
        for (std::size_t d = 0; d < half; ++d) {
          const double a = low[d];
          const double b = high[d];
          low[d] = static_cast<float>(a * cosine[d] - b * sine[d]);
          high[d] = static_cast<float>(b * cosine[d] + a * sine[d]);
        }
      }
    }
  });
}

void activate_rows(ReferenceLane& lane, std::size_t rows) {
  const ReferenceModel& model = *lane.model;
  const std::size_t width = model.intermediate;
  lane.share_out(rows, kRowsAtATime, [&](std::size_t first, std::size_t last, unsigned) {
    for (std::size_t r = first; r < last; ++r) {
      float* const up = lane.up + r * (model.gated() ? 2 : 1) * width;
      activate(model.activation, {up, width});
      if (!model.gated()) continue;
      for (std::size_t i = 0; i < width; ++i) lane.inner[r * width + i] = up[i] * up[width + i];
    }
  });
}

void mean_rows(ReferenceLane& lane, const float* rows, float* pooled) {
  const std::size_t hidden = lane.model->hidden;
  lane.share_out(lane.sequences, 1, [&](std::size_t b, std::size_t, unsigned) {
    const float* const first = rows + lane.first_row(b) * hidden;
    const std::int32_t valid = lane.valid_len[b];
    for (std::size_t h = 0; h < hidden; ++h) {
      double sum = 0;
      for (std::int32_t r = 0; r < valid; ++r)
        sum += first[static_cast<std::size_t>(r) * hidden + h];
      pooled[b * hidden + h] = static_cast<float>(sum / valid);
    }
  });
}

namespace {

// What relative positions add to the scores of one head; nothing where there are none.
struct DistanceScores {
  const ReferenceModel& model;
  const Layer& layer;
  std::size_t head, keys;
  float* products;  // [keys + kRowsAtATime, distances]: of all keys, then of a few queries
  std::span<double> scratch;

  void multiply_rows(const float* rows, std::size_t count, const HeadPanels& by, float* to) const {
    const std::size_t width = model.distances();
    for (std::size_t first = 0; first < count; first += kRowsAtATime) {
      multiply(rows + first * model.hidden, std::min(kRowsAtATime, count - first), model.hidden,
               by.panels, {}, to + first * width, width, scratch);
    }
  }
  void multiply_keys(const float* rows) const {
    if (model.distances() > 0) multiply_rows(rows, keys, layer.position_queries[head], products);
  }
  // To the scores [count, keys] of queries that stand in rows `first` .. of their sequence.
  void add(const float* queries, std::size_t first, std::size_t count, float* scores) const {
    const std::size_t width = model.distances();
    if (width == 0) return;
    float* by_query = products + keys * width;
    multiply_rows(queries, count, layer.position_keys[head], by_query);
    for (std::size_t r = 0; r < count; ++r) {
      const std::int32_t* rows = &model.distance_rows[model.positions - 1 - first - r];
      for (std::size_t j = 0; j < keys; ++j) {
        const auto at = static_cast<std::size_t>(rows[j]);
        scores[r * keys + j] += by_query[r * width + at] + products[j * width + at];
      }
    }
  }
};

// scores[keys] of the query in row `query` -> their shares, 0 outside the window; all are 0 where
// no valid key lies in it.
void share(std::span<float> scores, std::size_t query, std::size_t window, double scale) {
  if (window == 0) return softmax(scores, scale);
  const std::size_t end = std::min(scores.size(), query + window + 1);
  const std::size_t begin = std::min(query > window ? query - window : 0, end);
  std::fill(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(begin), 0.0F);
  std::fill(scores.begin() + static_cast<std::ptrdiff_t>(end), scores.end(), 0.0F);
  if (begin < end) softmax(scores.subspan(begin, end - begin), scale);
}

}  // namespace

void attend(ReferenceLane& lane, const Layer& layer, std::size_t b, std::size_t head,
            const Queries& queries, unsigned member) {
  const ReferenceModel& model = *lane.model;
  const std::size_t hidden = model.hidden;
  const std::size_t head_size = model.head_size();
  const auto valid = static_cast<std::size_t>(lane.valid_len[b]);
  const std::size_t offset = lane.first_row(b) * hidden + head * head_size;
  float* memory = lane.workspace(member);
  const std::size_t key_floats = round_up_to_panel(valid) * head_size;
  const std::size_t value_floats = round_up_to_panel(head_size) * valid;
  const Panels keys =
      pack_panels(lane.key + offset, valid, head_size, hidden, 1, {memory, key_floats});
  const Panels values = pack_panels(lane.value + offset, head_size, valid, 1, hidden,
                                    {memory + key_floats, value_floats});
  float* scores = memory + key_floats + value_floats;  // [kRowsAtATime, valid]
  const std::span<double> scratch = lane.scratch(member);
  const double scale =
      1.0 / std::sqrt(static_cast<double>(head_size * (model.distances() == 0 ? 1 : 3)));
  const DistanceScores distances{model, layer, head, valid, scores + kRowsAtATime * valid, scratch};
  distances.multiply_keys(lane.key + offset);
  for (std::size_t first = 0; first < queries.count; first += kRowsAtATime) {
    const std::size_t count = std::min(kRowsAtATime, queries.count - first);
    const std::size_t at = first * hidden + head * head_size;
    multiply(queries.query + at, count, hidden, keys, {}, scores, valid, scratch);
    distances.add(queries.query + at, first, count, scores);
    for (std::size_t r = 0; r < count; ++r) {
      share({scores + r * valid, valid}, first + r, layer.window, scale);
    }
    multiply(scores, count, valid, values, {}, queries.ctx + at, hidden, scratch);
  }
}

}  // namespace breakeven::ops::reference

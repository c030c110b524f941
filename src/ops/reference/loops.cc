#include "ops/reference/loops.h"

#include <algorithm>
#include <cmath>

namespace breakeven::ops::reference {

void embed_row(const ReferenceModel& model, ReferenceLane& lane, std::size_t row, float* out) {
  const std::size_t width = model.embedding_width();
  const float* word = model.word.data() + static_cast<std::size_t>(lane.ids[row]) * width;
  const float* place =
      model.position.data() + static_cast<std::size_t>(lane.positions[row]) * width;
  const std::span<float> x(out + row * width, width);
  for (std::size_t h = 0; h < width; ++h) x[h] = word[h] + place[h];
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
                          const float* in, std::size_t rows, float* x) {
  linear(lane, weights, in, rows, lane.sum);
  const std::size_t hidden = lane.model->hidden;
  lane.share_out(rows, kRowsAtATime, [&](std::size_t first, std::size_t last, unsigned) {
    for (std::size_t r = first; r < last; ++r) {
      const std::span<float> row(lane.sum + r * hidden, hidden);
      for (std::size_t h = 0; h < hidden; ++h) row[h] += x[r * hidden + h];
      layer_norm(row, norm.view(), {x + r * hidden, hidden});
    }
  });
}

void attend(ReferenceLane& lane, std::size_t b, std::size_t head, const Queries& queries,
            unsigned member) {
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
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_size));
  for (std::size_t first = 0; first < queries.count; first += kRowsAtATime) {
    const std::size_t count = std::min(kRowsAtATime, queries.count - first);
    const std::size_t at = first * hidden + head * head_size;
    multiply(queries.query + at, count, hidden, keys, {}, scores, valid, scratch);
    for (std::size_t r = 0; r < count; ++r) softmax({scores + r * valid, valid}, scale);
    multiply(scores, count, valid, values, {}, queries.ctx + at, hidden, scratch);
  }
}

}  // namespace breakeven::ops::reference

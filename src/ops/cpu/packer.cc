#include "ops/cpu/packer.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/cpus.h"
#include "base/thread_team.h"
#include "ops/cpu/tile_pack.h"

namespace breakeven::ops::cpu {
namespace {

// A part of a matrix with zeros for rows and columns that it does not have. channel(o): the row.
template <class Channel>
std::vector<float> cut(const LinearWeights& from, const Channel& channel, std::size_t in_begin,
                       std::size_t columns, std::size_t depth) {
  std::vector<float> part(columns * depth, 0.0F);
  const std::size_t ins = std::min(depth, from.in - std::min(from.in, in_begin));
  for (std::size_t o = 0; o < columns; ++o) {
    if (channel(o) >= from.out) continue;
    const float* row = from.weight.data() + channel(o) * from.in + in_begin;
    std::copy_n(row, ins, part.data() + o * depth);
  }
  return part;
}

// Symmetric, one scale for each output channel. Sums are whole numbers below 2^24.
std::vector<std::int8_t> quantise(const std::vector<float>& part, std::size_t depth, int limit,
                                  float* column_scale, float* column_sum) {
  std::vector<std::int8_t> quantised(part.size());
  for (std::size_t o = 0; o * depth < part.size(); ++o) {
    const float* row = part.data() + o * depth;
    float most = 0;
    for (std::size_t i = 0; i < depth; ++i) most = std::max(most, std::fabs(row[i]));
    const float scale = most > 0 ? most / static_cast<float>(limit) : 1.0F;
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < depth; ++i) {
      // Adding and taking away 1.5 * 2^23 rounds to the nearest integer, without a call.
      const float rounded = (row[i] / scale + 12582912.0F) - 12582912.0F;
      const auto q = static_cast<std::int32_t>(rounded);
      quantised[o * depth + i] = static_cast<std::int8_t>(std::clamp(q, -limit, limit));
      sum += quantised[o * depth + i];
    }
    column_scale[o] = scale;
    column_sum[o] = static_cast<float>(sum);
  }
  return quantised;
}

// [in, stride] from [out, in].
void transpose(const LinearWeights& from, float* matrix, std::size_t stride, float* bias) {
  for (std::size_t o = 0; o < from.out; ++o) {
    for (std::size_t i = 0; i < from.in; ++i) {
      matrix[i * stride + o] = from.weight[o * from.in + i];
    }
  }
  std::copy(from.bias.begin(), from.bias.end(), bias);
}

}  // namespace

void Packer::add_linear(const LinearWeights& from, const Channels& channels, std::size_t in_begin,
                        Linear& to, std::size_t column, std::size_t columns) {
  const int limit = model_.formats_.weight_limit;
  const bool tiles = model_.formats_.on_tiles();
  jobs_.emplace_back([from, channels, in_begin, limit, tiles, column, columns, &to] {
    const auto channel = [&](std::size_t o) { return channels.of(o); };
    const std::vector<float> part = cut(from, channel, in_begin, columns, to.depth);
    std::byte* panels = to.data + panel_weight_bytes(column, to.depth, to.format);
    switch (to.format) {
      case WeightFormat::s8: {
        const auto small =
            quantise(part, to.depth, limit, to.column_scale + column, to.column_sum + column);
        if (tiles) {
          pack_tiles(small.data(), columns, to.depth, panels);
        } else {
          pack_panels(small.data(), columns, to.depth, to.format, panels);
        }
        break;
      }
      case WeightFormat::bf16:
        if (tiles) {
          pack_tiles(part.data(), columns, to.depth, panels);
        } else {
          std::vector<Bf16> half(part.size());
          std::transform(part.begin(), part.end(), half.begin(), to_bf16);
          pack_panels(half.data(), columns, to.depth, to.format, panels);
        }
        break;
      case WeightFormat::split:
        pack_split_tiles(part.data(), columns, to.depth, panels);
        break;
      case WeightFormat::f32:
        pack_panels(part.data(), columns, to.depth, to.format, panels);
        break;
    }
    // The bias belongs to the first block of inputs only: the others add to it.
    if (in_begin != 0) return;
    for (std::size_t o = 0; o < columns; ++o) {
      if (channels.of(o) < from.bias.size()) to.bias[column + o] = from.bias[channels.of(o)];
    }
  });
}

void Packer::add_norm(const NormWeights& from, Norm& to) {
  if (from.gamma.empty()) {
    to.gamma = to.beta = nullptr;
    return;
  }
  std::copy(from.gamma.begin(), from.gamma.end(), to.gamma);
  std::copy(from.beta.begin(), from.beta.end(), to.beta);
  to.eps = from.eps;
}

void Packer::add_embedding() {
  const std::size_t width = model_.shape_.embedding;
  const std::size_t stride = model_.shape_.embedding_padded;
  EmbeddingPack& to = model_.embedding_;
  const auto copy_rows = [=](std::span<const float> from, float* rows) {
    for (std::size_t r = 0; r * width < from.size(); ++r) {
      std::copy_n(from.data() + r * width, width, rows + r * stride);
    }
  };
  if (to.position != nullptr) copy_rows(weights_.embedding.position, to.position);
  if (to.token_type != nullptr) copy_rows(weights_.embedding.token_type, to.token_type);
  add_norm(weights_.embedding.norm, to.norm);
  if (to.project != nullptr) {
    transpose(weights_.embedding.project, to.project, model_.shape_.hidden_padded, to.project_bias);
  }
  constexpr std::size_t kRowsAJob = 2048;
  for (std::size_t begin = 0; begin < weights_.vocabulary; begin += kRowsAJob) {
    const std::size_t end = std::min(begin + kRowsAJob, weights_.vocabulary);
    jobs_.emplace_back([=, this] {
      for (std::size_t r = begin; r < end; ++r) {
        const float* row = weights_.embedding.word.data() + r * width;
        if (model_.embedding_.word_f32 != nullptr) {
          std::copy_n(row, width, model_.embedding_.word_f32 + r * stride);
        } else {
          std::transform(row, row + width, model_.embedding_.word_bf16 + r * stride, to_bf16);
        }
      }
    });
  }
}

void Packer::add_layer(std::size_t index) {
  const LayerWeights& from = weights_.layers[index];
  const ModelShape& shape = model_.shape_;
  Layer& to = model_.layers_[index];
  const std::size_t hidden = shape.hidden_padded;
  add_norm(from.attention_norm, to.attention_norm);
  add_norm(from.ffn_norm, to.ffn_norm);
  to.window = from.window;
  if (shape.rotates()) {
    const auto theta = std::find(shape.thetas.begin(), shape.thetas.end(), from.theta);
    to.rotary = model_.rotary_[static_cast<std::size_t>(theta - shape.thetas.begin())];
  }
  if (shape.has_qkv(index)) {
    std::size_t column = 0;
    for (const LinearWeights* linear : {&from.query, &from.key, &from.value}) {
      add_linear(*linear, {}, 0, to.qkv, column, hidden);
      column += hidden;
    }
  }
  add_linear(from.project, {}, 0, to.project, 0, hidden);
  for (std::size_t b = 0; b < shape.blocks; ++b) {
    const std::size_t begin = b * shape.block;
    const std::size_t gates = shape.up_columns() == 2 ? shape.intermediate : 0;
    add_linear(from.up, {begin, gates}, 0, to.up[b], 0, to.up[b].columns);
    add_linear(from.down, {}, begin, to.down[b], 0, hidden);
  }
}

void Packer::add_cls_attention() {
  const LayerWeights& from = weights_.layers.back();
  const ModelShape& shape = model_.shape_;
  const ClsAttention& to = model_.cls_;
  // Columns h*D .. of W^T as a matrix of its own, [padded H, padded D].
  const auto transposed = [&shape](const LinearWeights& linear, std::size_t head, float* matrix,
                                   float* bias) {
    matrix += head * shape.hidden_padded * shape.head_padded;
    for (std::size_t d = 0; d < shape.head_size; ++d) {
      const std::size_t out = head * shape.head_size + d;
      for (std::size_t i = 0; i < shape.hidden; ++i) {
        matrix[i * shape.head_padded + d] = linear.weight[out * shape.hidden + i];
      }
      if (!linear.bias.empty()) bias[head * shape.head_padded + d] = linear.bias[out];
    }
  };
  for (std::size_t head = 0; head < shape.heads; ++head) {
    jobs_.emplace_back([=, &from, &shape, &to] {
      transposed(from.query, head, to.query, to.query_bias);
      transposed(from.value, head, to.value, to.value_bias);
      for (std::size_t d = 0; d < shape.head_size; ++d) {
        const std::size_t row = head * shape.head_size + d;
        std::copy_n(from.key.weight.data() + row * shape.hidden, shape.hidden,
                    to.key + row * shape.hidden_padded);
      }
    });
  }
}

std::vector<float> Packer::project_distances(const LinearWeights& linear) const {
  const ModelShape& shape = model_.shape_;
  const std::size_t hidden = shape.hidden_padded;
  std::vector<float> matrix(shape.hidden * hidden);
  std::vector<float> bias(hidden);
  std::vector<float> projected(shape.distances * hidden);
  transpose(linear, matrix.data(), hidden, bias.data());
  model_.formats_.kernels->multiply(distances_.data(), shape.hidden, matrix.data(), hidden,
                                    projected.data(), hidden, shape.distances, hidden,
                                    shape.hidden);
  for (std::size_t i = 0; i < projected.size(); ++i) projected[i] += bias[i % hidden];
  return projected;
}

void Packer::pack_distances(const LinearWeights& linear, std::byte* to) const {
  const ModelShape& shape = model_.shape_;
  const std::vector<float> projected = project_distances(linear);
  const std::size_t columns = padded(shape.distances, kPanel);
  const std::size_t depth = model_.formats_.distance_depth(shape.head_size);
  std::vector<float> part(columns * depth, 0.0F);
  for (std::size_t head = 0; head < shape.heads; ++head, to += shape.distance_bytes) {
    for (std::size_t r = 0; r < shape.distances; ++r) {
      std::copy_n(projected.data() + r * shape.hidden_padded + head * shape.head_size,
                  shape.head_size, part.data() + r * depth);
    }
    if (model_.formats_.tile_attention()) {
      pack_tiles(part.data(), columns, depth, to);
    } else {
      pack_panels(part.data(), columns, depth, WeightFormat::f32, to);
    }
  }
}

void Packer::pack_cls_distances(const LayerWeights& from, const ClsAttention& to) const {
  const ModelShape& shape = model_.shape_;
  const std::size_t hidden = shape.hidden_padded;
  const std::size_t rows = shape.cls_distances();
  const std::size_t met = shape.distances / 2 + 1;
  const std::vector<float> keys = project_distances(from.key);
  const std::vector<float> no_bias(shape.hidden);
  const std::span<const float> bias = from.key.bias.empty() ? no_bias : from.key.bias;
  const std::vector<float> queries = project_distances(from.query);
  std::vector<float> weights(shape.head_size * hidden);
  std::vector<float> absorbed(met * hidden);
  for (std::size_t head = 0; head < shape.heads; ++head) {
    const std::size_t column = head * shape.head_size;
    for (std::size_t d = 0; d < shape.head_size; ++d) {
      std::copy_n(from.key.weight.data() + (column + d) * shape.hidden, shape.hidden,
                  weights.data() + d * hidden);
      for (std::size_t r = 0; r < met; ++r) {
        to.distance_keys[(head * shape.head_padded + d) * rows + r] = keys[r * hidden + column + d];
        to.distance_bias[head * rows + r] += queries[r * hidden + column + d] * bias[column + d];
      }
    }
    model_.formats_.kernels->multiply(queries.data() + column, hidden, weights.data(), hidden,
                                      absorbed.data(), hidden, met, hidden, shape.head_size);
    for (std::size_t i = 0; i < absorbed.size(); ++i) {
      to.distance_queries[i * shape.heads_padded + head] = absorbed[i];
    }
  }
}

// The distances as each layer's keys and queries, which depend on weights alone.
void Packer::add_distances() {
  const ModelShape& shape = model_.shape_;
  const std::vector<std::int32_t> rows = weights_.relative.distances.rows(shape.positions);
  std::copy(rows.begin(), rows.end(), model_.distance_rows_);
  distances_ = weights_.relative.normed(shape.hidden);
  for (std::size_t index = 0; index < shape.layers && shape.has_qkv(index); ++index) {
    const LayerWeights& from = weights_.layers[index];
    const Layer& to = model_.layers_[index];
    jobs_.emplace_back([this, &from, &to] { pack_distances(from.key, to.distance_keys); });
    jobs_.emplace_back([this, &from, &to] { pack_distances(from.query, to.distance_queries); });
  }
  if (!shape.absorbs()) return;
  jobs_.emplace_back([this] { pack_cls_distances(weights_.layers.back(), model_.cls_); });
}

void Packer::add_rotary() {
  const ModelShape& shape = model_.shape_;
  for (std::size_t i = 0; i < shape.thetas.size(); ++i) {
    jobs_.emplace_back([&shape, theta = shape.thetas[i], to = model_.rotary_[i]] {
      const std::vector<float> table = rotary_table(theta, shape.head_size, shape.positions);
      std::copy(table.begin(), table.end(), to);
    });
  }
}

void Packer::add_head() {
  const ModelShape& shape = model_.shape_;
  add_norm(weights_.final_norm, model_.final_norm_);
  add_norm(weights_.head.norm, model_.head_.norm);
  const HeadPack& to = model_.head_;
  jobs_.emplace_back(
      [&] { transpose(weights_.head.dense, to.dense, shape.hidden_padded, to.dense_bias); });
  transpose(weights_.head.classifier, to.classifier, shape.labels_padded, to.classifier_bias);
}

void Packer::run() {
  add_embedding();
  for (std::size_t index = 0; index < model_.shape_.layers; ++index) add_layer(index);
  if (model_.shape_.absorbs()) add_cls_attention();
  if (model_.shape_.distances > 0) add_distances();
  add_rotary();
  add_head();

  std::atomic<std::size_t> next{0};
  const auto cores = static_cast<std::size_t>(usable_cpus().threads());
  ThreadTeam team(static_cast<unsigned>(std::min(cores, jobs_.size())));
  team.run([&](unsigned) {
    for (std::size_t i = next.fetch_add(1); i < jobs_.size(); i = next.fetch_add(1)) jobs_[i]();
  });
}

}  // namespace breakeven::ops::cpu

#include "ops/cuda/packed_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/cpus.h"
#include "base/thread_team.h"

namespace breakeven::ops::cuda {

// Copies tensors to the device by way of one pinned buffer. Several CPUs convert: one alone took
// 0.15 to 0.3 s of a cold start of 0.75.
class Uploader {
 public:
  Uploader(Runtime& runtime, std::unique_ptr<Runtime::Memory> staging)
      : runtime_(runtime),
        staging_(std::move(staging)),
        stream_(runtime.make_stream()),
        threads_(std::min(usable_cpus().threads(), kMostThreads)) {}

  static constexpr unsigned kMostThreads = 16;
  // work(begin, end) over all of 0 .. count, which stand for `values` numbers: a thread for each
  // 32,768 of them.
  template <class Work>
  void share(std::size_t count, std::size_t values, const Work& work) {
    constexpr std::size_t kWorthAThread = std::size_t{1} << 15;
    const auto parts =
        static_cast<unsigned>(std::clamp<std::size_t>(values / kWorthAThread, 1, threads_.size()));
    threads_.run([&](unsigned part) { work(count * part / parts, count * (part + 1) / parts); },
                 parts);
  }

  template <class T>
  void add(std::span<const float> from, T* to, std::size_t expected) {
    BREAKEVEN_CHECK(from.size() == expected, "{} values, not {}", from.size(), expected);
    copy<T>(to, expected, [&](std::size_t i) { return from_float<T>(from[i]); });
  }
  // Zeros where the model has none.
  template <class T>
  void add_if_any(std::span<const float> from, T* to, std::size_t expected) {
    if (!from.empty()) return add(from, to, expected);
    copy<T>(to, expected, [](std::size_t) { return from_float<T>(0); });
  }
  // Rows as products of halves read them, times kSplitLift.
  void add_split(std::span<const float> from, SplitHalf* to, std::size_t expected) {
    BREAKEVEN_CHECK(from.size() == expected, "{} values, not {}", from.size(), expected);
    copy<SplitHalf>(to, 3 * from.size(), [&](std::size_t i) {
      const float value = from[i / 24 * 8 + i % 8] * kSplitLift;
      const Half high = from_float<Half>(value);
      const bool low = i % 24 / 8 == 1;
      return SplitHalf{low ? from_float<Half>(value - to_float(high)).bits : high.bits};
    });
  }
  // Waits, so that what the kernel read may be written anew.
  void launch(const KernelCall& call) {
    runtime_.launch(*stream_, call);
    runtime_.synchronise(*stream_);
  }
  template <class V>
  void add_whole(const std::vector<V>& from, V* to) {
    copy<V>(to, from.size(), [&](std::size_t i) { return from[i]; });
  }

 private:
  template <class V, class At>
  void copy(V* to, std::size_t size, const At& at) {
    const std::size_t step = staging_->bytes / sizeof(V);
    V* staged = reinterpret_cast<V*>(staging_->data);
    for (std::size_t begin = 0; begin < size; begin += step) {
      const std::size_t count = std::min(step, size - begin);
      share(count, count, [&](std::size_t from, std::size_t end) {
        for (std::size_t i = from; i < end; ++i) staged[i] = at(begin + i);
      });
      runtime_.copy_to_device(*stream_, to + begin, staged, count * sizeof(V));
      runtime_.synchronise(*stream_);  // the buffer is used again
    }
  }

  Runtime& runtime_;
  std::unique_ptr<Runtime::Memory> staging_;
  std::unique_ptr<Runtime::Stream> stream_;
  ThreadTeam threads_;
};

namespace {

constexpr std::size_t kStaging_bytes = std::size_t{16} << 20;

Norm take_norm(Arena& arena, std::size_t hidden) {
  Norm norm;
  norm.gamma = arena.take<float>(hidden);
  norm.beta = arena.take<float>(hidden);
  return norm;
}

void add_norm(Uploader& uploader, const NormWeights& from, Norm& to, std::size_t hidden) {
  uploader.add(from.gamma, to.gamma, hidden);
  uploader.add_if_any(from.beta, to.beta, hidden);
  to.eps = from.eps;
}

QuantisedLinear take_quantised(Arena& arena, Codes codes, std::size_t out, std::size_t in,
                               std::size_t blocks) {
  QuantisedLinear linear;
  linear.weight = arena.take<std::uint8_t>(out * in);
  linear.scale = arena.take<float>(blocks * out);
  if (codes == Codes::s8) linear.sum = arena.take<std::int32_t>(blocks * out);
  linear.bias = arena.take<float>(out);
  return linear;
}

// One column's block of weights, symmetric. s8 by the CPU's formula (ops/cpu/packer.cc), so that
// both devices run the same weights.
struct CodedBlock {
  float scale = 1;
  std::int32_t sum = 0;  // of s8
};
CodedBlock quantise(std::span<const float> from, Codes codes, std::uint8_t* to) {
  float most = 0;
  for (const float value : from) most = std::max(most, std::fabs(value));
  CodedBlock block;
  if (most > 0) block.scale = most / (codes == Codes::s8 ? 127.0F : kLargestE4m3);
  for (const float value : from) {
    if (codes == Codes::s8) {
      const auto q = static_cast<std::int32_t>(std::nearbyint(value / block.scale));
      const std::int32_t code = std::clamp(q, -127, 127);
      block.sum += code;
      *to++ = static_cast<std::uint8_t>(code);
    } else {
      *to++ = from_float<E4m3>(value / block.scale).bits;
    }
  }
  return block;
}

// A scale for each output column and block of `blocks` along the depth.
void add_quantised(Uploader& uploader, std::span<const LinearWeights* const> from, Codes codes,
                   std::size_t blocks, const QuantisedLinear& to) {
  std::size_t out = 0;
  for (const LinearWeights* part : from) out += part->out;
  const std::size_t in = from.front()->in;
  const std::size_t width = in / blocks;
  std::vector<std::uint8_t> weights(out * in);
  std::vector<float> scales(blocks * out);
  std::vector<std::int32_t> sums(blocks * out);
  std::vector<float> bias;
  std::size_t column = 0;
  for (const LinearWeights* part : from) {
    BREAKEVEN_CHECK(part->in == in && part->weight.size() == part->out * in);
    bias.insert(bias.end(), part->bias.begin(), part->bias.end());
    bias.resize(column + part->out);  // zeros where the model has none
    uploader.share(part->out, part->weight.size(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t o = begin; o < end; ++o) {
        for (std::size_t b = 0; b < blocks; ++b) {
          const CodedBlock block = quantise(part->weight.subspan(o * in + b * width, width), codes,
                                            weights.data() + (column + o) * in + b * width);
          scales[b * out + column + o] = block.scale;
          sums[b * out + column + o] = block.sum;
        }
      }
    });
    column += part->out;
  }
  uploader.add_whole(weights, to.weight);
  uploader.add_whole(scales, to.scale);
  if (codes == Codes::s8) uploader.add_whole(sums, to.sum);
  uploader.add_whole(bias, to.bias);
}

// A matrix with zeros where ops::cut_ffn has more columns of the FFN's hidden layer than the model:
// behind each of `parts` equal parts of its rows, and behind each row.
class Widened {
 public:
  Widened(const LinearWeights& from, std::size_t parts, std::size_t out, std::size_t in)
      : weight_(out * in), bias_(from.bias.empty() ? 0 : out), out_(out), in_(in) {
    for (std::size_t o = 0; o < from.out; ++o) {
      const std::size_t of_a_part = from.out / parts;
      const std::size_t row = o / of_a_part * (out / parts) + o % of_a_part;
      std::copy_n(from.weight.data() + o * from.in, from.in, weight_.data() + row * in);
      if (!bias_.empty()) bias_[row] = from.bias[o];
    }
  }
  LinearWeights view() const { return {weight_, bias_, out_, in_}; }

 private:
  std::vector<float> weight_, bias_;
  std::size_t out_, in_;
};

template <class T>
void add_qkv(Uploader& uploader, const LayerWeights& from, DeviceLayer<T>& to, std::size_t hidden) {
  const std::size_t square = hidden * hidden;
  std::size_t part = 0;
  for (const LinearWeights* linear : {&from.query, &from.key, &from.value}) {
    if (to.split_qkv != nullptr) {
      uploader.add_split(linear->weight, to.split_qkv + 3 * part * square, square);
    } else if (to.qkv != nullptr) {
      uploader.add(linear->weight, to.qkv + part * square, square);
    }
    uploader.add_if_any(linear->bias, to.qkv_bias + part * hidden, hidden);
    ++part;
  }
}

template <class T>
void add_layer(Uploader& uploader, const LayerWeights& from, DeviceLayer<T>& to,
               const ModelShape& shape) {
  const std::size_t hidden = shape.hidden;
  if (!from.attention_norm.gamma.empty()) {
    add_norm(uploader, from.attention_norm, to.attention_norm, hidden);
  }
  add_norm(uploader, from.ffn_norm, to.ffn_norm, hidden);
  if (from.window > 0) {
    to.window = static_cast<unsigned>(std::min<std::size_t>(from.window, KeyWindow::kAll));
  }
  if (to.qkv_bias != nullptr) add_qkv(uploader, from, to, hidden);
  if (shape.quantised()) {
    const LinearWeights* const qkv[] = {&from.query, &from.key, &from.value};
    const LinearWeights* const project[] = {&from.project};
    const Widened wide_up(from.up, shape.gated() ? 2 : 1, shape.up_width(), hidden);
    const Widened wide_down(from.down, 1, hidden, shape.intermediate);
    const LinearWeights up_view = wide_up.view(), down_view = wide_down.view();
    const LinearWeights* const up[] = {&up_view};
    const LinearWeights* const down[] = {&down_view};
    if (to.qkv == nullptr) add_quantised(uploader, qkv, shape.codes, 1, to.coded_qkv);
    add_quantised(uploader, project, shape.codes, 1, to.coded_project);
    add_quantised(uploader, up, shape.codes, 1, to.coded_up);
    add_quantised(uploader, down, shape.codes, shape.ffn_blocks(), to.coded_down);
    return;
  }
  if (shape.split) {
    uploader.add_split(from.project.weight, to.split_project, hidden * hidden);
    uploader.add_split(from.up.weight, to.split_up, shape.up_width() * hidden);
    uploader.add_split(from.down.weight, to.split_down, hidden * shape.intermediate);
  } else {
    uploader.add(from.project.weight, to.project, hidden * hidden);
    uploader.add(from.up.weight, to.up, shape.up_width() * hidden);
    uploader.add(from.down.weight, to.down, hidden * shape.intermediate);
  }
  uploader.add_if_any(from.project.bias, to.project_bias, hidden);
  uploader.add_if_any(from.up.bias, to.up_bias, shape.up_width());
  uploader.add_if_any(from.down.bias, to.down_bias, hidden);
}

// fp16 ends at 65,504, which weights come nowhere near in a model that was trained.
Result<void> check_split(const EncoderWeights& weights) {
  for (std::size_t l = 0; l < weights.layers.size(); ++l) {
    const LayerWeights& layer = weights.layers[l];
    for (const LinearWeights* linear :
         {&layer.query, &layer.key, &layer.value, &layer.project, &layer.up, &layer.down}) {
      for (const float weight : linear->weight) {
        if (std::fabs(weight) <= kLargestSplitWeight) continue;  // false for a NaN
        return fail("ops/unsupported",
                    fmt::format("a weight of {} in layer {}: fp32x3 on a GPU holds {} at most",
                                weight, l, kLargestSplitWeight),
                    "use --precision fp32");
      }
    }
  }
  return {};
}

}  // namespace

template <class T>
void DeviceModel<T>::lay_out(Arena& arena) {
  const std::size_t hidden = shape_.hidden;
  const std::size_t width = shape_.embedding;
  word = arena.take<T>(shape_.vocabulary * width);
  position = arena.take<T>(added_rows() * width);
  if (shape_.places && shape_.token_types > 0)
    token_type = arena.take<T>(shape_.token_types * width);
  embedding_norm = take_norm(arena, width);
  if (shape_.projects) {
    embedding_project = arena.take<T>(hidden * width);
    embedding_project_bias = arena.take<T>(hidden);
  }
  layers.resize(shape_.layers);
  for (DeviceLayer<T>& layer : layers) {
    layer.attention_norm = take_norm(arena, hidden);
    layer.ffn_norm = take_norm(arena, hidden);
    if (shape_.relative()) {
      layer.distance_keys = arena.take<T>(shape_.distances * hidden);
      layer.distance_queries = arena.take<T>(shape_.distances * hidden);
    }
    // In the last layer keys and values are absorbed into other products: 8-bit codes are too
    // coarse, and halves not worth their while for so few rows.
    const bool last = &layer == &layers.back() && !shape_.takes_mean();
    if (shape_.codes != Codes::s8 || last) layer.qkv_bias = arena.take<T>(3 * hidden);
    if (last || !(shape_.quantised() || shape_.split)) {
      layer.qkv = arena.take<T>(3 * hidden * hidden);
    } else if (shape_.split) {
      layer.split_qkv = arena.take<SplitHalf>(9 * hidden * hidden);
    } else {
      layer.coded_qkv = take_quantised(arena, shape_.codes, 3 * hidden, hidden, 1);
    }
    if (shape_.quantised()) {
      layer.coded_project = take_quantised(arena, shape_.codes, hidden, hidden, 1);
      layer.coded_up = take_quantised(arena, shape_.codes, shape_.up_width(), hidden, 1);
      layer.coded_down =
          take_quantised(arena, shape_.codes, hidden, shape_.intermediate, shape_.ffn_blocks());
    } else {
      if (shape_.split) {
        layer.split_project = arena.take<SplitHalf>(3 * hidden * hidden);
        layer.split_up = arena.take<SplitHalf>(3 * shape_.up_width() * hidden);
        layer.split_down = arena.take<SplitHalf>(3 * hidden * shape_.intermediate);
      } else {
        layer.project = arena.take<T>(hidden * hidden);
        layer.up = arena.take<T>(shape_.up_width() * hidden);
        layer.down = arena.take<T>(hidden * shape_.intermediate);
      }
      layer.project_bias = arena.take<float>(hidden);
      layer.up_bias = arena.take<float>(shape_.up_width());
      layer.down_bias = arena.take<float>(hidden);
    }
  }
  if (shape_.pre_norm()) final_norm = take_norm(arena, hidden);
  for (const double theta : thetas_) {
    rotary[theta] = arena.take<float>(shape_.positions * shape_.head_size);
  }
  if (shape_.relative()) distance_rows = arena.take<std::int32_t>(2 * shape_.positions - 1);
  if (shape_.head_norm) head_norm = take_norm(arena, hidden);
  dense = arena.take<T>(hidden * hidden);
  dense_bias = arena.take<float>(hidden);
  classifier = arena.take<float>(shape_.labels * hidden);
  classifier_bias = arena.take<float>(shape_.labels);
}

template <class T>
Result<std::shared_ptr<const DeviceModel<T>>> DeviceModel<T>::pack(
    const EncoderWeights& weights, Precision precision, const std::shared_ptr<Runtime>& runtime) {
  BREAKEVEN_TRY(const ModelShape shape, shape_of(weights, precision));
  if (shape.split) BREAKEVEN_TRY_VOID(check_split(weights));
  std::set<double> thetas;
  if (shape.rotary()) {
    for (const LayerWeights& layer : weights.layers) thetas.insert(layer.theta);
  }
  auto model = std::make_shared<DeviceModel>(shape, thetas);
  Arena counted;
  model->lay_out(counted);
  BREAKEVEN_TRY(model->memory_, runtime->allocate(counted.used(), Purpose::weights));
  BREAKEVEN_TRY(auto staging, runtime->allocate_pinned(kStaging_bytes));
  model->runtime_ = runtime;
  Arena arena(model->memory_->data);
  model->lay_out(arena);

  Uploader uploader(*runtime, std::move(staging));
  BREAKEVEN_TRY_VOID(model->upload(uploader, weights));
  return std::shared_ptr<const DeviceModel<T>>(std::move(model));
}

template <class T>
Result<void> DeviceModel<T>::upload(Uploader& uploader, const EncoderWeights& weights) {
  const std::size_t hidden = shape_.hidden;
  const std::size_t width = shape_.embedding;
  uploader.add(weights.embedding.word, word, shape_.vocabulary * width);
  uploader.add_if_any(shape_.places ? weights.embedding.position : weights.embedding.token_type,
                      position, added_rows() * width);
  if (token_type != nullptr) {
    uploader.add(weights.embedding.token_type, token_type, shape_.token_types * width);
  }
  add_norm(uploader, weights.embedding.norm, embedding_norm, width);
  if (shape_.projects) {
    uploader.add(weights.embedding.project.weight, embedding_project, hidden * width);
    uploader.add_if_any(weights.embedding.project.bias, embedding_project_bias, hidden);
  }
  for (const auto& [theta, table] : rotary) {
    uploader.add_whole(rotary_table(theta, shape_.head_size, shape_.positions), table);
  }
  for (std::size_t l = 0; l < shape_.layers; ++l) {
    const LayerWeights& from = weights.layers[l];
    add_layer(uploader, from, layers[l], shape_);
    if (shape_.rotary()) layers[l].rotary = rotary.at(from.theta);
  }
  if (shape_.pre_norm()) add_norm(uploader, weights.final_norm, final_norm, hidden);
  if (shape_.head_norm) add_norm(uploader, weights.head.norm, head_norm, hidden);
  uploader.add(weights.head.dense.weight, dense, hidden * hidden);
  uploader.add_if_any(weights.head.dense.bias, dense_bias, hidden);
  uploader.add(weights.head.classifier.weight, classifier, shape_.labels * hidden);
  uploader.add_if_any(weights.head.classifier.bias, classifier_bias, shape_.labels);
  if (!shape_.relative()) return {};
  return project_distances(uploader, weights);
}

// The tables depend on weights only: each layer's projections of R, by the device's plain product.
template <class T>
Result<void> DeviceModel<T>::project_distances(Uploader& uploader, const EncoderWeights& weights) {
  const std::size_t hidden = shape_.hidden;
  uploader.add_whole(weights.relative.distances.rows(shape_.positions), distance_rows);
  const auto lay_out_parts = [&](Arena& arena) {
    return std::array<T*, 3>{arena.take<T>(shape_.distances * hidden),
                             arena.take<T>(hidden * hidden), arena.take<T>(hidden)};
  };
  Arena counted;
  lay_out_parts(counted);
  BREAKEVEN_TRY(const auto memory, runtime_->allocate(counted.used(), Purpose::weights));
  Arena arena(memory->data);
  const auto [table, matrix, bias] = lay_out_parts(arena);
  const std::vector<float> normed = weights.relative.normed(hidden);
  uploader.add(std::span<const float>(normed), table, normed.size());
  for (std::size_t l = 0; l < shape_.layers; ++l) {
    const LayerWeights& from = weights.layers[l];
    for (const auto& [linear, to] : {std::pair{&from.key, layers[l].distance_keys},
                                     std::pair{&from.query, layers[l].distance_queries}}) {
      uploader.add(linear->weight, matrix, hidden * hidden);
      uploader.add_if_any(linear->bias, bias, hidden);
      GemmCall call = dense_product(shape_.distances, hidden, hidden, table, matrix, to);
      call.precision = kPrecisionOf<T>;
      call.bias = bias;
      uploader.launch({KernelOf<T>(PlainGemm<T>{call}), PlainGemm<T>::grid(call)});
    }
  }
  return {};
}

template class DeviceModel<float>;
template class DeviceModel<Half>;
template class DeviceModel<Bf16>;

}  // namespace breakeven::ops::cuda

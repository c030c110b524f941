#include "ops/cuda/packed_model.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace breakeven::ops::cuda {
namespace {

// Copies tensors to the device by way of one pinned buffer.
class Uploader {
 public:
  Uploader(Runtime& runtime, std::unique_ptr<Runtime::Memory> staging)
      : runtime_(runtime), staging_(std::move(staging)), stream_(runtime.make_stream()) {}

  template <class T>
  void add(std::span<const float> from, T* to, std::size_t expected) {
    BREAKEVEN_CHECK(from.size() == expected, "{} values, not {}", from.size(), expected);
    const std::size_t step = staging_->bytes / sizeof(T);
    for (std::size_t begin = 0; begin < from.size(); begin += step) {
      const std::size_t count = std::min(step, from.size() - begin);
      T* staged = reinterpret_cast<T*>(staging_->data);
      for (std::size_t i = 0; i < count; ++i) staged[i] = from_float<T>(from[begin + i]);
      runtime_.copy_to_device(*stream_, to + begin, staged, count * sizeof(T));
      runtime_.synchronise(*stream_);  // the buffer is used again
    }
  }

 private:
  Runtime& runtime_;
  std::unique_ptr<Runtime::Memory> staging_;
  std::unique_ptr<Runtime::Stream> stream_;
};

constexpr std::size_t kStaging_bytes = std::size_t{16} << 20;

Norm take_norm(Arena& arena, std::size_t hidden) {
  Norm norm;
  norm.gamma = arena.take<float>(hidden);
  norm.beta = arena.take<float>(hidden);
  return norm;
}

void add_norm(Uploader& uploader, const NormWeights& from, Norm& to, std::size_t hidden) {
  uploader.add(from.gamma, to.gamma, hidden);
  uploader.add(from.beta, to.beta, hidden);
  to.eps = from.eps;
}

template <class T>
void add_layer(Uploader& uploader, const LayerWeights& from, DeviceLayer<T>& to,
               const ModelShape& shape) {
  const std::size_t hidden = shape.hidden;
  const std::size_t square = hidden * hidden;
  std::size_t part = 0;
  for (const LinearWeights* linear : {&from.query, &from.key, &from.value}) {
    uploader.add(linear->weight, to.qkv + part * square, square);
    uploader.add(linear->bias, to.qkv_bias + part * hidden, hidden);
    ++part;
  }
  uploader.add(from.project.weight, to.project, square);
  uploader.add(from.project.bias, to.project_bias, hidden);
  add_norm(uploader, from.attention_norm, to.attention_norm, hidden);
  uploader.add(from.up.weight, to.up, shape.intermediate * hidden);
  uploader.add(from.up.bias, to.up_bias, shape.intermediate);
  uploader.add(from.down.weight, to.down, hidden * shape.intermediate);
  uploader.add(from.down.bias, to.down_bias, hidden);
  add_norm(uploader, from.ffn_norm, to.ffn_norm, hidden);
}

}  // namespace

template <class T>
void DeviceModel<T>::lay_out(Arena& arena) {
  const std::size_t hidden = shape_.hidden;
  word = arena.take<T>(shape_.vocabulary * hidden);
  position = arena.take<T>(shape_.positions * hidden);
  if (shape_.token_types > 0) token_type = arena.take<T>(shape_.token_types * hidden);
  embedding_norm = take_norm(arena, hidden);
  layers.resize(shape_.layers);
  for (DeviceLayer<T>& layer : layers) {
    layer.qkv = arena.take<T>(3 * hidden * hidden);
    layer.qkv_bias = arena.take<T>(3 * hidden);
    layer.project = arena.take<T>(hidden * hidden);
    layer.project_bias = arena.take<float>(hidden);
    layer.attention_norm = take_norm(arena, hidden);
    layer.up = arena.take<T>(shape_.intermediate * hidden);
    layer.up_bias = arena.take<float>(shape_.intermediate);
    layer.down = arena.take<T>(hidden * shape_.intermediate);
    layer.down_bias = arena.take<float>(hidden);
    layer.ffn_norm = take_norm(arena, hidden);
  }
  dense = arena.take<T>(hidden * hidden);
  dense_bias = arena.take<float>(hidden);
  classifier = arena.take<float>(shape_.labels * hidden);
  classifier_bias = arena.take<float>(shape_.labels);
}

template <class T>
Result<std::shared_ptr<const DeviceModel<T>>> DeviceModel<T>::pack(
    const EncoderWeights& weights, const std::shared_ptr<Runtime>& runtime) {
  BREAKEVEN_TRY(const ModelShape shape, shape_of(weights));
  auto model = std::make_shared<DeviceModel>(shape);
  Arena counted;
  model->lay_out(counted);
  BREAKEVEN_TRY(model->memory_, runtime->allocate(counted.used(), Purpose::weights));
  BREAKEVEN_TRY(auto staging, runtime->allocate_pinned(kStaging_bytes));
  model->runtime_ = runtime;
  Arena arena(model->memory_->data);
  model->lay_out(arena);

  Uploader uploader(*runtime, std::move(staging));
  const std::size_t hidden = shape.hidden;
  uploader.add(weights.embedding.word, model->word, shape.vocabulary * hidden);
  uploader.add(weights.embedding.position, model->position, shape.positions * hidden);
  if (shape.token_types > 0) {
    uploader.add(weights.embedding.token_type, model->token_type, shape.token_types * hidden);
  }
  add_norm(uploader, weights.embedding.norm, model->embedding_norm, hidden);
  for (std::size_t l = 0; l < shape.layers; ++l) {
    add_layer(uploader, weights.layers[l], model->layers[l], shape);
  }
  uploader.add(weights.head.dense.weight, model->dense, hidden * hidden);
  uploader.add(weights.head.dense.bias, model->dense_bias, hidden);
  uploader.add(weights.head.classifier.weight, model->classifier, shape.labels * hidden);
  uploader.add(weights.head.classifier.bias, model->classifier_bias, shape.labels);
  return std::shared_ptr<const DeviceModel<T>>(std::move(model));
}

template class DeviceModel<float>;
template class DeviceModel<Half>;
template class DeviceModel<Bf16>;

std::size_t weight_bytes_of(const ModelShape& shape, Precision precision) {
  Arena counted;
  if (precision == Precision::fp32) {
    DeviceModel<float>(shape).lay_out(counted);
  } else {
    DeviceModel<Half>(shape).lay_out(counted);
  }
  return counted.used();
}

}  // namespace breakeven::ops::cuda

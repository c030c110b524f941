#include "ops/cuda/lane.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace breakeven::ops::cuda {

GroupInput input_at(std::byte* base, const Bucket& bucket) {
  GroupInput input;
  input.tiles = reinterpret_cast<AttentionTile*>(base);
  input.ids = reinterpret_cast<std::int32_t*>(input.tiles + tiles_of(bucket));
  input.places = input.ids + bucket.rows;
  input.kinds = input.places + bucket.rows;
  input.first_row = input.kinds + bucket.rows;
  input.valid = input.first_row + bucket.sequences;
  return input;
}

std::size_t input_bytes(const Bucket& bucket) {
  return tiles_of(bucket) * sizeof(AttentionTile) +
         (3 * bucket.rows + 2 * bucket.sequences) * sizeof(std::int32_t);
}

void write_input(const Batch& batch, std::int32_t uncounted_id, const Bucket& bucket,
                 const GroupInput& to) {
  const std::size_t rows = batch.rows();
  const std::size_t sequences = batch.sequences();
  std::fill(std::copy(batch.ids.begin(), batch.ids.end(), to.ids), to.ids + bucket.rows, 0);
  std::fill_n(to.kinds, bucket.rows, 0);
  std::copy(batch.token_types.begin(), batch.token_types.end(), to.kinds);
  write_positions(batch, uncounted_id, {to.places, rows});
  std::fill(to.places + rows, to.places + bucket.rows, 0);
  std::fill(to.first_row + sequences, to.first_row + bucket.sequences, 0);
  std::fill(to.valid + sequences, to.valid + bucket.sequences, 1);
  AttentionTile* tile = to.tiles;
  for (std::size_t b = 0; b < sequences; ++b) {
    const std::int32_t first = batch.cu_seqlens[b];
    const std::int32_t length = batch.cu_seqlens[b + 1] - first;
    to.first_row[b] = first;
    to.valid[b] = batch.valid_len[b];
    for (std::int32_t begin = 0; begin < length;
         begin += static_cast<std::int32_t>(bucket.tile_rows)) {
      *tile++ = {first, begin, length, batch.valid_len[b]};
    }
  }
  BREAKEVEN_CHECK(tile <= to.tiles + tiles_of(bucket), "{} tiles of {}", tile - to.tiles,
                  tiles_of(bucket));
  std::fill(tile, to.tiles + tiles_of(bucket), AttentionTile{});
}

std::size_t workspace_bytes(int major) {
  return std::size_t{major >= 9 ? 32U : 4U} << 20;
}

namespace {

QuantisedRows take_quantised(Arena& arena, Codes codes, std::size_t rows, std::size_t width,
                             std::size_t blocks) {
  return {arena.take<std::uint8_t>(rows * width), arena.take<float>(rows * blocks),
          codes == Codes::s8 ? arena.take<std::int32_t>(rows * blocks) : nullptr};
}

}  // namespace

template <class T>
void Activations<T>::lay_out(Arena& arena, const ModelShape& shape, const Bucket& bucket) {
  const std::size_t hidden = shape.hidden;
  const std::size_t rows = bucket.rows;
  const std::size_t sequences = bucket.sequences;
  const bool apart = !std::is_same_v<T, ResidualOf<T>> && !shape.pre_norm();
  x = arena.take<T>(rows * hidden);
  if (apart) residual = arena.take<R>(rows * hidden);
  if (shape.pre_norm()) stream = arena.take<float>(rows * hidden);
  // The last layer's FFN runs over sequences, of which a bucket may have more than rows.
  const std::size_t most = std::max(rows, sequences);
  ctx = arena.take<T>(most * hidden);
  const std::size_t chunk = std::min(most, kQuantisedChunk);
  wide_values = shape.quantised()
                    ? std::max(most * 3 * hidden, shape.gated() ? chunk * shape.wide() : 0)
                    : most * shape.wide();
  wide = arena.take<T>(wide_values);
  x_cls = arena.take<T>(sequences * hidden);
  if (apart) residual_cls = arena.take<R>(sequences * hidden);
  if (shape.pre_norm()) stream_cls = arena.take<float>(sequences * hidden);
  if (shape.absorbs()) {
    query_cls = arena.take<T>(sequences * hidden);
    keys_cls = arena.take<T>(sequences * shape.heads * hidden);
    mix_cls = arena.take<T>(sequences * shape.heads * hidden);
  }
  ctx_cls = arena.take<T>(sequences * hidden);
  logits = arena.take<float>(sequences * shape.labels);
  input = arena.take_bytes(input_bytes(bucket));
  if (shape.split) {
    split_x = arena.take<SplitHalf>(most * 3 * hidden);
    split_inner = arena.take<SplitHalf>(most * 3 * std::max(hidden, shape.intermediate));
  }
  if (!shape.quantised()) return;
  const std::size_t blocks = shape.ffn_blocks();
  quantised = take_quantised(arena, shape.codes, rows, hidden, 1);
  quantised_cls = take_quantised(arena, shape.codes, sequences, hidden, 1);
  const std::size_t sum_bytes =
      shape.codes == Codes::s8 ? sizeof(SumOf<std::int8_t>) : sizeof(SumOf<E4m3>);
  scratch.sums = arena.take_bytes(sum_bytes * chunk *
                                  std::max({3 * hidden, shape.up_width(), blocks * hidden}));
  scratch.inner =
      take_quantised(arena, shape.codes, chunk, std::max(hidden, shape.intermediate), blocks);
}

template <class T>
std::size_t DeviceLane<T>::bytes(const ModelShape& shape, const LaneLimits& limits, int major) {
  Arena counted;
  Activations<T>().lay_out(counted, shape, largest_bucket(limits));
  return counted.used() + workspace_bytes(major);
}

template <class T>
Result<std::unique_ptr<DeviceLane<T>>> DeviceLane<T>::make(
    std::shared_ptr<const DeviceModel<T>> model, const LaneLimits& limits,
    const std::shared_ptr<Runtime>& runtime) {
  BREAKEVEN_CHECK(limits.rows >= 1 && limits.sequences >= 1, "T={} B={}", limits.rows,
                  limits.sequences);
  auto lane = std::make_unique<DeviceLane>();
  lane->runtime_ = runtime;
  lane->model_ = std::move(model);
  lane->limits_ = limits;
  const ModelShape& shape = lane->model_->shape();
  const Bucket largest = largest_bucket(limits);
  Arena counted;
  lane->act_.lay_out(counted, shape, largest);
  BREAKEVEN_TRY(lane->memory_, runtime->allocate(counted.used(), Purpose::activations));
  BREAKEVEN_TRY(lane->workspace_,
                runtime->allocate(workspace_bytes(runtime->info().major), Purpose::library));
  BREAKEVEN_TRY(lane->pinned_input_, runtime->allocate_pinned(input_bytes(largest)));
  BREAKEVEN_TRY(lane->pinned_logits_,
                runtime->allocate_pinned(largest.sequences * shape.labels * sizeof(float)));
  Arena arena(lane->memory_->data);
  lane->act_.lay_out(arena, shape, largest);
  lane->stream_ = runtime->make_stream();
  for (auto* event : {&lane->begin_, &lane->uploaded_, &lane->computed_, &lane->downloaded_}) {
    *event = runtime->make_event();
  }
  // Rows of a bucket beyond the group are computed and thrown away: from zeros, not from garbage.
  runtime->fill_zero(*lane->stream_, lane->memory_->data, lane->memory_->bytes);
  runtime->synchronise(*lane->stream_);
  return lane;
}

template <class T>
DeviceLane<T>::~DeviceLane() {
  if (stream_ == nullptr) return;
  try {
    runtime_->synchronise(*stream_);
  } catch (const DeviceFailure&) {  // a lost device writes nothing any more
  }
}

template <class T>
void DeviceLane<T>::upload(const Batch& batch, bool wide_tiles) {
  rows_ = batch.rows();
  sequences_ = batch.sequences();
  bucket_ = bucket_for(rows_, sequences_, limits_, wide_tiles);
  write_input(batch, model_->shape().uncounted_id, bucket_, input_at(pinned_input_->data, bucket_));
  runtime_->record(*begin_, *stream_);
  runtime_->copy_to_device(*stream_, act_.input, pinned_input_->data, input_bytes(bucket_));
  runtime_->record(*uploaded_, *stream_);
}

template <class T>
bool DeviceLane<T>::run(const std::function<void()>& body, bool graphs, bool pinned_logits) {
  writes_to_host_ = pinned_logits && bucket_.rows <= kFewRows;  // as in the bucket's graph
  ++passes_;
  const auto known = known_.find(bucket_);
  const bool fresh = known == known_.end();
  if (fresh || !graphs) {
    body();
    if (fresh) {
      if (known_.size() == kMostGraphs) forget_oldest();
      known_[bucket_].last_used = passes_;
    }
  } else {
    known->second.last_used = passes_;
    if (known->second.graph == nullptr) known->second.graph = capture(body);
    runtime_->launch(*stream_, *known->second.graph);
  }
  runtime_->record(*computed_, *stream_);
  if (!writes_to_host_) {
    runtime_->copy_to_host(*stream_, pinned_logits_->data, act_.logits,
                           sequences_ * model_->shape().labels * sizeof(float));
  }
  runtime_->record(*downloaded_, *stream_);
  return fresh;
}

// A capture that fails is ended all the same: a stream that goes on capturing refuses everything.
template <class T>
std::unique_ptr<Runtime::Graph> DeviceLane<T>::capture(const std::function<void()>& body) {
  runtime_->begin_capture(*stream_);
  capturing_ = true;
  try {
    body();
  } catch (const DeviceFailure&) {
    capturing_ = false;
    runtime_->drop_capture(*stream_);
    throw;
  }
  capturing_ = false;
  return runtime_->end_capture(*stream_);
}

template <class T>
void DeviceLane<T>::forget_oldest() {
  known_.erase(std::min_element(known_.begin(), known_.end(), [](const auto& a, const auto& b) {
    return a.second.last_used < b.second.last_used;
  }));
}

template <class T>
std::span<const float> DeviceLane<T>::wait() {
  runtime_->synchronise(*stream_);
  return {host_logits(), sequences_ * model_->shape().labels};
}

template <class T>
DeviceSeconds DeviceLane<T>::seconds() const {
  return {.upload = runtime_->seconds_between(*begin_, *uploaded_),
          .compute = runtime_->seconds_between(*uploaded_, *computed_),
          .download = runtime_->seconds_between(*computed_, *downloaded_)};
}

template <class T>
void DeviceLane<T>::read(const void* from, void* to, std::size_t bytes) {
  BREAKEVEN_CHECK(!capturing_, "an activation cannot be read while its graph is captured");
  runtime_->copy_to_host(*stream_, to, from, bytes);
  runtime_->synchronise(*stream_);
}

template struct Activations<float>;
template struct Activations<Half>;
template struct Activations<Bf16>;
template class DeviceLane<float>;
template class DeviceLane<Half>;
template class DeviceLane<Bf16>;

}  // namespace breakeven::ops::cuda

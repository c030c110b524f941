#include "ops/cpu/lane.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "ops/cpu/openmp.h"

namespace breakeven::ops::cpu {
namespace {

constexpr std::size_t kLargest = kBuckets.back();
// The last chunk may compute fewer than 32 rows more than there are.
constexpr std::size_t kSpareRows = 64;
// A query range shorter than this does not pay for packing the keys once more.
constexpr std::size_t kLeastQueries = 64;

// Own GEMM: rows that go through projection or FFN together. Alone, so that their fp32 rows and the
// intermediate values stay in L2; a team shares them, and each member streams its own weights.
constexpr std::size_t kRowsAlone = 256;
constexpr std::size_t kWideRowsAlone = 128;  // of four bytes a value
constexpr std::size_t kRowsOfTeam = 512;

std::size_t bucket_for(std::size_t rows) {
  const auto* at = std::lower_bound(kBuckets.begin(), kBuckets.end(), rows);
  return static_cast<std::size_t>(at - kBuckets.begin());
}

void set_one_openmp_thread(unsigned /*member*/) {
  omp_set_num_threads(1);
}

}  // namespace

Callers::Callers(const Gemms& gemms)
    : qkv(gemms.qkv), plain(gemms.plain), up(gemms.up), down_first(gemms.down_first) {
  if (gemms.down_next) down_next = std::make_unique<GemmCaller>(gemms.down_next);
}

CpuLane::CpuLane(std::shared_ptr<const CpuModel> model, const LaneLimits& limits)
    : model_(std::move(model)),
      limits_(limits),
      queues_(limits.threads),
      team_(limits.threads, set_one_openmp_thread) {
  uses_tiles = has_amx(model_->formats().set);
}

AttentionShape CpuLane::attention_shape() const {
  const ModelShape& shape = model_->shape();
  return {shape.heads, shape.head_size, shape.hidden_padded, bytes_of(model_->formats().plane()),
          limits_.threads};
}

void CpuLane::lay_out_scratch(Arena& arena, Scratch& s) const {
  const ModelShape& shape = model_->shape();
  const Formats& formats = model_->formats();
  const std::size_t hidden = shape.hidden_padded;
  const std::size_t widest = std::max(hidden, shape.block);
  const std::size_t longest = std::min(limits_.rows, shape.positions);
  s.attention = formats.bf16_attention
                    ? static_cast<void*>(arena.take<std::byte>(
                          tile_attention_scratch_bytes(longest, shape.head_size)))
                    : arena.take<float>(attention_scratch_floats(longest, shape.head_size));
  if (formats.own_gemm) {
    s.gemm = arena.take<std::byte>(kGemmScratchBytes);
    return;
  }
  s.accumulated = arena.take<float>(kLargest * widest);
  s.down = arena.take<float>(kLargest * hidden);
  s.row = arena.take<float>(widest);
  // fp32: the activation overwrites the GEMM's result.
  s.hidden = formats.gemm_in == Narrow::Format::f32
                 ? s.accumulated
                 : arena.take<std::byte>(kLargest * shape.block * bytes_of(formats.gemm_in));
  if (formats.gemm_in == Narrow::Format::u8) {
    s.hidden_scale = arena.take<float>(kLargest);
    s.hidden_zero = arena.take<std::int32_t>(kLargest);
    s.narrow = arena.take<std::uint8_t>(kLargest * hidden);
    s.narrow_scale = arena.take<float>(kLargest);
    s.narrow_zero = arena.take<std::int32_t>(kLargest);
  }
  std::size_t gemm = 0;
  const Gemms& gemms = model_->gemms();
  for (const Gemm* g : {gemms.qkv.get(), gemms.plain.get(), gemms.up.get(), gemms.down_first.get(),
                        gemms.down_next.get()}) {
    if (g != nullptr) gemm = std::max(gemm, g->scratch_bytes());
  }
  s.gemm = arena.take<std::byte>(gemm);
}

void CpuLane::lay_out_between(Arena& arena) {
  const ModelShape& shape = model_->shape();
  const Formats& formats = model_->formats();
  const bool alone = limits_.threads == 1;
  const std::size_t most = std::max(limits_.rows, limits_.sequences);
  const std::size_t rows_alone = bytes_of(formats.inner()) == 4 ? kWideRowsAlone : kRowsAlone;
  between.rows = std::min(alone ? rows_alone : kRowsOfTeam, padded(most, kRowsAtOnce));
  between.blocks = alone ? 1 : shape.blocks;
  between.stride = between.rows + kRowsAtOnce;
  const std::size_t inner = between.blocks * between.stride * shape.block;
  between.inner = arena.take<std::byte>(inner * bytes_of(formats.inner()));
  const bool copies_x = formats.gemm_in == Narrow::Format::f32 && between.blocks < shape.blocks;
  if (copies_x || formats.gemm_in == Narrow::Format::split) {
    between.narrow = arena.take<std::byte>(between.stride * shape.hidden_padded * sizeof(float));
  }
  if (formats.gemm_in != Narrow::Format::u8) return;
  between.narrow = arena.take<std::byte>(std::max(inner, between.stride * shape.hidden_padded));
  between.scale = arena.take<float>(between.blocks * between.stride);
  between.zero = arena.take<std::int32_t>(between.blocks * between.stride);
}

void CpuLane::lay_out(Arena& arena) {
  const ModelShape& shape = model_->shape();
  const Formats& formats = model_->formats();
  const std::size_t hidden = shape.hidden_padded;
  const std::size_t rows_taken = limits_.rows + kSpareRows;
  const std::size_t sequences_taken = limits_.sequences + kSpareRows;
  const std::size_t context = bytes_of(formats.context());
  ids = arena.take<std::int32_t>(limits_.rows);
  positions = arena.take<std::int32_t>(limits_.rows);
  types = arena.take<std::int32_t>(limits_.rows);
  cu_seqlens = arena.take<std::int32_t>(limits_.sequences + 1);
  valid_len = arena.take<std::int32_t>(limits_.sequences);
  const auto rows = [&](Rows& to, std::size_t count) {
    to.f32 = arena.take<float>(count * hidden);
    to.narrow = to.f32;
    if (formats.gemm_in == Narrow::Format::f32) return;
    to.narrow = arena.take<std::byte>(count * hidden * bytes_of(formats.gemm_in));
    if (formats.gemm_in != Narrow::Format::u8) return;
    to.row_scale = arena.take<float>(count);
    to.row_zero = arena.take<std::int32_t>(count);
  };
  rows(x, rows_taken);
  rows(x_cls, sequences_taken);
  const std::size_t elements = formats.own_gemm
                                   ? largest_attention_block(attention_shape(), limits_.rows)
                                   : limits_.rows * hidden;
  for (void** to : {&query, &key, &value}) {
    *to = arena.take<std::byte>((elements + kSpareRows * hidden) * bytes_of(formats.plane()));
  }
  ctx = arena.take<std::byte>(rows_taken * hidden * context);
  ctx_cls = arena.take<std::byte>(sequences_taken * hidden * context);

  const std::size_t block = std::min(kClsBlock, limits_.sequences);
  const std::size_t longest = std::min(limits_.rows, shape.positions);
  cls_query = arena.take<float>(limits_.threads * kClsBlock * shape.head_padded);
  cls_keys = arena.take<float>(shape.heads * block * hidden);
  cls_context = arena.take<float>(shape.heads * block * hidden);
  cls_scores_stride =
      hidden * shape.heads_padded + longest * shape.heads_padded + shape.heads * padded(longest);
  cls_scores = arena.take<float>(limits_.threads * cls_scores_stride);
  head_hidden = arena.take<float>(limits_.sequences * hidden);
  head_out = arena.take<float>(limits_.sequences * shape.labels_padded);
  logits = arena.take<float>(limits_.sequences * shape.labels);
  if (formats.own_gemm) lay_out_between(arena);
  scratch.resize(limits_.threads);
  for (Scratch& s : scratch) lay_out_scratch(arena, s);
}

std::size_t CpuLane::bytes(const CpuModel& model, const LaneLimits& limits) {
  // A lane without memory and with one thread lays out the same buffers.
  LaneLimits counted = limits;
  counted.threads = 1;
  CpuLane lane(std::shared_ptr<const CpuModel>(std::shared_ptr<void>(), &model), counted);
  lane.limits_.threads = limits.threads;
  Arena arena;
  lane.lay_out(arena);
  return arena.used();
}

Result<std::unique_ptr<CpuLane>> CpuLane::make(std::shared_ptr<const CpuModel> model,
                                               const LaneLimits& limits) {
  BREAKEVEN_CHECK(limits.rows > 0 && limits.sequences > 0 && limits.threads > 0,
                  "rows={} sequences={} threads={}", limits.rows, limits.sequences, limits.threads);
  std::unique_ptr<CpuLane> lane(new CpuLane(std::move(model), limits));
  BREAKEVEN_TRY(lane->arena_, Arena::allocate(bytes(*lane->model_, limits)));
  lane->lay_out(lane->arena_);
  const ModelShape& shape = lane->model_->shape();
  const bool library = !lane->model_->formats().own_gemm;
  for (unsigned i = 0; library && i < limits.threads; ++i)
    lane->callers.emplace_back(lane->model_->gemms());
  lane->order_.reserve(limits.sequences);
  lane->chunks.reserve(limits.rows / kBuckets.front() + 1);
  lane->cls_chunks.reserve(limits.sequences / kBuckets.front() + 1);
  lane->units.reserve(shape.heads * (limits.sequences + limits.rows / kLeastQueries + 1));
  lane->attention_blocks.reserve(most_attention_blocks(lane->attention_shape(), limits.sequences));
  return lane;
}

void CpuLane::plan_chunks(std::size_t rows, std::vector<Chunk>& out) const {
  out.clear();
  const std::size_t round = kLargest * limits_.threads;
  const std::size_t count = (rows + round - 1) / round * limits_.threads;
  const std::size_t bucket = bucket_for((rows + count - 1) / count);
  for (std::size_t first = 0; first < rows; first += kBuckets[bucket]) {
    const std::size_t taken = std::min(rows - first, kBuckets[bucket]);
    out.push_back({first, taken, bucket_for(taken)});
  }
}

// Longest sequences first, so that the last units are short; cut further where there are too few
// units for the team.
void CpuLane::plan_units() {
  units.clear();
  order_.resize(sequences_);
  std::iota(order_.begin(), order_.end(), 0U);
  const auto length = [this](std::uint32_t s) { return cu_seqlens[s + 1] - cu_seqlens[s]; };
  std::sort(order_.begin(), order_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return length(a) > length(b); });
  const std::size_t heads = model_->shape().heads;
  const std::size_t wanted = limits_.threads > 1 ? std::size_t{4} * limits_.threads : 1;
  const std::size_t cuts = std::max<std::size_t>(1, wanted / (sequences_ * heads));
  for (const std::uint32_t s : order_) {
    const auto queries = static_cast<std::size_t>(length(s));
    const std::size_t pieces = std::max<std::size_t>(1, std::min(cuts, queries / kLeastQueries));
    const std::size_t step = padded((queries + pieces - 1) / pieces, 32);
    for (std::uint32_t head = 0; head < heads; ++head) {
      for (std::size_t q = 0; q < queries; q += step) {
        units.push_back({s, head, static_cast<std::uint32_t>(q),
                         static_cast<std::uint32_t>(std::min(q + step, queries))});
      }
    }
  }
}

void CpuLane::upload(const Batch& batch) {
  rows_ = batch.rows();
  sequences_ = batch.sequences();
  BREAKEVEN_CHECK(rows_ > 0 && rows_ <= limits_.rows, "T={} of {}", rows_, limits_.rows);
  BREAKEVEN_CHECK(sequences_ > 0 && sequences_ <= limits_.sequences, "B={} of {}", sequences_,
                  limits_.sequences);
  std::copy(batch.ids.begin(), batch.ids.end(), ids);
  has_types = !batch.token_types.empty() && model_->shape().token_types > 0;
  if (has_types) std::copy(batch.token_types.begin(), batch.token_types.end(), types);
  std::copy(batch.cu_seqlens.begin(), batch.cu_seqlens.end(), cu_seqlens);
  std::copy(batch.valid_len.begin(), batch.valid_len.end(), valid_len);
  for (std::size_t s = 0; s < sequences_; ++s) {
    const std::int32_t first = cu_seqlens[s];
    const std::int32_t length = cu_seqlens[s + 1] - first;
    BREAKEVEN_CHECK(length > 0 && static_cast<std::size_t>(length) <= model_->shape().positions,
                    "rows of sequence {}: {}", s, length);
    BREAKEVEN_CHECK(valid_len[s] > 0 && valid_len[s] <= length, "valid_len[{}]={} of {}", s,
                    valid_len[s], length);
    std::iota(positions + first, positions + first + length, 0);
  }
  attention_blocks.clear();
  if (model_->formats().own_gemm) {
    plan_attention(attention_shape(), std::span(cu_seqlens, sequences_ + 1), attention_blocks);
  } else {
    plan_chunks(rows_, chunks);
    plan_chunks(sequences_, cls_chunks);
  }
  if (attention_blocks.empty()) plan_units();
}

}  // namespace breakeven::ops::cpu

#include "ops/cpu/lane.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace breakeven::ops::cpu {
namespace {

// Tiles read up to 31 rows after the last one.
constexpr std::size_t kSpareRows = 64;
// A query range shorter than this does not pay for packing the keys once more.
constexpr std::size_t kLeastQueries = 64;

// Rows that go through projection or FFN together. Alone, so that their fp32 rows and the
// intermediate values stay in L2; a team shares them, and each member streams its own weights.
constexpr std::size_t kRowsAlone = 256;
constexpr std::size_t kWideRowsAlone = 112;  // of four bytes a value; whole blocks of 14
constexpr std::size_t kRowsOfTeam = 512;

}  // namespace

CpuLane::CpuLane(std::shared_ptr<const CpuModel> model, const LaneLimits& limits)
    : model_(std::move(model)),
      limits_(limits),
      tiles_(model_->formats().tiles),
      queues_(most_threads()),
      team_(limits.threads, {}, limits.helpers) {}

AttentionShape CpuLane::attention_shape(unsigned threads) const {
  const ModelShape& shape = model_->shape();
  return {shape.heads, shape.head_size, shape.hidden_padded, bytes_of(model_->formats().plane()),
          threads};
}

void CpuLane::lay_out_activations(Arena& arena) {
  const ModelShape& shape = model_->shape();
  const Formats& formats = model_->formats();
  const std::size_t hidden = shape.hidden_padded;
  const std::size_t rows = limits_.rows + kSpareRows;
  const std::size_t sequences = limits_.sequences + kSpareRows;
  group.ids = arena.take<std::int32_t>(limits_.rows);
  group.positions = arena.take<std::int32_t>(limits_.rows);
  group.types = arena.take<std::int32_t>(limits_.rows);
  group.cu_seqlens = arena.take<std::int32_t>(limits_.sequences + 1);
  group.valid_len = arena.take<std::int32_t>(limits_.sequences);
  const auto take_hidden = [&](HiddenStates& to, std::size_t count) {
    to.f32 = arena.take<float>(count * hidden);
    to.stream = shape.pre_norm() ? arena.take<float>(count * hidden) : to.f32;
    to.gemm_input = to.f32;
    if (formats.gemm_in == NumberFormat::f32) return;
    to.gemm_input = arena.take<std::byte>(count * hidden * bytes_of(formats.gemm_in));
    if (formats.gemm_in != NumberFormat::u8) return;
    to.row_scale = arena.take<float>(count);
    to.row_zero = arena.take<std::int32_t>(count);
  };
  take_hidden(acts.x, rows);
  take_hidden(acts.x_cls, sequences);
  const std::size_t elements =
      largest_attention_block(attention_shape(most_threads()), limits_.rows);
  for (void** to : {&acts.query, &acts.key, &acts.value}) {
    *to = arena.take<std::byte>((elements + kSpareRows * hidden) * bytes_of(formats.plane()));
  }
  const std::size_t context = bytes_of(formats.plane());
  acts.ctx = arena.take<std::byte>(rows * hidden * context);
  acts.ctx_cls = arena.take<std::byte>(sequences * hidden * context);
  if (shape.projects) acts.embedded = arena.take<float>(limits_.rows * shape.embedding_padded);
  acts.logits = arena.take<float>(limits_.sequences * shape.labels);
}

// How many rows and blocks go through together.
void CpuLane::size_between(unsigned threads) {
  const ModelShape& shape = model_->shape();
  const bool alone = threads == 1;
  const std::size_t most = std::max(limits_.rows, limits_.sequences);
  const bool wide = bytes_of(model_->formats().inner()) == 4;
  const std::size_t rows_alone = wide ? kWideRowsAlone : kRowsAlone;
  between.rows = std::min(alone ? rows_alone : kRowsOfTeam, padded(most, kRowsAtOnce));
  between.blocks = alone ? 1 : shape.blocks;
  between.stride = between.rows + kRowsAtOnce;
}

// A team needs more of everything but the copy of x.
void CpuLane::lay_out_between(Arena& arena) {
  const ModelShape& shape = model_->shape();
  const Formats& formats = model_->formats();
  size_between(most_threads());
  const std::size_t inner = between.blocks * between.stride * shape.block;
  const std::size_t hidden = between.stride * shape.hidden_padded;
  between.inner = arena.take<std::byte>(inner * bytes_of(formats.inner()));
  const bool may_be_alone = limits_.threads == 1 && shape.blocks > 1;
  if (formats.gemm_in == NumberFormat::f32 && may_be_alone) between.x = arena.take<float>(hidden);
  if (formats.gemm_in == NumberFormat::split) {
    between.split = arena.take<std::byte>(hidden * bytes_of(NumberFormat::split));
  }
  if (formats.gemm_in != NumberFormat::u8) return;
  between.quantised = arena.take<std::byte>(std::max(inner, hidden));
  between.row_scale = arena.take<float>(between.blocks * between.stride);
  between.row_zero = arena.take<std::int32_t>(between.blocks * between.stride);
}

void CpuLane::lay_out_cls(Arena& arena) {
  const ModelShape& shape = model_->shape();
  const std::size_t hidden = shape.hidden_padded;
  const std::size_t block = std::min(kClsBlock, limits_.sequences);
  const std::size_t longest = std::min(limits_.rows, shape.positions);
  cls.head_hidden = arena.take<float>(limits_.sequences * hidden);
  cls.head_out = arena.take<float>(limits_.sequences * shape.labels_padded);
  if (!shape.absorbs()) return;
  cls.query = arena.take<float>(most_threads() * kClsBlock * shape.head_padded);
  cls.keys = arena.take<float>(shape.heads * block * hidden);
  cls.context = arena.take<float>(shape.heads * block * hidden);
  const bool relative = shape.distances > 0;
  if (relative) cls.distances = arena.take<float>(shape.heads * block * shape.cls_distances());
  cls.scores_stride = hidden * shape.heads_padded +
                      (relative ? 2 : 1) * longest * shape.heads_padded +
                      shape.heads * padded(longest);
  cls.scores = arena.take<float>(most_threads() * cls.scores_stride);
}

void CpuLane::lay_out_workspaces(Arena& arena) {
  const ModelShape& shape = model_->shape();
  const std::size_t longest = std::min(limits_.rows, shape.positions);
  workspaces.resize(most_threads());
  for (Workspace& w : workspaces) {
    w.attention = arena.take<std::byte>(
        std::max(tile_attention_scratch_bytes(longest, shape.head_size, shape.distances),
                 attention_scratch_bytes(longest, shape.head_size, shape.distances)));
    w.gemm = arena.take<std::byte>(kGemmScratchBytes);
  }
}

void CpuLane::lay_out(Arena& arena) {
  lay_out_activations(arena);
  lay_out_between(arena);
  lay_out_cls(arena);
  lay_out_workspaces(arena);
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
  const std::size_t heads = lane->model_->shape().heads;
  lane->order_.reserve(limits.sequences);
  lane->plan.units.reserve(heads * (limits.sequences + limits.rows / kLeastQueries + 1));
  lane->plan.blocks.reserve(most_attention_blocks(lane->attention_shape(1), limits.sequences));
  return lane;
}

// Longest sequences first, so that the last units are short; cut further where there are too few
// units for the team.
void CpuLane::plan_units() {
  plan.units.clear();
  order_.resize(group.sequences);
  std::iota(order_.begin(), order_.end(), 0U);
  const auto length = [this](std::uint32_t s) {
    return group.first_row(s + 1) - group.first_row(s);
  };
  std::sort(order_.begin(), order_.end(),
            [&](std::uint32_t a, std::uint32_t b) { return length(a) > length(b); });
  const std::size_t heads = model_->shape().heads;
  const std::size_t wanted = threads() > 1 ? std::size_t{4} * threads() : 1;
  const std::size_t cuts = std::max<std::size_t>(1, wanted / (group.sequences * heads));
  for (const std::uint32_t s : order_) {
    const std::size_t queries = length(s);
    const std::size_t pieces = std::max<std::size_t>(1, std::min(cuts, queries / kLeastQueries));
    const std::size_t step = padded((queries + pieces - 1) / pieces, 32);
    for (std::uint32_t head = 0; head < heads; ++head) {
      for (std::size_t q = 0; q < queries; q += step) {
        plan.units.push_back({s, head, static_cast<std::uint32_t>(q),
                              static_cast<std::uint32_t>(std::min(q + step, queries))});
      }
    }
  }
}

void CpuLane::upload(const Batch& batch) {
  const ModelShape& shape = model_->shape();
  group.rows = batch.rows();
  group.sequences = batch.sequences();
  BREAKEVEN_CHECK(group.rows > 0 && group.rows <= limits_.rows, "T={} of {}", group.rows,
                  limits_.rows);
  BREAKEVEN_CHECK(group.sequences > 0 && group.sequences <= limits_.sequences, "B={} of {}",
                  group.sequences, limits_.sequences);
  std::copy(batch.ids.begin(), batch.ids.end(), group.ids);
  group.has_types = !batch.token_types.empty() && shape.token_types > 0;
  if (group.has_types) {
    std::copy(batch.token_types.begin(), batch.token_types.end(), group.types);
  }
  std::copy(batch.cu_seqlens.begin(), batch.cu_seqlens.end(), group.cu_seqlens);
  std::copy(batch.valid_len.begin(), batch.valid_len.end(), group.valid_len);
  for (std::size_t s = 0; s < group.sequences; ++s) {
    const std::int32_t first = group.cu_seqlens[s];
    const std::int32_t length = group.cu_seqlens[s + 1] - first;
    const std::int32_t valid = group.valid_len[s];
    BREAKEVEN_CHECK(
        length > 0 && std::cmp_less_equal(length + shape.uncounted_id + 1, shape.positions),
        "rows of sequence {}: {}", s, length);
    BREAKEVEN_CHECK(valid > 0 && valid <= length, "valid_len[{}]={} of {}", s, valid, length);
  }
  write_positions(batch, shape.uncounted_id, {group.positions, group.rows});
  plan_for_team();
  team_.open();
}

void CpuLane::plan_for_team() {
  size_between(threads());
  plan_attention(attention_shape(threads()), std::span(group.cu_seqlens, group.sequences + 1),
                 plan.blocks);
  if (plan.blocks.empty()) plan_units();
}

void CpuLane::admit() {
  const unsigned before = threads();
  if (limits_.helpers > 0 && team_.admit() != before) plan_for_team();
}

}  // namespace breakeven::ops::cpu

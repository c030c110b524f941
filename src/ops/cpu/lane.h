// A lane of the CPU backend: a thread team, one block of memory for every activation, and the
// group that was uploaded, cut into work for the team.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/thread_team.h"
#include "ops/cpu/attention_amx.h"
#include "ops/cpu/attention_plan.h"
#include "ops/cpu/packed_model.h"

namespace breakeven::ops::cpu {

// Rows first .. first+rows of an activation, computed as kBuckets[bucket] rows; only the last chunk
// of a group has fewer rows than its bucket.
struct Chunk {
  std::size_t first = 0;
  std::size_t rows = 0;
  std::size_t bucket = 0;
};

// One head of some query rows of one sequence.
struct AttentionUnit {
  std::uint32_t sequence = 0;
  std::uint32_t head = 0;
  std::uint32_t query_begin = 0;
  std::uint32_t query_end = 0;
};

// Where a unit's queries, keys and values lie in their planes: the first one's element, and the
// elements from row to row.
struct HeadRows {
  std::size_t at = 0;
  std::size_t stride = 0;
};

// An activation: fp32, and (but for fp32) the copy that GEMMs read.
struct Rows {
  float* f32 = nullptr;
  void* narrow = nullptr;  // the same memory as f32 when GEMMs read fp32
  float* row_scale = nullptr;
  std::int32_t* row_zero = nullptr;
};

// What one member of the team needs for itself.
struct Scratch {
  void* accumulated = nullptr;  // [chunk, columns] floats or s32: a GEMM's result
  void* hidden = nullptr;       // [chunk, block]: activation(up(x)) as the next GEMM reads it
  float* hidden_scale = nullptr;
  std::int32_t* hidden_zero = nullptr;
  float* down = nullptr;   // [chunk, H]
  void* narrow = nullptr;  // int8: [chunk, H], the quantised context
  float* narrow_scale = nullptr;
  std::int32_t* narrow_zero = nullptr;
  float* row = nullptr;       // one row
  std::byte* gemm = nullptr;  // the GEMM's own
  void* attention = nullptr;
};

// Between two own GEMMs, shared by the team: `rows` + 32 rows at most.
struct Between {
  std::size_t rows = 0;    // of one chunk
  std::size_t blocks = 0;  // FFN blocks that are computed together
  void* inner = nullptr;   // [blocks][rows][block]: activation(up(x))
  // int8: the same quantised, or [rows][H]: the context, quantised; fp32x3: that split.
  // fp32: [rows][H], a copy of x.
  std::byte* narrow = nullptr;
  float* scale = nullptr;  // [blocks][rows]
  std::int32_t* zero = nullptr;
  std::size_t stride = 0;  // rows of a block in memory
};

struct Callers {
  explicit Callers(const Gemms& gemms);
  GemmCaller qkv, plain, up, down_first;
  std::unique_ptr<GemmCaller> down_next;
};

// Sequences that cls_attention handles between two barriers.
inline constexpr std::size_t kClsBlock = 32;

class CpuLane final : public Lane {
 public:
  // Errors: ops/memory.
  static Result<std::unique_ptr<CpuLane>> make(std::shared_ptr<const CpuModel> model,
                                               const LaneLimits& limits);
  static std::size_t bytes(const CpuModel& model, const LaneLimits& limits);
  std::size_t activation_bytes() const override { return arena_.used(); }

  void upload(const Batch& batch);

  // Calls work(member, index) for each index below count, shared out one by one.
  template <class Work>
  void parallel(std::size_t count, const Work& work) {
    next_.store(0, std::memory_order_relaxed);
    const auto loop = [this, count, &work](unsigned member) {
      for (std::size_t i = next_.fetch_add(1, std::memory_order_relaxed); i < count;
           i = next_.fetch_add(1, std::memory_order_relaxed)) {
        work(member, i);
      }
      if (uses_tiles) release_tiles();
    };
    team_.run(std::cref(loop));  // a reference: std::function need not allocate
  }

  // Calls work(member, index) for each index below count. Each member has a range of them (Share),
  // which it works through in order, so that it knows what comes next; then it helps the others.
  template <class Work>
  void parallel_by_owner(std::size_t count, const Work& work) {
    for (Queue& queue : queues_) queue.next.store(0, std::memory_order_relaxed);
    const auto loop = [this, count, &work](unsigned member) {
      for (unsigned i = 0; i < threads(); ++i) {
        const unsigned owner = (member + i) % threads();
        const Share share = share_of(count, owner);
        std::atomic<std::size_t>& next = queues_[owner].next;
        for (std::size_t at = share.begin + next.fetch_add(1, std::memory_order_relaxed);
             at < share.end; at = share.begin + next.fetch_add(1, std::memory_order_relaxed)) {
          work(member, at);
        }
      }
      if (uses_tiles) release_tiles();
    };
    team_.run(std::cref(loop));
  }
  struct Share {
    std::size_t begin, end;
  };
  Share share_of(std::size_t count, std::size_t owner) const {
    const std::size_t each = (count + threads() - 1) / threads();
    return {std::min(owner * each, count), std::min((owner + 1) * each, count)};
  }

  const CpuModel& model() const { return *model_; }
  std::size_t sequences() const { return sequences_; }
  std::size_t rows() const { return rows_; }
  std::size_t sequence_limit() const { return limits_.sequences; }
  std::size_t first_row(std::size_t sequence) const {
    return static_cast<std::size_t>(cu_seqlens[sequence]);
  }
  unsigned threads() const { return team_.size(); }

  // The group.
  std::int32_t* ids = nullptr;
  std::int32_t* positions = nullptr;
  std::int32_t* types = nullptr;
  bool has_types = false;
  std::int32_t* cu_seqlens = nullptr;
  std::int32_t* valid_len = nullptr;
  std::vector<Chunk> chunks, cls_chunks;
  std::vector<AttentionUnit> units;
  std::vector<AttentionBlock> attention_blocks;  // empty: q, k and v of all rows first
  bool uses_tiles = false;

  // Activations. q, k, v and the contexts are fp32 or bf16 as the model's Formats say.
  Rows x, x_cls;
  void* query = nullptr;
  void* key = nullptr;
  void* value = nullptr;
  void* ctx = nullptr;
  void* ctx_cls = nullptr;
  float* cls_query = nullptr;    // [threads, kClsBlock, padded D]
  float* cls_keys = nullptr;     // [N, kClsBlock, padded H]: Wk_h^T q_h
  float* cls_context = nullptr;  // [N, kClsBlock, padded H]: sum_j p_j x_j
  float* cls_scores = nullptr;   // [threads, cls_scores_stride]
  std::size_t cls_scores_stride = 0;
  float* head_hidden = nullptr;  // [B, padded H]
  float* head_out = nullptr;     // [B, padded C]
  float* logits = nullptr;       // [B, C]
  Between between;
  std::vector<Scratch> scratch;
  std::vector<Callers> callers;

 private:
  CpuLane(std::shared_ptr<const CpuModel> model, const LaneLimits& limits);
  void lay_out(Arena& arena);
  void lay_out_scratch(Arena& arena, Scratch& s) const;
  void lay_out_between(Arena& arena);
  void plan_chunks(std::size_t rows, std::vector<Chunk>& out) const;
  void plan_units();
  AttentionShape attention_shape() const;

  std::shared_ptr<const CpuModel> model_;
  LaneLimits limits_;
  Arena arena_;
  std::size_t sequences_ = 0;
  std::size_t rows_ = 0;
  std::vector<std::uint32_t> order_;
  std::atomic<std::size_t> next_{0};
  struct alignas(64) Queue {
    std::atomic<std::size_t> next{0};
  };
  std::vector<Queue> queues_;
  ThreadTeam team_;
};

}  // namespace breakeven::ops::cpu

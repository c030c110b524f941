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
#include "ops/cpu/attention_plan.h"
#include "ops/cpu/packed_model.h"

namespace breakeven::ops::cpu {

// The batch that was uploaded, in the lane's own memory.
struct Group {
  std::size_t rows = 0;       // T
  std::size_t sequences = 0;  // B
  std::int32_t* ids = nullptr;
  std::int32_t* positions = nullptr;
  std::int32_t* types = nullptr;
  bool has_types = false;
  std::int32_t* cu_seqlens = nullptr;
  std::int32_t* valid_len = nullptr;

  std::size_t first_row(std::size_t sequence) const {
    return static_cast<std::size_t>(cu_seqlens[sequence]);
  }
};

// One head of some query rows of one sequence.
struct AttentionUnit {
  std::uint32_t sequence = 0;
  std::uint32_t head = 0;
  std::uint32_t query_begin = 0;
  std::uint32_t query_end = 0;
};

// How the group's attention is shared out: by blocks, or, when there are none, q, k and v of all
// rows first and then by units.
struct Plan {
  std::vector<AttentionBlock> blocks;
  std::vector<AttentionUnit> units;
};

// The residual stream, what blocks and head read of it in fp32, and (except for fp32) the copy that
// GEMMs read.
struct HiddenStates {
  float* stream = nullptr;  // the same memory as f32 where norms are behind the residual sums
  float* f32 = nullptr;
  void* gemm_input = nullptr;  // the same memory as f32 when GEMMs read fp32
  float* row_scale = nullptr;
  std::int32_t* row_zero = nullptr;
};

// q, k, v and the contexts are fp32 or bf16 as the model's Formats say; rows of padded H.
struct Activations {
  HiddenStates x, x_cls;  // [T], [B]
  void* query = nullptr;
  void* key = nullptr;
  void* value = nullptr;
  void* ctx = nullptr;        // [T]
  void* ctx_cls = nullptr;    // [B]
  float* embedded = nullptr;  // [T, padded E], where the embeddings are projected
  float* logits = nullptr;    // [B, C]
};

// Buffers that hold the result of one GEMM until the next GEMM reads it. The team shares them; they
// have `rows` + kRowsAtOnce rows.
struct BetweenGemms {
  std::size_t rows = 0;    // of one chunk
  std::size_t blocks = 0;  // FFN blocks that are computed together
  std::size_t stride = 0;  // rows of a block in memory
  void* inner = nullptr;   // [blocks][stride][block]: activation(up(x))
  float* x = nullptr;      // fp32, one block at a time: [stride][H], what every block's `up` reads
  void* split = nullptr;   // fp32x3: [stride][H], the context
  // int8: [blocks][stride][block] of `inner`, or [stride][H] of the context; one scale and zero
  // point for each row.
  std::byte* quantised = nullptr;
  float* row_scale = nullptr;
  std::int32_t* row_zero = nullptr;
};

// What cls_attention and head keep between their steps.
struct ClsBuffers {
  float* query = nullptr;      // [threads, kClsBlock, padded D]
  float* keys = nullptr;       // [N, kClsBlock, padded H]: Wk_h^T q_h
  float* distances = nullptr;  // [N, kClsBlock, cls_distances()]: q_h . key(R), and the bias
  float* context = nullptr;    // [N, kClsBlock, padded H]: sum_j p_j x_j
  float* scores = nullptr;     // [threads, scores_stride]
  std::size_t scores_stride = 0;
  float* head_hidden = nullptr;  // [B, padded H]
  float* head_out = nullptr;     // [B, padded C]
};

// Scratch memory of one member of the team.
struct Workspace {
  std::byte* gemm = nullptr;
  std::byte* attention = nullptr;
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
  bool help() override { return team_.help(); }
  // Between two ops: who has come to help takes part from now on, and the work is cut for so many.
  void admit();
  // The pass is over: helpers go.
  void close() { team_.close(); }

  // Calls work(member, index) for each index below count, shared out one by one.
  template <class Work>
  void parallel(std::size_t count, const Work& work) {
    next_.store(0, std::memory_order_relaxed);
    const auto loop = [this, count, &work](unsigned member) {
      for (std::size_t i = next_.fetch_add(1, std::memory_order_relaxed); i < count;
           i = next_.fetch_add(1, std::memory_order_relaxed)) {
        work(member, i);
      }
      if (tiles_ != nullptr) tiles_->release();
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
      if (tiles_ != nullptr) tiles_->release();
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
  std::size_t sequence_limit() const { return limits_.sequences; }
  unsigned threads() const { return team_.size(); }

  Group group;
  Plan plan;
  Activations acts;
  BetweenGemms between;
  ClsBuffers cls;
  std::vector<Workspace> workspaces;  // one a member

 private:
  CpuLane(std::shared_ptr<const CpuModel> model, const LaneLimits& limits);
  void lay_out(Arena& arena);
  void lay_out_activations(Arena& arena);
  void lay_out_between(Arena& arena);
  void lay_out_cls(Arena& arena);
  void lay_out_workspaces(Arena& arena);
  // With all helpers that may come.
  unsigned most_threads() const { return limits_.threads + limits_.helpers; }
  void plan_for_team();
  void size_between(unsigned threads);
  void plan_units();
  AttentionShape attention_shape(unsigned threads) const;

  std::shared_ptr<const CpuModel> model_;
  LaneLimits limits_;
  const TileKernels* tiles_;
  Arena arena_;
  std::vector<std::uint32_t> order_;
  std::atomic<std::size_t> next_{0};
  struct alignas(64) Queue {
    std::atomic<std::size_t> next{0};
  };
  std::vector<Queue> queues_;
  ThreadTeam team_;
};

}  // namespace breakeven::ops::cpu

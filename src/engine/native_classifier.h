// The Classifier behind make_native: tokenises, packs groups, runs them on lanes, decodes.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/thread_team.h"
#include "classifier/classifier.h"
#include "engine/groups.h"
#include "engine/native.h"
#include "model/plan.h"
#include "ops/cuda/device_backend.h"
#include "ops/ops.h"
#include "text/tokenizer.h"

namespace breakeven::engine {

// One batch on its way through the engine; all memory is reused from batch to batch.
class BatchWork {
 public:
  explicit BatchWork(const text::Tokenizer& tokenizer) : scratch_(tokenizer.make_scratch()) {}

  // Text -> ids, cut at max_length; one after the other in `ids`.
  void tokenize(const text::Tokenizer& tokenizer, std::span<const std::string_view> texts,
                std::size_t max_length);
  // Rows of each text under the padding policy, cut into groups.
  void pack(Padding padding, std::size_t max_length, std::size_t row_budget,
            std::size_t wanted_groups);

  std::span<const std::uint32_t> tokens() const { return tokens_; }  // [B] real tokens
  std::size_t real_tokens() const { return ids_.size(); }
  std::size_t computed_tokens() const { return computed_tokens_; }
  const Groups& groups() const { return groups_; }
  std::span<const std::int32_t> text_ids(std::uint32_t text) const {
    return std::span(ids_).subspan(start_[text], tokens_[text]);
  }
  std::uint32_t rows(std::uint32_t text) const { return rows_[text]; }

 private:
  std::unique_ptr<text::Tokenizer::Scratch, void (*)(text::Tokenizer::Scratch*)> scratch_;
  std::vector<std::int32_t> ids_;
  std::vector<std::size_t> start_;
  std::vector<std::uint32_t> tokens_, rows_;
  std::size_t computed_tokens_ = 0;
  GroupPlanner planner_;
  Groups groups_;
};

// A lane with the buffers that a group is packed into before it is uploaded.
struct Worker {
  std::unique_ptr<ops::Lane> lane;
  std::vector<std::int32_t> ids, cu_seqlens, valid_len;
  StageSeconds busy;
};

class NativeClassifier final : public Classifier {
 public:
  NativeClassifier(const LoadedModel& model, const NativeOptions& options,
                   std::unique_ptr<ops::Backend> backend,
                   std::shared_ptr<const ops::PackedModel> packed);

  ClassifierInfo info() const override;
  Result<void> run_batch(std::span<const std::string_view> texts, BatchResult& out) override;
  Result<void> run_stream(std::span<const std::string_view> texts, std::size_t batch,
                          StreamResult& out) override;

 private:
  Result<void> compute_batch(std::span<const std::string_view> texts, BatchResult& out);
  Result<void> compute_stream(std::span<const std::string_view> texts, std::size_t batch,
                              StreamResult& out);
  Result<void> make_workers(std::vector<Worker>& workers, std::size_t count, unsigned threads,
                            std::size_t rows, std::size_t sequences);
  Result<void> make_team_worker();
  Result<void> make_side_workers();
  bool side_by_side(const BatchWork& work) const;  // many groups at once, or all threads on one?
  std::size_t side_rows() const;                   // rows that a group on one thread may have
  std::size_t team_rows() const;                   // rows that a group on all threads may have
  // Largest batch of max_length tokens for which `lanes` lanes fit into the device; 0 for none.
  std::size_t largest_batch(std::size_t lanes) const;
  Result<void> check_device_memory(std::size_t lanes, std::size_t rows,
                                   std::size_t sequences) const;
  ops::LaneLimits device_limits(std::size_t batch) const;
  unsigned side_lanes() const;
  void run_group(Worker& worker, const BatchWork& work, std::size_t group, std::span<float> logits,
                 StageSeconds& stages);
  void run_groups_side_by_side(const BatchWork& work, std::span<float> logits,
                               StageSeconds& stages);
  void stream_worker(Worker& worker, BatchWork& work, std::span<const std::string_view> texts,
                     std::size_t batch, StreamResult& out, std::atomic<std::size_t>& next,
                     std::atomic<std::size_t>& computed);

  std::string model_name_;
  model::EncoderPlan plan_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  NativeOptions options_;
  ProblemType problem_;
  std::unique_ptr<ops::Backend> backend_;
  const ops::DeviceBackend* gpu_;  // backend_ when it has a device; null on the CPU
  std::shared_ptr<const ops::PackedModel> packed_;
  std::vector<Worker> team_;             // one lane with all threads: small batches
  std::vector<Worker> side_;             // one lane a thread: streams, and large batches on the CPU
  std::unique_ptr<ThreadTeam> drivers_;  // one member for each lane of side_
  BatchWork serial_work_;
  std::vector<BatchWork> stream_work_;  // one for each lane of side_
};

}  // namespace breakeven::engine

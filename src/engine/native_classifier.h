// The Classifier behind make_native: tokenises, packs groups, runs them on lanes, decodes.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_team.h"
#include "classifier/classifier.h"
#include "engine/groups.h"
#include "engine/native.h"
#include "engine/placement.h"
#include "model/plan.h"
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
  std::span<const std::uint8_t> cut() const { return cut_; }  // [B] 1: had more than max_length
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
  std::vector<std::uint8_t> cut_;
  std::size_t computed_tokens_ = 0;
  GroupPlanner planner_;
  Groups groups_;
};

// A device of a classifier: the CPU, or one of the GPUs that share its batches.
struct Place {
  std::string device;  // "cpu", "cuda:0"
  std::unique_ptr<ops::Backend> backend;
  std::shared_ptr<const ops::PackedModel> packed;
};

// What a device that gave up is called in a result.
Error device_failed(const std::string& device, const std::exception& failure);

// A lane with the buffers that a group is packed into before it is uploaded.
struct Worker {
  const Place* place = nullptr;
  std::unique_ptr<ops::Lane> lane;
  std::vector<std::int32_t> ids, cu_seqlens, valid_len;
  StageSeconds busy;
};

class NativeClassifier final : public Classifier {
 public:
  // At least one place; several only if each is a GPU.
  NativeClassifier(const LoadedModel& model, const NativeOptions& options,
                   std::vector<Place> places);

  ClassifierInfo info() const override;
  Result<void> run_batch(std::span<const std::string_view> texts, BatchResult& out) override;
  Result<void> run_stream(std::span<const std::string_view> texts, std::size_t batch,
                          StreamResult& out) override;

 private:
  Result<void> compute_batch(std::span<const std::string_view> texts, BatchResult& out);
  Result<void> compute_stream(std::span<const std::string_view> texts, std::size_t batch,
                              StreamResult& out);
  bool on_gpu() const { return places_.front().backend->has_device(); }
  void add_gpu_settings(ClassifierInfo& info) const;
  // `lanes` on each place, which take turns in `workers`.
  Result<void> make_workers(std::vector<Worker>& workers, std::size_t lanes, unsigned threads,
                            std::size_t rows, std::size_t sequences);
  Result<void> make_team_worker();
  Result<void> make_side_workers();
  bool side_by_side(const BatchWork& work) const;  // many groups at once, or all threads on one?
  std::size_t side_rows() const;                   // rows that a group on one thread may have
  std::size_t team_rows() const;                   // rows that a group on all threads may have
  // Groups that a batch is cut into where it runs on the lanes of team_.
  std::size_t team_groups(const BatchWork& work) const;
  // Largest batch of max_length tokens for which `lanes` lanes fit into the device; 0 for none.
  std::size_t largest_batch(const Place& place, std::size_t lanes) const;
  Result<void> check_device_memory(const Place& place, std::size_t lanes, std::size_t rows,
                                   std::size_t sequences) const;
  // The CPUs that lane `lane` of the side workers, or the team, is held on; empty = wherever.
  std::vector<int> side_cpus(unsigned lane) const;
  std::vector<int> team_cpus() const;
  ops::LaneLimits device_limits(std::size_t batch) const;
  unsigned side_lanes() const;  // on each place
  void run_group(Worker& worker, const BatchWork& work, std::size_t group, std::span<float> logits,
                 StageSeconds& stages);
  // Runs work(member) on a team; the first device that fails is the result.
  Result<void> drive(ThreadTeam& team, const std::vector<Worker>& workers,
                     const std::function<void(unsigned member)>& work);
  Result<void> run_groups_side_by_side(ThreadTeam& team, std::vector<Worker>& workers,
                                       const BatchWork& work, std::span<float> logits,
                                       StageSeconds& stages);
  void stream_worker(Worker& worker, BatchWork& work, std::span<const std::string_view> texts,
                     std::size_t batch, StreamResult& out, std::atomic<std::size_t>& next,
                     std::atomic<std::size_t>& computed);

  std::string model_name_;
  model::EncoderPlan plan_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  NativeOptions options_;
  ProblemType problem_;
  Placement placement_;  // of the CPU's threads
  std::vector<Place> places_;
  std::vector<Worker> team_;  // CPU: one lane with all threads, for small batches; a lane a GPU
  std::vector<Worker> side_;  // one lane a thread: streams, and large batches on the CPU
  std::unique_ptr<ThreadTeam> team_drivers_;  // several GPUs: one member for each lane of team_
  std::unique_ptr<ThreadTeam> drivers_;       // one member for each lane of side_
  BatchWork serial_work_;
  std::vector<BatchWork> stream_work_;  // one for each lane of side_
};

}  // namespace breakeven::engine

// Does shards of a plan with one classifier: labels their texts, commits the parts.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/text_stream.h"
#include "record/record.h"
#include "shards/commit.h"
#include "shards/folder.h"
#include "shards/plan.h"

namespace breakeven::cli {

// What all shards of a worker have in common.
struct ShardSetup {
  LabelForm form{};
  std::size_t batch = 32;
  WindowLimits limits{};
  ProblemType problem = ProblemType::single_label;
  record::Record prototype{};  // machine, build, model, device
};

struct ShardRequest {
  std::uint64_t shard = 0;
  std::map<std::uint64_t, std::string> rejected{};  // rows of the job that are not classified
};

class ShardWorker {
 public:
  using Outcome = shards::Attempt::Outcome;
  // Both must outlive it.
  ShardWorker(shards::Folder& folder, const shards::Plan& plan,
              std::unique_ptr<Classifier> classifier, ShardSetup setup);

  // Errors: those of the texts (data/...), of the classifier and of shards::Attempt.
  Result<Outcome> run(const ShardRequest& request);
  // Classifies the rows [from, to) of the job, which the shard has, and keeps nothing.
  Result<void> probe(std::uint64_t shard, std::uint64_t from, std::uint64_t to);
  // Does a finished shard once more where another class of devices made its part, and writes how
  // the labels compare; false: nothing to do. Errors: as run(); shards/damaged.
  Result<bool> check(std::uint64_t shard);

  const LabelCounts& counts() const { return counts_; }  // of the last shard that it computed
  const ShardSetup& setup() const { return setup_; }

 private:
  // Labels the shard's rows [from, to) into a file, and times it.
  Result<void> label(std::uint64_t shard, std::uint64_t from, std::uint64_t to,
                     const std::map<std::uint64_t, std::string>& rejected, const std::string& path);
  record::Record record_of(std::uint64_t shard, const shards::Seen& part) const;

  shards::Folder& folder_;
  const shards::Plan& plan_;
  std::unique_ptr<Classifier> classifier_;
  ShardSetup setup_;
  LabelCounts counts_;
  record::Shard timed_;  // of the last label()
};

// Every thousandth shard is done by a second class of devices, if there is one.
inline constexpr std::uint64_t kCheckEvery = 1000;

}  // namespace breakeven::cli

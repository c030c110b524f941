// `breakeven classify --plan, --shard, --finish`: one job on many machines (docs/many_machines.md).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/commands.h"
#include "cli/text_options.h"
#include "cli/text_stream.h"
#include "shards/plan.h"

namespace breakeven::cli {

struct ShardFlags {
  bool plan = false, finish = false;
  std::string shard{};              // "3/512", or "-": as asked on stdin
  std::string rows = "10000";       // a shard
  std::vector<std::string> more{};  // inputs beside the first
  bool any() const { return plan || finish || !shard.empty(); }
};
void add_shard_flags(CLI::App& command, ShardFlags& flags);

// What classify was asked, whose answers go into shards.
struct ShardJob {
  TextFlags text{};
  TextOptions options{};
  LabelForm form{};
  shards::Fingerprint asked{};  // flags that decide the results, beside the model and its setup
  WindowLimits limits{};
  std::function<Result<std::unique_ptr<Classifier>>(const OpenModel&)> make;
  // The score function where no flag names one.
  std::function<ScoreFunction(const OpenModel&)> function;
};

// Errors: flag/shard; those of shards::Folder, make_plan and check_same and of ShardWorker. Sets
// kResultSaysNo where --finish finds shards that are not done.
Result<void> classify_shards(const ShardFlags& flags, ShardJob job, Context& context);

}  // namespace breakeven::cli

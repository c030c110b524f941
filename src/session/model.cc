#include "session/model.h"

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "measure/parity.h"

namespace breakeven::session {
namespace {

// The files that decide what a model computes, for a model that only others can load.
Result<std::string> hash_folder(const std::string& folder) {
  std::vector<std::string> paths;
  BREAKEVEN_TRY(const auto entries, list_folder(folder));
  for (const std::filesystem::path& entry : entries) {
    const std::string extension = entry.extension().string();
    if (extension == ".json" || extension == ".safetensors" || extension == ".bin" ||
        extension == ".txt") {
      paths.push_back(entry.string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return measure::hash_files(paths);
}

study::EncoderSizes sizes_of(const model::EncoderPlan& plan) {
  using Form = ops::EncoderForm;
  study::EncoderSizes sizes{plan.layers, plan.hidden, plan.intermediate,
                            plan.form.ffn == Form::Ffn::gated,
                            plan.form.pooling == Form::Pooling::mean};
  for (const model::LayerScope& scope : plan.scopes) {
    if (scope.window == 0) continue;
    ++sizes.windowed;
    sizes.window = scope.window;
  }
  return sizes;
}

}  // namespace

ModelFacts facts_of(const engine::LoadedModel& loaded) {
  const model::EncoderPlan& plan = loaded.checkpoint.plan;
  return {loaded.name,
          loaded.checkpoint.content_hash(),
          loaded.folder,
          plan.labels,
          plan.problem,
          record::ModelShape{plan.layers, plan.hidden, plan.heads, plan.intermediate},
          engine::length_limit(loaded.tokenizer->info(), plan.positions),
          study::work_of(sizes_of(plan))};
}

Result<Model> load_model(const std::string& name, const Wanted& wanted) {
  auto loaded = engine::load_model({name});
  if (loaded) {
    ModelFacts facts = facts_of(**loaded);
    return Model{*std::move(loaded), std::move(facts), ""};
  }
  if (wanted.native) {
    Error error = std::move(loaded).error();
    if (wanted.others) error.hint += "; or leave the native engine out, as in --runtime pytorch";
    return tl::unexpected<Error>(std::move(error));
  }
  const auto folder = engine::find_folder(name);
  if (!folder || !is_there(*folder + "/config.json")) return propagate(std::move(loaded));
  Model model;
  model.facts.name = name;
  model.facts.folder = *folder;
  BREAKEVEN_TRY(model.facts.hash, hash_folder(*folder));
  // For the first guess of a pass's time only: what ran corrects it.
  model.facts.work = {.flops_per_token = 85e6, .flops_per_token_pair = 6 * 4 * 768};
  model.refusal = loaded.error().message;
  return model;
}

}  // namespace breakeven::session

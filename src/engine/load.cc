#include "engine/load.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <future>

#include "base/files.h"
#include "base/program_folder.h"
#include "hub/cache.h"
#include "model/widen.h"

namespace breakeven::engine {
namespace {

constexpr const char* kDefaultModel = "distilbert-base-uncased-finetuned-sst-2-english";
// Any seed gives the same function; a fixed one gives the same bits everywhere.
constexpr std::uint64_t kWideningSeed = 1;

Result<std::string> builtin_folder() {
  BREAKEVEN_TRY(const std::string models,
                find_program_folder({"models", "BREAKEVEN_MODELS", BREAKEVEN_MODELS_DIR,
                                     "builtin/config.json", "model/no-builtin"}));
  return models + "/builtin";
}

Result<std::shared_ptr<LoadedModel>> load_folder(const std::string& name,
                                                 const std::string& folder) {
  // Side by side: the one reads 260 MB of weights, the other builds tables for 30,000 words. Where
  // no second thread can be had, the tokenizer is loaded when it is asked for.
  auto tokenizer_future = std::async([&folder] { return text::Tokenizer::load(folder); });
  BREAKEVEN_TRY(auto checkpoint, model::load_checkpoint(folder));
  BREAKEVEN_TRY(auto tokenizer, tokenizer_future.get());
  std::string note = fmt::format("{}", fmt::join(checkpoint.notes, "\nmodel: "));
  if (!note.empty()) note.insert(0, "model: ");
  return std::make_shared<LoadedModel>(
      LoadedModel{name, folder, std::move(note), std::move(checkpoint),
                  std::make_shared<const text::Tokenizer>(std::move(tokenizer)), false});
}

Result<std::shared_ptr<LoadedModel>> load_builtin(bool wide) {
  BREAKEVEN_TRY(const std::string folder, builtin_folder());
  BREAKEVEN_TRY(auto loaded, load_folder("builtin (6 x 128)", folder));
  if (wide) {
    BREAKEVEN_TRY(loaded->checkpoint,
                  model::widen(loaded->checkpoint, model::WideShape{}, kWideningSeed));
    loaded->name = "builtin (6 x 768)";
    loaded->widened = true;
  }
  return loaded;
}

// "acme/tiny" of a path that leads into models--acme--tiny, a folder of the Hugging Face cache.
std::string name_of_cache_folder(const std::filesystem::path& path) {
  for (const std::filesystem::path& part : path) {
    if (std::string name = hub::name_inside(part.string()); !name.empty()) return name;
  }
  return {};
}

// A folder without a config.json, which may be one above or beside the model's.
Result<std::string> check_folder(const std::string& folder) {
  const std::string name = name_of_cache_folder(folder);
  if (name.empty()) return folder;
  BREAKEVEN_TRY(const PathKind config, look_at(folder + "/config.json"));
  const bool is_snapshot =
      hub::is_commit(std::filesystem::path(folder + "/").parent_path().filename());
  if (config != PathKind::nothing || is_snapshot) return folder;
  return fail("model/cache-folder",
              fmt::format("{} is where the Hugging Face cache keeps {}, not the model's own folder",
                          folder, name),
              fmt::format("give --model {}, or one of the folders below snapshots/", name));
}

// Where the model is that a user typed as a folder or as a name.
Result<std::string> folder_of(const std::string& model, hub::Files needed) {
  BREAKEVEN_TRY(const PathKind kind, look_at(model));
  if (kind == PathKind::folder) return check_folder(model);
  auto cached = hub::find_cached(model, needed);
  if (cached || kind == PathKind::nothing) return cached;
  const std::string folder = std::filesystem::path(model).parent_path();
  return fail(
      "model/not-a-folder",
      fmt::format("{} is a file, and a model is a folder: config.json, model.safetensors "
                  "and the tokenizer's files",
                  model),
      fmt::format("give the folder that holds it: --model {}", folder.empty() ? "." : folder));
}

Result<std::shared_ptr<LoadedModel>> load_named(const std::string& model) {
  BREAKEVEN_TRY(const std::string folder, folder_of(model, hub::Files::model));
  const bool named = folder != model;
  return load_folder(named ? model : std::filesystem::path(model).lexically_normal().string(),
                     folder);
}

// What a user must know who named no model and does not have the default one.
std::string stand_in_note(const Error& why) {
  const std::string what = "model: the built-in stand-in, as wide as DistilBERT; ";
  if (why.code == "file/unreadable")
    return what + "the Hugging Face cache is closed: " + why.message;
  return what + fmt::format("`breakeven fetch {}` brings the real one", kDefaultModel);
}

Result<std::shared_ptr<LoadedModel>> load_default() {
  const auto cached = hub::find_cached(kDefaultModel);
  if (cached) return load_folder(kDefaultModel, *cached);
  BREAKEVEN_TRY(auto loaded, load_builtin(true));
  loaded->note = stand_in_note(cached.error());
  return loaded;
}

// Rows for the token types of the tokenizer, where the model has more than one and is given them.
Result<void> check_token_types(const LoadedModel& loaded) {
  const text::TokenizerInfo& info = loaded.tokenizer->info();
  const std::size_t rows = loaded.checkpoint.plan.token_types;
  if (!info.model_takes_types || rows <= 1 || info.token_types <= rows) return {};
  return fail(
      "model/token-types",
      fmt::format("{}: the tokenizer has token types up to {}, the embedding {} rows",
                  loaded.folder, info.token_types - 1, rows),
      "the tokenizer belongs to another model; put the right tokenizer files into the folder");
}

// A row for every id of the tokenizer.
Result<void> fit_tokenizer(LoadedModel& loaded) {
  BREAKEVEN_TRY_VOID(check_token_types(loaded));
  const std::size_t rows = loaded.checkpoint.plan.vocabulary;
  if (loaded.tokenizer->info().vocabulary <= rows) return {};
  BREAKEVEN_TRY(auto tokenizer, text::Tokenizer::load(loaded.folder, rows));
  loaded.tokenizer = std::make_shared<const text::Tokenizer>(std::move(tokenizer));
  const std::size_t ids = loaded.tokenizer->info().vocabulary;
  if (ids <= rows) return {};
  return fail(
      "model/vocabulary",
      fmt::format("{}: the tokenizer has ids up to {}, the embedding only {} rows", loaded.folder,
                  ids - 1, rows),
      "the tokenizer belongs to another model; put the right tokenizer files into the folder");
}

// Of a folder that may hold a tokenizer only, or a model of another kind: then nothing is known.
std::size_t positions_in(const std::string& folder) {
  const std::string path = folder + "/config.json";
  const auto config = read_file(path);
  if (!config) return SIZE_MAX;
  const auto plan = model::parse_plan(*config, path);
  return plan ? plan->positions : SIZE_MAX;
}

}  // namespace

std::size_t length_limit(const text::TokenizerInfo& tokenizer, std::size_t positions) {
  return std::min(tokenizer.model_max_length, positions);
}

Result<model::EncoderPlan> plan_without_weights(const std::string& folder) {
  const std::string path = folder + "/config.json";
  BREAKEVEN_TRY(const std::string config, read_file(path));
  BREAKEVEN_TRY(model::EncoderPlan plan, model::parse_plan(config, path));
  BREAKEVEN_TRY_VOID(text::Tokenizer::load(folder, plan.vocabulary));
  return plan;
}

Result<std::string> find_folder(const std::string& model) {
  return folder_of(model.empty() ? kDefaultModel : model, hub::Files::model);
}

Result<std::shared_ptr<const LoadedModel>> load_model(const ModelChoice& choice) {
  auto loaded = choice.model.empty()               ? load_default()
                : choice.model == "builtin"        ? load_builtin(true)
                : choice.model == "builtin-narrow" ? load_builtin(false)
                                                   : load_named(choice.model);
  if (!loaded) return propagate(std::move(loaded));
  BREAKEVEN_TRY_VOID(fit_tokenizer(**loaded));
  return std::shared_ptr<const LoadedModel>(*std::move(loaded));
}

Result<LoadedTokenizer> load_tokenizer(const ModelChoice& choice) {
  LoadedTokenizer loaded;
  const bool builtin = choice.model == "builtin" || choice.model == "builtin-narrow";
  if (!builtin) {
    // The default model counts only if it is whole: classify takes the built-in one otherwise.
    auto folder = choice.model.empty() ? hub::find_cached(kDefaultModel)
                                       : folder_of(choice.model, hub::Files::tokenizer);
    if (folder) loaded.folder = *folder;
    if (!folder && !choice.model.empty()) return propagate(std::move(folder));
    if (!folder) loaded.note = stand_in_note(folder.error());
  }
  if (loaded.folder.empty()) {
    BREAKEVEN_TRY(loaded.folder, builtin_folder());
  }
  BREAKEVEN_TRY(auto tokenizer, text::Tokenizer::load(loaded.folder));
  loaded.tokenizer = std::make_shared<const text::Tokenizer>(std::move(tokenizer));
  loaded.length_limit = length_limit(loaded.tokenizer->info(), positions_in(loaded.folder));
  return loaded;
}

}  // namespace breakeven::engine

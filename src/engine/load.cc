// Finds a model by what the user typed, loads it with its tokenizer, and checks that the two belong
// together.
#include <fmt/format.h>

#include <filesystem>
#include <future>

#include "base/program_folder.h"
#include "engine/native.h"
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
  return std::make_shared<LoadedModel>(
      LoadedModel{name, folder, "", std::move(checkpoint),
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

Result<std::shared_ptr<LoadedModel>> load_named(const std::string& name) {
  if (std::filesystem::is_directory(name)) {
    return load_folder(std::filesystem::path(name).lexically_normal().string(), name);
  }
  auto cached = hub::find_cached(name);
  if (!cached) return propagate(std::move(cached));
  return load_folder(name, *cached);
}

// What a user must know who named no model and does not have the default one.
std::string stand_in_note() {
  return fmt::format(
      "model: the built-in stand-in, as wide as DistilBERT; `breakeven fetch {}` brings the real "
      "one",
      kDefaultModel);
}

Result<std::shared_ptr<LoadedModel>> load_default() {
  if (auto cached = hub::find_cached(kDefaultModel)) return load_folder(kDefaultModel, *cached);
  BREAKEVEN_TRY(auto loaded, load_builtin(true));
  loaded->note = stand_in_note();
  return loaded;
}

Result<void> check_vocabulary(const LoadedModel& loaded) {
  const std::size_t ids = loaded.tokenizer->info().vocabulary;
  const std::size_t rows = loaded.checkpoint.plan.vocabulary;
  if (ids <= rows) return {};
  return fail(
      "model/vocabulary",
      fmt::format("{}: the tokenizer has ids up to {}, the embedding only {} rows", loaded.folder,
                  ids - 1, rows),
      "the tokenizer belongs to another model; put the right tokenizer files into the folder");
}

}  // namespace

Result<std::string> find_folder(const std::string& model) {
  if (std::filesystem::is_directory(model)) return model;
  return hub::find_cached(model.empty() ? kDefaultModel : model);
}

Result<std::shared_ptr<const LoadedModel>> load_model(const ModelChoice& choice) {
  auto loaded = choice.model.empty()               ? load_default()
                : choice.model == "builtin"        ? load_builtin(true)
                : choice.model == "builtin-narrow" ? load_builtin(false)
                                                   : load_named(choice.model);
  if (!loaded) return propagate(std::move(loaded));
  BREAKEVEN_TRY_VOID(check_vocabulary(**loaded));
  return std::shared_ptr<const LoadedModel>(*std::move(loaded));
}

Result<LoadedTokenizer> load_tokenizer(const ModelChoice& choice) {
  LoadedTokenizer loaded;
  const bool builtin = choice.model == "builtin" || choice.model == "builtin-narrow";
  if (!builtin && std::filesystem::is_directory(choice.model)) {
    loaded.folder = choice.model;
  } else if (!builtin) {
    auto cached = hub::find_cached(choice.model.empty() ? kDefaultModel : choice.model);
    if (cached) loaded.folder = *cached;
    if (!cached && !choice.model.empty()) return propagate(std::move(cached));
  }
  if (loaded.folder.empty()) {
    BREAKEVEN_TRY(loaded.folder, builtin_folder());
    if (!builtin) loaded.note = stand_in_note();
  }
  BREAKEVEN_TRY(auto tokenizer, text::Tokenizer::load(loaded.folder));
  loaded.tokenizer = std::make_shared<const text::Tokenizer>(std::move(tokenizer));
  return loaded;
}

}  // namespace breakeven::engine

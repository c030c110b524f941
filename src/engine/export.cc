#include "engine/export.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "base/files.h"
#include "model/safetensors_write.h"

namespace breakeven::engine {

Result<std::string> folder_for_others(const LoadedModel& model, const std::string& cache) {
  namespace fs = std::filesystem;
  if (!model.widened && model.checkpoint.plain) return model.folder;
  const fs::path folder = fs::path(cache) / ((model.widened ? "widened-" : "safetensors-") +
                                             model.checkpoint.content_hash());
  std::error_code error;
  if (is_there(folder / "config.json")) return folder.string();
  // Written beside it and renamed: whoever sees the folder sees all of it.
  const fs::path draft = folder.string() + fmt::format(".{}", ::getpid());
  auto written = model::write_checkpoint(model.checkpoint, model.folder, draft.string());
  if (written) {
    fs::rename(draft, folder, error);
    // Another process was first: its copy is as good.
    if (error && !is_there(folder / "config.json")) {
      written = fail("file/unwritable",
                     fmt::format("cannot rename {} to {}: {}", draft.string(), folder.string(),
                                 error.message()),
                     "check the space and the rights of the cache folder, or set XDG_CACHE_HOME");
    }
  }
  fs::remove_all(draft, error);
  if (!written) return propagate(std::move(written));
  return folder.string();
}

}  // namespace breakeven::engine

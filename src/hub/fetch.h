// breakeven fetch: a model into the Hugging Face cache, or the IMDB reviews into breakeven's own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/download.h"
#include "hub/settings.h"

namespace breakeven::hub {

struct FetchedModel {
  std::string folder;  // the snapshot
  std::string commit;
  std::vector<std::string> files;      // below it
  std::vector<std::string> unchecked;  // files of which the server gave no digest
};

// Asked when config and tokenizer are in `folder` and before any weights are: an error ends the
// fetch.
using Approve = std::function<Result<void>(const std::string& folder)>;

// Downloads config, tokenizer files and weights (safetensors, else pytorch_model.bin; one file, or
// shards with their index) so that Transformers finds them, too. A revision is a branch, a tag, a
// commit or a pull request's ref (refs/pr/1). Offline (HF_HUB_OFFLINE) a model that is whole in the
// cache is the answer. The revision's name is written last: until then nobody finds half a
// model. Errors: those of check_name, check_revision and download; hub/offline (it is not
// whole in the cache); hub/endpoint (no hub answers there), hub/no-weights, hub/no-tokenizer,
// hub/index; what `approve`, which may be empty, says.
Result<FetchedModel> fetch_model(const std::string& name, const std::string& revision,
                                 const Settings& settings, const Listener& listener,
                                 const Approve& approve = {});

struct Archive {
  std::string url;
  std::uint64_t size = 0;  // bytes
  std::string sha256;
};

// aclImdb_v1.tar.gz as its makers publish it. BREAKEVEN_IMDB_URL names a mirror; the file has to be
// the same.
Archive imdb_archive(const Lookup& lookup);

// <cache_folder()>/data/aclImdb_v1.tar.gz, whether or not it is there. Errors: those of
// cache_folder.
Result<std::string> imdb_archive_path();

// Downloads the archive to `path`, where it may be already. Errors: those of download; hub/offline.
Result<void> fetch_archive(const Archive& archive, const std::filesystem::path& path,
                           const Settings& settings, const Listener& listener);

}  // namespace breakeven::hub

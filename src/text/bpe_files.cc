#include "text/bpe_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/files.h"
#include "text/models/bpe.h"
#include "text/normalizers/bert.h"
#include "text/pre_tokenizers/byte_level.h"
#include "text/tokenizer_json.h"

namespace breakeven::text {
namespace {

constexpr const char* kVocabulary = "vocab.json";
constexpr const char* kMerges = "merges.txt";

Result<void> read_merges(const std::string& path, ModelSpec& model) {
  BREAKEVEN_TRY(const std::string content, read_file(path));
  MergeReader merges(path, model);
  std::size_t number = 0;
  for (std::size_t at = 0; at < content.size();) {
    const std::size_t stop = std::min(content.find('\n', at), content.size());
    std::string_view line = std::string_view(content).substr(at, stop - at);
    at = stop + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("#version")) continue;
    const auto pair = split_merge(line);
    if (!pair)
      return fail(
          "tokenizer/vocabulary",
          fmt::format("{}: line {} is not two entries with a blank between them", path, number),
          "download the file again");
    BREAKEVEN_TRY_VOID(merges.add(pair->first, pair->second));
  }
  return {};
}

}  // namespace

bool has_bpe_files(const std::filesystem::path& folder) {
  return is_there(folder / kVocabulary) && is_there(folder / kMerges);
}

Result<void> read_bpe_files(const std::filesystem::path& folder, TokenizerSpec& spec) {
  const std::string path = (folder / kVocabulary).string();
  BREAKEVEN_TRY(const std::string content, read_file(path));
  BREAKEVEN_TRY(const auto document, JsonDocument::parse(content, tokenizer_source(path)));
  BREAKEVEN_TRY(const JsonObject vocabulary, document.object());
  BREAKEVEN_TRY_VOID(read_vocabulary(vocabulary, path, spec.model));
  BREAKEVEN_TRY_VOID(read_merges((folder / kMerges).string(), spec.model));
  spec.model.kind = &kBpe;
  spec.model.unknown_token.clear();
  spec.normalizer = no_normalizer();
  spec.pre_tokenizer = std::make_unique<ByteLevel>(ByteLevel::Flags{.add_prefix_space = false});
  return {};
}

}  // namespace breakeven::text

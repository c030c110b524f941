// The Hugging Face cache on disk, as huggingface_hub lays it out:
//   models--ORG--NAME/blobs/ETAG                     the files
//   models--ORG--NAME/snapshots/COMMIT/config.json   links to them
//   models--ORG--NAME/refs/main                      the commit that a branch or tag stands for
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace breakeven::hub {

// Where a model's weights may be, as Transformers looks for them: whole files and indices of
// shards.
inline constexpr std::string_view kWeightFiles[] = {
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
    "pytorch_model.bin.index.json"};

// One of these holds the words of a tokenizer (merges.txt belongs to vocab.json).
inline constexpr std::string_view kVocabularyFiles[] = {"tokenizer.json", "vocab.txt", "vocab.json",
                                                        "sentencepiece.bpe.model", "spm.model"};
// The last two are SentencePiece's, which tokenizer.json replaces: larger than they are worth
// beside it.
inline constexpr std::size_t kSentencePieceFiles = 2;

// What a snapshot must hold: config.json and weights (or the index of their shards), the words of a
// tokenizer, or both with every shard.
enum class Files : std::uint8_t { model, tokenizer, all };

// The folder of a model that is in the cache, with the files that are needed. `name` is NAME or
// ORG/NAME; a model that moved into its maker's name (distilbert-base-..., bert-base-...) is found
// under either. Errors: hub/name (no name that a model can have), hub/not-cached, hub/incomplete (a
// snapshot without them), file/unreadable, those of settings_from_environment.
Result<std::string> find_cached(const std::string& name, Files needed = Files::model);
Result<std::string> find_cached(const std::string& name, const std::string& revision,
                                const std::filesystem::path& cache, Files needed = Files::model);

// The rest is for fetch.

// hub/name unless huggingface_hub takes the name, too.
Result<void> check_name(const std::string& name);
// "acme/tiny" of https://huggingface.co/acme/tiny... and of models--acme--tiny; "" of anything
// else.
std::string name_inside(const std::string& text);
// hub/revision for what cannot be a branch, a tag or a commit.
Result<void> check_revision(const std::string& revision);
// A commit's full hash: 40 hex digits.
bool is_commit(const std::string& text);

// <cache>/models--ORG--NAME
std::filesystem::path model_folder(const std::filesystem::path& cache, const std::string& name);

// Makes snapshots/COMMIT/FILE a link to ../../blobs/ETAG, or a copy where links cannot be. Errors:
// hub/disk.
Result<void> link_snapshot(const std::filesystem::path& model, const std::string& commit,
                           const std::string& file, const std::string& etag);
// Writes refs/REVISION; nothing for a commit, which stands for itself. Errors: hub/disk.
Result<void> write_ref(const std::filesystem::path& model, const std::string& revision,
                       const std::string& commit);

}  // namespace breakeven::hub

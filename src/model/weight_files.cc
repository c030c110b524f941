#include "model/weight_files.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/files.h"
#include "base/weight_index.h"

namespace breakeven::model {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFetchAgain = "fetch or save the model again";

// Each tensor stands in exactly one shard, the one that the index names.
Result<void> check_shards(const std::string& index, const WeightMap& weight_map,
                          const std::vector<SafetensorsFile>& shards) {
  std::unordered_map<std::string_view, std::string> found_in;
  for (const SafetensorsFile& shard : shards) {
    const std::string file = fs::path(shard.path()).filename();
    for (const TensorEntry& tensor : shard.tensors()) {
      const auto [other, is_new] = found_in.emplace(tensor.name, file);
      if (!is_new) {
        return fail("index/duplicate",
                    fmt::format("{} stands in {} and in {}", tensor.name, other->second, file),
                    kFetchAgain);
      }
    }
  }
  for (const auto& [name, file] : weight_map) {
    const auto found = found_in.find(name);
    if (found == found_in.end() || found->second != file) {
      return fail("index/disagrees",
                  fmt::format("{} says that {} stands in {}, but it {}", index, name, file,
                              found == found_in.end() ? "is in none of the files"
                                                      : "stands in " + found->second),
                  kFetchAgain);
    }
  }
  for (const auto& [name, file] : found_in) {
    if (!weight_map.contains(std::string(name))) {
      return fail("index/disagrees",
                  fmt::format("{} holds {}, which {} does not name", file, name, index),
                  kFetchAgain);
    }
  }
  return {};
}

Result<std::vector<SafetensorsFile>> open_shards(const fs::path& folder, const std::string& index) {
  BREAKEVEN_TRY(const WeightMap weight_map, read_weight_index(index));
  std::set<std::string> names;
  for (const auto& [tensor, file] : weight_map) names.insert(file);
  std::vector<SafetensorsFile> shards;
  for (const std::string& name : names) {
    const std::string path = folder / name;
    if (!is_there(path)) {
      return fail("index/shard-missing",
                  fmt::format("{} names {}, which is not there", index, name),
                  "fetch the model again: a file of it is missing");
    }
    BREAKEVEN_TRY(SafetensorsFile shard, SafetensorsFile::open(path));
    shards.push_back(std::move(shard));
  }
  BREAKEVEN_TRY_VOID(check_shards(index, weight_map, shards));
  return shards;
}

// No safetensors: says what is there instead.
tl::unexpected<Error> no_weights(const fs::path& folder) {
  static constexpr const char* kOthers[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                            "tf_model.h5", "flax_model.msgpack", "model.onnx"};
  for (const char* other : kOthers) {
    if (!is_there(folder / other)) continue;
    return fail(
        "model/pickle-only",
        fmt::format("{} has {} but no model.safetensors", folder.string(), other),
        "convert it once in Python: from transformers import AutoModelForSequenceClassification as "
        "M; M.from_pretrained(FOLDER).save_pretrained(FOLDER)");
  }
  return fail("model/no-weights",
              fmt::format("{} has neither model.safetensors nor model.safetensors.index.json",
                          folder.string()),
              "give the folder that save_pretrained() wrote, or fetch the model");
}

}  // namespace

Result<std::vector<SafetensorsFile>> open_weights(const std::string& folder) {
  const fs::path path(folder);
  const std::string single = path / "model.safetensors";
  BREAKEVEN_TRY(const PathKind kind, look_at(single));
  if (kind != PathKind::nothing) {
    BREAKEVEN_TRY(SafetensorsFile file, SafetensorsFile::open(single));
    std::vector<SafetensorsFile> files;
    files.push_back(std::move(file));
    return files;
  }
  const std::string index = path / "model.safetensors.index.json";
  if (is_there(index)) return open_shards(path, index);
  return no_weights(path);
}

}  // namespace breakeven::model

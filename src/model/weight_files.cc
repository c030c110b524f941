#include "model/weight_files.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/files.h"
#include "base/weight_index.h"
#include "model/safetensors.h"
#include "model/torch_file.h"

namespace breakeven::model {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFetchAgain = "fetch or save the model again";

// How one format calls its files.
struct Format {
  const char* file;
  const char* index;
  Result<WeightFile> (*open)(const std::string& path);
};

// A file of either format, with its tensors as StoredTensors; `data` gets one's values.
template <class File, class Data>
WeightFile weight_file(File opened, bool is_pickle, Data data) {
  const auto file = std::make_shared<File>(std::move(opened));
  WeightFile out{file->path(), is_pickle, {}, file->bytes(), file};
  for (const auto& tensor : file->tensors()) {
    out.tensors.push_back({tensor.name, tensor.dtype, tensor.shape,
                           [raw = file.get(), &tensor, data] { return data(*raw, tensor); }});
  }
  return out;
}

Result<WeightFile> open_safetensors(const std::string& path) {
  BREAKEVEN_TRY(SafetensorsFile file, SafetensorsFile::open(path));
  return weight_file(std::move(file), false,
                     [](const SafetensorsFile& from, const TensorEntry& tensor) {
                       return Result<std::span<const std::byte>>(from.data(tensor));
                     });
}

Result<WeightFile> open_torch(const std::string& path) {
  BREAKEVEN_TRY(TorchFile file, TorchFile::open(path));
  return weight_file(std::move(file), true, [](TorchFile& from, const PickledTensor& tensor) {
    return from.data(tensor);
  });
}

constexpr std::array<Format, 2> kFormats = {{
    {"model.safetensors", "model.safetensors.index.json", open_safetensors},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", open_torch},
}};

// Each tensor stands in exactly one shard, the one that the index names.
Result<void> check_shards(const std::string& index, const WeightMap& weight_map,
                          const std::vector<WeightFile>& shards) {
  std::unordered_map<std::string_view, std::string> found_in;
  for (const WeightFile& shard : shards) {
    const std::string file = fs::path(shard.path).filename();
    for (const StoredTensor& tensor : shard.tensors) {
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

Result<std::vector<WeightFile>> open_shards(const fs::path& folder, const Format& format) {
  const std::string index = folder / format.index;
  BREAKEVEN_TRY(const WeightMap weight_map, read_weight_index(index));
  std::set<std::string> names;
  for (const auto& [tensor, file] : weight_map) names.insert(file);
  std::vector<WeightFile> shards;
  for (const std::string& name : names) {
    const std::string path = folder / name;
    if (!is_there(path)) {
      return fail("index/shard-missing",
                  fmt::format("{} names {}, which is not there", index, name),
                  "fetch the model again: a file of it is missing");
    }
    BREAKEVEN_TRY(WeightFile shard, format.open(path));
    shards.push_back(std::move(shard));
  }
  BREAKEVEN_TRY_VOID(check_shards(index, weight_map, shards));
  return shards;
}

constexpr const char* kAsTransformers = "take the model as Hugging Face Transformers saves it";

// model.fp16.safetensors: what from_pretrained(variant="fp16") asks for; nothing where none is.
std::string variant_in(const fs::path& folder) {
  for (const fs::path& entry : entries_of(folder)) {
    std::string name = entry.filename().string();
    for (const auto& [begin, end] :
         {std::pair("model.", ".safetensors"), {"pytorch_model.", ".bin"}})
      if (name.starts_with(begin) && name.ends_with(end)) return name;
  }
  return "";
}

// Nothing that can be read: says what is there instead.
tl::unexpected<Error> no_weights(const fs::path& folder) {
  if (const auto other = other_model(folder.string())) return tl::unexpected<Error>(*other);
  static constexpr std::pair<const char*, const char*> kOthers[] = {
      {"tf_model.h5", ", from_tf=True"},
      {"flax_model.msgpack", ", from_flax=True"},
      {"model.onnx", ""},
      {"onnx/model.onnx", ""},
  };
  for (const auto& [other, flag] : kOthers) {
    if (!is_there(folder / other)) continue;
    return fail("model/other-weights",
                fmt::format("{} has {} but neither model.safetensors nor pytorch_model.bin",
                            folder.string(), other),
                *flag == '\0'
                    ? std::string(kAsTransformers)
                    : fmt::format("convert it once in Python with transformers 4: from "
                                  "transformers import AutoModelForSequenceClassification "
                                  "as M; M.from_pretrained(FOLDER{}).save_pretrained("
                                  "FOLDER)",
                                  flag));
  }
  if (const std::string variant = variant_in(folder); !variant.empty()) {
    return fail("model/other-weights",
                fmt::format("{} has {}, a variant, but neither model.safetensors nor "
                            "pytorch_model.bin",
                            folder.string(), variant),
                "leave the part between the dots out of its name");
  }
  return fail("model/no-weights",
              fmt::format("{} has neither model.safetensors nor pytorch_model.bin (nor an index of "
                          "shards)",
                          folder.string()),
              "give the folder that save_pretrained() wrote, or fetch the model");
}

}  // namespace

std::optional<Error> other_model(const std::string& folder) {
  if (is_there(fs::path(folder) / "adapter_config.json")) {
    return Error{
        "model/other-weights",
        fmt::format("{} holds an adapter (adapter_config.json), not a whole model", folder),
        "merge it with its base once in Python: from peft import "
        "AutoPeftModelForSequenceClassification as M; M.from_pretrained(FOLDER)"
        ".merge_and_unload().save_pretrained(OUT); OUT needs the tokenizer's files, too"};
  }
  for (const fs::path& entry : entries_of(folder)) {
    if (entry.extension() != ".gguf") continue;
    return Error{
        "model/other-weights",
        fmt::format("{} holds {}, which is llama.cpp's format", folder, entry.filename().string()),
        kAsTransformers};
  }
  return std::nullopt;
}

Result<std::vector<WeightFile>> open_weights(const std::string& folder) {
  const fs::path path(folder);
  for (const Format& format : kFormats) {
    const std::string single = path / format.file;
    BREAKEVEN_TRY(const PathKind kind, look_at(single));
    if (kind != PathKind::nothing) {
      BREAKEVEN_TRY(WeightFile file, format.open(single));
      std::vector<WeightFile> files;
      files.push_back(std::move(file));
      return files;
    }
    if (is_there(path / format.index)) return open_shards(path, format);
  }
  return no_weights(path);
}

}  // namespace breakeven::model

#include "model/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/content_hash.h"
#include "base/files.h"
#include "model/weight_files.h"

namespace breakeven::model {
namespace {

namespace fs = std::filesystem;

// Old TensorFlow conversions call LayerNorm's tensors gamma and beta; Transformers renames them as
// it loads, and so does this.
std::string current_name(const std::string& name) {
  for (const auto& [old_end, new_end] :
       {std::pair{"LayerNorm.gamma", "weight"}, std::pair{"LayerNorm.beta", "bias"}}) {
    if (name.ends_with(old_end)) return name.substr(0, name.rfind('.') + 1) + new_end;
  }
  return name;
}

// Buffers that older versions of Transformers saved: 0, 1, 2 ..., nothing that was learned.
bool is_harmless(const std::string& name) {
  return name.ends_with("embeddings.position_ids");
}

// The files of one model and what was converted from them: what ModelWeights keeps alive.
class Store {
 public:
  static Result<std::shared_ptr<Store>> open(const std::string& folder) {
    BREAKEVEN_TRY(std::vector<SafetensorsFile> files, open_weights(folder));
    const std::shared_ptr<Store> store(new Store(std::move(files)));
    for (const SafetensorsFile& file : store->files_) {
      for (const TensorEntry& entry : file.tensors()) {
        const auto [other, is_new] =
            store->tensors_.emplace(current_name(entry.name), Tensor{&file, &entry});
        if (!is_new) {
          return fail("weights/unexpected",
                      fmt::format("{}: {} and {} are the same tensor under two names", file.path(),
                                  other->second.entry->name, entry.name),
                      "remove one of them");
        }
      }
    }
    return store;
  }

  const std::vector<SafetensorsFile>& files() const { return files_; }

  // Every tensor of the table is there, and no other.
  Result<void> check_names(const std::vector<TensorSpec>& table) const;
  // The tensor in fp32, checked; lives as long as the store.
  Result<std::span<const float>> find(const TensorSpec& spec);

 private:
  struct Tensor {
    const SafetensorsFile* file;
    const TensorEntry* entry;
  };
  explicit Store(std::vector<SafetensorsFile> files) : files_(std::move(files)) {}

  std::vector<SafetensorsFile> files_;
  std::map<std::string, Tensor> tensors_;  // by current name
  std::vector<std::unique_ptr<float[]>> converted_;
};

Result<void> Store::check_names(const std::vector<TensorSpec>& table) const {
  std::map<std::string, Tensor> others = tensors_;
  std::vector<std::string> missing;
  for (const TensorSpec& spec : table) {
    if (others.erase(spec.name) == 0) missing.push_back(spec.name);
  }
  const std::string where = fs::path(files_.front().path()).parent_path();
  if (!missing.empty()) {
    const bool headless = std::any_of(missing.begin(), missing.end(), [](const std::string& name) {
      return name.starts_with("classifier.");
    });
    return fail(
        "weights/missing",
        fmt::format(
            "{}: the weights have no {}{}", where, missing.front(),
            missing.size() > 1 ? fmt::format(" ({} more are missing)", missing.size() - 1) : ""),
        headless ? "this looks like a model without a trained classifier: give a fine-tuned one"
                 : "config.json and weights do not belong together, or a file is missing");
  }
  std::erase_if(others, [](const auto& each) { return is_harmless(each.first); });
  if (!others.empty()) {
    return fail(
        "weights/unexpected",
        fmt::format("{}: the architecture has no tensor {}{}", where,
                    others.begin()->second.entry->name,
                    others.size() > 1 ? fmt::format(" (and {} more)", others.size() - 1) : ""),
        "config.json and weights do not belong together; Hugging Face Transformers, which "
        "ignores such tensors, can run it");
  }
  return {};
}

// The index of the first infinity or NaN, or values.size().
std::size_t first_not_finite(std::span<const float> values) {
  constexpr std::size_t kBlock = 4096;
  constexpr std::uint32_t kExponent = 0x7F800000U;
  const auto is_wild = [](float value) {
    return (std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent;
  };
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const auto block = values.subspan(begin, std::min(kBlock, values.size() - begin));
    // One pass without a branch a value, which the compiler vectorises; the place is looked for
    // only in a block that has one.
    unsigned wild = 0;
    for (const float value : block) wild |= static_cast<unsigned>(is_wild(value));
    if (wild == 0) continue;
    for (std::size_t i = 0; i < block.size(); ++i) {
      if (is_wild(block[i])) return begin + i;
    }
  }
  return values.size();
}

Result<std::span<const float>> Store::find(const TensorSpec& spec) {
  const auto found = tensors_.find(spec.name);
  BREAKEVEN_CHECK(found != tensors_.end(), "tensor={}", spec.name);
  const auto& [file, entry] = found->second;
  if (entry->shape != spec.shape) {
    return fail("weights/shape",
                fmt::format("{}: {} has the shape {}, and config.json makes it {}", file->path(),
                            entry->name, shape_text(entry->shape), shape_text(spec.shape)),
                "config.json and weights do not belong together");
  }
  const std::span<const std::byte> data = file->data(*entry);
  std::size_t count = 1;
  for (const std::size_t dimension : spec.shape) count *= dimension;
  std::span<const float> values;
  if (entry->dtype == "F32" &&
      reinterpret_cast<std::uintptr_t>(data.data()) % alignof(float) == 0) {
    values = {reinterpret_cast<const float*>(data.data()), count};
  } else if (entry->dtype == "F32" || entry->dtype == "F16" || entry->dtype == "BF16") {
    converted_.push_back(std::make_unique_for_overwrite<float[]>(count));
    const std::span<float> to(converted_.back().get(), count);
    if (entry->dtype == "F16") {
      convert_f16(data, to);
    } else if (entry->dtype == "BF16") {
      convert_bf16(data, to);
    } else {
      std::memcpy(to.data(), data.data(), data.size());
    }
    values = to;
  } else {
    return fail("weights/dtype",
                fmt::format("{}: {} is {}, and only F32, F16 and BF16 can be read", file->path(),
                            entry->name, entry->dtype),
                "save the model in one of these: model.float().save_pretrained(FOLDER)");
  }
  if (const std::size_t place = first_not_finite(values); place < values.size()) {
    return fail(
        "weights/not-finite",
        fmt::format("{}: value {} of {} is {}", file->path(), place, entry->name, values[place]),
        "training diverged or the file is damaged: every label would be meaningless");
  }
  return values;
}

// SHA-256 over config and weights; each part's length goes first, so that no byte can move from one
// part to another unseen.
std::string hash(std::string_view config, const std::vector<SafetensorsFile>& files) {
  ContentHash hash;
  const auto add = [&](std::span<const std::byte> bytes) {
    const std::uint64_t size = bytes.size();
    hash.add(std::as_bytes(std::span(&size, 1)));
    hash.add(bytes);
  };
  add(std::as_bytes(std::span(config)));
  for (const SafetensorsFile& file : files) add(std::as_bytes(std::span(file.bytes())));
  return hash.hex();
}

Result<std::string> read_config(const fs::path& folder) {
  BREAKEVEN_TRY(const PathKind kind, look_at(folder));
  if (kind == PathKind::nothing) {
    return fail("model/missing", fmt::format("there is no folder {}", folder.string()),
                "give a model's folder, or a name that breakeven fetch has fetched");
  }
  if (kind == PathKind::file) {
    return fail("model/not-a-folder", fmt::format("{} is a file, not a folder", folder.string()),
                "give the folder with config.json and model.safetensors");
  }
  auto config = read_file(folder / "config.json");
  if (!config && config.error().code == "file/missing") {
    return fail("model/no-config", fmt::format("{} has no config.json", folder.string()),
                "give the folder that save_pretrained() wrote, or fetch the model");
  }
  return config;
}

}  // namespace

Result<Checkpoint> load_checkpoint(const std::string& folder) {
  BREAKEVEN_TRY(const std::string config, read_config(folder));
  BREAKEVEN_TRY(EncoderPlan plan, parse_plan(config, fs::path(folder) / "config.json"));
  BREAKEVEN_TRY(const std::shared_ptr<Store> store, Store::open(folder));
  BREAKEVEN_TRY_VOID(store->check_names(tensor_table(plan)));
  const ModelWeights::Source source{
      store, [raw = store.get()](const TensorSpec& spec) { return raw->find(spec); }};
  BREAKEVEN_TRY(ModelWeights weights, ModelWeights::build(plan, source));
  auto lazy_hash =
      std::async(std::launch::deferred, [config, store] { return hash(config, store->files()); });
  return Checkpoint{std::move(plan), std::move(weights), lazy_hash.share()};
}

}  // namespace breakeven::model

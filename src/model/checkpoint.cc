#include "model/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/content_hash.h"
#include "base/files.h"
#include "model/safetensors.h"
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

// Buffers that older versions of Transformers saved: 0, 1, 2 ... or zeros, nothing that was
// learned.
bool is_buffer(const std::string& name) {
  return name.ends_with("embeddings.position_ids") || name.ends_with("embeddings.token_type_ids");
}

// What torch.compile, data parallelism and their kin put into names, as a part between two dots.
constexpr std::string_view kWrappers[] = {"_orig_mod.", "module.", "_fsdp_wrapped_module.",
                                          "_checkpoint_wrapped_module."};

// The name without such parts; those that were there are added to `found`.
std::string unwrapped(std::string name, std::set<std::string_view>& found) {
  for (const std::string_view wrapper : kWrappers) {
    for (std::size_t at = 0; (at = name.find(wrapper, at)) != std::string::npos;) {
      if (at > 0 && name[at - 1] != '.') {
        ++at;
        continue;
      }
      name.erase(at, wrapper.size());
      found.insert(wrapper);
    }
  }
  return name;
}

std::string listed(std::span<const std::string> names) {
  constexpr std::size_t kShown = 3;
  const std::size_t shown = names.size() > kShown + 1 ? kShown : names.size();
  std::string text = fmt::format("{}", fmt::join(names.first(shown), ", "));
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

// The files of one model and what was converted from them: what ModelWeights keeps alive.
class Store {
 public:
  // Finds each tensor of the plan, under the names that Transformers accepts for it.
  static Result<std::shared_ptr<Store>> open(const std::string& folder, const EncoderPlan& plan);

  const std::vector<WeightFile>& files() const { return files_; }
  const std::vector<std::string>& notes() const { return notes_; }
  // Whether a loader that takes safetensors and names as they stand reads the same model.
  bool is_plain() const { return plain_; }

  // The tensor in fp32, checked; lives as long as the store.
  Result<std::span<const float>> find(const TensorSpec& spec);

 private:
  struct Tensor {
    const WeightFile* file;
    const StoredTensor* stored;
  };
  explicit Store(std::vector<WeightFile> files) : files_(std::move(files)) {}
  Result<void> name_tensors(const EncoderPlan& plan, const std::vector<TensorSpec>& table);
  Result<void> check_missing(const EncoderPlan& plan, const std::vector<TensorSpec>& table) const;

  std::vector<WeightFile> files_;
  std::map<std::string, Tensor> tensors_;  // by the name in the table
  std::vector<std::string> ignored_;       // that the table does not have, as the files call them
  std::vector<std::string> notes_;
  bool plain_ = true;
  std::vector<std::unique_ptr<float[]>> converted_;
};

Result<std::shared_ptr<Store>> Store::open(const std::string& folder, const EncoderPlan& plan) {
  BREAKEVEN_TRY(std::vector<WeightFile> files, open_weights(folder));
  std::shared_ptr<Store> store(new Store(std::move(files)));
  const std::vector<TensorSpec> table = tensor_table(plan);
  BREAKEVEN_TRY_VOID(store->name_tensors(plan, table));
  BREAKEVEN_TRY_VOID(store->check_missing(plan, table));
  return store;
}

Result<void> Store::name_tensors(const EncoderPlan& plan, const std::vector<TensorSpec>& table) {
  std::set<std::string_view> known;
  for (const TensorSpec& spec : table) known.insert(spec.name);
  const std::string body = fmt::format("{}.", plan.architecture->body);
  std::set<std::string_view> wrappers;
  for (const WeightFile& file : files_) {
    plain_ = plain_ && !file.is_pickle;
    for (const StoredTensor& stored : file.tensors) {
      std::string name = current_name(unwrapped(stored.name, wrappers));
      // A body that was saved alone lacks its name, and heads may have it by mistake.
      if (!known.contains(name)) {
        if (known.contains(body + name)) {
          name.insert(0, body);
        } else if (name.starts_with(body) && known.contains(name.substr(body.size()))) {
          name.erase(0, body.size());
        }
      }
      if (!known.contains(name)) {
        if (!is_buffer(name)) ignored_.push_back(stored.name);
        continue;
      }
      plain_ = plain_ && name == stored.name;
      const auto [other, is_new] = tensors_.emplace(name, Tensor{&file, &stored});
      if (!is_new) {
        return fail("weights/unexpected",
                    fmt::format("{}: {} and {} are the same tensor under two names", file.path,
                                other->second.stored->name, stored.name),
                    "remove one of them");
      }
    }
  }
  if (!wrappers.empty()) {
    notes_.push_back(
        fmt::format("{} taken off the names of the weights", fmt::join(wrappers, " and ")));
  }
  if (!ignored_.empty()) {
    notes_.push_back(fmt::format("{} {} not used: {} has no such tensor", listed(ignored_),
                                 ignored_.size() == 1 ? "is" : "are",
                                 plan.architecture->class_name));
  }
  return {};
}

Result<void> Store::check_missing(const EncoderPlan& plan,
                                  const std::vector<TensorSpec>& table) const {
  std::vector<std::string> missing;
  for (const TensorSpec& spec : table) {
    if (!tensors_.contains(spec.name)) missing.push_back(spec.name);
  }
  if (missing.empty()) return {};
  const std::string body = fmt::format("{}.", plan.architecture->body);
  const auto of_body = std::find_if(missing.begin(), missing.end(), [&](const std::string& name) {
    return name.starts_with(body) && name.find(".pooler.") == std::string::npos;
  });
  std::string hint = "config.json and weights do not belong together, or a file is missing";
  if (of_body == missing.end()) {
    hint = "this looks like a model without a trained classifier: give a fine-tuned one";
  } else {
    // The same tensor below another name says what is in front of all of them.
    const std::string bare = of_body->substr(body.size());
    const auto found = std::find_if(ignored_.begin(), ignored_.end(), [&](const std::string& name) {
      return name.ends_with("." + bare);
    });
    if (found != ignored_.end()) {
      hint = fmt::format("the weights have {}: save them under the names of {}", *found,
                         plan.architecture->class_name);
    }
  }
  return fail(
      "weights/missing",
      fmt::format(
          "{}: the weights have no {}{}", std::string(fs::path(files_.front().path).parent_path()),
          missing.front(),
          missing.size() > 1 ? fmt::format(" ({} more are missing)", missing.size() - 1) : ""),
      hint);
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

void convert_f64(std::span<const std::byte> from, std::span<float> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    double value = 0;
    std::memcpy(&value, from.data() + i * sizeof(value), sizeof(value));
    to[i] = static_cast<float>(value);
  }
}

void copy_f32(std::span<const std::byte> from, std::span<float> to) {
  std::memcpy(to.data(), from.data(), to.size_bytes());
}

using Convert = void (*)(std::span<const std::byte> from, std::span<float> to);

// nullptr for what is no number format of weights.
Convert conversion_of(std::string_view dtype) {
  if (dtype == "F32") return copy_f32;
  if (dtype == "F16") return convert_f16;
  if (dtype == "BF16") return convert_bf16;
  if (dtype == "F64") return convert_f64;
  return nullptr;
}

Result<std::span<const float>> Store::find(const TensorSpec& spec) {
  const auto found = tensors_.find(spec.name);
  BREAKEVEN_CHECK(found != tensors_.end(), "tensor={}", spec.name);
  const auto& [file, stored] = found->second;
  if (stored->shape != spec.shape) {
    return fail("weights/shape",
                fmt::format("{}: {} has the shape {}, and config.json makes it {}", file->path,
                            stored->name, shape_text(stored->shape), shape_text(spec.shape)),
                "config.json and weights do not belong together");
  }
  const Convert convert = conversion_of(stored->dtype);
  if (convert == nullptr) {
    return fail("weights/dtype",
                fmt::format("{}: {} is {}, and only F32, F16, BF16 and F64 can be read", file->path,
                            stored->name, stored->dtype),
                "save the model in one of these: model.float().save_pretrained(FOLDER)");
  }
  BREAKEVEN_TRY(const std::span<const std::byte> data, stored->data());
  std::size_t count = 1;
  for (const std::size_t dimension : spec.shape) count *= dimension;
  std::span<const float> values;
  if (stored->dtype == "F32" &&
      reinterpret_cast<std::uintptr_t>(data.data()) % alignof(float) == 0) {
    values = {reinterpret_cast<const float*>(data.data()), count};
  } else {
    converted_.push_back(std::make_unique_for_overwrite<float[]>(count));
    const std::span<float> to(converted_.back().get(), count);
    convert(data, to);
    values = to;
  }
  if (const std::size_t place = first_not_finite(values); place < values.size()) {
    return fail(
        "weights/not-finite",
        fmt::format("{}: value {} of {} is {}", file->path, place, stored->name, values[place]),
        "training diverged or the file is damaged: every label would be meaningless");
  }
  return values;
}

// SHA-256 over config and weights; each part's length goes first, so that no byte can move from one
// part to another unseen.
std::string hash(std::string_view config, const std::vector<WeightFile>& files) {
  ContentHash hash;
  const auto add = [&](std::span<const std::byte> bytes) {
    const std::uint64_t size = bytes.size();
    hash.add(std::as_bytes(std::span(&size, 1)));
    hash.add(bytes);
  };
  add(std::as_bytes(std::span(config)));
  for (const WeightFile& file : files) add(file.bytes);
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
                "give the folder with config.json and the weights");
  }
  auto config = read_file(folder / "config.json");
  if (!config && config.error().code == "file/missing") {
    if (const auto other = other_model(folder.string())) return tl::unexpected<Error>(*other);
    return fail("model/no-config", fmt::format("{} has no config.json", folder.string()),
                "give the folder that save_pretrained() wrote, or fetch the model");
  }
  return config;
}

}  // namespace

Result<Checkpoint> load_checkpoint(const std::string& folder) {
  BREAKEVEN_TRY(const std::string config, read_config(folder));
  BREAKEVEN_TRY(EncoderPlan plan, parse_plan(config, fs::path(folder) / "config.json"));
  BREAKEVEN_TRY(const std::shared_ptr<Store> store, Store::open(folder, plan));
  const ModelWeights::Source source{
      store, [raw = store.get()](const TensorSpec& spec) { return raw->find(spec); }};
  BREAKEVEN_TRY(ModelWeights weights, ModelWeights::build(plan, source));
  auto lazy_hash =
      std::async(std::launch::deferred, [config, store] { return hash(config, store->files()); });
  std::vector<std::string> notes = plan.notes;
  notes.insert(notes.end(), store->notes().begin(), store->notes().end());
  return Checkpoint{std::move(plan), std::move(weights), lazy_hash.share(), std::move(notes),
                    store->is_plain()};
}

}  // namespace breakeven::model

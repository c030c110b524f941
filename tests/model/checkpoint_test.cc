// load_checkpoint: a whole folder, right in every number format, and each way in which it can be
// wrong.
#include "model/checkpoint.h"

#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "model/safetensors_builder.h"
#include "model/torch_builder.h"
#include "testing/paths.h"

namespace breakeven::model {
namespace {

using ::testing::HasSubstr;
using testing::raw_bytes;
using testing::SafetensorsBuilder;
using testing::TorchBuilder;
using testing::write_file;
using testing::ZipBuilder;
using Json = nlohmann::json;

Json tiny_config(std::string_view architecture) {
  if (architecture == "bert") {
    return {{"architectures", Json::array({"BertForSequenceClassification"})},
            {"hidden_size", 4},
            {"intermediate_size", 8},
            {"num_attention_heads", 2},
            {"num_hidden_layers", 2},
            {"vocab_size", 7},
            {"max_position_embeddings", 5}};
  }
  return {{"architectures", Json::array({"DistilBertForSequenceClassification"})},
          {"dim", 4},
          {"hidden_dim", 8},
          {"n_heads", 2},
          {"n_layers", 2},
          {"vocab_size", 7},
          {"max_position_embeddings", 5}};
}

struct Tensor {
  std::string dtype;
  std::vector<std::size_t> shape;
  std::string data;
  bool operator==(const Tensor&) const = default;
};

// Numbers that F64, F32, F16 and BF16 all hold exactly, other ones in each tensor.
std::vector<float> values_of(std::size_t tensor, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(static_cast<int>((tensor * 7 + i * 3) % 64) - 32) / 16;
  }
  return values;
}

std::uint16_t to_bf16(float value) {
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
}
// For multiples of 1/16 below 4 only: no rounding, no subnormals.
std::uint16_t to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits << 1) == 0) return static_cast<std::uint16_t>(bits >> 16);
  return static_cast<std::uint16_t>(((bits >> 16) & 0x8000) |
                                    ((((bits >> 13) & 0x3FFFF) - ((127 - 15) << 10)) & 0x7FFF));
}

std::string encode(const std::vector<float>& values, const std::string& dtype) {
  if (dtype == "F32") return raw_bytes(std::span<const float>(values));
  if (dtype == "F64") {
    return raw_bytes(std::span<const double>(std::vector<double>(values.begin(), values.end())));
  }
  std::vector<std::uint16_t> halves;
  for (const float value : values) {
    halves.push_back(dtype == "F16" ? to_f16(value) : to_bf16(value));
  }
  return raw_bytes(std::span<const std::uint16_t>(halves));
}

// A model's folder whose parts a test may change before it is written.
class Folder {
 public:
  explicit Folder(std::string_view architecture = "distilbert", const std::string& dtype = "F32")
      : config(tiny_config(architecture)) {
    const auto plan = parse_plan(config.dump(), "config.json");
    EXPECT_TRUE(plan) << plan.error().to_string();
    table = tensor_table(*plan);
    for (std::size_t i = 0; i < table.size(); ++i) {
      std::size_t count = 1;
      for (const std::size_t size : table[i].shape) count *= size;
      tensors[table[i].name] = {dtype, table[i].shape, encode(values_of(i, count), dtype)};
    }
  }

  std::string path() const { return folder_.path().string(); }
  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

  void write(std::size_t pad = 0) const {
    write_file(folder_ / "config.json", config.dump());
    SafetensorsBuilder builder;
    for (const auto& [name, tensor] : tensors) {
      builder.add(name, tensor.dtype, tensor.shape, tensor.data);
    }
    write_file(folder_ / "model.safetensors", builder.build(pad));
  }
  // The same as torch.save writes it, in place of model.safetensors.
  void write_torch(ZipBuilder::Form form = ZipBuilder::Form::plain) const {
    static const std::map<std::string, std::pair<const char*, std::size_t>> kKinds = {
        {"F64", {"DoubleStorage", 8}},
        {"F32", {"FloatStorage", 4}},
        {"F16", {"HalfStorage", 2}},
        {"BF16", {"BFloat16Storage", 2}}};
    write_file(folder_ / "config.json", config.dump());
    TorchBuilder builder;
    for (const auto& [name, tensor] : tensors) {
      const auto& [kind, bytes] = kKinds.at(tensor.dtype);
      builder.add(name, kind, bytes, tensor.shape, tensor.data);
    }
    write_file(folder_ / "pytorch_model.bin", builder.build(form));
  }
  void rename(const std::function<std::string(const std::string&)>& change) {
    std::map<std::string, Tensor> renamed;
    for (const auto& [name, tensor] : tensors) renamed[change(name)] = tensor;
    tensors = renamed;
  }
  Result<Checkpoint> load() const { return load_checkpoint(path()); }
  Error error() const {
    write();
    auto loaded = load();
    EXPECT_FALSE(loaded);
    return loaded ? Error{} : loaded.error();
  }

  Json config;
  std::vector<TensorSpec> table;
  std::map<std::string, Tensor> tensors;

 private:
  breakeven::testing::TempDir folder_;
};

void expect_values(const Folder& folder, const Checkpoint& checkpoint) {
  for (std::size_t i = 0; i < folder.table.size(); ++i) {
    const std::span<const float> read = checkpoint.weights.tensor(folder.table[i].name);
    EXPECT_EQ(std::vector<float>(read.begin(), read.end()), values_of(i, read.size()))
        << folder.table[i].name;
  }
}

TEST(Checkpoint, ReadsBothArchitecturesInEveryFormat) {
  for (const std::string_view architecture : {"distilbert", "bert"}) {
    for (const char* dtype : {"F32", "F16", "BF16", "F64"}) {
      const Folder folder(architecture, dtype);
      folder.write();
      const auto loaded = folder.load();
      ASSERT_TRUE(loaded) << loaded.error().to_string();
      EXPECT_EQ(loaded->plan.architecture->model_type, architecture);
      expect_values(folder, *loaded);
    }
  }
}

TEST(Checkpoint, DataAtAnyAddressIsRead) {
  const Folder folder;
  for (std::size_t pad = 0; pad < 8; ++pad) {
    folder.write(pad);
    const auto loaded = folder.load();
    ASSERT_TRUE(loaded) << loaded.error().to_string();
    expect_values(folder, *loaded);
    const auto first = loaded->weights.tensor(folder.table.front().name);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first.data()) % alignof(float), 0U);
  }
}

TEST(Checkpoint, WeightsOutliveTheFiles) {
  const Folder folder;
  folder.write();
  auto loaded = folder.load();
  ASSERT_TRUE(loaded);
  const Checkpoint moved = *std::move(loaded);
  std::filesystem::remove(folder / "model.safetensors");
  expect_values(folder, moved);
}

TEST(Checkpoint, ShardsAreOneModel) {
  const Folder folder;
  folder.write();
  const std::string whole_hash = folder.load()->content_hash();
  std::filesystem::remove(folder / "model.safetensors");
  SafetensorsBuilder shards[2];
  Json map;
  std::size_t count = 0;
  for (const auto& [name, tensor] : folder.tensors) {
    shards[count % 2].add(name, tensor.dtype, tensor.shape, tensor.data);
    map[name] = fmt::format("model-{}.safetensors", count % 2);
    ++count;
  }
  write_file(folder / "model-0.safetensors", shards[0].build());
  write_file(folder / "model-1.safetensors", shards[1].build());
  write_file(folder / "model.safetensors.index.json", Json{{"weight_map", map}}.dump());
  const auto loaded = folder.load();
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  expect_values(folder, *loaded);
  EXPECT_NE(loaded->content_hash(), whole_hash);
}

TEST(Checkpoint, OldLayerNormNamesAndPositionIdsAreTaken) {
  Folder folder("bert");
  std::map<std::string, Tensor> old;
  for (const auto& [name, tensor] : folder.tensors) {
    std::string old_name = name;
    if (name.ends_with("LayerNorm.weight")) {
      old_name = name.substr(0, name.size() - 6) + "gamma";
    } else if (name.ends_with("LayerNorm.bias")) {
      old_name = name.substr(0, name.size() - 4) + "beta";
    }
    old[old_name] = tensor;
  }
  ASSERT_NE(old, folder.tensors) << "nothing was renamed";
  old["bert.embeddings.position_ids"] = {"I64", {1, 5}, std::string(40, '\0')};
  folder.tensors = old;
  folder.write();
  const auto loaded = folder.load();
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  expect_values(folder, *loaded);
  folder.tensors["bert.embeddings.LayerNorm.weight"] =
      folder.tensors["bert.embeddings.LayerNorm.gamma"];
  const Error error = folder.error();
  EXPECT_EQ(error.code, "weights/unexpected");
  EXPECT_THAT(error.message, HasSubstr("LayerNorm.gamma"));
}

TEST(Checkpoint, PyTorchsFileIsTheSameModel) {
  for (const char* dtype : {"F64", "F32", "F16", "BF16"}) {
    for (const auto form :
         {ZipBuilder::Form::plain, ZipBuilder::Form::deflated, ZipBuilder::Form::wide}) {
      const Folder folder("bert", dtype);
      folder.write_torch(form);
      const auto loaded = folder.load();
      ASSERT_TRUE(loaded) << loaded.error().to_string();
      expect_values(folder, *loaded);
      EXPECT_FALSE(loaded->plain) << "others may want safetensors";
    }
  }
  Folder folder;
  folder.write();
  folder.tensors.clear();
  folder.write_torch();
  const auto loaded = folder.load();
  ASSERT_TRUE(loaded) << "safetensors go first: " << loaded.error().to_string();
  EXPECT_TRUE(loaded->plain);
}

TEST(Checkpoint, PyTorchsShardsAreOneModel) {
  const Folder folder;
  write_file(folder / "config.json", folder.config.dump());
  TorchBuilder shards[2];
  Json map;
  std::size_t count = 0;
  for (const auto& [name, tensor] : folder.tensors) {
    shards[count % 2].add(name, "FloatStorage", 4, tensor.shape, tensor.data);
    map[name] = fmt::format("pytorch_model-{}.bin", count % 2);
    ++count;
  }
  for (const int shard : {0, 1}) {
    write_file(folder / fmt::format("pytorch_model-{}.bin", shard), shards[shard].build());
  }
  write_file(folder / "pytorch_model.bin.index.json", Json{{"weight_map", map}}.dump());
  const auto loaded = folder.load();
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  expect_values(folder, *loaded);
  std::filesystem::remove(folder / "pytorch_model-1.bin");
  EXPECT_EQ(folder.load().error().code, "index/shard-missing");
}

TEST(Checkpoint, NamesAreTakenAsTransformersTakesThem) {
  const auto bare = [](const std::string& name) {
    return name.starts_with("bert.") ? name.substr(5) : name;
  };
  struct Renamed {
    const char* noted;  // "" = nothing
    std::function<std::string(const std::string&)> change;
  };
  const Renamed cases[] = {
      {"", bare},
      {"", [&](const std::string& name) { return "bert." + bare(name); }},
      {"_orig_mod.", [](const std::string& name) { return "_orig_mod." + name; }},
      {"module.", [](const std::string& name) { return "module." + name; }},
      {"_orig_mod. and module.",
       [](const std::string& name) { return "module._orig_mod.module." + name; }},
      {"module.", [&](const std::string& name) { return "module." + bare(name); }},
      {"_orig_mod.",
       [](const std::string& name) {
         return name.starts_with("bert.") ? "bert._orig_mod." + name.substr(5) : name;
       }},
  };
  for (const Renamed& renamed : cases) {
    Folder folder("bert");
    folder.rename(renamed.change);
    folder.write();
    const auto loaded = folder.load();
    ASSERT_TRUE(loaded) << loaded.error().to_string();
    expect_values(folder, *loaded);
    EXPECT_FALSE(loaded->plain);
    const std::string noted = fmt::format("{}", fmt::join(loaded->notes, "; "));
    EXPECT_THAT(noted, ::testing::StartsWith(renamed.noted));
    EXPECT_EQ(noted.empty(), std::string_view(renamed.noted).empty());
  }
}

TEST(Checkpoint, TensorsThatTheArchitectureDoesNotHaveAreNamed) {
  Folder folder("bert");
  const Tensor one = {"F32", {1}, std::string(4, '\0')};
  folder.tensors["bert.embeddings.position_ids"] = {"I64", {1, 5}, std::string(40, '\0')};
  folder.tensors["bert.embeddings.token_type_ids"] = {"I64", {1, 5}, std::string(40, '\0')};
  folder.write();
  EXPECT_TRUE(folder.load()->notes.empty()) << "buffers, which every old file has";
  folder.tensors["loss_fct.weight"] = one;
  folder.write();
  auto loaded = folder.load();
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  expect_values(folder, *loaded);
  ASSERT_EQ(loaded->notes.size(), 1U);
  EXPECT_THAT(loaded->notes[0], HasSubstr("loss_fct.weight is not used"));
  EXPECT_TRUE(loaded->plain);
  for (const char* name : {"class_weights", "cls.predictions.bias", "cls.seq_relationship.weight",
                           "bert.encoder.layer.2.output.dense.bias"}) {
    folder.tensors[name] = {"I8", {0}, ""};
  }
  folder.write();
  loaded = folder.load();
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_THAT(loaded->notes[0], HasSubstr("and 2 more are not used"));
}

TEST(Checkpoint, ABodyWithoutAHeadIsNoClassifier) {
  Folder folder("bert");
  folder.config["architectures"] = Json::array({"BertForTokenClassification"});
  folder.config["model_type"] = "bert";
  std::erase_if(folder.tensors,
                [](auto& each) { return each.first.find("pooler") != std::string::npos; });
  const Error error = folder.error();
  EXPECT_EQ(error.code, "weights/missing");
  EXPECT_THAT(error.hint, HasSubstr("without a trained classifier"));
}

TEST(Checkpoint, TheHashIsOfConfigAndWeights) {
  Folder folder;
  folder.write();
  const std::string first = folder.load()->content_hash();
  EXPECT_EQ(first, folder.load()->content_hash());
  // By definition: each part with its length before it.
  std::string all;
  for (const char* name : {"config.json", "model.safetensors"}) {
    const std::string part = *read_file((folder / name).string());
    const std::uint64_t size = part.size();
    all.append(reinterpret_cast<const char*>(&size), sizeof(size)).append(part);
  }
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(), digest);
  std::string hex;
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  EXPECT_EQ(first, hex);
  folder.tensors.begin()->second.data[0] ^= 1;
  folder.write();
  EXPECT_NE(folder.load()->content_hash(), first);
}

struct Wrong {
  const char* code;
  std::function<void(Folder&)> change;
  const char* told;
};

TEST(Checkpoint, WrongWeightsAreNamed) {
  const std::string word = "distilbert.embeddings.word_embeddings.weight";
  const auto set_value = [&](Folder& folder, std::size_t index, float value) {
    std::memcpy(folder.tensors[word].data.data() + index * sizeof(value), &value, sizeof(value));
  };
  const Wrong cases[] = {
      {"weights/missing", [&](Folder& f) { f.tensors.erase(word); }, "word_embeddings.weight"},
      {"weights/missing", [](Folder& f) { f.tensors.erase("classifier.bias"); },
       "without a trained classifier"},
      {"weights/missing",
       [](Folder& f) {
         std::erase_if(f.tensors,
                       [](auto& each) { return each.first.find(".1.") != std::string::npos; });
       },
       "15 more are missing"},
      {"weights/missing",
       [](Folder& f) {
         std::erase_if(f.tensors,
                       [](auto& each) { return !each.first.starts_with("distilbert."); });
       },
       "without a trained classifier"},
      {"weights/missing", [](Folder& f) { f.rename([](auto name) { return "model." + name; }); },
       "the weights have model.distilbert.embeddings.word_embeddings.weight"},
      {"weights/shape", [](Folder& f) { f.config["vocab_size"] = 8; }, "[7, 4]"},
      {"weights/shape", [](Folder& f) { f.config["num_labels"] = 3; }, "classifier.weight"},
      {"weights/shape",
       [&](Folder& f) {
         f.tensors[word].shape = {4, 7};
       },
       "[4, 7]"},
      {"weights/shape", [&](Folder& f) { f.tensors[word].shape = {28}; }, "[28]"},
      {"weights/not-finite",
       [&](Folder& f) {
         f.tensors[word] = {"F64", {7, 4}, std::string(28 * 8, '\x7F')};
       },
       "inf"},
      {"weights/dtype",
       [&](Folder& f) {
         f.tensors[word] = {"I8", {7, 4}, std::string(28, '\0')};
       },
       "I8"},
      {"weights/not-finite", [&](Folder& f) { set_value(f, 27, std::nanf("")); }, "value 27 of "},
      {"weights/not-finite",
       [&](Folder& f) { set_value(f, 5, -std::numeric_limits<float>::infinity()); }, "is -inf"},
      {"config/architecture", [](Folder& f) { f.config["model_type"] = "t5"; }, "\"t5\""},
      {"config/unsupported", [](Folder& f) { f.config["activation"] = "silu"; }, "silu"},
  };
  for (const Wrong& wrong : cases) {
    Folder folder;
    wrong.change(folder);
    const Error error = folder.error();
    EXPECT_EQ(error.code, wrong.code) << error.to_string();
    EXPECT_THAT(error.to_string(), HasSubstr(wrong.told));
    EXPECT_THAT(error.message, HasSubstr(folder.path()));
    EXPECT_FALSE(error.hint.empty());
  }
}

TEST(Checkpoint, ANotFiniteValueIsFoundBehindAWholeBlock) {
  Folder folder;
  folder.config["vocab_size"] = 3000;
  std::vector<float> words(3000 * 4, 0.5F);
  words[4096 + 17] = std::nanf("");
  const std::string word = "distilbert.embeddings.word_embeddings.weight";
  folder.tensors[word] = {"BF16", {3000, 4}, encode(words, "BF16")};
  const Error error = folder.error();
  EXPECT_EQ(error.code, "weights/not-finite");
  EXPECT_THAT(error.message, HasSubstr("value 4113 of"));
}

TEST(Checkpoint, WrongFoldersAreNamed) {
  const breakeven::testing::TempDir folder;
  const auto code = [&](const std::filesystem::path& path) {
    const auto loaded = load_checkpoint(path.string());
    EXPECT_THAT(loaded.error().to_string(), HasSubstr(folder.path().string()));
    return loaded.error().code;
  };
  EXPECT_EQ(code(folder / "none"), "model/missing");
  EXPECT_EQ(code(folder.path()), "model/no-config");
  write_file(folder / "adapter_config.json", "{}");
  EXPECT_EQ(code(folder.path()), "model/other-weights");
  std::filesystem::remove(folder / "adapter_config.json");
  write_file(folder / "config.json", "");
  EXPECT_EQ(code(folder / "config.json"), "model/not-a-folder");
  EXPECT_EQ(code(folder.path()), "config/json");
  write_file(folder / "config.json", "{\"architectures\": [");
  EXPECT_EQ(code(folder.path()), "config/json");
  write_file(folder / "config.json", tiny_config("bert").dump());
  EXPECT_EQ(code(folder.path()), "model/no-weights");
  write_file(folder / "pytorch_model.bin", "PK");
  EXPECT_EQ(code(folder.path()), "torch/not-torch");
  write_file(folder / "model.safetensors", "");
  EXPECT_EQ(code(folder.path()), "safetensors/too-short");
  std::filesystem::remove(folder / "model.safetensors");
  std::filesystem::create_directory(folder / "model.safetensors");
  EXPECT_EQ(code(folder.path()), "file/not-a-file");
}

// Really trained weights, when they are at hand.
TEST(Checkpoint, ReadsATrainedModel) {
  const auto folder = breakeven::testing::shared_file("models/imdb-minilm");
  if (!folder) GTEST_SKIP() << "SKIPPED: no models/imdb-minilm below $BREAKEVEN_SHARED";
  const auto loaded = load_checkpoint(folder->string());
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  EXPECT_EQ(loaded->plan.hidden, 384U);
  EXPECT_EQ(loaded->weights.table().size(), 104U);
  EXPECT_EQ(loaded->content_hash().size(), 64U);
}

}  // namespace
}  // namespace breakeven::model

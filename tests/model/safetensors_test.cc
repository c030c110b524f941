// Every way in which a safetensors file or its index can be broken has its own error; what is right
// is read exactly.
#include "model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "model/safetensors_builder.h"
#include "model/weight_files.h"
#include "testing/paths.h"

namespace breakeven::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::safetensors;
using testing::SafetensorsBuilder;
using testing::write_file;

Result<SafetensorsHeader> parse(std::string_view file) {
  return parse_safetensors(std::as_bytes(std::span(file.data(), file.size())), "x.safetensors");
}

struct Broken {
  const char* code;
  std::string file;
  const char* told;  // what the message has to name
};

// One F32 tensor `a` of one number, with whatever else a case puts into the header.
std::string one(std::string_view entry) {
  return fmt::format(R"({{"a":{}}})", entry);
}
constexpr std::string_view kGood = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";

std::vector<Broken> broken_files() {
  const std::string four(4, '\0');
  const std::string eight(8, '\0');
  const auto two = [](std::string_view first, std::string_view second) {
    return fmt::format(R"({{"a":{{"dtype":"F32","shape":[1],"data_offsets":{}}},)"
                       R"("b":{{"dtype":"F32","shape":[1],"data_offsets":{}}}}})",
                       first, second);
  };
  return {
      {"safetensors/too-short", "", "0 bytes"},
      {"safetensors/too-short", "1234567", "7 bytes"},
      {"safetensors/lfs-pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:12\n",
       "Git LFS"},
      {"safetensors/header-too-small", safetensors("", ""), "0 bytes"},
      {"safetensors/header-too-small", safetensors("{", ""), "1 bytes"},
      {"safetensors/header-too-large", safetensors("{}", "", 100'000'001), "100000001"},
      {"safetensors/header-too-large", safetensors("{}", "", UINT64_MAX - 1), "100000000"},
      {"safetensors/header-truncated", safetensors("{}", "", 3), "3 bytes"},
      {"safetensors/header-truncated", safetensors("{}", "", 100'000'000), "10 bytes"},
      {"safetensors/header-utf8", safetensors("{\"a\xff\":1}", ""), "UTF-8"},
      {"safetensors/header-json", safetensors("{\"a\":", ""), "JSON"},
      {"safetensors/header-json", safetensors("[]", ""), "JSON"},
      {"safetensors/header-json", safetensors(" {}", ""), "start with {"},
      {"safetensors/header-json", safetensors("{}{}", ""), "JSON"},
      {"safetensors/header-json", safetensors(std::string("{}\0", 3), ""), "JSON"},
      {"safetensors/header-json", safetensors(std::string(100'000, '['), ""), "JSON"},
      {"safetensors/metadata", safetensors(R"({"__metadata__":[]})", ""), "__metadata__"},
      {"safetensors/metadata", safetensors(R"({"__metadata__":{"n":1}})", ""), "n is not a text"},
      {"safetensors/duplicate-name",
       safetensors(fmt::format(R"({{"a":{},"a":{}}})", kGood, kGood), four), "a twice"},
      {"safetensors/duplicate-name", safetensors(R"({"__metadata__":{},"__metadata__":{}})", ""),
       "__metadata__ twice"},
      {"safetensors/field", safetensors(one("4"), four), "a is not an object"},
      {"safetensors/field", safetensors(one("{}"), four), "no dtype"},
      {"safetensors/field", safetensors(one(R"({"dtype":"F32","data_offsets":[0,4]})"), four),
       "no shape"},
      {"safetensors/field", safetensors(one(R"({"dtype":"F32","shape":[1]})"), four),
       "no data_offsets"},
      {"safetensors/field",
       safetensors(one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1})"), four),
       "unexpected field x"},
      {"safetensors/field",
       safetensors(one(R"({"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]})"), four),
       "unexpected field dtype"},
      {"safetensors/field",
       safetensors(one(R"({"dtype":32,"shape":[1],"data_offsets":[0,4]})"), four), "dtype"},
      {"safetensors/dtype",
       safetensors(one(R"({"dtype":"F33","shape":[1],"data_offsets":[0,4]})"), four), "F33"},
      {"safetensors/shape",
       safetensors(one(R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})"), four), "not a list"},
      {"safetensors/shape",
       safetensors(one(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"), four), "-1"},
      {"safetensors/shape",
       safetensors(one(R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,4]})"), four), "1.5"},
      {"safetensors/overflow",
       safetensors(one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]})"),
                   four),
       "[4294967296, 4294967296]"},
      {"safetensors/overflow",
       safetensors(one(R"({"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]})"),
                   four),
       "18446744073709551615"},
      {"safetensors/offsets",
       safetensors(one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})"), four), "[4,0]"},
      {"safetensors/offsets",
       safetensors(one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4,8]})"), four), "[0,4,8]"},
      {"safetensors/offsets",
       safetensors(one(R"({"dtype":"F32","shape":[1],"data_offsets":[-4,0]})"), four), "[-4,0]"},
      {"safetensors/offsets",
       safetensors(one(R"({"dtype":"F32","shape":[1],"data_offsets":"0"})"), four), "data_offsets"},
      {"safetensors/size",
       safetensors(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"), four), "64 bits"},
      {"safetensors/size",
       safetensors(one(R"({"dtype":"F16","shape":[1],"data_offsets":[0,4]})"), four), "16 bits"},
      {"safetensors/size",
       safetensors(one(R"({"dtype":"F4","shape":[1],"data_offsets":[0,1]})"), "\1"), "4 bits"},
      {"safetensors/overlap", safetensors(two("[0,4]", "[0,4]"), eight), "b starts at byte 0"},
      {"safetensors/overlap", safetensors(two("[0,4]", "[2,6]"), eight), "b starts at byte 2"},
      {"safetensors/gap", safetensors(two("[0,4]", "[8,12]"), std::string(12, '\0')),
       "bytes 4 to 8"},
      {"safetensors/gap", safetensors(two("[4,8]", "[8,12]"), std::string(12, '\0')),
       "bytes 0 to 4"},
      {"safetensors/truncated", safetensors(two("[0,4]", "[4,8]"), "1234567"), "8 bytes"},
      {"safetensors/truncated", safetensors(one(kGood), ""), "the file has 0"},
      {"safetensors/trailing-bytes", safetensors(one(kGood), four + "1"), "1 bytes follow"},
      {"safetensors/trailing-bytes", safetensors("{}", "1"), "1 bytes follow"},
  };
}

TEST(Safetensors, EveryBrokenFileHasItsOwnError) {
  for (const Broken& broken : broken_files()) {
    const auto parsed = parse(broken.file);
    ASSERT_FALSE(parsed.has_value()) << broken.code << " " << broken.told;
    EXPECT_EQ(parsed.error().code, broken.code) << parsed.error().message;
    EXPECT_THAT(parsed.error().message, HasSubstr(broken.told));
    EXPECT_THAT(parsed.error().message, HasSubstr("x.safetensors"));
    EXPECT_FALSE(parsed.error().hint.empty());
  }
}

TEST(Safetensors, EveryCutOfAFileIsRefused) {
  const std::vector<float> values(6, 1.5F);
  const std::string file = SafetensorsBuilder()
                               .add_f32("a", {2, 3}, values)
                               .add("n", "I64", {}, std::string(8, '\1'))
                               .build();
  ASSERT_TRUE(parse(file));
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(parse(file.substr(0, size))) << size;
  }
}

TEST(Safetensors, ReadsWhatTheFormatAllows) {
  // Entries in another order than their data, a scalar, an empty tensor, spaces behind the header.
  const auto parsed =
      parse(safetensors(R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
                        R"("__metadata__":{"format":"pt"},)"
                        R"("a":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
                        R"("none":{"dtype":"F32","shape":[0,7],"data_offsets":[8,8]}}   )",
                        std::string(12, '\0')));
  ASSERT_TRUE(parsed) << parsed.error().message;
  std::vector<std::string> names;
  for (const TensorEntry& entry : parsed->tensors) names.push_back(entry.name);
  EXPECT_THAT(names, ElementsAre("a", "none", "b"));
  EXPECT_THAT(parsed->tensors[1].shape, ElementsAre(0, 7));
  EXPECT_TRUE(parse(safetensors("{}", "")));
}

TEST(Safetensors, DataComesFromTheMapping) {
  const breakeven::testing::TempDir folder;
  const std::vector<float> values = {1, -2, 3.5F};
  write_file(folder / "m.safetensors",
             SafetensorsBuilder().add("pad", "U8", {1}, "x").add_f32("w", {3}, values).build());
  const auto file = SafetensorsFile::open((folder / "m.safetensors").string());
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->tensors().size(), 2U);
  const auto data = file->data(file->tensors()[1]);
  ASSERT_EQ(data.size(), 12U);
  std::vector<float> read(3);
  std::memcpy(read.data(), data.data(), data.size());
  EXPECT_EQ(read, values);
  EXPECT_EQ(SafetensorsFile::open((folder / "none").string()).error().code, "file/missing");
  EXPECT_EQ(SafetensorsFile::open(folder.path().string()).error().code, "file/not-a-file");
}

// Another way to the same number, from the definition of the format.
float half_by_definition(std::uint16_t half) {
  const int exponent = (half >> 10) & 0x1F;
  const int fraction = half & 0x3FF;
  const double sign = (half & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) {
    return fraction != 0 ? std::numeric_limits<float>::quiet_NaN()
                         : static_cast<float>(sign * std::numeric_limits<double>::infinity());
  }
  return static_cast<float>(sign * (exponent == 0 ? std::ldexp(fraction, -24)
                                                  : std::ldexp(1024 + fraction, exponent - 25)));
}

TEST(Convert, AllHalvesAndAllBfloatsAreExact) {
  std::vector<std::uint16_t> all(65536);
  std::iota(all.begin(), all.end(), std::uint16_t{0});
  std::vector<float> halves(all.size());
  std::vector<float> bfloats(all.size());
  convert_f16(std::as_bytes(std::span(all)), halves);
  convert_bf16(std::as_bytes(std::span(all)), bfloats);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const float expected = half_by_definition(all[i]);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(halves[i])) << i;
    } else {
      EXPECT_EQ(std::bit_cast<std::uint32_t>(halves[i]), std::bit_cast<std::uint32_t>(expected))
          << i;
    }
    EXPECT_EQ(std::bit_cast<std::uint32_t>(bfloats[i]), std::uint32_t{all[i]} << 16) << i;
  }
}

// A folder with two shards, a in the first and b in the second.
class Shards : public ::testing::Test {
 protected:
  Shards() {
    const float value = 1;
    write_file(folder_ / "model-1.safetensors",
               SafetensorsBuilder().add_f32("a", {1}, std::span(&value, 1)).build());
    write_file(folder_ / "model-2.safetensors",
               SafetensorsBuilder().add_f32("b", {1}, std::span(&value, 1)).build());
    index(R"({"metadata":{},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})");
  }
  void index(const std::string& text) {
    write_file(folder_ / "model.safetensors.index.json", text);
  }
  std::string code() const {
    const auto opened = open_weights(folder_.path().string());
    return opened ? "" : opened.error().code;
  }
  breakeven::testing::TempDir folder_;
};

TEST_F(Shards, AreReadInOrder) {
  const auto files = open_weights(folder_.path().string());
  ASSERT_TRUE(files) << files.error().message;
  ASSERT_EQ(files->size(), 2U);
  EXPECT_EQ((*files)[0].tensors[0].name, "a");
  EXPECT_EQ((*files)[1].tensors[0].name, "b");
}

TEST_F(Shards, OneFileGoesBeforeAnIndex) {
  write_file(folder_ / "model.safetensors", SafetensorsBuilder().build());
  const auto files = open_weights(folder_.path().string());
  ASSERT_TRUE(files);
  ASSERT_EQ(files->size(), 1U);
  EXPECT_TRUE(files->front().tensors.empty());
}

TEST_F(Shards, EveryBrokenIndexHasItsOwnError) {
  const std::pair<const char*, const char*> cases[] = {
      {"index/json", "{"},
      {"index/json", ""},
      {"index/json", "[]"},
      {"index/field", "{}"},
      {"index/field", R"({"weight_map":{}})"},
      {"index/field", R"({"weight_map":["a"]})"},
      {"index/field", R"({"weight_map":{"a":1}})"},
      {"index/field", R"({"weight_map":{"a":""}})"},
      {"index/path", R"({"weight_map":{"a":"../model-1.safetensors"}})"},
      {"index/path", R"({"weight_map":{"a":"/etc/passwd"}})"},
      {"index/path", R"({"weight_map":{"a":".."}})"},
      {"index/path", "{\"weight_map\":{\"a\":\"x\\u0000y\"}}"},
      {"index/shard-missing", R"({"weight_map":{"a":"model-3.safetensors"}})"},
      {"index/duplicate",
       R"({"weight_map":{"a":"model-1.safetensors","a":"model-2.safetensors"}})"},
      // b is said to stand in the first shard; c in none; the second shard's b is not named.
      {"index/disagrees",
       R"({"weight_map":{"a":"model-2.safetensors","b":"model-1.safetensors"}})"},
      {"index/disagrees",
       R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-2.safetensors"}})"},
      {"index/disagrees",
       R"({"weight_map":{"a":"model-1.safetensors","c":"model-2.safetensors"}})"},
  };
  for (const auto& [code_wanted, text] : cases) {
    index(text);
    EXPECT_EQ(code(), code_wanted) << text;
  }
}

TEST_F(Shards, ATensorThatNoIndexNamesIsADisagreement) {
  const std::vector<float> value = {1};
  write_file(folder_ / "model-2.safetensors",
             SafetensorsBuilder().add_f32("b", {1}, value).add_f32("c", {1}, value).build());
  EXPECT_EQ(code(), "index/disagrees");
}

TEST_F(Shards, ATensorInTwoShardsIsRefused) {
  const std::vector<float> value = {1};
  write_file(folder_ / "model-2.safetensors",
             SafetensorsBuilder().add_f32("a", {1}, value).add_f32("b", {1}, value).build());
  EXPECT_EQ(code(), "index/duplicate");
}

TEST_F(Shards, ABrokenShardIsNamed) {
  write_file(folder_ / "model-2.safetensors", "");
  const auto opened = open_weights(folder_.path().string());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "safetensors/too-short");
  EXPECT_THAT(opened.error().message, HasSubstr("model-2.safetensors"));
}

TEST(Weights, AFolderWithoutWeightsSaysWhatIsThere) {
  const breakeven::testing::TempDir folder;
  EXPECT_EQ(open_weights(folder.path().string()).error().code, "model/no-weights");
  write_file(folder / "tf_model.h5", "");
  const auto opened = open_weights(folder.path().string());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "model/other-weights");
  EXPECT_THAT(opened.error().message, HasSubstr("tf_model.h5"));
  EXPECT_THAT(opened.error().hint, HasSubstr("from_tf=True"));
}

TEST(Weights, VariantsAdaptersAndOtherFormatsAreNamed) {
  for (const auto& [file, message, hint] : std::initializer_list<std::array<const char*, 3>>{
           {"model.fp16.safetensors", "model.fp16.safetensors, a variant", "between the dots"},
           {"pytorch_model.fp16.bin", "pytorch_model.fp16.bin, a variant", "between the dots"},
           {"adapter_config.json", "an adapter", "merge_and_unload"},
           {"model-q8.gguf", "model-q8.gguf", "Hugging Face Transformers"}}) {
    const breakeven::testing::TempDir folder;
    write_file(folder / file, "");
    const auto opened = open_weights(folder.path().string());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, "model/other-weights");
    EXPECT_THAT(opened.error().message, HasSubstr(message));
    EXPECT_THAT(opened.error().hint, HasSubstr(hint));
  }
}

}  // namespace
}  // namespace breakeven::model

// pytorch_model.bin: every number format and every view of a storage is read, and what is no plain
// state dict is refused by its name, without being run.
#include "model/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <numeric>

#include "model/safetensors_builder.h"
#include "model/torch_builder.h"
#include "testing/paths.h"

namespace breakeven::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::raw_bytes;
using testing::TorchBuilder;
using testing::write_file;
using testing::ZipBuilder;
namespace pickle = testing::pickle;
using Form = ZipBuilder::Form;

std::string floats(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0F);
  return raw_bytes(std::span<const float>(values));
}

class Torch : public ::testing::Test {
 protected:
  Result<TorchFile> open(const std::string& content) const {
    write_file(folder_ / "pytorch_model.bin", content);
    return TorchFile::open((folder_ / "pytorch_model.bin").string());
  }
  // The first tensor's values, which have to be F32.
  std::vector<float> values(const std::string& content) const {
    auto file = open(content);
    EXPECT_TRUE(file) << file.error().to_string();
    if (!file) return {};
    EXPECT_EQ(file->tensors().front().dtype, "F32");
    const auto data = file->data(file->tensors().front());
    EXPECT_TRUE(data) << data.error().to_string();
    if (!data) return {};
    std::vector<float> values(data->size() / sizeof(float));
    if (!values.empty()) std::memcpy(values.data(), data->data(), data->size());
    return values;
  }
  // A file of one value (and the storage "0" of six floats) is refused.
  Error refused_value(const std::string& value) const {
    return refused(TorchBuilder()
                       .add("kept", "FloatStorage", 4, {6}, floats(6))
                       .add_pickled("odd", value)
                       .build());
  }
  Error refused(const std::string& content) const {
    const auto file = open(content);
    EXPECT_FALSE(file);
    if (file) return {};
    EXPECT_THAT(file.error().message, HasSubstr("pytorch_model.bin"));
    EXPECT_FALSE(file.error().hint.empty());
    return file.error();
  }
  breakeven::testing::TempDir folder_;
};

TEST_F(Torch, StoredDeflatedAndZip64AreTheSame) {
  for (const Form form : {Form::plain, Form::deflated, Form::wide}) {
    const auto builder = TorchBuilder().add("a", "FloatStorage", 4, {30000}, floats(30000));
    const std::vector<float> read = values(builder.build(form));
    ASSERT_EQ(read.size(), 30000U);
    EXPECT_EQ(read.back(), 29999.0F);
  }
}

TEST_F(Torch, EveryNumberFormatHasItsName) {
  const std::tuple<const char*, std::size_t, const char*> formats[] = {
      {"DoubleStorage", 8, "F64"},    {"FloatStorage", 4, "F32"},       {"HalfStorage", 2, "F16"},
      {"BFloat16Storage", 2, "BF16"}, {"LongStorage", 8, "I64"},        {"IntStorage", 4, "I32"},
      {"ShortStorage", 2, "I16"},     {"CharStorage", 1, "I8"},         {"ByteStorage", 1, "U8"},
      {"BoolStorage", 1, "BOOL"},     {"ComplexFloatStorage", 8, "C64"}};
  TorchBuilder builder;
  for (const auto& [kind, bytes, dtype] : formats) {
    builder.add(dtype, kind, bytes, {2, 1}, std::string(2 * bytes, '\1'));
  }
  const auto file = open(builder.build());
  ASSERT_TRUE(file) << file.error().to_string();
  ASSERT_EQ(file->tensors().size(), std::size(formats));
  for (const PickledTensor& tensor : file->tensors()) {
    EXPECT_EQ(tensor.name, tensor.dtype);
    EXPECT_THAT(tensor.shape, ElementsAre(2, 1));
  }
}

TEST_F(Torch, ViewsAreReadInTheirOrder) {
  const auto of = [&](std::size_t offset, const std::vector<std::size_t>& shape,
                      const std::vector<std::size_t>& strides) {
    return values(TorchBuilder()
                      .add_pickled("view", pickle::tensor(pickle::storage("FloatStorage", "0", 6),
                                                          offset, shape, strides))
                      .add("whole", "FloatStorage", 4, {6}, floats(6))
                      .build());
  };
  EXPECT_THAT(of(0, {2, 3}, {3, 1}), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(of(0, {3, 2}, {1, 3}), ElementsAre(0, 3, 1, 4, 2, 5)) << "transposed";
  EXPECT_THAT(of(2, {2, 2}, {2, 1}), ElementsAre(2, 3, 4, 5)) << "a slice";
  EXPECT_THAT(of(1, {3}, {2}), ElementsAre(1, 3, 5)) << "every second";
  EXPECT_THAT(of(4, {2, 2}, {0, 1}), ElementsAre(4, 5, 4, 5)) << "expanded";
  EXPECT_THAT(of(5, {}, {}), ElementsAre(5)) << "a scalar";
  EXPECT_THAT(of(2, {1, 2, 1}, {99, 1, 99}), ElementsAre(2, 3)) << "strides of 1 do not matter";
  EXPECT_THAT(of(9, {0, 3}, {3, 1}), ElementsAre()) << "nothing";
}

TEST_F(Torch, ParametersAndOtherValuesOfStateDictsAreRead) {
  const std::string tensor = pickle::tensor(pickle::storage("FloatStorage", "0", 2), {2});
  const auto file = open(
      TorchBuilder()
          .add("plain", "FloatStorage", 4, {2}, floats(2))
          .add_pickled("parameter", pickle::call(pickle::name("torch._utils", "_rebuild_parameter"),
                                                 {tensor, "\x88", pickle::ordered_dict()}))
          .add_pickled("steps", pickle::integer(-7))
          .add_pickled("note", pickle::text("made by hand"))
          .add_pickled("nothing", "N")
          .add_pickled("empty", "}")
          .add_pickled("rate", "G" + std::string(8, '\0'))
          .add_pickled("plain", tensor)
          .build());
  ASSERT_TRUE(file) << file.error().to_string();
  ASSERT_EQ(file->tensors().size(), 2U) << "of two under one name the last";
  EXPECT_EQ(file->tensors()[1].name, "parameter");
}

TEST_F(Torch, LaterProtocolsAreRead) {
  // Protocol 4: a frame, short texts, names from the stack, a memo without numbers.
  const auto text = [](std::string_view value) {
    return "\x8C" + std::string(1, static_cast<char>(value.size())) + std::string(value) + "\x94";
  };
  const auto name = [&](std::string_view module, std::string_view attribute) {
    return text(module) + text(attribute) + "\x93\x94";
  };
  const std::string storage =
      "(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu") + "K\x03tQ";
  const std::string whole = "\x80\x04\x95" + std::string(8, '\1') + "}\x94(" + text("a") +
                            name("torch._utils", "_rebuild_tensor_v2") + "(" + storage +
                            std::string("K\0", 2) + "K\x03\x85\x94K\x01\x85\x94\x89" +
                            name("collections", "OrderedDict") + ")R\x94tR\x94u.";
  const auto base = TorchBuilder().add("", "FloatStorage", 4, {3}, floats(3));
  EXPECT_THAT(values(base.build_with(whole)), ElementsAre(0, 1, 2));
}

TEST_F(Torch, NothingButTensorsIsMade) {
  const Error system = refused_value(
      pickle::call(pickle::name("posix", "system"), {pickle::text("touch /tmp/never")}));
  EXPECT_EQ(system.code, "pickle/name");
  EXPECT_THAT(system.message, HasSubstr("posix.system"));
  for (const char* maker :
       {"_rebuild_qtensor", "_rebuild_sparse_tensor", "_rebuild_device_tensor_from_numpy"}) {
    const Error error = refused_value(pickle::name("torch._utils", maker));
    EXPECT_EQ(error.code, "pickle/name");
    EXPECT_THAT(error.message, HasSubstr(maker));
  }
  EXPECT_EQ(refused_value(pickle::name("builtins", "eval")).code, "pickle/name");
  EXPECT_EQ(refused_value(pickle::name("torch", "Tensor")).code, "pickle/name");
  EXPECT_EQ(refused_value("i__main__\nNet\n").code, "pickle/instruction");  // INST
  EXPECT_EQ(refused_value(pickle::name("torch", "FloatStorage") + ")\x81").code,
            "pickle/instruction");  // NEWOBJ
  EXPECT_EQ(refused_value(pickle::name("torch", "FloatStorage") + ")R").code, "pickle/instruction");
}

TEST_F(Torch, TensorsBeyondTheirStorageAreRefused) {
  const auto code = [&](std::size_t elements, std::size_t offset,
                        const std::vector<std::size_t>& shape,
                        const std::vector<std::size_t>& strides) {
    return refused_value(pickle::tensor(pickle::storage("FloatStorage", "0", elements), offset,
                                        shape, strides))
        .code;
  };
  constexpr std::size_t kHuge = SIZE_MAX / 2;
  EXPECT_EQ(code(6, 0, {7}, {1}), "pickle/tensor");
  EXPECT_EQ(code(6, 1, {6}, {1}), "pickle/tensor");
  EXPECT_EQ(code(6, 0, {2, 3}, {4, 1}), "pickle/tensor");
  EXPECT_EQ(code(6, 0, {kHuge, kHuge}, {1, 1}), "pickle/tensor");
  EXPECT_EQ(code(6, 0, {kHuge, 4}, {0, 0}), "pickle/tensor") << "more values than memory";
  EXPECT_EQ(code(6, kHuge, {1}, {1}), "pickle/tensor");
  EXPECT_EQ(code(6, 0, {2}, {1, 1}), "pickle/tensor");
  EXPECT_EQ(code(6, 0, {SIZE_MAX}, {1}), "pickle/tensor") << "a size of -1";
  EXPECT_EQ(code(7, 0, {7}, {1}), "torch/storage");
  EXPECT_EQ(code(kHuge, 0, {1}, {1}), "pickle/instruction");
  EXPECT_EQ(refused_value(pickle::tensor(pickle::storage("FloatStorage", "9", 6), {6})).code,
            "torch/storage");
}

TEST_F(Torch, WhatIsNoStateDictIsNamed) {
  const auto base = TorchBuilder().add("", "FloatStorage", 4, {3}, floats(3));
  const std::string tensor = pickle::tensor(pickle::storage("FloatStorage", "0", 3), {3});
  const auto error = [&](const std::string& content) { return refused(base.build_with(content)); };
  EXPECT_EQ(error(pickle::dict({})).code, "pickle/not-a-state-dict");
  EXPECT_EQ(error("\x80\x02" + tensor + ".").code, "pickle/not-a-state-dict");
  const Error nested =
      error("\x80\x02}" + pickle::text("state_dict") + "}" + pickle::text("a") + tensor + "ss.");
  EXPECT_EQ(nested.code, "pickle/not-a-state-dict");
  EXPECT_THAT(nested.message, HasSubstr("\"state_dict\""));
  EXPECT_EQ(error("").code, "pickle/truncated");
  EXPECT_EQ(error("\x80\x02}").code, "pickle/truncated");
  EXPECT_EQ(error("\x80\x02X" + std::string(4, '\xFF')).code, "pickle/truncated");
  EXPECT_EQ(error("\x80\x06}.").code, "pickle/instruction") << "a protocol to come";
  for (const char* broken :
       {".", "s", "u", "t", "\x85", "R", "b", "Q", "h\1", "a", "\x93", "}N\x85R", "(("}) {
    const std::string code = error(broken + std::string(".")).code;
    EXPECT_TRUE(code == "pickle/instruction" || code == "pickle/truncated") << broken << code;
  }
  // A list that holds itself is no trouble.
  EXPECT_EQ(error("\x80\x02]q\1h\1a.").code, "pickle/not-a-state-dict");
  EXPECT_EQ(error(std::string(std::size_t{5} << 20, 'N')).code, "pickle/too-large");
}

TEST_F(Torch, OtherFilesAreNamed) {
  EXPECT_EQ(refused("").code, "torch/not-torch");
  EXPECT_EQ(refused("PK").code, "torch/not-torch");
  EXPECT_EQ(refused("\x80").code, "torch/not-torch");
  EXPECT_EQ(refused("version https://git-lfs.github.com/spec/v1\n").code, "torch/lfs-pointer");
  const Error old = refused("\x80\x02\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19.");
  EXPECT_EQ(old.code, "torch/old-format");
  EXPECT_THAT(old.hint, HasSubstr("torch.save(torch.load("));
  EXPECT_EQ(refused(std::string(257, 'x') + "ustar" + std::string(200, '\0')).code,
            "torch/old-format");
  const std::string model = pickle::dict({});
  EXPECT_EQ(refused(ZipBuilder().add("a/data.pkl", model).add("a/constants.pkl", "").build()).code,
            "torch/script");
  EXPECT_EQ(refused(ZipBuilder().add("a/data.pkl", model).add("a/byteorder", "big").build()).code,
            "torch/big-endian");
  EXPECT_EQ(refused(ZipBuilder().add("word/document.xml", "").build()).code, "torch/not-torch");
}

TEST_F(Torch, BrokenZipFilesAreNamed) {
  const std::string good = TorchBuilder().add("a", "FloatStorage", 4, {3}, floats(3)).build();
  for (const std::size_t size : {good.size() - 1, good.size() / 2, std::size_t{30}}) {
    EXPECT_EQ(refused(good.substr(0, size)).code, "zip/not-a-zip");
  }
  const auto changed = [&](std::size_t at, char to) {
    std::string bad = good;
    bad[at] = to;
    return refused(bad).code;
  };
  const std::size_t directory = good.find("PK\1\2");
  EXPECT_EQ(changed(directory + 8, 1), "zip/encrypted");
  EXPECT_EQ(changed(directory + 10, 12), "zip/method");
  EXPECT_EQ(changed(directory + 24, 1), "zip/size");
  EXPECT_EQ(changed(directory + 45, 1), "zip/directory");
  EXPECT_EQ(changed(directory, 'X'), "zip/directory");
  EXPECT_EQ(changed(good.size() - 22 + 10, 99), "zip/directory");
  EXPECT_EQ(changed(good.size() - 22 + 19, 1), "zip/directory");
  EXPECT_EQ(refused(ZipBuilder().add("a/data.pkl", "").add("a/data.pkl", "").build()).code,
            "zip/duplicate-name");
  // A deflated member that claims more than it has, and one that claims the impossible.
  const auto deflated =
      TorchBuilder().add("a", "FloatStorage", 4, {3}, floats(3)).build(Form::deflated);
  std::string lie = deflated;
  lie[lie.find("PK\1\2") + 24] = 100;
  EXPECT_EQ(refused(lie).code, "zip/size");
  lie[lie.find("PK\1\2") + 27] = 100;
  EXPECT_EQ(refused(lie).code, "zip/size");
}

}  // namespace
}  // namespace breakeven::model

#include "ops/cuda/device_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace breakeven::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Configures the fake driver; nullptr leaves CUDA_VISIBLE_DEVICES unset.
GpuList fake_list(int gpus, const char* visible_devices) {
  ::setenv("FAKE_CUDA_GPUS", std::to_string(gpus).c_str(), 1);
  if (visible_devices != nullptr) {
    ::setenv("CUDA_VISIBLE_DEVICES", visible_devices, 1);
  } else {
    ::unsetenv("CUDA_VISIBLE_DEVICES");
  }
  GpuList list = list_gpus(FAKE_LIBCUDA);
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  return list;
}

std::vector<std::string> names(const GpuList& list) {
  std::vector<std::string> result;
  for (const Gpu& gpu : list.gpus) result.push_back(gpu.name);
  return result;
}

TEST(ListGpus, TellsWhatTheDriverKnows) {
  const GpuList list = fake_list(2, nullptr);
  ASSERT_THAT(names(list), ElementsAre("Fake GPU 0", "Fake GPU 1"));
  const Gpu& second = list.gpus[1];
  EXPECT_EQ(second.index, 1);
  EXPECT_EQ(second.uuid, "GPU-10111213-1415-1617-1819-1a1b1c1d1e1f");
  EXPECT_EQ(second.memory_bytes, std::size_t{2} << 33);
  EXPECT_EQ(second.major, 9);
  EXPECT_EQ(second.minor, 1);
  EXPECT_EQ(list.driver_version, 12040);
  EXPECT_EQ(list.note, "");
}

TEST(ListGpus, WithoutADriverSaysSo) {
  const GpuList list = list_gpus("libcuda-that-is-nowhere.so.1");
  EXPECT_THAT(list.gpus, IsEmpty());
  EXPECT_EQ(list.driver_version, 0);
  EXPECT_THAT(list.note, HasSubstr("no NVIDIA driver here"));
}

TEST(ListGpus, ADriverThatLacksFunctionsIsTooOld) {
  const GpuList list = list_gpus(STUB_LIBCUDA);
  EXPECT_THAT(list.gpus, IsEmpty());
  EXPECT_THAT(list.note, HasSubstr("too old"));
}

TEST(ListGpus, EmptyVisibleDevicesHidesAll) {
  const GpuList list = fake_list(2, "");
  EXPECT_THAT(list.gpus, IsEmpty());
  EXPECT_EQ(list.note, "CUDA_VISIBLE_DEVICES is empty: every GPU is hidden");
}

TEST(ListGpus, VisibleDevicesChooseOrderAndCount) {
  EXPECT_THAT(names(fake_list(3, "2,0")), ElementsAre("Fake GPU 2", "Fake GPU 0"));
  EXPECT_THAT(names(fake_list(3, "GPU-2021")), ElementsAre("Fake GPU 2"));
  const GpuList reordered = fake_list(3, "2");
  ASSERT_EQ(reordered.gpus.size(), 1U);
  EXPECT_EQ(reordered.gpus[0].index, 0) << "indices count what is visible";
}

TEST(ListGpus, AnInvalidEntryEndsTheList) {
  EXPECT_THAT(names(fake_list(3, "0,7,1")), ElementsAre("Fake GPU 0"));
  EXPECT_THAT(names(fake_list(3, "1,-1,0")), ElementsAre("Fake GPU 1"));
  const GpuList none = fake_list(3, "-1");
  EXPECT_THAT(none.gpus, IsEmpty());
  EXPECT_EQ(none.note, "CUDA_VISIBLE_DEVICES=-1 leaves no GPU visible");
}

TEST(ListGpus, ADriverWithoutAGpuSaysSo) {
  EXPECT_EQ(fake_list(0, nullptr).note, "the NVIDIA driver is here but sees no GPU");
}

TEST(ListGpus, NamesTheErrorOfADriverThatDoesNotStart) {
  ::setenv("FAKE_CUDA_INIT_ERROR", "803", 1);
  EXPECT_THAT(fake_list(1, nullptr).note, HasSubstr("error 803: system has unsupported"));
  ::setenv("FAKE_CUDA_INIT_ERROR", "34", 1);
  EXPECT_THAT(fake_list(1, nullptr).note, HasSubstr("stub"));
  ::unsetenv("FAKE_CUDA_INIT_ERROR");
}

TEST(ListGpus, AGpuThatDoesNotAnswerIsNamed) {
  ::setenv("FAKE_CUDA_BROKEN_GPU", "2", 1);
  const GpuList list = fake_list(2, nullptr);
  ::unsetenv("FAKE_CUDA_BROKEN_GPU");
  EXPECT_THAT(list.gpus, IsEmpty());
  EXPECT_THAT(list.note, HasSubstr("GPU 1 does not answer (error 999"));
}

TEST(ListGpus, TheRealDriverIsNoErrorWhateverIsHere) {
  const GpuList list = list_gpus();
  EXPECT_EQ(list.gpus.empty(), !list.note.empty());
}

GpuList some_gpus(int count) {
  GpuList list;
  for (int i = 0; i < count; ++i) {
    Gpu gpu;
    gpu.index = i;
    gpu.name = "GPU " + std::to_string(i);
    list.gpus.push_back(gpu);
  }
  if (count == 0) list.note = "no NVIDIA driver here";
  return list;
}

std::optional<Error> built() {
  return std::nullopt;
}
std::optional<Error> absent() {
  return Error{"device/no-engine", "this build has no CUDA engine", "use --device cpu"};
}

std::vector<std::string> chosen(std::string_view spec, const GpuList& list) {
  const auto selection = select_devices(spec, list, built);
  if (!selection) return {"error", selection.error().to_string()};
  std::vector<std::string> names;
  for (const Device& device : selection->devices) names.push_back(to_string(device));
  return names;
}

Error refused(std::string_view spec, const GpuList& list, bool engine) {
  const auto selection = select_devices(spec, list, engine ? built : absent);
  return selection ? Error{"accepted", "", ""} : selection.error();
}

TEST(SelectDevices, WithGpus) {
  const GpuList two = some_gpus(2);
  EXPECT_THAT(chosen("auto", two), ElementsAre("cuda:0"));
  EXPECT_THAT(chosen("all", two), ElementsAre("cpu", "cuda:0", "cuda:1"));
  EXPECT_THAT(chosen("cpu", two), ElementsAre("cpu"));
  EXPECT_THAT(chosen("cuda", two), ElementsAre("cuda:0"));
  EXPECT_THAT(chosen("cuda:1,cpu", two), ElementsAre("cuda:1", "cpu"));
  EXPECT_EQ(select_devices("all", two, built)->note, "");
}

TEST(SelectDevices, GpusJoinedByAPlusAreOneDevice) {
  const GpuList three = some_gpus(3);
  EXPECT_THAT(chosen("cuda:0+cuda:2", three), ElementsAre("cuda:0+cuda:2"));
  EXPECT_THAT(chosen("cuda+cuda:1", three), ElementsAre("cuda:0+cuda:1"));
  EXPECT_THAT(chosen("cuda:all", three), ElementsAre("cuda:0+cuda:1+cuda:2"));
  EXPECT_THAT(chosen("cuda:all", some_gpus(1)), ElementsAre("cuda:0"));
  EXPECT_THAT(chosen("cpu,cuda:1,cuda:all", some_gpus(2)),
              ElementsAre("cpu", "cuda:1", "cuda:0+cuda:1"));
  EXPECT_EQ(refused("cuda:0+cuda:0", three, true).code, "device/twice");
  EXPECT_EQ(refused("cuda:all,cuda:0+cuda:1+cuda:2", three, true).code, "device/twice");
  EXPECT_EQ(refused("cuda:0+cuda:3", three, true).code, "device/no-such-gpu");
  EXPECT_THAT(refused("cuda:0+cpu", three, true).message, HasSubstr("only GPUs can be joined"));
  EXPECT_THAT(refused("cpu+cuda:0", three, true).message, HasSubstr("only GPUs can be joined"));
  for (const char* spec : {"cuda:0+", "+cuda:0", "cuda:all+cuda:0", "cuda:0++cuda:1"}) {
    EXPECT_EQ(refused(spec, three, true).code, "device/unknown") << spec;
  }
  EXPECT_EQ(refused("cuda:all", some_gpus(0), true).code, "device/no-gpu");
  EXPECT_EQ(refused("cuda:all", three, false).code, "device/no-engine");
}

TEST(SelectDevices, WithoutAGpuAutoAndAllUseTheCpuAndSayWhy) {
  for (const char* spec : {"auto", "all"}) {
    const auto selection = select_devices(spec, some_gpus(0), built);
    ASSERT_TRUE(selection) << spec;
    EXPECT_THAT(selection->devices, ElementsAre(Device{}));
    EXPECT_EQ(selection->note, "no GPU was seen: no NVIDIA driver here; the CPU alone is used");
  }
  EXPECT_EQ(select_devices("cpu", some_gpus(0), built)->note, "") << "nothing was left out";
}

TEST(SelectDevices, WithoutAnEngineTheGpuIsNamedAndLeftOut) {
  const auto selection = select_devices("all", some_gpus(1), absent);
  ASSERT_TRUE(selection);
  EXPECT_THAT(selection->devices, ElementsAre(Device{}));
  EXPECT_EQ(selection->note,
            "a GPU was seen (GPU 0), but this build has no CUDA engine; the CPU alone is used");
}

TEST(SelectDevices, RefusesEachWrongValueWithItsReason) {
  const GpuList two = some_gpus(2);
  for (const char* spec : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda1", "CPU",
                           "cpu,", "cuda:99999999999999999999"}) {
    EXPECT_EQ(refused(spec, two, true).code, "device/unknown") << spec;
  }
  EXPECT_THAT(refused("gpu", two, true).message, HasSubstr("'gpu'"));
  EXPECT_EQ(refused("all,cpu", two, true).code, "device/unknown");
  EXPECT_EQ(refused("cuda,cuda:0", two, true).code, "device/twice");
  EXPECT_EQ(refused("cuda:2", two, true).code, "device/no-such-gpu");
  EXPECT_THAT(refused("cuda:2", two, true).message, HasSubstr("only 2 visible GPUs"));

  const Error no_gpu = refused("cpu,cuda:1", some_gpus(0), true);
  EXPECT_EQ(no_gpu.code, "device/no-gpu");
  EXPECT_EQ(no_gpu.message, "--device cuda:1: no GPU was seen: no NVIDIA driver here");
  EXPECT_EQ(refused("cuda", two, false).code, "device/no-engine");
}

}  // namespace
}  // namespace breakeven::ops

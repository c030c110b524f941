// A GPU's clocks, heat, power and memory, on a library that stands in for NVML.
#include "measure/gpu_watch.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>

#include "fake_nvml.h"
#include "measure/sampler.h"
#include "measure/summary.h"
#include "measure/thresholds.h"

namespace breakeven::measure {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kUuid = "GPU-00112233-4455-6677-8899-aabbccddeeff";
constexpr const char* kSecond = "GPU-ffeeddcc-bbaa-9988-7766-554433221100";

class GpuWatchTest : public ::testing::Test {
 protected:
  GpuWatchTest() : library_(::dlopen(FAKE_NVML, RTLD_NOW)) {
    describe_ = reinterpret_cast<void (*)(const FakeGpu*)>(::dlsym(library_, "fake_nvml_describe"));
    describe_second_ =
        reinterpret_cast<void (*)(const FakeGpu*)>(::dlsym(library_, "fake_nvml_describe_second"));
    ::setenv("FAKE_NVML_UUID", kUuid, 1);
    ::setenv("FAKE_NVML_UUID2", kSecond, 1);
    describe({});
    describe_second({});
  }
  ~GpuWatchTest() override {
    for (const char* name :
         {"FAKE_NVML_UUID", "FAKE_NVML_UUID2", "FAKE_NVML_INIT", "FAKE_NVML_READ"}) {
      ::unsetenv(name);
    }
  }
  void describe(const FakeGpu& gpu) { describe_(&gpu); }
  void describe_second(const FakeGpu& gpu) { describe_second_(&gpu); }
  static record::Gpu told(const std::string& uuid = kUuid) {
    record::Gpu gpu;
    gpu.name = "NVIDIA H100";
    gpu.uuid = uuid;
    gpu.runtime = "13.0";
    gpu.memory_bytes = 80'000;
    return gpu;
  }
  static std::vector<record::Gpu> known(const std::string& uuid = kUuid) { return {told(uuid)}; }

  void* library_;
  void (*describe_)(const FakeGpu*) = nullptr;
  void (*describe_second_)(const FakeGpu*) = nullptr;
};

TEST_F(GpuWatchTest, LooksAddUp) {
  GpuWatch watch(known(), FAKE_NVML, 0);
  watch.start();
  for (const unsigned mhz : {1980U, 1755U, 1900U, 1950U}) {
    FakeGpu gpu;
    gpu.sm_mhz = mhz;
    gpu.celsius = mhz == 1755 ? 83 : 60;
    gpu.milliwatts = mhz == 1755 ? 700'000 : 300'000;
    gpu.utilisation_percent = mhz == 1980 ? 0 : 100;
    describe(gpu);
    if (mhz != 1950) watch.look();
  }
  watch.stop({});  // is a look, too
  const record::Gpu gpu = watch.gpu();
  EXPECT_EQ(gpu.counters, "NVML");
  EXPECT_EQ(gpu.name, "NVIDIA H100") << "as the driver told it";
  EXPECT_EQ(gpu.driver, "580.65.06");
  EXPECT_EQ(gpu.runtime, "13.0");
  EXPECT_EQ(gpu.looks, 4U);
  EXPECT_DOUBLE_EQ(gpu.sm_mhz_median.value(), 1925);
  EXPECT_DOUBLE_EQ(gpu.sm_mhz_min.value(), 1755);
  EXPECT_DOUBLE_EQ(gpu.memory_mhz_median.value(), 2619);
  EXPECT_DOUBLE_EQ(gpu.temperature_c_max.value(), 83);
  EXPECT_DOUBLE_EQ(gpu.power_w_mean.value(), 400);
  EXPECT_DOUBLE_EQ(gpu.power_limit_w.value(), 700);
  EXPECT_DOUBLE_EQ(gpu.sm_mhz_limit.value(), 1980);
  EXPECT_DOUBLE_EQ(gpu.utilisation_share.value(), 0.75);
  EXPECT_THAT(gpu.throttle_reasons, IsEmpty());
  EXPECT_EQ(gpu.foreign_processes, 0U);
}

TEST_F(GpuWatchTest, AThrottledGpuMakesANoisyRowAndAPowerCapDoesNot) {
  FakeGpu state;
  state.throttle_reasons = 0x4 | 0x1 | 0x2;  // the cap, idle, a clock that somebody set
  describe(state);
  GpuWatch watch(known(), FAKE_NVML, 0);
  watch.start();
  watch.look();
  record::Record capped;
  capped.cell.mode = Mode::paced;
  capped.samples_s = {1};
  capped.gpu = watch.gpu();
  EXPECT_THAT(capped.gpu->throttle_reasons, ElementsAre("power cap"));
  EXPECT_EQ(capped.gpu->throttled_looks, 0U);
  Samples samples;
  samples.warmup_passes = 1;
  check_thresholds(samples, capped);
  EXPECT_THAT(capped.reasons, ::testing::IsEmpty());

  state.throttle_reasons = 0x40 | 0x4;
  describe(state);
  watch.stop({});
  record::Record hot = capped;
  hot.gpu = watch.gpu();
  EXPECT_THAT(hot.gpu->throttle_reasons, ElementsAre("power cap", "hardware thermal slowdown"));
  EXPECT_EQ(hot.gpu->throttled_looks, 1U);
  check_thresholds(samples, hot);
  EXPECT_FALSE(is_invalid(hot));
  ASSERT_EQ(hot.reasons.size(), 1U);
  EXPECT_EQ(hot.reasons[0].code, "throttled");
  EXPECT_THAT(hot.reasons[0].message, HasSubstr("hardware thermal slowdown"));
}

// One stream of batches on two GPUs is one row: what they took together, and the worst of each.
TEST_F(GpuWatchTest, SeveralGpusAreOneRow) {
  GpuWatch watch({told(), told(kSecond)}, FAKE_NVML, 0);
  FakeGpu slow;
  slow.sm_mhz = 1200;
  slow.celsius = 91;
  slow.milliwatts = 250'000;
  slow.utilisation_percent = 40;
  slow.throttle_reasons = 0x40;
  slow.processes = 3;
  describe_second(slow);
  FakeGpu fast;
  fast.throttle_reasons = 0x4;
  fast.processes = 2;
  describe(fast);
  watch.start();
  watch.look();
  describe_second({});
  watch.stop({});
  const record::Gpu gpu = watch.gpu();
  EXPECT_EQ(gpu.name, "2 x NVIDIA H100");
  EXPECT_EQ(gpu.uuid, std::string(kUuid) + " + " + kSecond);
  EXPECT_EQ(gpu.memory_bytes, 160'000U);
  EXPECT_EQ(gpu.counters, "NVML");
  EXPECT_EQ(gpu.looks, 2U);
  EXPECT_EQ(gpu.throttled_looks, 1U);
  EXPECT_THAT(gpu.throttle_reasons, ElementsAre("power cap", "hardware thermal slowdown"));
  EXPECT_DOUBLE_EQ(gpu.sm_mhz_median.value(), 1980);
  EXPECT_DOUBLE_EQ(gpu.sm_mhz_min.value(), 1200);
  EXPECT_DOUBLE_EQ(gpu.temperature_c_max.value(), 91);
  EXPECT_DOUBLE_EQ(gpu.power_w_mean.value(), (650 + 800) / 2.0);
  EXPECT_DOUBLE_EQ(gpu.power_limit_w.value(), 1400);
  EXPECT_DOUBLE_EQ(gpu.utilisation_share.value(), 0.7);
  EXPECT_EQ(gpu.foreign_processes, 1U) << "at the end: 2 on the first, of which one counts as ours";

  record::Gpu other = told(kSecond);
  other.name = "NVIDIA L4";
  EXPECT_EQ(GpuWatch({told(), other}, FAKE_NVML, 0).gpu().name, "NVIDIA H100 + NVIDIA L4");
  const record::Gpu half = GpuWatch({told(), told("GPU-ffff")}, FAKE_NVML, 0).gpu();
  EXPECT_THAT(half.counters, HasSubstr("not available: NVML does not know GPU-ffff"));
  EXPECT_FALSE(half.power_limit_w) << "half a sum is none";
}

TEST_F(GpuWatchTest, AThreadLooksWhileACellIsTimed) {
  GpuWatch watch(known(), FAKE_NVML, 0.001);
  watch.start();
  while (watch.gpu().looks < 3) ::usleep(1'000);
  watch.stop({});
  const std::uint64_t looks = watch.gpu().looks;
  ::usleep(20'000);
  EXPECT_EQ(watch.gpu().looks, looks) << "it ended with the block";
  watch.start();
  watch.stop({});
  EXPECT_GT(watch.gpu().looks, looks) << "blocks add up";
}

TEST_F(GpuWatchTest, OtherProcessesAreCounted) {
  FakeGpu state;
  state.processes = 40;  // more than fit into the first list
  state.first_pid = 100;
  describe(state);
  const NvmlGpu gpu(kUuid, FAKE_NVML);
  const int ours[] = {100, 139, 7};
  EXPECT_EQ(gpu.foreign_processes(ours), 38U);
  EXPECT_EQ(gpu.foreign_processes({}), 39U) << "a container sees none of its own numbers";
  state.processes = 1;
  describe(state);
  EXPECT_EQ(gpu.foreign_processes({}), 0U);
}

TEST_F(GpuWatchTest, WhatIsMissingIsSaidAndNoError) {
  GpuWatch none(known(), "libnowhere.so.9", 0.001);
  none.start();
  none.stop({});
  EXPECT_EQ(none.gpu().counters, "not available: libnowhere.so.9 cannot be loaded");
  EXPECT_EQ(none.gpu().looks, 0U);
  EXPECT_EQ(none.gpu().name, "NVIDIA H100");
  EXPECT_FALSE(none.gpu().sm_mhz_median);
  EXPECT_THAT(GpuWatch(known("GPU-ffff"), FAKE_NVML).gpu().counters,
              HasSubstr("not available: NVML does not know GPU-ffff"));

  ::setenv("FAKE_NVML_READ", "3", 1);  // not supported, all of it
  GpuWatch mute(known(), FAKE_NVML, 0);
  mute.start();
  mute.stop({});
  const record::Gpu gpu = mute.gpu();
  EXPECT_EQ(gpu.counters, "NVML");
  EXPECT_EQ(gpu.looks, 1U);
  EXPECT_FALSE(gpu.sm_mhz_median || gpu.power_w_mean || gpu.temperature_c_max ||
               gpu.utilisation_share || gpu.power_limit_w);
}

TEST_F(GpuWatchTest, DeviceMemoryByTheProcessOrByWhatTheGpusUseGrewBy) {
  const int process = 4711;
  const DeviceMemoryMeter meter(kUuid, FAKE_NVML);  // 1,000 bytes are in use
  FakeGpu state;
  state.used_bytes = 9'000;
  describe(state);
  record::Memory memory;
  meter.add_to(memory, 6'500, std::span(&process, 1));
  EXPECT_EQ(memory.device_peak_allocated_bytes, 6'500U);
  EXPECT_EQ(memory.device_used_bytes, 8'000U);
  EXPECT_EQ(memory.device_library_bytes, 1'500U);
  EXPECT_EQ(memory.device_total_bytes, 80'000U);

  state.processes = 1;
  state.first_pid = 4711;
  state.process_bytes = 7'000;
  describe(state);
  meter.add_to(memory, 6'500, std::span(&process, 1));
  EXPECT_EQ(memory.device_used_bytes, 7'000U);
  EXPECT_EQ(memory.device_library_bytes, 500U);

  record::Memory unseen;
  DeviceMemoryMeter(kUuid, "libnowhere.so.9").add_to(unseen, 6'500, {});
  EXPECT_EQ(unseen.device_peak_allocated_bytes, 6'500U);
  EXPECT_FALSE(unseen.device_used_bytes || unseen.device_total_bytes);
}

TEST_F(GpuWatchTest, TheDevicesOwnTimesStandBesideTheHosts) {
  Samples samples;
  for (const double scale : {1.0, 2.0, 3.0}) {
    samples.seconds.push_back(0.010 * scale);
    StageSeconds stages;
    stages.tokenize = 0.002 * scale;
    stages.upload = 0.001 * scale;
    stages.compute = 0.006 * scale;
    stages.device_compute = 0.003 * scale;
    stages.download = 0.001 * scale;
    samples.stages.push_back(stages);
  }
  record::Record record;
  record.gpu = told();
  fill_device_times(samples, record);
  ASSERT_TRUE(record.gpu->event_stages);
  EXPECT_DOUBLE_EQ(record.gpu->event_stages->upload_s, 0.002);
  EXPECT_DOUBLE_EQ(record.gpu->event_stages->compute_s, 0.006);
  EXPECT_DOUBLE_EQ(record.gpu->event_stages->tokenize_s, 0);
  EXPECT_DOUBLE_EQ(record.gpu->busy_share.value(), 0.5);

  record::Record without;  // a runtime that has no events
  without.gpu = told();
  for (StageSeconds& stages : samples.stages) {
    stages.upload = stages.download = stages.device_compute = 0;
  }
  fill_device_times(samples, without);
  EXPECT_FALSE(without.gpu->event_stages || without.gpu->busy_share);
}

}  // namespace
}  // namespace breakeven::measure

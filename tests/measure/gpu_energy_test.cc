// The GPU's counter, on a library that stands in for NVML.
#include "measure/gpu_energy.h"

#include <dlfcn.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <functional>

#include "measure/energy.h"
#include "testing/paths.h"

namespace breakeven::measure {
namespace {

using ::testing::HasSubstr;

constexpr const char* kUuid = "GPU-00112233-4455-6677-8899-aabbccddeeff";
constexpr const char* kSecond = "GPU-ffeeddcc-bbaa-9988-7766-554433221100";

// Something happens while it sleeps.
class BusyClock final : public Clock {
 public:
  BusyClock(ManualClock& inner, std::function<void()> meanwhile)
      : inner_(inner), meanwhile_(std::move(meanwhile)) {}
  double now_s() const override { return inner_.now_s(); }
  void sleep_until(double time_s) const override {
    inner_.sleep_until(time_s);
    meanwhile_();
  }

 private:
  ManualClock& inner_;
  std::function<void()> meanwhile_;
};

class NvmlTest : public ::testing::Test {
 protected:
  NvmlTest() : library_(::dlopen(FAKE_NVML, RTLD_NOW)) {
    set_ = reinterpret_cast<void (*)(unsigned long long)>(::dlsym(library_, "fake_nvml_set"));
    set_second_ =
        reinterpret_cast<void (*)(unsigned long long)>(::dlsym(library_, "fake_nvml_set_second"));
    open_ = reinterpret_cast<int (*)()>(::dlsym(library_, "fake_nvml_open_handles"));
    ::setenv("FAKE_NVML_UUID", kUuid, 1);
    ::setenv("FAKE_NVML_UUID2", kSecond, 1);
    set_(1'000'000);
    set_second_(0);
  }
  ~NvmlTest() override {
    for (const char* name :
         {"FAKE_NVML_UUID", "FAKE_NVML_UUID2", "FAKE_NVML_INIT", "FAKE_NVML_ENERGY"}) {
      ::unsetenv(name);
    }
  }
  NvmlMeter meter(const std::string& uuid = kUuid) { return NvmlMeter({uuid}, FAKE_NVML, clock_); }
  // A block of so many seconds in which the counter moves by so many millijoules.
  void block(NvmlMeter& meter, double seconds, unsigned long long from, unsigned long long to) {
    set_(from);
    meter.start();
    clock_.advance(seconds);
    set_(to);
    meter.stop();
  }
  static record::Energy energy_of(const NvmlMeter& meter) {
    record::Energy energy;
    energy.method = "";
    meter.add_to(energy);
    return energy;
  }

  ManualClock clock_;
  void* library_;
  void (*set_)(unsigned long long) = nullptr;
  void (*set_second_)(unsigned long long) = nullptr;
  int (*open_)() = nullptr;
};

TEST_F(NvmlTest, SumsBlocksAndTakesOffWhatIdlingTakes) {
  NvmlMeter meter = this->meter();
  ASSERT_TRUE(meter.available()) << meter.why_not();
  meter.set_idle_watts(50);
  block(meter, 4, 2'000'000, 3'000'000);
  block(meter, 6, 9'000'000, 9'500'000);
  const record::Energy energy = energy_of(meter);
  EXPECT_EQ(energy.method, "NVML");
  EXPECT_DOUBLE_EQ(energy.gpu_joules_gross.value(), 1500);
  EXPECT_DOUBLE_EQ(energy.gpu_joules_net.value(), 1500 - 10 * 50);
  EXPECT_FALSE(energy.host_joules_gross);
}

TEST_F(NvmlTest, WithoutIdlePowerThereIsNoNet) {
  NvmlMeter meter = this->meter();
  block(meter, 8, 0, 400'000);
  const record::Energy energy = energy_of(meter);
  EXPECT_DOUBLE_EQ(energy.gpu_joules_gross.value(), 400);
  EXPECT_FALSE(energy.gpu_joules_net);
}

TEST_F(NvmlTest, IdlePowerIsWhatTheCounterSays) {
  const BusyClock clock(clock_, [this] { set_(1'360'000); });
  NvmlMeter meter({kUuid}, FAKE_NVML, clock);
  EXPECT_FALSE(meter.measure_idle_watts(1)) << "too short";
  set_(1'000'000);
  EXPECT_DOUBLE_EQ(meter.measure_idle_watts(6).value(), 60);
  const BusyClock backwards(clock_, [this] { set_(7); });
  EXPECT_FALSE(NvmlMeter({kUuid}, FAKE_NVML, backwards).measure_idle_watts(6));
}

// A row on two GPUs takes what both take; without one of the counters there is no sum.
TEST_F(NvmlTest, SeveralGpusAddUp) {
  const BusyClock clock(clock_, [this] {
    set_(1'360'000);
    set_second_(240'000);
  });
  NvmlMeter both({kUuid, kSecond}, FAKE_NVML, clock);
  ASSERT_TRUE(both.available()) << both.why_not();
  EXPECT_DOUBLE_EQ(both.measure_idle_watts(6).value(), 60 + 40);
  both.start();
  clock_.advance(10);
  set_(4'360'000);
  set_second_(2'240'000);
  both.stop();
  const record::Energy energy = energy_of(both);
  EXPECT_EQ(energy.method, "NVML");
  EXPECT_DOUBLE_EQ(energy.gpu_joules_gross.value(), 3000 + 2000);
  EXPECT_DOUBLE_EQ(energy.gpu_joules_net.value(), 5000 - 10 * 100);

  both.start();
  clock_.advance(10);
  set_(9'000'000);
  set_second_(1);  // one has begun anew
  both.stop();
  EXPECT_FALSE(energy_of(both).gpu_joules_gross);
  EXPECT_THAT(NvmlMeter({kUuid, "GPU-ffff"}, FAKE_NVML, clock_).why_not(), HasSubstr("GPU-ffff"));
}

TEST_F(NvmlTest, AShortWindowIsNotAvailable) {
  NvmlMeter meter = this->meter();
  block(meter, 4.9, 0, 1'000'000);
  const record::Energy energy = energy_of(meter);
  EXPECT_FALSE(energy.gpu_joules_gross);
  EXPECT_THAT(energy.method, HasSubstr("4.9 s are too short"));
}

TEST_F(NvmlTest, ACounterThatFallsOrFailsIsLost) {
  NvmlMeter fallen = meter();
  block(fallen, 10, 5'000, 4'000);
  EXPECT_FALSE(energy_of(fallen).gpu_joules_gross);
  EXPECT_THAT(energy_of(fallen).method, HasSubstr("could not be read to the end"));
  NvmlMeter failed = meter();
  failed.start();
  clock_.advance(10);
  ::setenv("FAKE_NVML_ENERGY", "999", 1);
  failed.stop();
  EXPECT_FALSE(energy_of(failed).gpu_joules_gross);
}

TEST_F(NvmlTest, WhatIsMissingIsSaidAndNoError) {
  EXPECT_THAT(NvmlMeter({kUuid}, "libnowhere.so.9", clock_).why_not(),
              HasSubstr("libnowhere.so.9"));
  EXPECT_THAT(meter("").why_not(), HasSubstr("UUID is not known"));
  EXPECT_THAT(meter("GPU-ffff").why_not(), HasSubstr("GPU-ffff, error 6: Not Found"));
  ::setenv("FAKE_NVML_ENERGY", "3", 1);
  EXPECT_EQ(meter().why_not(), "this GPU has no energy counter");
  ::setenv("FAKE_NVML_ENERGY", "15", 1);
  EXPECT_THAT(meter().why_not(), HasSubstr("cannot be read, error 15"));
  ::setenv("FAKE_NVML_INIT", "9", 1);
  NvmlMeter none = meter();
  EXPECT_THAT(none.why_not(), HasSubstr("does not start, error 9"));
  EXPECT_FALSE(none.available());
  none.start();
  none.stop();
  EXPECT_THAT(energy_of(none).method, HasSubstr("GPU not available: NVML does not start"));
}

TEST_F(NvmlTest, EveryStartIsFollowedByAShutdown) {
  const int before = open_();
  {
    const NvmlMeter known = meter();
    const NvmlMeter unknown = meter("GPU-ffff");
  }
  EXPECT_EQ(open_(), before);
}

TEST_F(NvmlTest, HostAndGpuTogether) {
  const breakeven::testing::TempDir root;
  EnergyMeter meter({root.path().string(), {kUuid}, FAKE_NVML}, clock_);
  meter.set_idle({std::nullopt, 20.0});
  set_(0);
  meter.start();
  clock_.advance(10);
  set_(700'000);
  meter.stop();
  const record::Energy energy = meter.energy(64);
  EXPECT_EQ(energy.texts, 64U);
  EXPECT_DOUBLE_EQ(energy.window_s, 10);
  EXPECT_DOUBLE_EQ(energy.gpu_joules_gross.value(), 700);
  EXPECT_DOUBLE_EQ(energy.gpu_joules_net.value(), 500);
  EXPECT_FALSE(energy.host_joules_gross);
  EXPECT_EQ(energy.method, "host not available: this machine shows no RAPL counter; NVML");
}

TEST_F(NvmlTest, ACpuRowAsksNoGpu) {
  const breakeven::testing::TempDir root;
  EnergyMeter meter({root.path().string(), {}, FAKE_NVML}, clock_);
  EXPECT_EQ(meter.energy(1).method, "not available: this machine shows no RAPL counter");
}

}  // namespace
}  // namespace breakeven::measure

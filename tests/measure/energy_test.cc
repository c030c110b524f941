#include "measure/energy.h"

#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "testing/paths.h"

namespace breakeven::measure {
namespace {

using ::testing::HasSubstr;

// Two packages with cores below them, DRAM below the first, psys, and the mmio twin.
class RaplTest : public ::testing::Test {
 protected:
  RaplTest() {
    zone("intel-rapl:0", "package-0", 1000);
    zone("intel-rapl:0:0", "core", 5);
    zone("intel-rapl:0:1", "dram", 2000);
    zone("intel-rapl:1", "package-1", 3000);
    zone("intel-rapl:2", "psys", 99);
    zone("intel-rapl-mmio:0", "package-0", 1000);
  }
  std::filesystem::path file(const std::string& zone, const std::string& name) const {
    return folder_.path() / "sys/class/powercap" / zone / name;
  }
  void zone(const std::string& zone, const std::string& name, std::uint64_t joules) {
    std::filesystem::create_directories(folder_.path() / "sys/class/powercap" / zone);
    std::ofstream(file(zone, "name")) << name << "\n";
    std::ofstream(file(zone, "max_energy_range_uj")) << 262143000000ULL << "\n";
    set(zone, joules);
  }
  void set(const std::string& zone, std::uint64_t joules) {
    // As a whole: a reader must never see half a number.
    std::ofstream(file(zone, "new")) << joules * 1000000 << "\n";
    std::filesystem::rename(file(zone, "new"), file(zone, "energy_uj"));
  }
  RaplMeter meter() { return RaplMeter(folder_.path().string(), clock_); }

  testing::TempDir folder_;
  ManualClock clock_;
};

TEST_F(RaplTest, SumsPackagesAndDramOverBlocks) {
  RaplMeter meter = this->meter();
  ASSERT_TRUE(meter.available()) << meter.why_not();
  set("intel-rapl:0", 1100);  // before start: does not count
  meter.start();
  clock_.advance(2);
  set("intel-rapl:0", 1120);
  set("intel-rapl:0:0", 500);  // part of the package
  set("intel-rapl:0:1", 2003);
  set("intel-rapl:1", 3007);
  set("intel-rapl:2", 9999);
  meter.stop();
  set("intel-rapl:1", 4000);  // between blocks
  meter.start();
  clock_.advance(3);
  set("intel-rapl:1", 4010);
  meter.stop();
  const auto energy = meter.energy(640);
  EXPECT_EQ(energy.method, "RAPL");
  ASSERT_TRUE(energy.host_joules_gross);
  EXPECT_NEAR(*energy.host_joules_gross, 20 + 3 + 7 + 10, 1e-9);
  EXPECT_NEAR(energy.window_s, 5, 1e-9);
  EXPECT_EQ(energy.texts, 640U);
  EXPECT_FALSE(energy.host_joules_net) << "the idle power is not known";
}

TEST_F(RaplTest, WrapsAround) {
  set("intel-rapl:0", 262100);
  RaplMeter meter = this->meter();
  meter.start();
  clock_.advance(60);
  set("intel-rapl:0", 262140);
  meter.update();
  clock_.advance(60);
  set("intel-rapl:0", 10);  // 3 to the end of the range, 10 from its start
  meter.stop();
  EXPECT_NEAR(*meter.energy(1).host_joules_gross, 40 + 3 + 10, 1e-6);
}

// 65.5 kJ at 200 W wrap after 328 s, and a window of paced load may take longer.
TEST_F(RaplTest, IsReadOftenEnoughForALongWindow) {
  constexpr double kRange_j = 65536;
  constexpr double kWatts = 200;
  std::ofstream(file("intel-rapl:0", "max_energy_range_uj")) << 65536000000ULL << "\n";
  set("intel-rapl:0", 0);
  RaplMeter meter = this->meter();
  EXPECT_LT(meter.read_every_s(), kRange_j / kWatts);
  meter.start();
  double passed_s = 0;
  while (passed_s < 1000) {
    passed_s += meter.read_every_s();
    clock_.advance(meter.read_every_s());
    set("intel-rapl:0", static_cast<std::uint64_t>(std::fmod(kWatts * passed_s, kRange_j)));
    meter.update();
  }
  meter.stop();
  EXPECT_NEAR(*meter.energy(1).host_joules_gross, kWatts * passed_s, 2.0 * passed_s / 30);
}

TEST_F(RaplTest, AThreadReadsItMeanwhile) {
  RaplMeter meter(folder_.path().string(), clock_, 1e-3);
  set("intel-rapl:0", 1000);
  meter.start();
  const auto wait_for = [&](double joules) {
    while (meter.joules() < joules) std::this_thread::yield();
  };
  set("intel-rapl:0", 262000);  // nearly a whole range
  wait_for(261000);
  set("intel-rapl:0", 500);  // over the end
  wait_for(261000 + 143 + 500);
  set("intel-rapl:0", 262000);  // and nearly round once more: lost without the reader
  clock_.advance(2);
  meter.stop();
  EXPECT_NEAR(*meter.energy(1).host_joules_gross, 261000 + 643 + 261500, 1e-3);
}

// Sleeping moves the counter of the first package by 30 watts.
class IdleClock final : public Clock {
 public:
  explicit IdleClock(std::function<void()> asleep) : asleep_(std::move(asleep)) {}
  double now_s() const override { return now_; }
  void sleep_until(double time_s) const override {
    now_ = time_s;
    asleep_();
  }
  void advance(double seconds) { now_ += seconds; }

 private:
  std::function<void()> asleep_;
  mutable double now_ = 0;
};

TEST_F(RaplTest, IdlePowerIsTakenOff) {
  IdleClock clock([&] { set("intel-rapl:0", 1060); });
  RaplMeter meter(folder_.path().string(), clock);
  EXPECT_FALSE(meter.measure_idle_watts(0.5)) << "too short";
  const auto watts = meter.measure_idle_watts(2);
  ASSERT_TRUE(watts);
  EXPECT_NEAR(*watts, 30, 1e-9);
  meter.start();
  clock.advance(10);
  set("intel-rapl:0", 1560);
  meter.stop();
  EXPECT_NEAR(*meter.energy(1).host_joules_gross, 500, 1e-9);
  EXPECT_NEAR(*meter.energy(1).host_joules_net, 200, 1e-9);
  meter.set_idle_watts(1000);
  EXPECT_EQ(*meter.energy(1).host_joules_net, 0) << "never below zero";
}

TEST_F(RaplTest, AShortWindowIsNotAvailable) {
  RaplMeter meter = this->meter();
  meter.start();
  clock_.advance(0.5);
  set("intel-rapl:0", 1120);
  meter.stop();
  EXPECT_FALSE(meter.energy(1).host_joules_gross);
  EXPECT_THAT(meter.energy(1).method, HasSubstr("not available: 0.5 s"));
}

TEST_F(RaplTest, ACounterThatVanishesIsNotAvailable) {
  RaplMeter meter = this->meter();
  meter.start();
  clock_.advance(5);
  std::filesystem::remove(file("intel-rapl:1", "energy_uj"));
  meter.stop();
  EXPECT_FALSE(meter.energy(1).host_joules_gross);
  EXPECT_THAT(meter.energy(1).method, HasSubstr("not available"));
}

TEST_F(RaplTest, OneUnreadablePartMakesTheSumUnavailable) {
  std::filesystem::remove(file("intel-rapl:1", "energy_uj"));
  RaplMeter meter = this->meter();
  EXPECT_FALSE(meter.available());
  EXPECT_THAT(meter.why_not(), HasSubstr("intel-rapl:1"));
  meter.start();
  meter.update();
  meter.stop();
  EXPECT_FALSE(meter.measure_idle_watts(2));
  EXPECT_THAT(meter.energy(1).method, HasSubstr("not readable"));
}

TEST(Rapl, WithoutCountersThereIsNoEnergy) {
  const testing::TempDir folder;
  RaplMeter meter(folder.path().string());
  EXPECT_FALSE(meter.available());
  EXPECT_EQ(meter.energy(5).method, "not available: this machine shows no RAPL counter");
}

}  // namespace
}  // namespace breakeven::measure

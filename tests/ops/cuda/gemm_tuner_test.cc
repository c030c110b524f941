// Which algorithm a product gets, and how it is remembered: files are real, times are made up.
#include "ops/cuda/gemm_tuner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "base/files.h"
#include "ops/cuda/emulator/host_runtime.h"
#include "testing/paths.h"

namespace breakeven::ops::cuda {
namespace {

namespace testing = breakeven::testing;

using emulator::HostDevice;
using emulator::HostRuntime;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
const std::string kIdentity = "a GPU, sm_80";

std::size_t fastest_of(const std::vector<std::vector<double>>& seconds) {
  return fastest(seconds);
}

TEST(Fastest, GoesByTheMedian) {
  EXPECT_EQ(fastest_of({{3, 3, 3}, {2, 2, 9}, {1, 8, 8}}), 1U);
  EXPECT_EQ(fastest_of({{3}, {2}, {1}}), 2U);
}

TEST(Fastest, TheBestGuessStaysUnlessAnotherIsClearlyFaster) {
  EXPECT_EQ(fastest_of({{1.00}, {0.99}}), 0U);
  EXPECT_EQ(fastest_of({{1.00}, {0.97}}), 1U);
  EXPECT_EQ(fastest_of({{1.00}, {0.97}, {0.96}}), 2U);
}

TEST(Fastest, WhatFailedIsNotChosen) {
  EXPECT_EQ(fastest_of({{}, {2}, {1}}), 2U);
  EXPECT_EQ(fastest_of({{5}, {}}), 0U);
  EXPECT_EQ(fastest_of({{}, {}}), kNone);
}

GemmCall call_of(std::size_t rows) {
  alignas(256) static std::byte memory[256];
  GemmCall call{.precision = Precision::fp16, .rows = rows, .columns = 64, .depth = 32};
  call.a = call.b = call.out = memory;
  call.a_row = call.b_row = 32;
  call.out_row = 64;
  return call;
}

TEST(Key, HoldsEverythingButTheAddresses) {
  const GemmCall call = call_of(16);
  GemmCall moved = call;
  alignas(256) std::byte elsewhere[256];
  moved.a = elsewhere;
  EXPECT_EQ(key_of(call, 100), key_of(moved, 100));
  EXPECT_EQ(key_of(call, 100).find(' '), std::string::npos);
  std::vector<std::string> keys{key_of(call, 100), key_of(call, 200)};
  const auto changed = [&](auto&& change) {
    GemmCall other = call;
    change(other);
    keys.push_back(key_of(other, 100));
  };
  changed([](GemmCall& c) { c.precision = Precision::bf16; });
  changed([](GemmCall& c) { c.rows = 32; });
  changed([](GemmCall& c) { c.columns = 32; });
  changed([](GemmCall& c) { c.depth = 16; });
  changed([](GemmCall& c) { c.batch = 2; });
  changed([](GemmCall& c) { c.a_row = 64; });
  changed([](GemmCall& c) { c.a_stride = 64; });
  changed([](GemmCall& c) { c.b_row = 64; });
  changed([](GemmCall& c) { c.b_stride = 64; });
  changed([](GemmCall& c) { c.b_in_by_out = true; });
  changed([](GemmCall& c) { c.out_row = 128; });
  changed([](GemmCall& c) { c.out_stride = 128; });
  changed([](GemmCall& c) { c.bias = c.a; });
  changed([](GemmCall& c) { c.add = c.a; });
  changed([](GemmCall& c) { c.a = static_cast<const std::byte*>(c.a) + 16; });
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(std::adjacent_find(keys.begin(), keys.end()), keys.end());
}

TEST(Identity, NamesWhatAnAlgorithmDependsOn) {
  const DeviceInfo device{.name = "NVIDIA H100",
                          .major = 9,
                          .gemm_library = true,
                          .gemm_note = "cublasLt 13.0.2",
                          .multiprocessors = 132,
                          .driver = 13000};
  EXPECT_EQ(identity_of(device),
            "NVIDIA H100, sm_90, 132 multiprocessors, cublasLt 13.0.2, driver 13000");
}

TEST(Choices, SurviveTheFile) {
  const GemmChoices choices{{"one", {{1, 2, ~0ULL, 0, 5, 6, 7, 8}}}, {"two", {{9}}}};
  const auto read = read_choices(write_choices(choices, kIdentity), kIdentity);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, choices);
  EXPECT_THAT(*read_choices(write_choices({}, kIdentity), kIdentity), IsEmpty());
}

TEST(Choices, DamageIsSeen) {
  const std::string good = write_choices({{"one", {{1}}}}, kIdentity);
  const auto why = [](const std::string& text, const std::string& identity = kIdentity) {
    const auto read = read_choices(text, identity);
    EXPECT_FALSE(read);
    if (read) return std::string();
    EXPECT_EQ(read.error().code, "gemm/choices");
    return read.error().message;
  };
  EXPECT_THAT(why(""), HasSubstr("no checksum"));
  for (std::size_t cut = 1; cut < good.size(); ++cut) why(good.substr(0, cut));
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    why(changed);
  }
  EXPECT_THAT(why(good, "another GPU"), HasSubstr("it belongs to 'a GPU, sm_80'"));
}

class Tuner : public ::testing::Test {
 protected:
  testing::TempDir temporary_;
  std::string folder_ = temporary_.path().string();
  HostDevice device_{.gemm_seconds = {1e-3, -1, 4e-4, 6e-4}};

  struct Rig {
    std::shared_ptr<HostRuntime> runtime;
    std::unique_ptr<Runtime::Memory> operands, workspace;
    std::unique_ptr<Runtime::Stream> stream;
    GemmTuner tuner;
    Rig(const HostDevice& device, const TunerOptions& options)
        : runtime(std::make_shared<HostRuntime>(device)),
          operands(runtime->allocate(1 << 16, Purpose::activations).value()),
          workspace(runtime->allocate(1 << 10, Purpose::library).value()),
          stream(runtime->make_stream()),
          tuner(runtime, options) {
      runtime->fill_zero(*stream, operands->data, operands->bytes);
    }
    std::size_t choose(std::size_t rows, bool may_measure = true) {
      GemmCall call = call_of(rows);
      call.a = operands->data;
      call.b = operands->data + (1 << 14);
      call.out = operands->data + (1 << 15);
      const GemmAlgorithm* chosen = tuner.choose(call, *stream, *workspace, may_measure);
      EXPECT_THAT(runtime->report().findings, IsEmpty());
      return chosen == nullptr ? kNone : chosen->code[0];
    }
  };
};

TEST_F(Tuner, MeasuresOnceAndPassesOverWhatTheLibraryRefuses) {
  Rig rig(device_, {.folder = folder_});
  EXPECT_EQ(rig.choose(16), 2U);
  EXPECT_EQ(rig.tuner.summary(), "tuned 1");
  const std::size_t products = rig.runtime->products();
  EXPECT_GE(products, 3U * 4U);
  EXPECT_EQ(rig.choose(16), 2U);
  EXPECT_EQ(rig.runtime->products(), products);
}

TEST_F(Tuner, ALateProposalIsFoundAndSlowOnesGetNoTurn) {
  device_.gemm_seconds.assign(40, 4e-5);
  device_.gemm_seconds[20] = 2e-5;
  device_.gemm_seconds[39] = 1e-5;  // no more than 32 are looked at
  Rig rig(device_, {.folder = folder_});
  EXPECT_EQ(rig.choose(16), 20U);
  // A run that loads and three of a trial each; turns of the first and of the fastest: by the 200
  // us that one takes, with the event's microsecond.
  EXPECT_EQ(rig.runtime->products(), 32U * 4U + 3U * (4U + 9U));
}

// 4 ms each: the first eight have taken what trials may.
TEST_F(Tuner, TrialsEndWhenTheyTakeLong) {
  device_.gemm_seconds.assign(32, 1e-3);
  device_.gemm_seconds[7] = 8e-4;
  device_.gemm_seconds[8] = 1e-4;
  Rig rig(device_, {.folder = folder_});
  EXPECT_EQ(rig.choose(16), 7U);
  EXPECT_LT(rig.runtime->products(), 8U * 4U + 3U * 6U);
}

TEST_F(Tuner, ASecondProcessMeasuresNothing) {
  {
    Rig rig(device_, {.folder = folder_});
    rig.choose(16);
    rig.tuner.save();
  }
  Rig rig(device_, {.folder = folder_});
  EXPECT_EQ(rig.choose(16), 2U);
  EXPECT_EQ(rig.runtime->products(), 0U);
  EXPECT_EQ(rig.choose(32), 2U);
  EXPECT_EQ(rig.tuner.summary(), "tuned 1, cached 1");
}

TEST_F(Tuner, WhatTheLibraryNoLongerTakesIsMeasuredAgain) {
  {
    HostDevice more = device_;
    more.gemm_seconds = {1, 1, 1, 1, 1e-6};
    Rig rig(more, {.folder = folder_});
    EXPECT_EQ(rig.choose(16), 4U);
    rig.tuner.save();
  }
  Rig rig(device_, {.folder = folder_});
  EXPECT_EQ(rig.choose(16), 2U);
  EXPECT_EQ(rig.tuner.summary(), "tuned 1");
}

TEST_F(Tuner, AnotherKindOfDeviceHasAFileOfItsOwn) {
  {
    Rig rig(device_, {.folder = folder_});
    rig.choose(16);
    rig.tuner.save();
  }
  device_.name = "another GPU";
  Rig rig(device_, {.folder = folder_});
  rig.choose(16);
  EXPECT_EQ(rig.tuner.summary(), "tuned 1");
}

TEST_F(Tuner, WithoutMeasuringTheBestGuessRuns) {
  Rig off(device_, {.measure = false});
  EXPECT_EQ(off.choose(16), 0U);
  EXPECT_EQ(off.runtime->products(), 0U);
  EXPECT_EQ(off.tuner.summary(), "heuristic 1");
  Rig capturing(device_, {.folder = folder_});
  EXPECT_EQ(capturing.choose(16, false), 0U);
  EXPECT_EQ(capturing.runtime->products(), 0U);
  capturing.tuner.save();
  EXPECT_THAT(std::filesystem::is_empty(folder_), true);  // a guess is not worth keeping
}

TEST_F(Tuner, ACallThatTheLibraryDoesNotKnowHasNone) {
  device_.gemm_seconds = {};
  Rig rig(device_, {.folder = folder_});
  EXPECT_EQ(rig.choose(16), kNone);
  EXPECT_EQ(rig.tuner.summary(), "own for want of one 1");
}

TEST_F(Tuner, WhenAllAreRefusedTheDeviceHasFailed) {
  device_.gemm_seconds = {-1, -1};
  Rig rig(device_, {.folder = folder_});
  EXPECT_THROW(rig.choose(16), DeviceFailure);
}

TEST_F(Tuner, ADamagedFileIsIgnoredSaidAndWrittenAnew) {
  {
    Rig rig(device_, {.folder = folder_});
    rig.choose(16);
    rig.tuner.save();
  }
  const std::string file = choices_file(folder_, identity_of(HostRuntime(device_).info()));
  ASSERT_TRUE(std::filesystem::exists(file));
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  {
    Rig rig(device_, {.folder = folder_});
    EXPECT_EQ(rig.choose(16), 2U);
    EXPECT_EQ(rig.tuner.summary(),
              "tuned 1 (the file of earlier choices was ignored: no checksum)");
    rig.tuner.save();
  }
  Rig rig(device_, {.folder = folder_});
  rig.choose(16);
  EXPECT_EQ(rig.tuner.summary(), "cached 1");
}

TEST_F(Tuner, AFolderThatCannotBeWrittenIsSaidAndNoError) {
  std::ofstream(folder_ + "/file") << "x";
  Rig rig(device_, {.folder = folder_ + "/file/gemm"});
  EXPECT_EQ(rig.choose(16), 2U);
  rig.tuner.save();
  EXPECT_THAT(rig.tuner.summary(), HasSubstr("tuned 1 (choices cannot be kept: "));
}

// As processes do: each with its own lock and its own view of the file.
TEST_F(Tuner, WritersAtTheSameTimeLoseNothing) {
  const std::string file = choices_file(folder_, kIdentity);
  constexpr std::size_t kWriters = 4;
  constexpr std::size_t kRounds = 5;
  std::vector<std::thread> writers;
  for (std::size_t w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (std::size_t i = 0; i < kRounds; ++i) {
        EXPECT_TRUE(add_choices(file, kIdentity, {{std::to_string(w * kRounds + i), {{w}}}}));
        EXPECT_TRUE(load_choices(file, kIdentity));  // never half a file
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(load_choices(file, kIdentity)->size(), kWriters * kRounds);
}

TEST(TunerOptions, TheEnvironmentSwitchesItOff) {
  std::string note;
  ::setenv("BREAKEVEN_GEMM_TUNING", "off", 1);
  EXPECT_FALSE(tuner_options(note).measure);
  EXPECT_EQ(tuner_options(note).folder, "");
  ::unsetenv("BREAKEVEN_GEMM_TUNING");
  const testing::TempDir temporary;
  const std::string folder = temporary.path().string();
  ::setenv("XDG_CACHE_HOME", folder.c_str(), 1);
  EXPECT_TRUE(tuner_options(note).measure);
  EXPECT_EQ(tuner_options(note).folder, folder + "/breakeven/gemm");
  EXPECT_EQ(note, "");
}

}  // namespace
}  // namespace breakeven::ops::cuda

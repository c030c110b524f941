// What a CPU backend may be made with: sets and precisions, by name and by the environment.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "harness.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/cpu/isa.h"
#include "sets.h"

namespace breakeven {
namespace {

using ops::Precision;
using testing::EncoderShape;
using testing::RandomBatch;
using testing::RandomEncoder;
using testing::Runner;

// BREAKEVEN_ISA as a test wants it, and as it was afterwards.
class Cap {
 public:
  explicit Cap(const char* value) {
    const char* before = std::getenv(ops::kIsaVariable);
    if (before != nullptr) before_ = before;
    if (value == nullptr) {
      ::unsetenv(ops::kIsaVariable);
    } else {
      ::setenv(ops::kIsaVariable, value, 1);
    }
  }
  Cap(const Cap&) = delete;
  Cap& operator=(const Cap&) = delete;
  ~Cap() {
    if (before_) {
      ::setenv(ops::kIsaVariable, before_->c_str(), 1);
    } else {
      ::unsetenv(ops::kIsaVariable);
    }
  }

 private:
  std::optional<std::string> before_;
};

class CpuOptions : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = testing::missing(InstructionSet::avx2);
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
};

TEST_F(CpuOptions, RefuseASetThatIsUnknownOrNotHere) {
  const Cap none(nullptr);
  const auto unknown = ops::make_cpu_backend({Precision::fp32, "avx1024"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "ops/instruction-set");
  EXPECT_EQ(unknown.error().message, "instruction set 'avx1024': there is no such instruction set");
  EXPECT_THAT(unknown.error().hint, ::testing::StartsWith("choose from avx2"));

  const auto here = runnable_sets(usable_cpu_flags());
  for (const InstructionSet set : all_instruction_sets()) {
    const std::string name(to_string(set));
    const auto made = ops::make_cpu_backend({Precision::fp32, name});
    if (std::find(here.begin(), here.end(), set) != here.end()) {
      ASSERT_TRUE(made) << made.error().to_string();
      EXPECT_EQ((*made)->info().instruction_set, name);
    } else {
      ASSERT_FALSE(made);
      EXPECT_EQ(made.error().code, "ops/instruction-set");
      EXPECT_THAT(made.error().message, ::testing::HasSubstr("this CPU has no " + name));
    }
  }
}

// Two sets at work in one process, in turns: each gives the bits that it gives alone.
TEST_F(CpuOptions, BackendsOfOneProcessMayDiffer) {
  EncoderShape shape;
  shape.positions = 40;
  const RandomEncoder encoder(shape);
  const RandomBatch batch(shape, {{33, 33}, {7, 7}});
  const ops::LaneLimits limits{batch.ids.size(), 2, 2};
  const auto sets = ops::cpu::usable_sets().value();
  const auto made = [&](InstructionSet set) {
    return Runner(ops::make_cpu_backend({Precision::int8, std::string(to_string(set))}).value(),
                  encoder.weights, limits);
  };
  Runner low = made(sets.front());
  Runner high = made(sets.back());
  const auto logits = [&](Runner& runner) {
    return run_all(*runner.backend, *runner.lane, shape, batch.batch()).back().values;
  };
  const auto low_alone = logits(low);
  const auto high_alone = logits(high);
  EXPECT_EQ(low.backend->info().instruction_set, to_string(sets.front()));
  EXPECT_EQ(high.backend->info().instruction_set, to_string(sets.back()));
  EXPECT_EQ(logits(low), low_alone);
  EXPECT_EQ(logits(high), high_alone);
}

TEST_F(CpuOptions, TheEnvironmentCapsEverySet) {
  const auto here = runnable_sets(usable_cpu_flags());
  for (const InstructionSet highest : here) {
    const Cap cap(std::string(to_string(highest)).c_str());
    EXPECT_EQ(ops::cpu_instruction_set().value(), to_string(highest));
    for (const InstructionSet set : here) {
      const auto made = ops::make_cpu_backend({Precision::int8, std::string(to_string(set))});
      EXPECT_EQ(made.has_value(), set <= highest) << to_string(set);
      if (!made) {
        EXPECT_EQ(made.error().code, "ops/instruction-set");
        EXPECT_THAT(made.error().message, ::testing::HasSubstr("is above BREAKEVEN_ISA="));
      }
    }
  }
}

TEST_F(CpuOptions, ACapThatThisCpuDoesNotHaveIsAnError) {
  const auto here = runnable_sets(usable_cpu_flags());
  const auto refused = [](const char* value) {
    const Cap cap(value);
    const auto made = ops::make_cpu_backend({});
    return made ? Error{} : made.error();
  };
  EXPECT_EQ(refused("sse9").code, "ops/instruction-set");
  EXPECT_EQ(refused("sse9").message, "BREAKEVEN_ISA=sse9: there is no such instruction set");
  EXPECT_THAT(refused("sse9").hint, ::testing::HasSubstr("or unset BREAKEVEN_ISA"));
  for (const InstructionSet set : all_instruction_sets()) {
    if (std::find(here.begin(), here.end(), set) != here.end()) continue;
    const std::string name(to_string(set));
    EXPECT_EQ(refused(name.c_str()).message,
              fmt::format("BREAKEVEN_ISA={0}: this CPU has no {0}", name));
  }
  EXPECT_EQ(refused("").code, "") << "set, but empty";
}

TEST_F(CpuOptions, RefusePrecisionsThatWouldBeEmulated) {
  const auto sets = ops::cpu::usable_sets().value();
  for (const InstructionSet set : sets) {
    const std::string name(to_string(set));
    const auto can = [&](Precision precision) {
      const auto made = ops::make_cpu_backend({precision, name});
      if (!made) {
        EXPECT_EQ(made.error().code, "ops/unsupported");
        EXPECT_THAT(made.error().message, ::testing::HasSubstr(name));
      }
      return made.has_value();
    };
    EXPECT_TRUE(can(Precision::fp32));
    EXPECT_TRUE(can(Precision::int8));
    EXPECT_FALSE(can(Precision::fp16));
    EXPECT_EQ(can(Precision::bf16), has_bf16(set));
    EXPECT_EQ(can(Precision::fp32x3), has_amx(set));
    const auto told = ops::cpu_precisions(name);
    for (const Precision precision :
         {Precision::fp32, Precision::fp32x3, Precision::bf16, Precision::int8}) {
      EXPECT_EQ(std::find(told.begin(), told.end(), precision) != told.end(), can(precision));
    }
  }
}

}  // namespace
}  // namespace breakeven

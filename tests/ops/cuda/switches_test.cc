#include "ops/cuda/switches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "ops/cuda/cuda_backend.h"

namespace breakeven::ops::cuda {
namespace {

using ::testing::HasSubstr;

TEST(CudaSwitches, AreOnUnlessNamed) {
  EXPECT_EQ(switches_without("").value(), Switches{});
  EXPECT_EQ(to_string(Switches{}), "");
  const Switches some = switches_without("graphs").value();
  EXPECT_EQ(some, Switches{.graphs = false});
  EXPECT_EQ(to_string(some), "without graphs");
  EXPECT_EQ(switches_without("graphs,graphs").value(), some);
}

TEST(CudaSwitches, AnUnknownNameIsRefusedWithTheKnownOnes) {
  for (const char* names : {"graph", "graphs,graph", "graphs,,graphs", ",", "Graphs", " graphs"}) {
    const auto refused = switches_without(names);
    ASSERT_FALSE(refused) << names;
    EXPECT_EQ(refused.error().code, "ops/switches");
  }
  const Error error = switches_without("graphs,graph").error();
  EXPECT_EQ(error.message, "BREAKEVEN_CUDA_WITHOUT: there is no path 'graph'");
  EXPECT_THAT(error.hint, HasSubstr("choose from graphs"));
}

// Before any device is looked for.
TEST(CudaSwitches, TheEnvironmentIsReadWithTheBackend) {
  ::setenv("BREAKEVEN_CUDA_WITHOUT", "graphs", 1);
  EXPECT_EQ(switches_by_environment().value(), Switches{.graphs = false});
  ::setenv("BREAKEVEN_CUDA_WITHOUT", "nothing", 1);
  const auto backend = make_cuda_backend({});
  ASSERT_FALSE(backend);
  EXPECT_EQ(backend.error().code, "ops/switches");
  ::unsetenv("BREAKEVEN_CUDA_WITHOUT");
  EXPECT_EQ(switches_by_environment().value(), Switches{});
}

}  // namespace
}  // namespace breakeven::ops::cuda

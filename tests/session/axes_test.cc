#include "session/axes.h"

#include <gtest/gtest.h>

namespace breakeven::session {
namespace {

TEST(ChooseOtherJudge, PyTorchInFp32OnTheCpuIfItIsThere) {
  const study::RuntimeAxis native{"native", "", {{"cpu", "fp32", {"none"}}}};
  const study::RuntimeAxis vino{"openvino", "plain", {{"cpu", "fp32", {"longest"}}}};
  const study::RuntimeAxis torch{
      "pytorch",
      "seed",
      {{"cuda:0", "fp32", {"max_length"}}, {"cpu", "fp32", {"max_length", "longest"}}}};
  EXPECT_FALSE(choose_other_judge({native}));
  const auto only = choose_other_judge({native, vino});
  ASSERT_TRUE(only);
  EXPECT_EQ(only->runtime, "openvino");
  const auto both = choose_other_judge({native, vino, torch});
  ASSERT_TRUE(both);
  EXPECT_EQ(both->runtime, "pytorch");
  EXPECT_EQ(both->variant, "seed");
  EXPECT_EQ(both->padding, "longest");  // cheaper, and the outputs are the same
  const study::RuntimeAxis int8{"onnxruntime", "", {{"cpu", "int8", {"longest"}}}};
  EXPECT_FALSE(choose_other_judge({native, int8}));
}

}  // namespace
}  // namespace breakeven::session

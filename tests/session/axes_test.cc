#include "session/axes.h"

#include <gtest/gtest.h>

namespace breakeven::session {
namespace {

TEST(ChooseOtherJudge, PyTorchInFp32OnTheCpuIfItIsThere) {
  const study::RuntimeAxis native{};
  const study::RuntimeAxis vino{{"openvino", "plain"},
                                {{"", {}, Precision::fp32, {Padding::longest}}}};
  const study::RuntimeAxis torch{
      {"pytorch", "seed"},
      {{"", Device{{0}}, Precision::fp32, {Padding::max_length}},
       {"", {}, Precision::fp32, {Padding::max_length, Padding::longest}}}};
  EXPECT_FALSE(choose_other_judge({native}));
  const auto only = choose_other_judge({native, vino});
  ASSERT_TRUE(only);
  EXPECT_EQ(only->runtime.name, "openvino");
  const auto both = choose_other_judge({native, vino, torch});
  ASSERT_TRUE(both);
  EXPECT_EQ(both->runtime.name, "pytorch");
  EXPECT_EQ(both->runtime.variant, "seed");
  EXPECT_EQ(both->padding, Padding::longest);  // cheaper, and the outputs are the same
  const study::RuntimeAxis int8{{"onnxruntime"}, {{"", {}, Precision::int8, {Padding::longest}}}};
  EXPECT_FALSE(choose_other_judge({native, int8}));
}

}  // namespace
}  // namespace breakeven::session

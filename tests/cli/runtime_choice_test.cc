#include "cli/runtime_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakeven::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseRuntimes, NamesWithTheirVariants) {
  const auto choices = parse_runtimes("native,pytorch:tuned,openvino:all,pytorch:tuned");
  ASSERT_TRUE(choices);
  EXPECT_THAT(*choices, ElementsAre(RuntimeChoice{"native", ""}, RuntimeChoice{"pytorch", "tuned"},
                                    RuntimeChoice{"openvino", "all"}));
  EXPECT_TRUE(includes_native(*choices));
  EXPECT_FALSE(includes_native(*parse_runtimes("pytorch")));
}

TEST(ParseRuntimes, AllIsNativeAndEveryOther) {
  const auto choices = parse_runtimes("all");
  ASSERT_TRUE(choices);
  ASSERT_EQ(choices->size(), runtimes::known_runtimes().size() + 1);
  EXPECT_EQ(choices->front().runtime, "native");
}

TEST(ParseRuntimes, WhatIsNotKnownIsRefusedByName) {
  for (const char* text : {"", "tensorflow", "native,", "pytorch:", "native:fast", "Pytorch"}) {
    const auto choices = parse_runtimes(text);
    ASSERT_FALSE(choices) << text;
    EXPECT_EQ(choices.error().code, "flag/choice");
    EXPECT_THAT(choices.error().hint, HasSubstr("pytorch"));
  }
}

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
}  // namespace breakeven::cli

#include "cli/study_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "cli/given_options.h"
#include "runtimes/pool.h"

namespace breakeven::cli {
namespace {

using session::RuntimeChoice;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseRuntimes, NamesWithTheirVariants) {
  const auto choices = parse_runtimes("native,pytorch:tuned,openvino:all,pytorch:tuned");
  ASSERT_TRUE(choices);
  EXPECT_THAT(*choices, ElementsAre(RuntimeChoice{"native", ""}, RuntimeChoice{"pytorch", "tuned"},
                                    RuntimeChoice{"openvino", "all"}));
  EXPECT_TRUE(session::includes_native(*choices));
  EXPECT_FALSE(session::includes_native(*parse_runtimes("pytorch")));
}

TEST(ParseRuntimes, AllIsNativeAndEveryOther) {
  const auto choices = parse_runtimes("all");
  ASSERT_TRUE(choices);
  ASSERT_EQ(choices->size(), runtimes::known_runtimes().size() + 1);
  EXPECT_EQ(choices->front().name, "native");
}

TEST(ParseRuntimes, WhatIsNotKnownIsRefusedByName) {
  for (const char* text : {"", "tensorflow", "native,", "pytorch:", "native:fast", "Pytorch"}) {
    const auto choices = parse_runtimes(text);
    ASSERT_FALSE(choices) << text;
    EXPECT_EQ(choices.error().code, "flag/choice");
    EXPECT_THAT(choices.error().hint, HasSubstr("pytorch"));
  }
}

// Every flag says again what was typed, whichever way it was typed; a shell reads it back.
TEST(GivenOptions, SayTheSameAgain) {
  CLI::App app;
  StudyFlags flags;
  add_study_flags(app, flags);
  app.parse("--batch=1,8 --texts=- --python a=/x --dry-run --python b=/y -o out --seed 7", false);
  EXPECT_THAT(given_options(app, {"--seed", "--output"}),
              ElementsAre("--batch", "1,8", "--texts=-", "--python", "a=/x", "--python", "b=/y",
                          "--dry-run"));
  EXPECT_THAT(given_options(app, {"--texts", "--batch", "--python", "--dry-run"}),
              ElementsAre("--output", "out", "--seed", "7"));
  EXPECT_EQ(quoted("--batch"), "--batch");
  EXPECT_EQ(quoted("two words"), "'two words'");
  EXPECT_EQ(quoted("it's"), "'it'\\''s'");
  EXPECT_EQ(quoted(""), "''");
}

}  // namespace
}  // namespace breakeven::cli

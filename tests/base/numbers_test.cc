#include "base/numbers.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "base/json.h"

namespace breakeven {
namespace {

TEST(AppendFloat, EveryFloatIsReadBackTheSame) {
  std::uint32_t bits = 12345;
  for (int i = 0; i < 100'000; ++i) {
    bits = bits * 1664525U + 1013904223U;
    const float value = std::bit_cast<float>(bits);
    if (!std::isfinite(value)) continue;
    std::string text;
    append_float(value, text);
    ASSERT_EQ(std::strtof(text.c_str(), nullptr), value) << text;
    ASSERT_TRUE(JsonDocument::parse(text, {"", "json", "field", "hint"})) << text;
  }
}

TEST(AppendFloat, WhatIsNoNumberIsNull) {
  std::string text;
  append_float(std::numeric_limits<float>::quiet_NaN(), text);
  EXPECT_EQ(text, "null");
}

}  // namespace
}  // namespace breakeven

#include "setup/setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace breakeven {
namespace {

using ::testing::HasSubstr;

template <Named T>
void expect_names_read_back() {
  for (const auto& [value, name] : Names<T>::kAll) {
    EXPECT_EQ(to_string(value), name);
    const auto parsed = parse<T>(name);
    ASSERT_TRUE(parsed) << name;
    EXPECT_EQ(*parsed, value) << name;
  }
  const auto unknown = parse<T>("Fp32 ");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, std::string(Names<T>::kWhat) + "/unknown");
  EXPECT_THAT(unknown.error().message, HasSubstr("'Fp32 ' is not "));
  EXPECT_EQ(unknown.error().hint, "choose from " + list_names<T>());
}

TEST(Names, ReadBackAsTheyArePrinted) {
  expect_names_read_back<Precision>();
  expect_names_read_back<Padding>();
  expect_names_read_back<Mode>();
  expect_names_read_back<Arrivals>();
  EXPECT_EQ(list_names<Arrivals>(), "constant, poisson, trace") << "nobody asks for no arrivals";
  EXPECT_FALSE(parse<Mode>(""));
}

TEST(DeviceName, ReadsBackAsItIsPrinted) {
  for (const Device& device : {Device{}, Device{{0}}, Device{{12}}, Device{{0, 2, 1}}}) {
    const auto parsed = parse_device(to_string(device));
    ASSERT_TRUE(parsed) << to_string(device);
    EXPECT_EQ(*parsed, device);
  }
  EXPECT_EQ(to_string(Device{}), "cpu");
  EXPECT_EQ(to_string(Device{{0, 2}}), "cuda:0+cuda:2");
  EXPECT_LT(Device{}, Device{{0}});
}

TEST(DeviceName, NothingElseIsADevice) {
  for (const char* text :
       {"", "gpu", "cuda", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "CPU", "cpu ", "cuda:0+",
        "+cuda:0", "cuda:0+cpu", "cpu+cpu", "cuda:0+cuda:0", "cuda:99999999999"}) {
    const auto device = parse_device(text);
    ASSERT_FALSE(device) << text;
    EXPECT_EQ(device.error().code, "device/unknown") << text;
  }
}

TEST(RuntimeName, HasItsVariantBehindAColon) {
  EXPECT_EQ(to_string(Runtime{}), "native");
  EXPECT_EQ(to_string(Runtime{"pytorch", "seed"}), "pytorch:seed");
  EXPECT_TRUE(Runtime{}.is_native());
  EXPECT_FALSE((Runtime{"pytorch", ""}.is_native()));
}

}  // namespace
}  // namespace breakeven

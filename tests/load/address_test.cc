#include "load/address.h"

#include <gtest/gtest.h>

namespace breakeven::load {
namespace {

TEST(Url, SaysWhereAndWhat) {
  const auto whole = parse_url("http://127.0.0.1:8000/v2/models/m/infer?a=b");
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->host, "127.0.0.1");
  EXPECT_EQ(whole->port, "8000");
  EXPECT_EQ(whole->path, "/v2/models/m/infer?a=b");
  EXPECT_EQ(whole->name(), "127.0.0.1:8000");
  EXPECT_EQ(parse_url("localhost:8000/")->path, "");
  EXPECT_EQ(parse_url("http://example")->port, "80");
  EXPECT_EQ(parse_url("http://[::1]:81/predict")->name(), "[::1]:81");
  EXPECT_EQ(parse_url("unix:/run/x.sock")->name(), "unix:/run/x.sock");
}

TEST(Url, WhatIsNoneIsToldByItsText) {
  for (const char* text :
       {"", "http://", "http://:80", "ftp://a", "http://a:", "http://a:0", "http://a:65536",
        "http://a:b", "http://[::1", "http://[::1]x", "http://a b", "http://a/\n", "http://u:p@a",
        "http://a/#b", "unix:", "http://\xc3\xa4"}) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, "load/url") << text;
    EXPECT_NE(url.error().message.find(std::string("'") + text), std::string::npos) << text;
  }
  const auto tls = parse_url("https://a/predict");
  ASSERT_FALSE(tls);
  EXPECT_EQ(tls.error().code, "load/tls");
  EXPECT_NE(tls.error().hint.find("socat"), std::string::npos);
}

TEST(Url, IsResolvedOrToldWhyNot) {
  EXPECT_TRUE(resolve(*parse_url("http://127.3.0.1"))->is_local());
  EXPECT_TRUE(resolve(*parse_url("http://[::1]:1"))->is_local());
  EXPECT_FALSE(resolve(*parse_url("http://192.0.2.1"))->is_local());
  EXPECT_TRUE(resolve(*parse_url("unix:/x"))->is_local());
  EXPECT_EQ(resolve(*parse_url("http://no-such-host.invalid")).error().code, "load/host");
  EXPECT_EQ(resolve(*parse_url("unix:/" + std::string(200, 'x'))).error().code, "load/url");
}

}  // namespace
}  // namespace breakeven::load

// A made-up hub with one model, and an empty cache beside it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/files.h"
#include "hub/cache.h"
#include "hub/fake_hub.h"
#include "hub/fetch.h"
#include "testing/paths.h"

namespace breakeven::hub {

namespace fs = std::filesystem;
using testing::FakeHub;
using ::testing::HasSubstr;
using ::testing::Not;

inline constexpr const char* kName = "org/tiny";
inline constexpr const char* kToken = "hf_secretsecret";
inline constexpr std::size_t kWeightBytes = 3'000'000;

class Fetch : public ::testing::Test {
 protected:
  Fetch() : hub_(kName) {
    hub_.files = {{"config.json", "{\"a\": 1}"}, {"tokenizer.json", "{}"}, {"vocab.txt", ""}};
    hub_.large = {{"model.safetensors", testing::noise(kWeightBytes, 1)}};
    settings_.endpoint = hub_.url();
    settings_.cache = folder_ / "cache";
    settings_.token = kToken;
    settings_.stall_s = 3600;
    settings_.retry_wait_s = 0.01;
    settings_.attempts = 3;
  }

  Result<FetchedModel> fetch(const std::string& revision = "main",
                             const std::string& name = kName) {
    auto fetched = fetch_model(name, revision, settings_, [&](const Event& event) {
      if (event.kind != Event::Kind::progress) events_.push_back(event);
    });
    // Whatever happens, the token is told to nobody.
    std::string told = fetched ? "" : fetched.error().to_string();
    for (const Event& event : events_) told += event.file + event.note;
    EXPECT_THAT(told, Not(HasSubstr("secret")));
    return fetched;
  }
  Error error(const std::string& revision = "main", const std::string& name = kName) {
    auto fetched = fetch(revision, name);
    EXPECT_FALSE(fetched);
    return fetched ? Error{} : fetched.error();
  }
  void expect_right(const std::string& folder) const {
    for (const auto& part : {hub_.files, hub_.large}) {
      for (const auto& [file, content] : part) {
        const auto read = read_file((fs::path(folder) / file).string());
        ASSERT_TRUE(read) << file;
        EXPECT_TRUE(*read == content) << file;
      }
    }
  }
  int count(Event::Kind kind) const {
    return static_cast<int>(std::count_if(events_.begin(), events_.end(),
                                          [&](const Event& each) { return each.kind == kind; }));
  }
  fs::path blob(const std::string& name) const {
    return model_folder(settings_.cache, kName) / "blobs" / name;
  }
  fs::path weight_blob(const std::string& end = "") {
    return blob(testing::sha256_of(hub_.large["model.safetensors"]) + end);
  }
  fs::path ref() const { return model_folder(settings_.cache, kName) / "refs/main"; }

  breakeven::testing::TempDir folder_;
  FakeHub hub_;
  Settings settings_;
  std::vector<Event> events_;
};

}  // namespace breakeven::hub

// Which weights fetch brings, and what it says of a model that is in the cache when nothing may be
// downloaded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "hub/fetch_fixture.h"

namespace breakeven::hub {
namespace {

using ::testing::Contains;

TEST_F(Fetch, PyTorchsFilesComeWhereNothingElseIsThere) {
  hub_.large["pytorch_model.bin"] = testing::noise(1000, 4);
  const auto both = fetch();
  ASSERT_TRUE(both) << both.error().to_string();
  EXPECT_THAT(both->files, Not(Contains("pytorch_model.bin")));
  hub_.large.erase("model.safetensors");
  fs::remove_all(settings_.cache);
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
  EXPECT_EQ(*find_cached(kName, "main", settings_.cache), fetched->folder);
  hub_.large = {{"pytorch_model-1.bin", testing::noise(10'000, 2)},
                {"pytorch_model-2.bin", testing::noise(20'000, 3)}};
  hub_.files["pytorch_model.bin.index.json"] =
      R"({"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}})";
  fs::remove_all(settings_.cache);
  const auto shards = fetch();
  ASSERT_TRUE(shards) << shards.error().to_string();
  expect_right(shards->folder);
}

TEST_F(Fetch, VocabularyAndMergesAreATokenizer) {
  hub_.files = {{"config.json", "{}"}, {"vocab.json", "{}"}, {"merges.txt", "#version: 0.2"}};
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
  settings_.offline = true;
  EXPECT_TRUE(fetch());
}

TEST_F(Fetch, SentencePiecesFileComesWhereNothingElseHoldsTheWords) {
  for (const char* name : {"sentencepiece.bpe.model", "spm.model"}) {
    SCOPED_TRACE(name);
    fs::remove_all(settings_.cache);
    hub_.files = {{"config.json", "{}"}, {name, "pieces"}};
    const auto alone = fetch();
    ASSERT_TRUE(alone) << alone.error().to_string();
    expect_right(alone->folder);
    fs::remove_all(settings_.cache);
    hub_.files["tokenizer.json"] = "{}";
    const auto beside = fetch();
    ASSERT_TRUE(beside) << beside.error().to_string();
    EXPECT_FALSE(fs::exists(fs::path(beside->folder) / name));
  }
}

TEST_F(Fetch, APullRequestsRefIsARevision) {
  const auto fetched = fetch("refs/pr/1");
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  EXPECT_EQ(*find_cached(kName, "refs/pr/1", settings_.cache), fetched->folder);
  EXPECT_EQ(find_cached(kName, "main", settings_.cache).error().code, "hub/not-cached");
}

TEST_F(Fetch, OfflineMeansOffline) {
  settings_.offline = true;
  const Error nothing = error();
  EXPECT_EQ(nothing.code, "hub/offline");
  EXPECT_THAT(nothing.message, HasSubstr("org/tiny is not in the Hugging Face cache"));
  EXPECT_TRUE(hub_.hub_requests().empty());
}

TEST_F(Fetch, OfflineAModelThatIsThereIsTheAnswer) {
  const auto online = fetch();
  ASSERT_TRUE(online);
  settings_.offline = true;
  const std::size_t requests = hub_.hub_requests().size();
  const auto again = fetch();
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->folder, online->folder);
  EXPECT_EQ(again->commit, online->commit);
  EXPECT_EQ(hub_.hub_requests().size(), requests);
  EXPECT_EQ(error("v1.0").code, "hub/offline");
  for (const char* file : {"tokenizer.json", "vocab.txt"})
    fs::remove(fs::path(online->folder) / file);
  const Error no_tokenizer = error();
  EXPECT_EQ(no_tokenizer.code, "hub/offline");
  EXPECT_THAT(no_tokenizer.message, HasSubstr("without tokenizer.json"));
}

TEST_F(Fetch, OfflineAMissingShardIsNamed) {
  hub_.large = {{"model-1.safetensors", testing::noise(10'000, 2)}};
  hub_.files["model.safetensors.index.json"] = R"({"weight_map": {"a": "model-1.safetensors"}})";
  const auto online = fetch();
  ASSERT_TRUE(online);
  settings_.offline = true;
  EXPECT_TRUE(fetch());
  fs::remove(fs::path(online->folder) / "model-1.safetensors");
  EXPECT_THAT(error().message, HasSubstr("without model-1.safetensors"));
}

}  // namespace
}  // namespace breakeven::hub

// Where the Hugging Face cache is and what is found in it.
#include "hub/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "base/files.h"
#include "hub/settings.h"
#include "testing/paths.h"

namespace breakeven::hub {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

using Variables = std::map<std::string, std::string>;

Result<Settings> settings_of(const Variables& variables) {
  return settings_from_environment([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(Settings, TheCacheIsWhereHuggingfaceHubHasIt) {
  const std::pair<Variables, const char*> cases[] = {
      {{{"HOME", "/h"}}, "/h/.cache/huggingface/hub"},
      {{{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}, "/x/huggingface/hub"},
      {{{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "/f"}}, "/f/hub"},
      {{{"HOME", "/h"}, {"HF_HOME", "~/f"}}, "/h/f/hub"},
      {{{"HOME", "/h"}, {"HF_HOME", "$DATA/f"}, {"DATA", "/d"}}, "/d/f/hub"},
      {{{"HOME", "/h"}, {"HF_HOME", "${DATA}f/$NONE"}, {"DATA", "/d"}}, "/df/$NONE/hub"},
      {{{"HOME", "/h"}, {"HF_HOME", "/f"}, {"HUGGINGFACE_HUB_CACHE", "/o"}}, "/o"},
      {{{"HOME", "/h"}, {"HUGGINGFACE_HUB_CACHE", "/o"}, {"HF_HUB_CACHE", "~/c"}}, "/h/c"},
      {{{"HOME", "/h"}, {"HF_HUB_CACHE", ""}, {"HF_HOME", ""}}, "/h/.cache/huggingface/hub"},
  };
  for (const auto& [variables, cache] : cases) {
    const auto settings = settings_of(variables);
    ASSERT_TRUE(settings) << settings.error().to_string();
    EXPECT_EQ(settings->cache, cache);
  }
  EXPECT_EQ(settings_of({}).error().code, "hub/no-home");
}

TEST(Settings, EndpointOfflineAndTimeouts) {
  const auto plain = settings_of({{"HOME", "/h"}});
  EXPECT_EQ(plain->endpoint, "https://huggingface.co");
  EXPECT_FALSE(plain->offline);
  EXPECT_EQ(plain->stall_s, 30);
  const auto set = settings_of({{"HOME", "/h"},
                                {"HF_ENDPOINT", "https://mirror.example/hf//"},
                                {"HF_HUB_OFFLINE", "Yes"},
                                {"HF_HUB_DOWNLOAD_TIMEOUT", "5"}});
  EXPECT_EQ(set->endpoint, "https://mirror.example/hf");
  EXPECT_TRUE(set->offline);
  EXPECT_EQ(set->stall_s, 5);
  EXPECT_TRUE(settings_of({{"HOME", "/h"}, {"TRANSFORMERS_OFFLINE", "1"}})->offline);
  EXPECT_FALSE(settings_of({{"HOME", "/h"}, {"HF_HUB_OFFLINE", "0"}})->offline);
  EXPECT_EQ(settings_of({{"HOME", "/h"}, {"HF_ENDPOINT", "ftp://x"}}).error().code, "hub/endpoint");
}

TEST(Settings, TheTokenComesFromTheFirstPlaceThatHasOne) {
  const testing::TempDir folder;
  const std::string home = folder.path().string();
  std::ofstream(folder / "token") << " hf_file\n";
  std::ofstream(folder / "other") << "hf_other";
  EXPECT_EQ(settings_of({{"HF_HOME", home}})->token, "hf_file");
  EXPECT_EQ(settings_of({{"HF_HOME", home}, {"HF_TOKEN_PATH", home + "/other"}})->token,
            "hf_other");
  EXPECT_EQ(settings_of({{"HF_HOME", home}, {"HF_TOKEN", "hf_a\n"}})->token, "hf_a");
  EXPECT_EQ(settings_of({{"HF_HOME", home}, {"HUGGING_FACE_HUB_TOKEN", "hf_b"}})->token, "hf_b");
  EXPECT_EQ(settings_of({{"HF_HOME", home}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}})->token, "");
  EXPECT_EQ(settings_of({{"HF_HOME", home + "/none"}})->token, "");
}

TEST(Settings, ATokenThatWouldBreakTheHeaderIsRefusedWithoutShowingIt) {
  for (const char* token : {"hf_a\r\nX: y", "hf a", "hf_\xc3\xa4"}) {
    const auto settings = settings_of({{"HOME", "/h"}, {"HF_TOKEN", token}});
    ASSERT_FALSE(settings) << token;
    EXPECT_EQ(settings.error().code, "hub/token");
    EXPECT_THAT(settings.error().to_string(), Not(HasSubstr("hf_")));
  }
}

TEST(Names, OnlyWhatTheHubAllows) {
  for (const char* good : {"bert-base-uncased", "org/name", "o.r_g/n-a.m_e", "a"}) {
    EXPECT_TRUE(check_name(good)) << good;
  }
  const std::string long_name(97, 'a');
  for (const char* wrong :
       {"",   "/",  "a/", "/a",     "a/b/c", "a--b", "a..b",  "../a",  "a/..", "-a",
        "a-", ".a", "a.", "org/-a", "a b",   "a\nb", "a%2fb", "x.git", "~",    long_name.c_str()}) {
    const auto checked = check_name(wrong);
    ASSERT_FALSE(checked) << wrong;
    EXPECT_EQ(checked.error().code, "hub/name");
  }
  for (const char* good : {"main", "v1.0", "refs/pr/1", kCommit}) {
    EXPECT_TRUE(check_revision(good)) << good;
  }
  for (const char* wrong : {"", "/a", "a/", "a/../b", "..", "a//b", "a b", "-f", "a?b"}) {
    EXPECT_EQ(check_revision(wrong).error().code, "hub/revision") << wrong;
  }
}

class Cache : public ::testing::Test {
 protected:
  // A snapshot as huggingface_hub writes it: blobs, links to them, a ref.
  fs::path add(const std::string& name, const std::vector<std::string>& files,
               const std::string& commit = kCommit, const std::string& ref = "main") {
    const fs::path model = model_folder(folder_.path(), name);
    const fs::path snapshot = model / "snapshots" / commit;
    fs::create_directories(snapshot);
    fs::create_directories(model / "blobs");
    fs::create_directories((model / "refs" / ref).parent_path());
    for (const std::string& file : files) {
      std::ofstream(model / "blobs" / ("of-" + file)) << "{}";
      fs::create_symlink("../../blobs/of-" + file, snapshot / file);
    }
    std::ofstream(model / "refs" / ref) << commit;
    return snapshot;
  }
  Result<std::string> find(const std::string& name, const std::string& revision = "main") const {
    return find_cached(name, revision, folder_.path());
  }
  testing::TempDir folder_;
};

TEST_F(Cache, FindsAModelByNameAndRevision) {
  const fs::path snapshot = add("org/name", {"config.json", "model.safetensors"});
  const std::string other = "fedcba9876543210fedcba9876543210fedcba98";
  const fs::path tagged =
      add("org/name", {"config.json", "model.safetensors.index.json"}, other, "refs/pr/1");
  EXPECT_EQ(*find("org/name"), snapshot);
  EXPECT_EQ(*find("org/name", kCommit), snapshot);
  EXPECT_EQ(*find("org/name", "refs/pr/1"), tagged);
  EXPECT_EQ(*find("org/name", other), tagged);
  EXPECT_EQ(find("org/name", "v2").error().code, "hub/not-cached");
  EXPECT_EQ(find("name").error().code, "hub/not-cached");
}

TEST_F(Cache, MovedModelsAreFoundUnderBothNames) {
  const std::string bare = "distilbert-base-uncased-finetuned-sst-2-english";
  const fs::path moved = add("distilbert/" + bare, {"config.json", "model.safetensors"});
  EXPECT_EQ(*find(bare), moved);
  EXPECT_EQ(*find("distilbert/" + bare), moved);
  const fs::path first = add(bare, {"config.json", "model.safetensors"});
  EXPECT_EQ(*find(bare), first);  // as Transformers looks for it
  const fs::path bert = add("bert-base-cased", {"config.json", "model.safetensors"});
  EXPECT_EQ(*find("google-bert/bert-base-cased"), bert);
}

TEST_F(Cache, ASnapshotWithoutItsFilesIsIncomplete) {
  add("org/config-only", {"config.json"});
  const auto found = find("org/config-only");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, "hub/incomplete");
  EXPECT_THAT(found.error().message, HasSubstr("model.safetensors"));
  EXPECT_THAT(found.error().hint, HasSubstr("breakeven fetch org/config-only"));
  add("org/weights-only", {"model.safetensors"});
  EXPECT_THAT(find("org/weights-only").error().message, HasSubstr("config.json"));
  add("org/dangling", {"config.json", "model.safetensors"});
  fs::remove(model_folder(folder_.path(), "org/dangling") / "blobs/of-model.safetensors");
  EXPECT_EQ(find("org/dangling").error().code, "hub/incomplete");
}

TEST_F(Cache, FilesOfATokenizerAreEnoughForOne) {
  const auto tokenizer = [&](const std::string& name) {
    return find_cached(name, "main", folder_.path(), Files::tokenizer);
  };
  const fs::path json = add("org/json", {"config.json", "tokenizer.json"});
  EXPECT_EQ(*tokenizer("org/json"), json);
  const fs::path txt = add("org/txt", {"vocab.txt"});
  EXPECT_EQ(*tokenizer("org/txt"), txt);
  EXPECT_EQ(find("org/json").error().code, "hub/incomplete");
  add("org/weights", {"config.json", "model.safetensors"});
  EXPECT_THAT(tokenizer("org/weights").error().message, HasSubstr("tokenizer.json, vocab.txt"));
}

TEST_F(Cache, PyTorchsWeightsCountToo) {
  for (const char* weights : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    const std::string name = std::string("org/") + weights;
    const fs::path snapshot = add(name, {"config.json", weights});
    EXPECT_EQ(*find(name), snapshot);
  }
}

TEST_F(Cache, WhatIsNoCommitIsNotFollowed) {
  add("org/name", {"config.json", "model.safetensors"});
  const fs::path ref = model_folder(folder_.path(), "org/name") / "refs/main";
  std::ofstream(ref) << "../../../etc";
  EXPECT_EQ(find("org/name").error().code, "hub/not-cached");
  std::ofstream(ref) << kCommit << "\n";
  EXPECT_TRUE(find("org/name"));
  EXPECT_EQ(find("../x").error().code, "hub/name");
  EXPECT_EQ(find("org/name", "../x").error().code, "hub/revision");
}

TEST_F(Cache, TheEnvironmentNamesTheCache) {
  const fs::path snapshot = add("org/name", {"config.json", "model.safetensors"});
  ASSERT_EQ(::setenv("HF_HUB_CACHE", folder_.path().c_str(), 1), 0);
  EXPECT_EQ(*find_cached("org/name"), snapshot);
  ASSERT_EQ(::setenv("TRANSFORMERS_CACHE", folder_.path().c_str(), 1), 0);
  EXPECT_EQ(*find_cached("org/name"), snapshot);
  const auto other = find_cached("org/other");
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().hint.find("TRANSFORMERS_CACHE is set"), std::string::npos);
  ::unsetenv("TRANSFORMERS_CACHE");
  ::unsetenv("HF_HUB_CACHE");
}

TEST_F(Cache, LinksAndRefsReadBack) {
  const fs::path model = model_folder(folder_.path(), "org/new");
  fs::create_directories(model / "blobs");
  std::ofstream(model / "blobs/etag1") << "one";
  std::ofstream(model / "blobs/etag2") << "two";
  ASSERT_TRUE(link_snapshot(model, kCommit, "config.json", "etag1"));
  ASSERT_TRUE(link_snapshot(model, kCommit, "config.json", "etag1"));
  const fs::path link = model / "snapshots" / kCommit / "config.json";
  EXPECT_EQ(fs::read_symlink(link), "../../blobs/etag1");
  EXPECT_EQ(*read_file(link), "one");
  ASSERT_TRUE(link_snapshot(model, kCommit, "config.json", "etag2"));
  EXPECT_EQ(*read_file(link), "two");
  EXPECT_EQ(std::distance(fs::directory_iterator(link.parent_path()), {}), 1);
  ASSERT_TRUE(write_ref(model, "refs/pr/1", kCommit));
  EXPECT_EQ(*read_file(model / "refs/refs/pr/1"), kCommit);
  ASSERT_TRUE(write_ref(model, kCommit, kCommit));
  EXPECT_FALSE(fs::exists(model / "refs" / kCommit));
  EXPECT_EQ(write_ref("/proc/none", "main", kCommit).error().code, "hub/disk");
  EXPECT_EQ(link_snapshot("/proc/none", kCommit, "a", "b").error().code, "hub/disk");
}

}  // namespace
}  // namespace breakeven::hub

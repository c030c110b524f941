// fetch against a hub on 127.0.0.1 that also breaks off, lies, stalls, redirects and refuses.
#include "hub/fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/files.h"
#include "hub/cache.h"
#include "hub/fake_hub.h"
#include "hub/fetch_fixture.h"
#include "testing/paths.h"

namespace breakeven::hub {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using testing::FakeHub;
using testing::Fault;
using ::testing::HasSubstr;
using testing::HttpServer;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

TEST_F(Fetch, BringsAModelIntoTheLayoutOfTheCache) {
  hub_.large["README.md"] = "not fetched";
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  hub_.large.erase("README.md");
  EXPECT_EQ(fetched->commit, testing::kCommit);
  EXPECT_THAT(fetched->files, UnorderedElementsAre("config.json", "tokenizer.json", "vocab.txt",
                                                   "model.safetensors"));
  EXPECT_TRUE(fetched->unchecked.empty());
  expect_right(fetched->folder);
  EXPECT_EQ(*find_cached(kName, "main", settings_.cache), fetched->folder);
  EXPECT_EQ(*read_file(ref().string()), testing::kCommit);
  EXPECT_TRUE(fs::is_regular_file(weight_blob()));
  EXPECT_EQ(fs::read_symlink(fs::path(fetched->folder) / "model.safetensors"),
            fs::path("../../blobs") / weight_blob().filename());
  EXPECT_TRUE(fs::is_regular_file(blob(testing::git_blob_of("{\"a\": 1}"))));
  for (const auto& entry : fs::recursive_directory_iterator(settings_.cache)) {
    EXPECT_NE(entry.path().extension(), ".incomplete");
  }
}

TEST_F(Fetch, TheTokenGoesToTheHubOnly) {
  hub_.needed_token = kToken;
  ASSERT_TRUE(fetch());
  for (const auto& request : hub_.hub_requests()) {
    EXPECT_EQ(request.header("authorization"), std::string("Bearer ") + kToken);
  }
  ASSERT_FALSE(hub_.storage_requests().empty());
  for (const auto& request : hub_.storage_requests()) {
    EXPECT_EQ(request.header("authorization"), "") << "another host got the token";
    EXPECT_EQ(request.method, "GET") << "an address that is signed for GET got a HEAD";
  }
}

TEST_F(Fetch, TheTokenDoesNotComeBackWithARedirect) {
  // hub -> storage -> hub again: from there on it stays away.
  HttpServer detour([&](const auto&, auto& connection) {
    connection.send(
        testing::head_of_answer(302, "Location: " + hub_.url() + "/back\r\nContent-Length: 0\r\n"));
  });
  hub_.large_location = detour.url() + "/detour";
  EXPECT_EQ(error().code, "hub/not-found");
  EXPECT_EQ(detour.requests().back().header("authorization"), "");
  EXPECT_EQ(hub_.hub_requests().back().path, "/back");
  EXPECT_EQ(hub_.hub_requests().back().header("authorization"), "");
}

TEST_F(Fetch, WithoutATokenNoneIsSent) {
  settings_.token.clear();
  ASSERT_TRUE(fetch());
  for (const auto& request : hub_.hub_requests()) EXPECT_EQ(request.header("authorization"), "");
}

TEST_F(Fetch, EveryFileIsOfOneCommit) {
  ASSERT_TRUE(fetch("v1.0"));
  const auto requests = hub_.hub_requests();
  EXPECT_THAT(requests.front().path, HasSubstr("/resolve/v1.0/config.json"));
  for (std::size_t i = 1; i < requests.size(); ++i) {
    EXPECT_THAT(requests[i].path, HasSubstr(std::string("/resolve/") + testing::kCommit));
  }
  EXPECT_TRUE(find_cached(kName, "v1.0", settings_.cache));
  EXPECT_FALSE(find_cached(kName, "main", settings_.cache));
}

TEST_F(Fetch, ARevisionWithSlashesAndACommitAreRevisions) {
  ASSERT_TRUE(fetch("refs/pr/1"));
  EXPECT_TRUE(find_cached(kName, "refs/pr/1", settings_.cache));
  ASSERT_TRUE(fetch(testing::kCommit));
  EXPECT_TRUE(find_cached(kName, testing::kCommit, settings_.cache));
}

TEST_F(Fetch, TheSecondTimeNothingIsDownloaded) {
  ASSERT_TRUE(fetch());
  events_.clear();
  ASSERT_TRUE(fetch());
  EXPECT_EQ(hub_.downloads(), 1);
  EXPECT_EQ(count(Event::Kind::present), 4);
  EXPECT_EQ(count(Event::Kind::done), 0);
}

TEST_F(Fetch, ADamagedBlobIsReplaced) {
  const auto fetched = fetch();
  ASSERT_TRUE(fetched);
  std::string damaged = hub_.large["model.safetensors"];
  damaged[1000] ^= 1;
  std::ofstream(weight_blob(), std::ios::binary) << damaged;
  ASSERT_TRUE(fetch());
  EXPECT_EQ(hub_.downloads(), 2);
  expect_right(fetched->folder);
}

TEST_F(Fetch, AMovedModelIsFollowed) {
  hub_.moved_from = "tiny";
  const auto fetched = fetch("main", "tiny");
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
  EXPECT_TRUE(find_cached("tiny", "main", settings_.cache));
}

TEST_F(Fetch, ShardsComeWithTheirIndex) {
  hub_.large = {{"model-1.safetensors", testing::noise(10'000, 2)},
                {"model-2.safetensors", testing::noise(20'000, 3)}};
  hub_.files["model.safetensors.index.json"] =
      R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors",
          "c": "model-1.safetensors"}})";
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
  EXPECT_EQ(hub_.downloads(), 2);
}

TEST_F(Fetch, AnIndexThatIsNoneIsRefused) {
  hub_.large.clear();
  for (const char* index :
       {"", "[]", "{}", R"({"weight_map": {}})", R"({"weight_map": {"a": 1}})",
        R"({"weight_map": {"a": "../evil"}})", R"({"weight_map": {"a": "x/y"}})",
        R"({"weight_map": {"a": "missing.safetensors"}})"}) {
    hub_.files["model.safetensors.index.json"] = index;
    EXPECT_EQ(error().code, "hub/index") << index;
    EXPECT_FALSE(fs::exists(ref()));
  }
}

TEST_F(Fetch, ABrokenConnectionIsContinued) {
  hub_.push_fault({.break_after = 1'200'000});
  hub_.push_fault({.break_after = 500'000});
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
  const auto requests = hub_.storage_requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[0].header("range"), "");
  EXPECT_EQ(requests[1].header("range"), "bytes=1200000-");
  EXPECT_EQ(requests[2].header("range"), "bytes=1700000-");
  EXPECT_EQ(count(Event::Kind::retrying), 2);
}

TEST_F(Fetch, AServerWithoutContentLengthIsContinuedToo) {
  hub_.push_fault({.break_after = 1'200'000, .no_length = true});
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
  EXPECT_EQ(hub_.storage_requests().at(1).header("range"), "bytes=1200000-");
}

TEST_F(Fetch, AServerThatIgnoresRangesStartsAgain) {
  hub_.push_fault({.break_after = 1'200'000});
  hub_.push_fault({.ignores_range = true});
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
}

TEST_F(Fetch, AnotherPartThanAskedForIsNotKept) {
  hub_.push_fault({.break_after = 1'200'000});
  hub_.push_fault({.wrong_range = true});
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
  EXPECT_EQ(hub_.storage_requests().at(2).header("range"), "");
}

TEST_F(Fetch, TooManyBreaksKeepWhatHasComeForTheNextRun) {
  for (int i = 0; i < settings_.attempts; ++i) hub_.push_fault({.break_after = 100'000});
  const Error broken = error();
  EXPECT_EQ(broken.code, "hub/broken-off");
  EXPECT_THAT(broken.message, HasSubstr("3 attempts"));
  EXPECT_THAT(broken.message, HasSubstr(weight_blob(".incomplete").string()));
  EXPECT_EQ(fs::file_size(weight_blob(".incomplete")), 300'000U);
  EXPECT_FALSE(fs::exists(ref())) << "half a model must not be found";
  EXPECT_EQ(find_cached(kName, "main", settings_.cache).error().code, "hub/not-cached");
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
  EXPECT_EQ(hub_.storage_requests().back().header("range"), "bytes=300000-");
}

TEST_F(Fetch, ProgressForgetsFailures) {
  // More breaks than attempts, but each brings a megabyte.
  hub_.large["model.safetensors"] = testing::noise(6'500'000, 5);
  for (int i = 0; i < 6; ++i) hub_.push_fault({.break_after = 1'000'000});
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
}

// How often it is tried again stands in download_test.cc, where no clock decides.
TEST_F(Fetch, SilenceEndsAConnection) {
  settings_.stall_s = 1;
  settings_.attempts = 1;
  hub_.push_fault({.break_after = 1'200'000, .stalls = true});
  EXPECT_EQ(error().code, "hub/stalled");
}

TEST_F(Fetch, ServerErrorsAreTriedAgain) {
  hub_.busy_heads = 2;
  hub_.push_fault({.status = 503});
  hub_.push_fault({.status = 429});
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  hub_.busy_heads = 100;
  EXPECT_EQ(error().code, "hub/server");
}

TEST_F(Fetch, ALieAboutTheLengthIsFound) {
  hub_.push_fault({.length_lie = 5});
  Error lie = error();
  EXPECT_EQ(lie.code, "hub/size");
  EXPECT_THAT(lie.message, HasSubstr("3000005"));
  EXPECT_THAT(lie.message, HasSubstr("3000000"));
  hub_.push_fault({.length_lie = -5});
  EXPECT_EQ(error().code, "hub/size");
  // More bytes than announced, without a length.
  hub_.served["model.safetensors"] = hub_.large["model.safetensors"] + "more";
  hub_.push_fault({.no_length = true});
  EXPECT_EQ(error().code, "hub/size");
  EXPECT_FALSE(fs::exists(weight_blob()));
}

TEST_F(Fetch, OtherBytesThanTheDigestSaysAreThrownAway) {
  hub_.served["model.safetensors"] = testing::noise(kWeightBytes, 9);
  const Error wrong = error();
  EXPECT_EQ(wrong.code, "hub/digest");
  EXPECT_THAT(wrong.message, HasSubstr("model.safetensors"));
  EXPECT_FALSE(fs::exists(weight_blob()));
  EXPECT_FALSE(fs::exists(weight_blob(".incomplete")));
  EXPECT_FALSE(fs::exists(ref()));
}

TEST_F(Fetch, SmallFilesAreCheckedByGitsDigest) {
  hub_.served["config.json"] = "{\"a\": 2}";
  EXPECT_EQ(error().code, "hub/digest");
}

TEST_F(Fetch, APartThatBelongsToAnotherFileIsDropped) {
  fs::create_directories(weight_blob().parent_path());
  std::ofstream(weight_blob(".incomplete"), std::ios::binary) << testing::noise(1'000'000, 77);
  auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
  EXPECT_EQ(hub_.downloads(), 2);
  // Larger than the file is.
  fs::remove(weight_blob());
  std::ofstream(weight_blob(".incomplete"), std::ios::binary) << testing::noise(4'000'000, 77);
  fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
}

TEST_F(Fetch, AnETagThatIsNoDigestIsSaid) {
  hub_.etags["vocab.txt"] = "just-a-tag";
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  EXPECT_THAT(fetched->unchecked, ElementsAre("vocab.txt"));
  expect_right(fetched->folder);
}

TEST_F(Fetch, AnETagCannotLeaveTheFolder) {
  for (const char* etag : {"../../../evil", "a/b", "..", ""}) {
    hub_.etags["config.json"] = etag;
    EXPECT_EQ(error().code, "hub/endpoint") << etag;
  }
}

TEST_F(Fetch, RefusalsAreToldApart) {
  EXPECT_EQ(error("main", "org/none").code, "hub/not-found");
  EXPECT_EQ(error("v9").code, "hub/no-revision");
  EXPECT_EQ(error("main", "a--b").code, "hub/name");
  EXPECT_EQ(error("a b").code, "hub/revision");
  hub_.needed_token = "hf_other";
  const Error unknown = error();
  EXPECT_EQ(unknown.code, "hub/not-found");
  EXPECT_THAT(unknown.hint, HasSubstr("HF_TOKEN"));
  hub_.needed_token.clear();
  hub_.is_gated = true;
  const Error gated = error();
  EXPECT_EQ(gated.code, "hub/gated");
  EXPECT_THAT(gated.hint, HasSubstr("terms"));
}

TEST_F(Fetch, MissingPartsAreToldBeforeAnythingLargeComes) {
  hub_.files.erase("tokenizer.json");
  hub_.files.erase("vocab.txt");
  EXPECT_EQ(error().code, "hub/no-tokenizer");
  hub_.files["vocab.txt"] = "a";
  hub_.large.clear();
  hub_.large["tf_model.h5"] = "";
  const Error other = error();
  EXPECT_EQ(other.code, "hub/no-weights");
  EXPECT_THAT(other.hint, HasSubstr("refs/pr/1"));
  hub_.files.erase("config.json");
  EXPECT_EQ(error().code, "hub/no-file");
  EXPECT_FALSE(fs::exists(settings_.cache));
}

TEST_F(Fetch, WhatIsNoHubIsRefused) {
  HttpServer other([](const auto&, auto& connection) {
    connection.send(testing::head_of_answer(200, "ETag: \"x\"\r\nContent-Length: 0\r\n"));
  });
  settings_.endpoint = other.url();
  EXPECT_EQ(error().code, "hub/endpoint");
  HttpServer garbage([](const auto&, auto& connection) { connection.send("what?\r\n\r\n"); });
  settings_.endpoint = garbage.url();
  settings_.attempts = 1;
  EXPECT_FALSE(fetch());
  HttpServer silent([](const auto&, auto& connection) { connection.stall(); });
  settings_.endpoint = silent.url();
  settings_.stall_s = 1;
  EXPECT_EQ(error().code, "hub/stalled");
}

TEST_F(Fetch, NetworkFailuresAreToldApart) {
  settings_.endpoint = "http://no-such-host.invalid";
  EXPECT_EQ(error().code, "hub/dns");
  {
    const HttpServer gone([](const auto&, auto&) {});
    settings_.endpoint = gone.url();
  }
  EXPECT_EQ(error().code, "hub/connect");
  settings_.endpoint = "https" + hub_.url().substr(4);  // no TLS there
  EXPECT_EQ(error().code, "hub/tls");
  settings_.endpoint = "http://[not-a-host";
  EXPECT_EQ(error().code, "hub/url");
}

TEST_F(Fetch, RedirectsEndSomewhere) {
  hub_.large_location = "/" + std::string(kName) + "/resolve/main/model.safetensors";
  EXPECT_EQ(error().code, "hub/redirect");
  hub_.large_location = "file:///etc/passwd";
  EXPECT_EQ(error().code, "hub/redirect");
}

TEST_F(Fetch, TwoAtTheSameTimeDownloadOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  std::atomic<int> waited{0};
  hub_.before_storage = [&] {  // one downloads only when the other has found it at work
    while (waited == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      const auto fetched = fetch_model(kName, "main", settings_, [&](const Event& event) {
        waited += event.kind == Event::Kind::waiting ? 1 : 0;
      });
      right += fetched.has_value() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 2);
  EXPECT_GE(waited, 1);
  EXPECT_EQ(hub_.downloads(), 1);
}

TEST_F(Fetch, AFullDiskIsSaidBeforeTheDownload) {
  hub_.sizes["model.safetensors"] = "1000000000000000000";
  const Error full = error();
  EXPECT_EQ(full.code, "hub/disk");
  EXPECT_THAT(full.message, HasSubstr("free"));
  EXPECT_EQ(hub_.downloads(), 0);
}

TEST_F(Fetch, ADiskThatFillsUpKeepsWhatHasCome) {
  // A limit on the size of files stands for the full disk: write(2) fails in the same place.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limited{1'000'000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limited), 0);
  const Error full = error();
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(full.code, "hub/disk");
  EXPECT_EQ(fs::file_size(weight_blob(".incomplete")), 1'000'000U);
  const auto fetched = fetch();
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  expect_right(fetched->folder);
  EXPECT_EQ(hub_.storage_requests().back().header("range"), "bytes=1000000-");
}

TEST_F(Fetch, ACacheThatCannotBeWrittenIsSaid) {
  settings_.cache = "/proc/breakeven";
  EXPECT_EQ(error().code, "hub/disk");
}

TEST_F(Fetch, AnArchiveIsFetchedAndContinued) {
  const std::string content = testing::noise(2'000'000, 4);
  hub_.large["imdb.tar.gz"] = content;
  const Archive archive{hub_.storage_url() + "/imdb.tar.gz", content.size(),
                        testing::sha256_of(content)};
  const fs::path path = folder_ / "data/aclImdb_v1.tar.gz";
  hub_.push_fault({.break_after = 700'000});
  const auto fetched = fetch_archive(archive, path, settings_, {});
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  EXPECT_TRUE(*read_file(path.string()) == content);
  const auto requests = hub_.storage_requests();
  ASSERT_EQ(requests.size(), 2U);
  for (const auto& request : requests) EXPECT_EQ(request.header("authorization"), "");
  ASSERT_TRUE(fetch_archive(archive, path, settings_, {}));
  EXPECT_EQ(hub_.downloads(), 2);
}

TEST_F(Fetch, AnArchiveOfOtherBytesIsRefused) {
  hub_.large["imdb.tar.gz"] = "other";
  const fs::path path = folder_ / "a.tar.gz";
  const Archive archive{hub_.storage_url() + "/imdb.tar.gz", 5, testing::sha256_of("right")};
  EXPECT_EQ(fetch_archive(archive, path, settings_, {}).error().code, "hub/digest");
  EXPECT_FALSE(fs::exists(path));
  const Archive missing{hub_.url() + "/none", 5, testing::sha256_of("right")};
  EXPECT_EQ(fetch_archive(missing, path, settings_, {}).error().code, "hub/not-found");
  settings_.offline = true;
  EXPECT_EQ(fetch_archive(archive, path, settings_, {}).error().code, "hub/offline");
  std::ofstream(path) << "right";
  EXPECT_TRUE(fetch_archive(archive, path, settings_, {})) << "it is there already";
}

TEST(Imdb, TheMirrorIsAVariableAndTheDigestStays) {
  const Archive plain = imdb_archive([](const char*) -> const char* { return nullptr; });
  EXPECT_THAT(plain.url, HasSubstr("ai.stanford.edu"));
  EXPECT_EQ(plain.size, 84125825U);
  const Archive mirror = imdb_archive([](const char* name) -> const char* {
    return std::string_view(name) == "BREAKEVEN_IMDB_URL" ? "http://mirror/x" : nullptr;
  });
  EXPECT_EQ(mirror.url, "http://mirror/x");
  EXPECT_EQ(mirror.sha256, plain.sha256);
}

TEST(PrintableUrl, LeavesOutWhatMayBeSecret) {
  EXPECT_EQ(printable_url("https://user:pass@h.example:8443/a/b?sig=1#x"),
            "https://h.example:8443/a/b");
  EXPECT_EQ(printable_url("https://h.example/a"), "https://h.example/a");
  EXPECT_THAT(printable_url("nonsense://user:pass@h?sig"), Not(HasSubstr("sig")));
}

}  // namespace
}  // namespace breakeven::hub

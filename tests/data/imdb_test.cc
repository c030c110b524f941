#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <set>

#include "archives.h"
#include "base/files.h"
#include "data/imdb_source.h"
#include "helpers.h"

namespace breakeven::data {
namespace {

namespace fs = std::filesystem;

// A small data set in the layout of the real one, with what the real one has beside the reviews.
Files small_imdb(int per_label) {
  Files files;
  for (const char* split : {"train", "test"}) {
    for (int i = 0; i < per_label; ++i) {
      files[fmt::format("aclImdb/{}/pos/{}_{}.txt", split, i, 7 + i % 4)] =
          fmt::format("{} good {}", split, i);
      files[fmt::format("aclImdb/{}/neg/{}_{}.txt", split, i, 1 + i % 4)] =
          fmt::format("{} bad {}", split, i);
    }
  }
  files["aclImdb/train/unsup/0_0.txt"] = "unlabelled";
  files["aclImdb/test/urls_pos.txt"] = "http://example.invalid";
  files["aclImdb/README"] = "read me";
  files["aclImdb/imdb.vocab"] = "the\nand\n";
  return files;
}

class Imdb : public ::testing::Test {
 protected:
  std::string folder_of(const Files& files, const std::string& name = "tree") {
    for (const auto& [path, text] : files) put_file(dir_ / name / path, text);
    return (dir_ / name).string();
  }
  ReviewSet read(const std::string& texts) {
    options_.texts = texts;
    auto set = read_reviews(options_, 1000);
    EXPECT_TRUE(set.has_value()) << set.error().to_string();
    return set ? *std::move(set) : ReviewSet{};
  }
  Result<ReviewSet> refused(const std::string& texts) {
    options_.texts = texts;
    return read_reviews(options_, 1000);
  }
  testing::TempDir dir_;
  SourceOptions options_{.labels = {"NEGATIVE", "POSITIVE"}};
};

TEST_F(Imdb, PathsAreReadAndOtherFilesLeftOut) {
  const auto entry = parse_imdb_path("x/aclImdb/train/neg/12_3.txt");
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->id, "train/neg/12_3");
  EXPECT_FALSE(entry->positive);
  EXPECT_EQ(entry->number, 12U);
  EXPECT_EQ(entry->rating, 3);
  for (const char* path :
       {"aclImdb/train/unsup/0_0.txt", "aclImdb/test/urls_pos.txt", "aclImdb/dev/pos/1_8.txt",
        "aclImdb/test/pos/1.txt", "aclImdb/test/pos/a_8.txt", "aclImdb/test/pos/1_8.txt.bak",
        "aclImdb/test/pos/1_x.txt", "1_8.txt", "", "/", "aclImdb/test/pos/._1_8.txt"}) {
    EXPECT_FALSE(parse_imdb_path(path).has_value()) << path;
  }
}

TEST_F(Imdb, FolderAndArchivesGiveTheSameReviewsInTheSameOrder) {
  const Files files = small_imdb(40);
  const std::string tree = folder_of(files);
  const ReviewSet from_folder = read(tree);
  EXPECT_EQ(from_folder.reviews.size(), 80U);
  EXPECT_EQ(from_folder.name, "imdb test");
  EXPECT_THAT(from_folder.note, ::testing::HasSubstr("80 reviews"));
  EXPECT_EQ(texts_of(read(tree + "/aclImdb").reviews), texts_of(from_folder.reviews));
  EXPECT_EQ(texts_of(read(write_archive(dir_ / "a.tar.gz", files, "gzip")).reviews),
            texts_of(from_folder.reviews));
  EXPECT_EQ(texts_of(read(write_archive(dir_ / "a.tar.xz", files, "xz")).reviews),
            texts_of(from_folder.reviews));
  EXPECT_EQ(texts_of(read(write_archive(dir_ / "a.tar", files, "none")).reviews),
            texts_of(from_folder.reviews));
}

TEST_F(Imdb, LabelsRatingsAndSplitsAreRight) {
  const std::string tree = folder_of(small_imdb(40));
  for (const char* split : {"test", "train"}) {
    options_.split = split;
    for (const Review& review : read(tree).reviews) {
      EXPECT_EQ(review.text.starts_with(split), true) << review.text;
      EXPECT_EQ(review.label, review.text.find("good") != std::string::npos ? 1 : 0);
      EXPECT_THAT(
          review.extra,
          ::testing::MatchesRegex(R"(\{"id":"[a-z]+/(pos|neg)/[0-9]+_[0-9]+","rating":[0-9]+\})"));
    }
  }
  options_.split = "all";
  EXPECT_EQ(read(tree).reviews.size(), 160U);
}

TEST_F(Imdb, TheOrderIsMixedByTheSeed) {
  const std::string tree = folder_of(small_imdb(40));
  const ReviewSet first = read(tree);
  EXPECT_EQ(texts_of(read(tree).reviews), texts_of(first.reviews));
  int positives = 0;
  for (std::size_t i = 0; i < 40; ++i) positives += first.reviews[i].label.value();
  EXPECT_GT(positives, 10);
  EXPECT_LT(positives, 30);
  options_.seed = 2;
  const ReviewSet second = read(tree);
  EXPECT_NE(texts_of(second.reviews), texts_of(first.reviews));
  const auto texts = texts_of(first.reviews);
  const auto other = texts_of(second.reviews);
  EXPECT_EQ(std::set<std::string>(texts.begin(), texts.end()),
            std::set<std::string>(other.begin(), other.end()));
}

TEST_F(Imdb, AModelWithOtherLabelsGetsNoneAndTheNoteSaysSo) {
  options_.labels = {"1 star", "2 stars", "3 stars"};
  const ReviewSet set = read(folder_of(small_imdb(2)));
  EXPECT_EQ(set.reviews[0].label, std::nullopt);
  EXPECT_THAT(set.note, ::testing::HasSubstr("no accuracy"));
  EXPECT_THAT(set.note, ::testing::HasSubstr("1 star, 2 stars"));
}

TEST_F(Imdb, RefusesAFolderWithoutReviews) {
  fs::create_directories(dir_ / "empty");
  EXPECT_REFUSED(refused((dir_ / "empty").string()), "data/no-reviews",
                 {"empty", "test/pos/ID_RATING.txt"});
  options_.split = "train";
  Files only_test;
  only_test["aclImdb/test/pos/1_8.txt"] = "good";
  EXPECT_REFUSED(refused(folder_of(only_test)), "data/no-reviews", {"train/pos/ID_RATING.txt"});
}

TEST_F(Imdb, RefusesAnArchiveWithoutReviews) {
  EXPECT_REFUSED(refused(write_archive(dir_ / "a.tar.gz", {{"notes/readme.txt", "x"}}, "gzip")),
                 "data/no-reviews", {"a.tar.gz", "aclImdb_v1.tar.gz"});
  EXPECT_REFUSED(refused(write_archive(dir_ / "b.tar.gz", {}, "gzip")), "data/no-reviews",
                 {"b.tar.gz"});
}

TEST_F(Imdb, RefusesEmptyMissingAndCorruptArchives) {
  EXPECT_REFUSED(refused(put_file(dir_ / "a.tar.gz", "")), "data/empty", {"a.tar.gz"});
  EXPECT_REFUSED(refused((dir_ / "none.tar.gz").string()), "file/missing", {"none.tar.gz"});
  EXPECT_REFUSED(refused(put_file(dir_ / "b.tar.gz", std::string(5000, '?'))),
                 "data/archive-corrupt", {"b.tar.gz", "fetch imdb"});
  const std::string whole =
      read_file(write_archive(dir_ / "c.tar.gz", small_imdb(200), "gzip")).value();
  EXPECT_REFUSED(refused(put_file(dir_ / "cut.tar.gz", whole.substr(0, whole.size() / 2))),
                 "data/archive-corrupt", {"cut.tar.gz", "behind the entry"});
  std::string damaged = whole;
  for (std::size_t i = 0; i < 64; ++i) damaged[whole.size() / 2 + i] ^= '\x55';
  EXPECT_REFUSED(refused(put_file(dir_ / "bad.tar.gz", damaged)), "data/archive-corrupt",
                 {"bad.tar.gz"});
}

TEST_F(Imdb, RefusesAnUnknownSplit) {
  options_.split = "dev";
  EXPECT_REFUSED(refused("imdb"), "data/split", {"'dev'", "test, train, all"});
}

// An environment variable for one test.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    if (value != nullptr) {
      ::setenv(name, value, 1);
    } else {
      ::unsetenv(name);
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() {
    if (old_) {
      ::setenv(name_, old_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST_F(Imdb, IsFoundInItsPlacesInTheirOrder) {
  const fs::path before = fs::current_path();
  fs::create_directories(dir_ / "work");
  fs::current_path(dir_ / "work");
  const Environment cache("XDG_CACHE_HOME", (dir_ / "cache").c_str());
  {
    const Environment unset("BREAKEVEN_IMDB", nullptr);
    EXPECT_REFUSED(find_imdb(), "data/imdb-missing",
                   {"$BREAKEVEN_IMDB (not set)", "cache/breakeven/data/aclImdb_v1.tar.gz",
                    "./aclImdb", "breakeven fetch imdb"});
    fs::create_directories(dir_ / "work" / "aclImdb");
    EXPECT_EQ(find_imdb().value(), "aclImdb");
    const std::string fetched =
        write_archive((fs::create_directories(dir_ / "cache/breakeven/data"),
                       dir_ / "cache/breakeven/data/aclImdb_v1.tar.gz"),
                      small_imdb(3), "gzip");
    EXPECT_EQ(find_imdb().value(), fetched);
    EXPECT_EQ(read("imdb").reviews.size(), 6U);
  }
  {
    const Environment given("BREAKEVEN_IMDB", dir_.path().c_str());
    EXPECT_EQ(find_imdb().value(), dir_.path().string());
  }
  {
    const Environment gone("BREAKEVEN_IMDB", "/nowhere/at/all");
    EXPECT_REFUSED(find_imdb(), "data/imdb-missing", {"/nowhere/at/all"});
  }
  fs::current_path(before);
}

}  // namespace
}  // namespace breakeven::data

#include "measure/parity.h"

#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>

#include "base/files.h"
#include "base/limits.h"
#include "measure/statistics.h"
#include "testing/fake_classifier.h"
#include "testing/paths.h"

namespace breakeven::measure {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// n texts with two labels: logits (x, -x), standard normal x of at least 0.5 in size.
std::vector<float> judge_of(std::size_t n) {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> logits;
  for (std::size_t i = 0; i < n; ++i) {
    const float x = normal(random);
    const float far = x + (x < 0 ? -0.5F : 0.5F);
    logits.push_back(far);
    logits.push_back(-far);
  }
  return logits;
}

JudgeQuestion question(Precision precision) {
  JudgeQuestion question;
  question.precision = precision;
  question.judge = "the judge";
  return question;
}

void flip(std::vector<float>& logits, std::size_t text) {
  std::swap(logits[2 * text], logits[2 * text + 1]);
}

TEST(Parity, EqualLogitsPass) {
  const auto logits = judge_of(1000);
  for (const Precision precision :
       {Precision::fp32, Precision::fp32x3, Precision::bf16, Precision::fp16, Precision::int8}) {
    const auto parity = judge_outputs({2, logits}, {2, logits}, question(precision));
    ASSERT_TRUE(parity);
    EXPECT_EQ(parity->outcome, record::Agreement::passed) << to_string(precision);
    EXPECT_EQ(parity->judge, "the judge");
    EXPECT_EQ(parity->texts, 1000U);
    EXPECT_EQ(parity->logit_abs_max, 0);
    EXPECT_NEAR(parity->logit_sigma, 1.36, 0.15);
  }
}

TEST(Parity, FlipsAreCountedAgainstTheTable) {
  const auto judge = judge_of(1000);
  auto ours = judge;
  const auto allowed = static_cast<std::size_t>(limit("model/bf16/flips_share") * 1000 + 0.5);
  for (std::size_t i = 0; i < allowed; ++i) flip(ours, i * 7);
  auto parity = judge_outputs({2, ours}, {2, judge}, question(Precision::bf16));
  EXPECT_EQ(parity->flips, allowed);
  EXPECT_EQ(parity->outcome, record::Agreement::passed);
  flip(ours, 999);
  parity = judge_outputs({2, ours}, {2, judge}, question(Precision::bf16));
  EXPECT_EQ(parity->outcome, record::Agreement::failed);
  EXPECT_THAT(parity->limits_broken, ElementsAre("model/bf16/flips_share"));
  parity = judge_outputs({2, ours}, {2, judge}, question(Precision::fp32));
  EXPECT_EQ(parity->outcome, record::Agreement::failed);
}

TEST(Parity, DistancesAreCountedAgainstTheTable) {
  const auto judge = judge_of(1000);
  auto ours = judge;
  for (float& logit : ours) logit += 0.1F;  // 0.07 sigma: over bf16's limit, under int8's
  EXPECT_THAT(judge_outputs({2, ours}, {2, judge}, question(Precision::bf16))->limits_broken,
              ElementsAre("model/bf16/logit_p99_sigma"));
  EXPECT_EQ(judge_outputs({2, ours}, {2, judge}, question(Precision::int8))->outcome,
            record::Agreement::passed);
  const auto fp32 = judge_outputs({2, ours}, {2, judge}, question(Precision::fp32));
  EXPECT_THAT(fp32->limits_broken, ElementsAre("model/fp32/logit_abs_max"));
  EXPECT_NEAR(fp32->logit_abs_max, 0.1, 1e-6);
  EXPECT_NEAR(fp32->logit_abs_p99, 0.1, 1e-6);
}

TEST(Parity, TooFewTextsAreUnproven) {
  const auto judge = judge_of(1000);
  const std::span<const float> few = std::span(judge).first(2 * 999);
  EXPECT_EQ(judge_outputs({2, few}, {2, judge}, question(Precision::bf16))->outcome,
            record::Agreement::unproven);
  auto flipped = std::vector<float>(few.begin(), few.end());
  for (std::size_t i = 0; i < 20; ++i) flip(flipped, i);
  const auto bf16 = judge_outputs({2, flipped}, {2, judge}, question(Precision::bf16));
  EXPECT_EQ(bf16->outcome, record::Agreement::unproven)
      << "a rate over few texts is not yet a rate";
  EXPECT_THAT(bf16->limits_broken, Contains("model/bf16/flips_share"));
  EXPECT_EQ(judge_outputs({2, flipped}, {2, judge}, question(Precision::fp32))->outcome,
            record::Agreement::failed)
      << "fp32 allows no flip at all";
  auto sample = question(Precision::fp32);
  sample.small_sample = true;
  EXPECT_EQ(judge_outputs({2, few}, {2, judge}, sample)->outcome, record::Agreement::passed);
  EXPECT_EQ(judge_outputs({2, std::span(judge).first(0)}, {2, judge}, sample)->outcome,
            record::Agreement::unproven);
}

TEST(Parity, WhatIsNotANumberFails) {
  const auto judge = judge_of(1000);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    auto ours = judge;
    ours[17] = bad;
    for (const auto count : {100U, 2000U}) {
      const auto parity =
          judge_outputs({2, std::span(ours).first(count)}, {2, judge}, question(Precision::int8));
      EXPECT_EQ(parity->outcome, record::Agreement::failed);
      EXPECT_TRUE(std::isfinite(parity->logit_abs_max) && std::isfinite(parity->logit_sigma));
    }
    EXPECT_EQ(judge_outputs({2, judge}, {2, ours}, question(Precision::int8))->outcome,
              record::Agreement::failed);
  }
}

TEST(Parity, ShapesMustFit) {
  const auto judge = judge_of(10);
  EXPECT_EQ(judge_outputs({3, std::span(judge).first(6)}, {2, judge}, question(Precision::fp32))
                .error()
                .code,
            "parity/shape");
  const auto longer = judge_of(11);
  EXPECT_EQ(judge_outputs({2, longer}, {2, judge}, question(Precision::fp32)).error().code,
            "parity/shape");
}

TEST(Parity, MultiLabelFlipsAreSignsAndRegressionHasNone) {
  const std::vector<float> judge = {1, 2, 3};
  const std::vector<float> ours = {-1, 2, 3};
  auto asked = question(Precision::fp32);
  asked.problem = ProblemType::multi_label;
  EXPECT_EQ(judge_outputs({3, ours}, {3, judge}, asked)->flips, 1U);
  asked.problem = ProblemType::single_label;
  EXPECT_EQ(judge_outputs({3, ours}, {3, judge}, asked)->flips, 0U);
  asked.problem = ProblemType::regression;
  EXPECT_EQ(judge_outputs({1, ours}, {1, judge}, asked)->flips, 0U);
}

TEST(Parity, AccuracyLossIsTheJudgesShareLessOurs) {
  const auto judge = judge_of(1000);
  std::vector<int> labels;
  for (std::size_t i = 0; i < 1000; ++i) labels.push_back(judge[2 * i] > judge[2 * i + 1] ? 0 : 1);
  labels[999] = -1;
  auto ours = judge;
  for (std::size_t i = 0; i < 5; ++i) flip(ours, i);
  auto asked = question(Precision::int8);
  asked.labels = labels;
  const auto parity = judge_outputs({2, ours}, {2, judge}, asked);
  ASSERT_TRUE(parity->accuracy_loss);
  EXPECT_NEAR(*parity->accuracy_loss, 5.0 / 999, 1e-12);
  EXPECT_THAT(parity->limits_broken, ElementsAre("model/int8/accuracy_loss"));
}

TEST(Accuracy, CountsDistinctOriginals) {
  const std::vector<std::uint32_t> ours = {0, 1, 1, 0, 1, 1};
  const std::vector<int> labels = {0, 1, 1, 1, 1, -1};
  const auto accuracy = accuracy_of(ours, labels, 3);
  ASSERT_TRUE(accuracy);
  EXPECT_EQ(accuracy->texts, 5U);
  EXPECT_EQ(accuracy->distinct, 3U);
  EXPECT_DOUBLE_EQ(accuracy->share, 0.8);
  EXPECT_EQ(accuracy->interval, wilson_interval(0.8, 3));
  EXPECT_EQ(accuracy_of(ours, labels, 0)->distinct, 5U);
  EXPECT_FALSE(accuracy_of(ours, {}, 0));
}

TEST(FixedSample, IsSpreadEvenlyAndAlwaysTheSame) {
  EXPECT_THAT(fixed_sample(10, 4), ElementsAre(0, 2, 5, 7));
  EXPECT_THAT(fixed_sample(3, 10), ElementsAre(0, 1, 2));
  EXPECT_THAT(fixed_sample(0, 10), IsEmpty());
}

TEST(Hash, IsSha256AndKnowsBoundaries) {
  EXPECT_EQ(hash_text("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::vector<Text> one = {"ab", "c"};
  const std::vector<Text> two = {"a", "bc"};
  EXPECT_NE(hash_texts(one), hash_texts(two));
  const std::vector<Text> pair = {Text("ab", "c")}, empty = {"ab", "c", ""},
                          with_empty = {"ab", Text("c", "")};
  EXPECT_NE(hash_texts(pair), hash_texts(one));
  EXPECT_NE(hash_texts(empty), hash_texts(with_empty));
  const std::vector<std::string> missing = {"/nowhere"};
  EXPECT_EQ(hash_files(missing).error().code, "file/missing");
}

class JudgeCache : public ::testing::Test {
 protected:
  JudgeCache() {
    for (std::size_t letters = 1; letters <= 10; ++letters) words_.emplace_back(letters, 'x');
    texts_.assign(words_.begin(), words_.end());
    key_ = {"model", hash_texts(texts_), "native cpu fp32", 512};
  }
  std::string only_file() const {
    return std::filesystem::directory_iterator(folder_ / "judge")->path().string();
  }
  testing::TempDir folder_;
  std::vector<std::string> words_;
  std::vector<Text> texts_;
  JudgeKey key_;
  ManualClock clock_;
  testing::FakeClassifier fake_{clock_, [](std::size_t, std::size_t, std::size_t) { return 1.0; }};
};

TEST_F(JudgeCache, RunsOnceForEachContent) {
  const std::string cache = folder_ / "judge";
  const auto first = judge_logits(fake_, texts_, 4, key_, cache);
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_FALSE(first->from_cache);
  EXPECT_EQ(first->class_count, 2U);
  EXPECT_EQ(first->logits.size(), 20U);
  EXPECT_EQ(fake_.calls(), 3U);
  const auto second = judge_logits(fake_, texts_, 4, key_, cache);
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->from_cache);
  EXPECT_EQ(second->logits, first->logits);
  EXPECT_EQ(fake_.calls(), 3U);
  // Every part of the key counts: another cut gives other logits.
  for (JudgeKey other :
       {JudgeKey{"m2", key_.texts_hash, key_.judge, 512}, JudgeKey{"model", "t2", key_.judge, 512},
        JudgeKey{"model", key_.texts_hash, "reference fp32", 512},
        JudgeKey{"model", key_.texts_hash, key_.judge, 128}}) {
    EXPECT_FALSE(cached_judge(other, 10, cache));
  }
  EXPECT_FALSE(cached_judge(key_, 9, cache));
}

TEST_F(JudgeCache, ADamagedFileIsMadeAnew) {
  const std::string cache = folder_ / "judge";
  ASSERT_TRUE(judge_logits(fake_, texts_, 4, key_, cache));
  const auto good = read_file(only_file());
  ASSERT_TRUE(good);
  for (std::size_t place = 0; place < good->size(); place += 7) {
    std::string bad = *good;
    bad[place] = static_cast<char>(bad[place] ^ 1);
    std::ofstream(only_file(), std::ios::binary) << bad;
    EXPECT_FALSE(cached_judge(key_, 10, cache)) << place;
  }
  for (std::size_t size = 0; size < good->size(); size += 11) {
    std::ofstream(only_file(), std::ios::binary) << good->substr(0, size);
    EXPECT_FALSE(cached_judge(key_, 10, cache)) << size;
  }
  const auto again = judge_logits(fake_, texts_, 4, key_, cache);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->from_cache);
  EXPECT_EQ(*read_file(only_file()), *good);
}

TEST_F(JudgeCache, WorksWithoutAFolderToWriteTo) {
  EXPECT_TRUE(judge_logits(fake_, texts_, 4, key_, ""));
  EXPECT_TRUE(judge_logits(fake_, texts_, 4, key_, "/proc/nowhere"));
}

TEST_F(JudgeCache, HandsOnErrorsAndStops) {
  std::atomic<bool> stop = true;
  EXPECT_EQ(judge_logits(fake_, texts_, 4, key_, "", &stop).error().code, "parity/interrupted");
  fake_.fail_at = 1;
  EXPECT_EQ(judge_logits(fake_, texts_, 4, key_, "").error().code, "fake/broken");
  EXPECT_EQ(judge_logits(fake_, {}, 4, key_, "").error().code, "measure/no-texts");
}

}  // namespace
}  // namespace breakeven::measure

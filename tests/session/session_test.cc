#include "session/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "session/study_input.h"

namespace breakeven::session {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::unique_ptr<Session> open_narrow() {
  Options options;
  options.model = "builtin-narrow";
  auto session = Session::open(std::move(options));
  EXPECT_TRUE(session) << session.error().to_string();
  return *std::move(session);
}

// What a server or a Python module does: no flags, no study.
TEST(Session, GivesAClassifierAtOnce) {
  const auto session = open_narrow();
  EXPECT_NE(session->native_model(), nullptr);
  EXPECT_THAT(session->facts().labels, ElementsAre("NEGATIVE", "POSITIVE"));
  study::Spec spec;
  spec.batch = 2;
  const auto classifier = session->make(spec);
  ASSERT_TRUE(classifier) << classifier.error().to_string();
  const std::vector<Text> texts = {"a wonderful film", "a terrible bore"};
  BatchResult result;
  ASSERT_TRUE((*classifier)->run_batch(texts, result));
  EXPECT_EQ(result.labels.size(), 2U);
  EXPECT_EQ(result.logits.size(), 4U);
}

TEST(Session, TwoLiveSideBySide) {
  const auto first = open_narrow();
  const auto second = open_narrow();
  EXPECT_TRUE(first->make({}));
  EXPECT_TRUE(second->make({}));
}

TEST(Session, AModelThatIsNotThereIsAnError) {
  Options options;
  options.model = "/no/such/folder";
  EXPECT_FALSE(Session::open(std::move(options)));
}

TEST(Session, OfTheNativeEngineAloneAsksNobody) {
  const auto session = open_narrow();
  ASSERT_TRUE(session->ask_runtimes(512));
  ASSERT_EQ(session->axes().size(), 1U);
  EXPECT_TRUE(session->axes()[0].runtime.is_native());
  EXPECT_FALSE(session->other_judge());
  EXPECT_THAT(session->notes(), IsEmpty());
}

TEST(StudyInput, LooksIntoTheTexts) {
  const auto session = open_narrow();
  data::SourceOptions source;
  source.labels = session->facts().labels;
  const auto reviews = read_texts(source, 5);
  ASSERT_TRUE(reviews) << reviews.error().to_string();
  const study::Input input = make_input(*session, *reviews, 3);
  ASSERT_EQ(input.texts.size(), 5U);
  EXPECT_EQ(input.texts[4].first.data(), reviews->reviews[4].text.data());
  EXPECT_EQ(input.labels.size(), 5U);
  EXPECT_EQ(input.timed, 3U);
  EXPECT_EQ(make_input(*session, *reviews, 9).timed, 5U);
  EXPECT_EQ(input.prototype.model_hash, session->facts().hash);
  EXPECT_TRUE(input.prototype.model_shape.has_value());
  EXPECT_NE(input.prototype.texts.hash, make_input(*session, *reviews, 4).prototype.texts.hash);
}

TEST(StudyInput, OtherTextsLeaveTheRestAsItIs) {
  const auto session = open_narrow();
  data::SourceOptions source;
  source.labels = session->facts().labels;
  const auto reviews = read_texts(source, 5);
  ASSERT_TRUE(reviews) << reviews.error().to_string();
  study::Input input = make_input(*session, *reviews, 3);
  input.time_s = 7;
  input.seed = 8;
  input.energy = true;
  input.p99_limit_s = 0.05;
  input.prototype.command = {"run"};
  const record::Record before = input.prototype;
  data::ReviewSet fewer = *reviews;
  fewer.reviews.erase(fewer.reviews.begin());
  fewer.reviews[0].label.reset();
  set_texts(input, fewer, 2);
  ASSERT_EQ(input.texts.size(), 4U);
  EXPECT_EQ(input.texts[0].first.data(), fewer.reviews[0].text.data());
  EXPECT_EQ(input.labels.size(), 4U);
  EXPECT_EQ(input.labels[0], -1);
  EXPECT_EQ(input.originals.size(), 4U);
  EXPECT_EQ(input.timed, 2U);
  EXPECT_EQ(input.time_s, 7);
  EXPECT_EQ(input.seed, 8U);
  EXPECT_TRUE(input.energy);
  EXPECT_EQ(input.p99_limit_s, 0.05);
  EXPECT_NE(input.prototype.texts.hash, before.texts.hash);
  record::Record after = input.prototype;
  after.texts.hash = before.texts.hash;
  EXPECT_EQ(after, before);
}

}  // namespace
}  // namespace breakeven::session

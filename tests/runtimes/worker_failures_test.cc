// What a worker can do wrong, and what the user reads then.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "fake_runtimes.h"
#include "runtimes/worker.h"

namespace breakeven::runtimes {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct Failure {
  const char* mode;  // of fake_worker.py
  const char* code;
  const char* says;
};

class WorkerFailures : public FakeRuntimes, public ::testing::WithParamInterface<Failure> {
 protected:
  // As far as the mode lets it come.
  Result<void> use(const std::string& mode) {
    BREAKEVEN_TRY(const auto classifier, make(spec_of(mode)));
    const std::vector<Text> texts = {"abc", "", "abcdef"};
    BatchResult batch;
    BREAKEVEN_TRY_VOID(classifier->run_batch(texts, batch));
    StreamResult stream;
    return classifier->run_stream(texts, 2, stream);
  }
};

TEST_P(WorkerFailures, IsAnErrorThatSaysSo) {
  const auto [mode, code, says] = GetParam();
  // Only the request that hangs may run into its limit: a busy machine makes every other one late.
  const std::string where = mode;
  if (where == "hello-hang") options_.limits.hello_s = 0.5;
  if (where == "load-hang") options_.limits.load_s = 0.5;
  if (where == "run-hang") options_.limits.run_s = 0.5;
  const auto used = use(mode);
  ASSERT_FALSE(used);
  EXPECT_EQ(used.error().code, code) << used.error().message;
  const std::string message = used.error().to_string();
  EXPECT_THAT(message, AllOf(HasSubstr(mode), HasSubstr(says)));
  EXPECT_LT(message.size(), 1000U);
  for (const char c : message) EXPECT_FALSE(c >= 0 && c < ' ') << message;
}

INSTANTIATE_TEST_SUITE_P(
    AtHello, WorkerFailures,
    ::testing::Values(Failure{"hello-die", "runtime/died",
                              "hello: it ended with exit code 3; the last line of its stderr: "
                              "ImportError: no such  library"},
                      Failure{"hello-killed", "runtime/died", "killed by signal 9"},
                      Failure{"hello-hang", "runtime/time-limit", "no answer within "},
                      Failure{"hello-rubbish", "runtime/garbage", "'Downloading shards: 100%'"},
                      Failure{"hello-version", "runtime/garbage",
                              "version 3 of the protocol, not 2"},
                      Failure{"hello-name", "runtime/garbage", "it says that it is 'other'"},
                      Failure{"hello-array", "runtime/garbage", "no message"}));

INSTANTIATE_TEST_SUITE_P(
    AtLoad, WorkerFailures,
    ::testing::Values(
        Failure{"load-die", "runtime/died", "load: it ended with exit code 3"},
        Failure{"load-killed", "runtime/died", "may have run out of memory"},
        Failure{"load-hang", "runtime/time-limit", " s; the last line of its stderr: thinkin"},
        Failure{"load-mute", "runtime/died", "closed its stdout"},
        Failure{"load-badprogress", "runtime/garbage", "progress is 7"},
        Failure{"load-unsupported", "runtime/unsupported", "load: no bf16 here; take fp32"},
        Failure{"load-refuse", "runtime/refused",
                "batch of 7 is too large (out-of-memory); take 3"},
        Failure{"load-nolabels", "runtime/garbage", "labels has 0 entries"},
        Failure{"load-labelnumber", "runtime/garbage", "labels is 1, not a text"},
        Failure{"load-problem", "runtime/garbage", "problem is \"what\", not single_label"},
        Failure{"load-setting", "runtime/garbage", "settings.a is 1"},
        Failure{"load-weights", "runtime/garbage", "weight_bytes is -1"}));

INSTANTIATE_TEST_SUITE_P(AtTexts, WorkerFailures,
                         ::testing::Values(Failure{"texts-die", "runtime/died", "texts: it ended"},
                                           Failure{"texts-refuse", "runtime/refused", "too large"},
                                           Failure{"texts-count", "runtime/garbage",
                                                   "it counts 4 texts of 3"}));

INSTANTIATE_TEST_SUITE_P(
    AtRun, WorkerFailures,
    ::testing::Values(
        Failure{"run-die", "runtime/died", "run: it ended with exit code 3"},
        Failure{"run-killed", "runtime/died", "killed by signal 9 (Killed)"},
        Failure{"run-hang", "runtime/time-limit", "no answer within "},
        Failure{"run-mute", "runtime/died", "closed its stdout"},
        Failure{"run-rubbish", "runtime/garbage", "Downloading"},
        Failure{"run-longline", "runtime/garbage", "over 256 MB"},
        Failure{"run-array", "runtime/garbage", "'[4]', which is no message"},
        Failure{"run-otherid", "runtime/garbage", "answered request 5 while 4 was asked"},
        Failure{"run-noid", "runtime/garbage", "id is missing"},
        Failure{"run-neither", "runtime/garbage", "ok is missing"},
        Failure{"run-refuse", "runtime/refused", "out-of-memory"},
        Failure{"run-missing", "runtime/garbage", "tokens is missing"},
        Failure{"run-shortlogits", "runtime/garbage", "logits has 2 entries, not 3"},
        Failure{"run-widerow", "runtime/garbage", "logits is [1,2,3], not a row of 2 numbers"},
        Failure{"run-flatlogits", "runtime/garbage", "logits is 1, not a row"},
        Failure{"run-textlogit", "runtime/garbage", "logits is \"1\", not a number or null"},
        Failure{"run-label", "runtime/garbage", "labels is 2, not a whole number from 0 to 1"},
        Failure{"run-labelsign", "runtime/garbage", "labels is -1"},
        Failure{"run-labelhalf", "runtime/garbage", "labels is 0.5"},
        Failure{"run-score", "runtime/garbage", "scores is 1.5, not a probability"},
        Failure{"run-fewscores", "runtime/garbage", "scores has 0 entries"},
        Failure{"run-tokens", "runtime/garbage", "tokens is 513"},
        Failure{"run-cutnumber", "runtime/garbage", "cut is 0, not true or false"},
        Failure{"run-computed", "runtime/garbage", "computed 0 tokens"},
        Failure{"run-nostage", "runtime/garbage", "pack is missing"},
        Failure{"run-stage", "runtime/clock", "stage tokenize took -0.001 s"},
        Failure{"run-sum", "runtime/clock", "more than the"},
        Failure{"run-early", "runtime/clock", "CLOCK_MONOTONIC"},
        Failure{"run-late", "runtime/clock", "CLOCK_MONOTONIC"},
        Failure{"run-wallclock", "runtime/clock", "CLOCK_MONOTONIC"},
        Failure{"run-backwards", "runtime/clock", "before it started"},
        Failure{"stream-die", "runtime/died", "stream: it ended"},
        Failure{"stream-inflight", "runtime/garbage", "in_flight is 0"}));

TEST_F(WorkerFailures, AFailedOneStaysFailed) {
  auto made = make(spec_of("run-die"));
  ASSERT_TRUE(made) << made.error().to_string();
  const std::vector<Text> texts = {"abc"};
  BatchResult batch;
  const auto first = (*made)->run_batch(texts, batch);
  ASSERT_FALSE(first);
  const auto second = (*made)->run_batch(texts, batch);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message, first.error().message);
  // The next classifier gets a new worker, and the sweep goes on.
  made->reset();
  auto again = make(spec_of("run-die"));
  EXPECT_TRUE(again) << again.error().to_string();
}

TEST_F(WorkerFailures, AfterARefusalItLivesOn) {
  auto made = make(spec_of("stream-refuse"));
  ASSERT_TRUE(made) << made.error().to_string();
  const std::vector<Text> texts = {"abc"};
  StreamResult stream;
  const auto refused = (*made)->run_stream(texts, 1, stream);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "runtime/refused");
  EXPECT_EQ(refused.error().hint, "take 3");
  BatchResult batch;
  EXPECT_TRUE((*made)->run_batch(texts, batch));
}

TEST_F(WorkerFailures, AFloodOnStderrDelaysNothing) {
  auto made = make(spec_of("run-flood"));
  ASSERT_TRUE(made) << made.error().to_string();
  const std::vector<Text> texts = {"abc"};
  BatchResult batch;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE((*made)->run_batch(texts, batch));
  EXPECT_EQ(batch.logits.at(0), 3);
}

TEST(AnswerDeadline, ProgressStartsTheLimitAnewButNotForEver) {
  const AnswerDeadline deadline(100, 10);
  EXPECT_EQ(deadline.after(100), 110);
  EXPECT_EQ(deadline.after(109.5), 119.5) << "told in time";
  EXPECT_EQ(deadline.after(129), 139);
  EXPECT_EQ(deadline.after(130), 140) << "four limits";
  EXPECT_EQ(deadline.after(139), 140);
}

TEST_F(WorkerFailures, ProgressIsToldAndIsNoAnswer) {
  std::vector<std::string> seen;
  options_.progress = [&](std::string_view what, double done) {
    seen.push_back(std::string(what) + " " + std::to_string(done).substr(0, 4));
  };
  ASSERT_TRUE(make(spec_of("good")));
  EXPECT_THAT(seen,
              ::testing::ElementsAre("converting 0.25", "converting 0.50", "converting 1.00"));
}

// However fast the machine is: its lines come in time and end at four limits, or one comes too
// late.
TEST_F(WorkerFailures, EndlessProgressDoesNotHoldARequestForEver) {
  options_.limits.load_s = 0.1;
  const auto made = make(spec_of("load-endless"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "runtime/time-limit");
  EXPECT_THAT(made.error().message, HasSubstr("no answer within "));
}

TEST_F(WorkerFailures, TheStopFlagEndsAWait) {
  std::atomic<bool> stop = false;
  options_.stop = &stop;
  auto made = make(spec_of("run-hang"));
  ASSERT_TRUE(made) << made.error().to_string();
  std::thread user([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop = true;
  });
  const std::vector<Text> texts = {"abc"};
  BatchResult batch;
  const auto outcome = (*made)->run_batch(texts, batch);
  user.join();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, "runtime/interrupted") << "not the time limit";
}

TEST_F(WorkerFailures, WhatIsNotThereSaysWhatToDo) {
  const auto unknown = capabilities("nonsense");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "runtime/unknown");
  EXPECT_THAT(unknown.error().to_string(), HasSubstr("pytorch"));
  fake("pytorch");
  options_.interpreters["pytorch"] = "/nowhere/python";
  pool_.reset();
  const auto nowhere = capabilities("pytorch");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, "runtime/start");
  EXPECT_THAT(nowhere.error().message, HasSubstr("/nowhere/python"));
}

}  // namespace
}  // namespace breakeven::runtimes

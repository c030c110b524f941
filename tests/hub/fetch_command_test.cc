// The command itself: what stands on stdout, what on stderr, and the exit code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "base/files.h"
#include "hub/cache.h"
#include "hub/fake_hub.h"
#include "testing/paths.h"

namespace breakeven::hub {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Outcome {
  int exit_code = -1;
  std::string out, err;
};

class FetchCommand : public ::testing::Test {
 protected:
  FetchCommand() : hub_("org/tiny") {
    hub_.files = {{"config.json", config("Bert", "bert")},
                  {"vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n"}};
    hub_.large = {{"model.safetensors", testing::noise(100'000, 1)}};
  }
  Outcome run(const std::string& arguments, const std::string& variables = "") {
    const std::string command =
        "env -u HF_HUB_OFFLINE -u HF_HOME HF_TOKEN=hf_secretsecret HF_ENDPOINT=" + hub_.url() +
        " HF_HUB_CACHE='" + cache().string() + "' XDG_CACHE_HOME='" + (folder_ / "xdg").string() +
        "' " + variables + " '" BREAKEVEN_PROGRAM "' fetch " + arguments + " >'" +
        (folder_ / "out").string() + "' 2>'" + (folder_ / "err").string() + "'";
    const int status = std::system(command.c_str());
    Outcome outcome{WEXITSTATUS(status), *read_file((folder_ / "out").string()),
                    *read_file((folder_ / "err").string())};
    EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("secret")));
    return outcome;
  }
  static std::string config(const std::string& kind, const std::string& model_type,
                            const std::string& more = "") {
    return R"({"model_type": ")" + model_type + R"(", "vocab_size": 5, "architectures": [")" +
           kind + R"(ForSequenceClassification"])" + more + "}";
  }
  std::filesystem::path cache() const { return folder_ / "cache"; }

  breakeven::testing::TempDir folder_;
  testing::FakeHub hub_;
};

TEST_F(FetchCommand, PrintsTheFolderAloneOnStdout) {
  const Outcome outcome = run("org/tiny");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, *find_cached("org/tiny", "main", cache()) + "\n");
  EXPECT_THAT(outcome.err, HasSubstr("model.safetensors: fetched (100 kB)\n"));
  EXPECT_THAT(outcome.err, HasSubstr("--model org/tiny"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("\r"))) << "a bar in a pipe";
  EXPECT_THAT(run("org/tiny").err, HasSubstr("model.safetensors: already there"));
}

TEST_F(FetchCommand, SaysBeforeTheWeightsThatItRunsNatively) {
  const Outcome outcome = run("org/tiny");
  const std::size_t told =
      outcome.err.find("org/tiny: runs natively, BertForSequenceClassification with 2 labels\n");
  ASSERT_NE(told, std::string::npos) << outcome.err;
  EXPECT_LT(outcome.err.find("vocab.txt: fetched"), told);
  EXPECT_GT(outcome.err.find("model.safetensors: fetched"), told);
}

TEST_F(FetchCommand, SaysThatOnlyPyTorchMayRunIt) {
  for (const std::string& wrong :
       {config("Bert", "bert", R"(, "hidden_act": "silu")"), config("Bart", "bart")}) {
    hub_.files["config.json"] = wrong;
    const Outcome outcome = run("org/tiny");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("org/tiny: does not run natively: "));
    EXPECT_THAT(outcome.err, HasSubstr("--runtime pytorch runs it if Transformers has B"));
    EXPECT_THAT(outcome.err, HasSubstr("model.safetensors: "));
  }
}

TEST_F(FetchCommand, WhatNothingRunsEndsBeforeItsWeights) {
  const std::string masked =
      R"({"model_type": "bert", "vocab_size": 5, "architectures": ["BertForMaskedLM"]})";
  for (const auto& [text, why] :
       {std::pair{masked, "config.json names BertForMaskedLM, which has no classifier's head"},
        std::pair{config("Own", "own", R"(, "auto_map": {"AutoModel": "own.py"})"),
                  "is not supported"},
        std::pair{std::string(R"({"model_type": "gpt"})"), "is not supported"}}) {
    hub_.files["config.json"] = text;
    const Outcome outcome = run("org/tiny");
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr("nothing here runs org/tiny: "));
    EXPECT_THAT(outcome.err, HasSubstr(why));
    EXPECT_THAT(outcome.err, HasSubstr("--anyway"));
  }
  EXPECT_EQ(hub_.downloads(), 0);
  EXPECT_FALSE(find_cached("org/tiny", "main", cache())) << "half a model";
  const Outcome anyway = run("org/tiny --anyway");
  EXPECT_EQ(anyway.exit_code, 0) << anyway.err;
  EXPECT_THAT(anyway.err, HasSubstr("nothing here runs it: "));
  EXPECT_EQ(hub_.downloads(), 1);
}

TEST_F(FetchCommand, FailuresHaveExitCode2AndSayWhatToTry) {
  const Outcome missing = run("org/none");
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_EQ(missing.out, "");
  EXPECT_THAT(missing.err, HasSubstr("breakeven: there is no org/none"));
  EXPECT_EQ(run("").exit_code, 2);
  EXPECT_EQ(run("a/b/c").exit_code, 2);
  EXPECT_EQ(run("org/tiny --revision v9").exit_code, 2);
  EXPECT_EQ(run("org/tiny --no-such-flag").exit_code, 2);
  EXPECT_EQ(run("org/tiny", "HF_HUB_OFFLINE=1").exit_code, 2);
}

TEST_F(FetchCommand, AnotherFileThanTheReviewsIsRefused) {
  hub_.large["aclImdb_v1.tar.gz"] = "something else";
  const Outcome other =
      run("imdb", "BREAKEVEN_IMDB_URL=" + hub_.storage_url() + "/aclImdb_v1.tar.gz");
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("84125825"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "xdg/breakeven/data/aclImdb_v1.tar.gz"));
  EXPECT_EQ(hub_.storage_requests().back().header("authorization"), "");
}

}  // namespace
}  // namespace breakeven::hub

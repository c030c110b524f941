// `breakeven advise` and `breakeven compare` as a user meets them: the real program on the journal
// of results/ and on broken ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/real_program.h"
#include "testing/paths.h"

namespace breakeven {
namespace {

using ::breakeven::testing::Ended;
using ::testing::HasSubstr;
using ::testing::Not;

class DecideTest : public testing::RealProgram {
 protected:
  std::string file(const std::string& name, const std::string& content) {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return name;
  }

  const std::string source_ = testing::source_dir().string();
  const std::string imdb_ = "'" + source_ + "/results/2026-11-22-xeon-amx-2cpu/imdb.jsonl' ";
  const std::string advise_ = "advise " + imdb_ + "--cpu-price 0.19 ";
};

TEST_F(DecideTest, QuantitiesAreParsedStrictly) {
  for (const std::string bad : {"''", "-1", "nan", "inf", "1e3", "0x1", "0.19/day", "0,19",
                                "'0.19 '", "+0.19", "$", "0.1.9"}) {
    expect_refused("advise " + imdb_ + "--cpu-price=" + bad, "--cpu-price");
  }
  for (const std::string bad :
       {"''", "40", "0/s", "-4/s", "4/fortnight", "M/day", "2MM/day", "nan/s"}) {
    expect_refused(advise_ + "--load=" + bad, "--load");
  }
  for (const std::string bad : {"''", "100", "0ms", "-1ms", "1ns", "infs", "'100 ms'"}) {
    expect_refused(advise_ + "--p99=" + bad, "--p99");
  }
  for (const std::string bad : {"''", "2", "2PB", "0GB", "-2GB", "GB"}) {
    expect_refused(advise_ + "--memory=" + bad, "--memory");
  }
  for (const std::string bad : {"''", "0", "-5", "200/decade"}) {
    expect_refused(advise_ + "--load 1/s --budget=" + bad, "--budget");
  }
  for (const std::string bad : {"''", "-1", "101", "x", "0.5pp"}) {
    expect_refused(advise_ + "--accuracy-loss=" + bad, "--accuracy-loss");
  }
  expect_refused(advise_ + "--max-wait 5", "--max-wait");
  for (const std::string bad : {"''", "0", "101", "-1", "x"}) {
    expect_refused(advise_ + "--utilisation=" + bad, "--utilisation");
  }
  for (const std::string bad : {"''", "0.5", "-1", "x3"}) {
    expect_refused(advise_ + "--peak=" + bad, "--peak");
  }
  expect_refused(advise_ + "--gpu t4", "h100");
  expect_refused(advise_ + "--format csv", "csv");
  expect_refused(advise_ + "-o /no/such/folder/x", "/no/such/folder");
}

TEST_F(DecideTest, PricesThatAreMissingAreRefusedByName) {
  expect_refused("advise " + imdb_, "--cpu-price is missing");
  expect_refused("advise nowhere.jsonl --cpu-price 1", "nowhere.jsonl");
  expect_refused("advise", "files");
}

TEST_F(DecideTest, AdviceOnTheRealCpuRecords) {
  const Ended ended = run(advise_ + "--load 10/s");
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("Take cpu int8, batch 1 for 10.0 texts/s: 1 machine"));
  EXPECT_THAT(ended.out, HasSubstr("no GPU was measured"));
  EXPECT_THAT(ended.out, HasSubstr("parity unproven on 64"));
  EXPECT_THAT(ended.out, Not(HasSubstr("\x1b[")));
  const Ended impossible = run(advise_ + "--load 10/s --memory 10MB");
  EXPECT_EQ(impossible.code, 1) << impossible.err;
  EXPECT_THAT(impossible.out, HasSubstr("nearest is cpu int8, batch 1: memory 153 MB"));
}

TEST_F(DecideTest, AP99IsDecidedFromTheRealPacedRecords) {
  const std::string ask = "advise '" + source_ +
                          "/results/2026-11-22-xeon-amx-2cpu/paced.jsonl' --cpu-price 0.19 "
                          "--load 100/s --p99 ";
  const Ended kept = run(ask + "50ms");
  EXPECT_EQ(kept.code, 0) << kept.err;
  EXPECT_THAT(kept.out, HasSubstr("Take cpu int8, batch 8 for 100 texts/s: 4 (1-4) machines"));
  EXPECT_THAT(kept.out, HasSubstr("sustains 40.0 or more texts/s (paced)"));
  EXPECT_THAT(kept.out, HasSubstr("47.1 ms [42.0 ms, 58.5 ms] at 20.0/s cannot be told from"));
  const Ended strict = run(ask + "20ms");
  EXPECT_EQ(strict.code, 1) << strict.err;
  EXPECT_THAT(strict.out, HasSubstr("nearest is cpu int8, batch 8: p99 28.1 ms at 20.0/s"));
}

// The built-in model is of the shape of the shipped record; the texts' lengths come from the
// journal.
TEST_F(DecideTest, AKnownGpuStandsBesideTheCpuOnItsOwnLengths) {
  const Ended known = run("advise '" + source_ +
                          "/results/2026-11-22-xeon-amx-2cpu/pytorch-128.jsonl' --gpu h100 "
                          "--cpu-price 0.19 --gpu-price 2 --load 20000/s");
  EXPECT_EQ(known.code, 0) << known.err << known.out;
  EXPECT_THAT(known.out, HasSubstr("Take cuda:0"));
  EXPECT_THAT(known.out, HasSubstr("NVIDIA H100 80GB HBM3 record of 2026-11-26"));
  expect_refused(advise_ + "--gpu h100 --gpu-price 2", "hold no lengths");
}

TEST_F(DecideTest, TheNewestKnownGpuStandsOnTheFirstScreen) {
  const Ended screen =
      run("report --brief '" + source_ + "/results/2026-11-26-epyc-zen5-2cpu/builtin.jsonl'");
  EXPECT_EQ(screen.code, 0) << screen.err << screen.out;
  EXPECT_THAT(screen.out, HasSubstr("Against the H200 record of 2026-11-27"));
  const std::string help = run("advise --help").out;
  for (const auto& file : std::filesystem::directory_iterator(source_ + "/data/known")) {
    if (file.path().extension() != ".jsonl") continue;
    std::string name = file.path().stem().string();
    EXPECT_THAT(help, HasSubstr(name));
    for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    EXPECT_THAT(screen.out, HasSubstr("an " + name));
  }
}

TEST_F(DecideTest, AdviceAsJsonSaysTheSame) {
  const Ended ended = run(advise_ + "--load 864000/day --p99 1s --format json");
  const auto json = nlohmann::json::parse(ended.out, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << ended.out;
  EXPECT_EQ(json["question"]["load_per_s"], 10);
  EXPECT_EQ(json["question"]["p99_s"], 1);
  EXPECT_TRUE(json["question"]["gpu_price_per_hour"].is_null());
  EXPECT_EQ(json["candidates"].size(), 6U);
  EXPECT_EQ(json["ranking"].size(), 6U);
  EXPECT_TRUE(json["break_even_load"].is_null());
  EXPECT_EQ(run(advise_ + "--format md -o out.md").code, 0);
}

TEST_F(DecideTest, BrokenJournalsAreClearErrors) {
  const auto refused = [&](const std::string& content, const std::string& value) {
    file("bad.jsonl", content);
    expect_refused("advise bad.jsonl --cpu-price 1", value);
    expect_refused("compare bad.jsonl bad.jsonl", value);
  };
  refused("", "no record");
  refused("{\"schema_version\":1\n", "line 1");
  refused("{\"schema_version\":99,\"cell\":{}}\n", "99");
  refused("{\"cell\":{}}\n", "schema_version");
  refused("{\"schema_version\":1,\"cell\":{},\"samples_s\":[NaN]}\n", "line 1");
  refused("{\"schema_version\":1,\"cell\":{},\"samples_s\":[1e999]}\n", "line 1");
  refused("{\"schema_version\":1,\"cell\":{},\"passes\":-1}\n", "passes");
  refused("{\"schema_version\":1,\"cell\":{\"batch\":\"many\"}}\n", "cell.batch");
  refused("\xff\xfe\x00garbage\n", "line 1");
  refused(std::string(100'000, '['), "no record");  // one torn line
}

TEST_F(DecideTest, ATornLineIsNamedOnceAndLeftOut) {
  std::ifstream original(source_ + "/results/2026-11-22-xeon-amx-2cpu/imdb.jsonl");
  std::string line;
  std::getline(original, line);
  file("torn.jsonl", line + "\n" + line.substr(0, line.size() / 2));
  for (const std::string command :
       {"advise torn.jsonl --cpu-price 1", "report torn.jsonl", "compare torn.jsonl torn.jsonl"}) {
    const Ended ended = run(command);
    EXPECT_NE(ended.code, 2) << command << ": " << ended.err;
    EXPECT_THAT(ended.err, HasSubstr("breakeven: torn.jsonl: line 2 is torn")) << command;
  }
}

TEST_F(DecideTest, ARecordOfNothingIsAMarkedRow) {
  file("bare.jsonl",
       "{\"schema_version\":1,\"cell\":{\"device\":\"cuda:0\",\"variant\":\"\\u001b[31mred\"}}\n");
  const Ended advice = run("advise bare.jsonl --gpu-price 1");
  EXPECT_EQ(advice.code, 3) << advice.err;
  EXPECT_THAT(advice.out, HasSubstr("no cell of it counts"));
  EXPECT_THAT(advice.out, Not(HasSubstr("\x1b")));
  const Ended comparison = run("compare bare.jsonl bare.jsonl --format md");
  EXPECT_EQ(comparison.code, 3) << comparison.err;
  EXPECT_THAT(comparison.out, HasSubstr("holds no samples"));
}

TEST_F(DecideTest, ARunAgainstItselfIsNeverSlower) {
  const Ended ended = run("compare " + imdb_ + imdb_ + "--format json");
  EXPECT_EQ(ended.code, 3) << ended.err;  // a single pass cannot tell
  const auto json = nlohmann::json::parse(ended.out, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << ended.out;
  EXPECT_EQ(json["cells"].size(), 12U);
  for (const auto& cell : json["cells"]) {
    EXPECT_THAT(cell["change"].get<std::string>(), ::testing::AnyOf("same", "can't tell"));
  }
}

TEST_F(DecideTest, CompareRefusesByName) {
  expect_refused("compare " + imdb_ + "nowhere.jsonl", "nowhere.jsonl");
  expect_refused("compare " + imdb_, "after");
  expect_refused("compare " + imdb_ + imdb_ + "--minimum-effect 0", "minimum effect of 0 %");
  expect_refused("compare " + imdb_ + imdb_ + "--minimum-effect 100%", "minimum effect of 100 %");
  expect_refused("compare " + imdb_ + imdb_ + "--minimum-effect much", "--minimum-effect");
  std::ifstream original(source_ + "/results/2026-11-22-xeon-amx-2cpu/imdb.jsonl");
  std::stringstream text;
  text << original.rdbuf();
  std::string other = text.str();
  for (std::size_t at = 0; (at = other.find("\"model_hash\":\"bdfe", at)) != std::string::npos;) {
    other.replace(at, 18, "\"model_hash\":\"0000");
  }
  file("other.jsonl", other);
  expect_refused("compare " + imdb_ + "other.jsonl", "the models differ");
}

}  // namespace
}  // namespace breakeven

// `breakeven run`, `scale` and `report` as a user meets them: the real program, in a folder of its
// own, on the narrow built-in model. Nothing here looks at how long anything took.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/files.h"
#include "cli/real_program.h"
#include "record/journal.h"
#include "record/json.h"

namespace breakeven {
namespace {

using ::breakeven::testing::Ended;
using ::testing::HasSubstr;
using ::testing::Not;

class RunTest : public testing::RealProgram {
 protected:
  const std::string small_ =
      "--model builtin-narrow --count 8 --batch 1,4 --precision fp32 --max-length 32 --time 1s ";
};

TEST_F(RunTest, BadValuesAreRefusedByName) {
  const std::string run_narrow = "run --model builtin-narrow ";
  expect_refused(run_narrow + "--batch 0", "--batch");
  expect_refused(run_narrow + "--batch 1,,2", "--batch");
  expect_refused(run_narrow + "--batch many", "many");
  expect_refused(run_narrow + "--batch -1", "-1");
  expect_refused(run_narrow + "--threads 100000", "100000");
  expect_refused(run_narrow + "--threads none", "none");
  expect_refused(run_narrow + "--max-length 10000000", "10000000");
  expect_refused(run_narrow + "--max-length 2", "--max-length 2");
  expect_refused(run_narrow + "--padding some", "some");
  expect_refused(run_narrow + "--mode paced", "--mode paced needs --p99 or --rate");
  expect_refused(run_narrow + "--mode open", "open");
  expect_refused(run_narrow + "--rate 10", "--rate 10");
  expect_refused(run_narrow + "--max-wait 5ms", "--max-wait 5ms");
  for (const std::string rate : {"0", "-1", "1,,2", "fast", "nan", "1e9", "10/fortnight"}) {
    expect_refused(run_narrow + "--mode paced --rate " + rate, "--rate");
  }
  expect_refused(run_narrow + "--mode paced --rate 1 --time 10s", "--rate 1");
  expect_refused(run_narrow + "--mode paced --rate 1 --p99 50ms", "--p99 50ms");
  expect_refused(run_narrow + "--mode paced --p99 50ms --against /bin/true", "--p99 50ms");
  expect_refused(run_narrow + "--mode paced --rate 100 --arrivals often", "often");
  expect_refused(run_narrow + "--mode paced --rate 100 --max-batch 0", "--max-batch");
  expect_refused(run_narrow + "--mode paced --rate 100 --max-wait 5", "--max-wait");
  expect_refused(run_narrow + "--precision fp64", "fp64");
  expect_refused(run_narrow + "--device cpu --precision fp8", "cpu does not run fp8");
  expect_refused(run_narrow + "--time soon", "soon");
  expect_refused(run_narrow + "--count 0", "--count");
  expect_refused(run_narrow + "--judge x", "--judge");
  expect_refused(run_narrow + "--format pdf", "pdf");
  expect_refused(run_narrow + "--device tpu", "tpu");
  expect_refused(run_narrow + "--instruction-set sse9", "sse9");
  expect_refused(run_narrow + "--texts nowhere.jsonl", "nowhere.jsonl");
  expect_refused(run_narrow + "--no-such-flag", "--no-such-flag");
  expect_refused("run --model nowhere/at-all", "nowhere/at-all");
  expect_refused(run_narrow + "--resume nowhere.jsonl", "nowhere.jsonl");
}

TEST_F(RunTest, AnEmptyValueIsAMistakeAndNotTheDefault) {
  for (const std::string command : {"run", "scale", "classify", "tokenize"}) {
    expect_refused(command + " --model ''", "--model: the value is empty");
    expect_refused(command + " --model builtin-narrow --max-length=", "--max-length: the value");
    expect_refused(command + " --model builtin-narrow -o ''", "--output: the value is empty");
  }
  expect_refused("classify --model builtin-narrow ''", "input: the value is empty");
  expect_refused("report ''", "files: the value is empty");
  expect_refused("runtimes setup ''", "the value is empty");
}

TEST_F(RunTest, AMissingFolderOfTheReportIsToldAsOne) {
  for (const std::string flag : {"-o", "--html", "--journal"}) {
    expect_refused("run " + small_ + flag + " none/file", "make its folder first");
  }
}

TEST_F(RunTest, TheTokenizersOwnLimitCountsWhateverMaxLengthSays) {
  const auto model = folder_ / "m";
  std::filesystem::copy(testing::source_dir() / "models/builtin", model);
  const std::string text = "{\"text\":\"a b c d e f g h i j k l m n o p q r s t u v w x y z\"}";
  std::ofstream(folder_ / "t.jsonl") << text << "\n";
  std::ofstream(model / "tokenizer_config.json")
      << R"({"tokenizer_class": "BertTokenizer", "model_max_length": 8})";
  const std::string cut = "cut at 8 tokens: 1 of 1 texts, and this model takes no more";
  for (const std::string flag : {"", " --max-length 16", " --max-length 512"}) {
    SCOPED_TRACE(flag);
    const Ended tokenized = run("tokenize --model m t.jsonl" + flag);
    EXPECT_EQ(std::count(tokenized.out.begin(), tokenized.out.end(), ','), 7) << tokenized.out;
    EXPECT_THAT(tokenized.err, HasSubstr(cut));
    EXPECT_THAT(run("classify --model m t.jsonl" + flag).err, HasSubstr(cut));
    EXPECT_THAT(run("run --model m --texts t.jsonl --dry-run" + flag).out, HasSubstr(" 8 "));
  }
  // Two lengths over the limit are one.
  EXPECT_THAT(run("run --model m --texts t.jsonl --batch 1 --precision fp32 --dry-run "
                  "--max-length 16,512")
                  .out,
              HasSubstr("2 cells"));
}

TEST_F(RunTest, LabelsThatMayMeanTwoThingsAreRefusedAndAMapSaysWhich) {
  const auto model = folder_ / "m";
  std::filesystem::copy(testing::source_dir() / "models/builtin", model);
  std::string config = read_file((model / "config.json").string()).value();
  for (const auto& [before, after] :
       {std::pair{"NEGATIVE", "1 star"}, std::pair{"POSITIVE", "2 stars"}}) {
    for (std::size_t at = 0; (at = config.find(before)) != std::string::npos;) {
      config.replace(at, std::string_view(before).size(), after);
    }
  }
  std::ofstream(model / "config.json") << config;
  std::ofstream(folder_ / "t.csv") << "text;stars\ngood;1\n";
  const std::string texts = "--model m --texts t.csv --label-field stars --dry-run ";
  for (const std::string command : {"run ", "scale "}) {
    expect_refused(command + texts, "--label-map \"1=1 star,2=2 stars\"");
    expect_refused(command + texts + "--label-map '1=one'", "'one'");
    // A slip of the pen is not "no labels".
    std::ofstream(folder_ / "t.jsonl") << "{\"text\": \"good\", \"label\": 1}\n";
    for (const std::string file : {"t.csv", "t.jsonl"}) {
      expect_refused(command + "--model m --dry-run --label-field sters --texts " + file,
                     "'sters'");
    }
  }
  const Ended mapped = run("run " + texts + "--label-map '1=1 star,2=2 stars'");
  EXPECT_EQ(mapped.code, 0) << mapped.err;
  EXPECT_THAT(mapped.out, HasSubstr("over 1 text of t.csv"));
  EXPECT_THAT(mapped.err, HasSubstr("fields are separated by ';'"));
}

TEST_F(RunTest, AGpuThatIsNotThereIsAClearError) {
  expect_refused("run --model builtin-narrow --device cuda", "cuda");
}

TEST_F(RunTest, OutputIsCheckedBeforeAnythingIsMeasured) {
  expect_refused("run " + small_ + "-o /no/such/folder/report.txt", "/no/such/folder");
  expect_refused("run " + small_ + "-o " + folder_.path().string(), folder_.path().string());
  expect_refused("run " + small_ + "--journal /no/such/folder/j.jsonl", "/no/such/folder");
  expect_refused("run " + small_ + "--html /no/such/folder/r.html", "/no/such/folder");
}

TEST_F(RunTest, DryRunListsCellsAndMeasuresNothing) {
  const Ended ended = run("run --model builtin-narrow --batch 1,32 --precision fp32 --dry-run");
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("4 cells"));
  EXPECT_THAT(ended.out, HasSubstr("Estimated time"));
  EXPECT_EQ(run("report breakeven-*.jsonl").code, 2);  // no journal was made
}

TEST_F(RunTest, ARunGivesATableAJournalAndAVerdict) {
  const Ended ended = run("run " + small_ + "--journal j.jsonl --html r.html");
  ASSERT_THAT(ended.code, ::testing::AnyOf(0, 3)) << ended.err;  // 3: too noisy to tell
  // On a busy machine no row may be usable.
  EXPECT_THAT(ended.out,
              ::testing::AnyOf(HasSubstr("No GPU was measured"), HasSubstr("No row can be used")));
  EXPECT_THAT(ended.out, HasSubstr("How sure"));
  EXPECT_THAT(ended.out, HasSubstr("advise j.jsonl"));
  EXPECT_THAT(ended.out, Not(HasSubstr("Cold start")));
  EXPECT_THAT(ended.out, Not(HasSubstr("\x1b[")));
  EXPECT_THAT(ended.err, HasSubstr("j.jsonl"));
  std::istringstream lines(ended.out);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 104U) << line;

  const auto journal = record::read_journal((folder_ / "j.jsonl").string());
  ASSERT_TRUE(journal) << journal.error().message;
  ASSERT_EQ(journal->records.size(), 4U);
  for (const record::Record& record : journal->records) {
    EXPECT_FALSE(record.samples_s.empty());
    ASSERT_TRUE(record.parity);
    EXPECT_EQ(record.parity->flips, 0U);
    EXPECT_EQ(record.texts.count, 8U);
    ASSERT_TRUE(record.memory);
    EXPECT_GT(record.memory->peak_rss_bytes, record.memory->weight_bytes);
    EXPECT_EQ(record.cold_start.has_value(), record.cell.mode == Mode::serial);
  }

  // The report of the journal says the same, in every format.
  const Ended again = run("report j.jsonl --all");
  EXPECT_EQ(again.code, 0) << again.err;
  for (const char* part : {"Serial: latency", "Stream: throughput", "Verdict",
                           "Cold start: from the start of a fresh process"}) {
    EXPECT_THAT(again.out, HasSubstr(part));
  }
  EXPECT_GT(std::filesystem::file_size(folder_ / "r.html"), 10'000U);
  for (const std::string format : {"md", "csv", "json", "jsonl", "html"}) {
    const Ended rendered = run("report j.jsonl --format " + format + " -o out." + format);
    EXPECT_EQ(rendered.code, 0) << rendered.err;
    EXPECT_EQ(rendered.out, "");
    EXPECT_TRUE(std::filesystem::file_size(folder_ / ("out." + format)) > 100);
  }

  // Nothing is left to do, and the table is whole.
  const Ended resumed = run("run " + small_ + "--all --resume j.jsonl");
  EXPECT_THAT(resumed.err, HasSubstr("4 of 4 cells are in j.jsonl already"));
  EXPECT_THAT(resumed.out, HasSubstr("Serial: latency"));
  EXPECT_EQ(record::read_journal((folder_ / "j.jsonl").string())->records.size(), 4U);
}

TEST_F(RunTest, PacedLoadGivesRowsThatAdviseDecidesFrom) {
  const std::string paced =
      "run --model builtin-narrow --count 8 --precision fp32 --max-length 32 --mode paced "
      "--rate 5,1000000 --max-batch 4 --max-wait 2ms --time 10s ";
  const Ended ended = run(paced + "--all --journal p.jsonl");
  ASSERT_THAT(ended.code, ::testing::AnyOf(0, 3)) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("Paced: latency under a load"));
  EXPECT_THAT(ended.out, HasSubstr("saturated"));
  EXPECT_THAT(ended.out, HasSubstr("poisson arrivals; up to 4 texts a batch"));
  EXPECT_THAT(ended.out, HasSubstr("Cold start"));
  const auto journal = record::read_journal((folder_ / "p.jsonl").string());
  ASSERT_TRUE(journal) << journal.error().message;
  ASSERT_EQ(journal->records.size(), 2U);
  for (const record::Record& record : journal->records) {
    ASSERT_TRUE(record.paced);
    EXPECT_EQ(record.cell.batch, 4U);
    EXPECT_EQ(record.cell.max_wait_s, 0.002);
    // Whether 5 a second are too much is the machine's to say: PacedSweepTest has a made-up one.
    if (record.cell.rate_per_s > 1000) {
      EXPECT_TRUE(record.paced->saturated);
    }
    EXPECT_EQ(record.parity->flips, 0U);
    ASSERT_TRUE(record.cold_start);
    EXPECT_NEAR(
        record.cold_start->load_s + record.cold_start->pack_s + record.cold_start->first_pass_s,
        record.cold_start->total_s, 1e-9);
    EXPECT_GE(record.paced->mean_batch, 1);
    EXPECT_LE(record.paced->mean_batch, 4);
  }
  // A busy machine makes rows INVALID, from which nothing is decided, and any load too much.
  std::ofstream quiet(folder_ / "q.jsonl");
  for (record::Record record : journal->records) {
    record.reasons.clear();
    record.paced->saturated = record.cell.rate_per_s > 1000;
    quiet << *record::to_json_line(record) << "\n";
  }
  quiet.close();
  const Ended advice = run("advise q.jsonl --cpu-price 0.2 --load 4/s --format json");
  EXPECT_EQ(advice.code, 0) << advice.err;
  EXPECT_THAT(advice.out, HasSubstr("\"paced\""));
  EXPECT_EQ(run("report p.jsonl --format csv -o p.csv").code, 0);
  const Ended again = run(paced + "--resume p.jsonl");
  EXPECT_THAT(again.err, HasSubstr("2 of 2 cells are in p.jsonl already"));
}

TEST_F(RunTest, ALimitOnP99IsSearchedOnTextsThatAreChosenForTheTime) {
  const Ended ended =
      run("run --model builtin-narrow --precision fp32 --max-length 32 --mode paced --p99 100ms "
          "--time 3s --no-memory --journal p.jsonl");
  ASSERT_THAT(ended.code, ::testing::AnyOf(0, 3)) << ended.err;
  const auto journal = record::read_journal((folder_ / "p.jsonl").string());
  ASSERT_TRUE(journal) << journal.error().message;
  ASSERT_FALSE(journal->records.empty());
  for (const record::Record& record : journal->records) {
    ASSERT_TRUE(record.paced);
    EXPECT_EQ(record.paced->p99_limit_s, 0.1);
    EXPECT_GT(record.cell.rate_per_s, 0);
  }
  const Ended resumed =
      run("run --model builtin-narrow --precision fp32 --max-length 32 --mode paced --p99 100ms "
          "--time 3s --no-memory --resume p.jsonl");
  EXPECT_THAT(resumed.err, HasSubstr(" of 1 cell are in p.jsonl already"));
  const auto both = record::read_journal((folder_ / "p.jsonl").string());
  ASSERT_TRUE(both) << both.error().message;
  std::set<std::uint64_t> seeds;
  std::size_t count = 0;
  for (const record::Record& record : both->records) {
    const bool counts = std::none_of(
        record.reasons.begin(), record.reasons.end(),
        [](const auto& reason) { return reason.severity == record::Severity::invalid; });
    if (!counts) continue;  // a busy machine's; it is played again
    ++count;
    seeds.insert(record.paced->seed);
  }
  EXPECT_EQ(seeds.size(), count) << "it goes on with draws of its own";
}

TEST_F(RunTest, ResumeMeasuresOnlyWhatIsMissing) {
  ASSERT_THAT(run("run " + small_ + "--no-memory --mode serial --journal j.jsonl").code,
              ::testing::AnyOf(0, 3));
  const Ended resumed = run("run " + small_ + "--no-memory --resume j.jsonl");
  EXPECT_THAT(resumed.err, HasSubstr("2 of 4 cells are in j.jsonl already"));
  const auto journal = record::read_journal((folder_ / "j.jsonl").string());
  ASSERT_TRUE(journal);
  ASSERT_EQ(journal->records.size(), 4U);
  EXPECT_EQ(journal->records[2].cell.mode, Mode::stream);
  EXPECT_EQ(journal->records[3].cell.mode, Mode::stream);
}

TEST_F(RunTest, AnInterruptKeepsWhatIsDoneAndSaysHowToGoOn) {
  const Ended ended = run(
      "run --model builtin-narrow --count 8 --batch 1 --precision fp32 --no-memory --time 60m "
      "--journal j.jsonl 2>stderr >out & pid=$!; while [ ! -e j.jsonl ] && kill -0 $pid; do sleep "
      "0.1; done; "
      "kill -INT $pid; wait $pid; exit $?; true");
  EXPECT_EQ(ended.code, 3) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("--resume j.jsonl"));
}

TEST_F(RunTest, AnEmptyOrBrokenJournalIsRefusedByName) {
  std::ofstream(folder_ / "empty.jsonl") << "";
  std::ofstream(folder_ / "broken.jsonl") << "{\"schema_version\": \n{}\n";
  expect_refused("report empty.jsonl", "empty.jsonl");
  expect_refused("report broken.jsonl", "broken.jsonl");
  expect_refused("report missing.jsonl", "missing.jsonl");
  expect_refused("report", "files");
}

TEST_F(RunTest, ScaleGivesItsEvidence) {
  const Ended ended =
      run("scale --model builtin-narrow --precision fp32 --batch 1,4 --sizes 4..64 --max-length 32 "
          "--time 1s --journal s.jsonl");
  // On a busy machine the answer may be "can't tell", or even "no": not what is tested here.
  ASSERT_THAT(ended.code, ::testing::AnyOf(0, 1, 3)) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("Linear in the number of texts"));
  EXPECT_THAT(ended.out, HasSubstr("Log-log slope"));
  EXPECT_THAT(ended.out, HasSubstr("Within one text time is not linear"));
  const auto journal = record::read_journal((folder_ / "s.jsonl").string());
  ASSERT_TRUE(journal);
  ASSERT_EQ(journal->records.size(), 2U);
  for (const record::Record& record : journal->records) {
    ASSERT_TRUE(record.scaling);
    EXPECT_GE(record.scaling->points.size(), 8U);
    EXPECT_EQ(record.scaling->points.back().texts, 64U);
  }
}

TEST_F(RunTest, ScaleSaysOnceWhatItDoesDifferently) {
  const Ended ended =
      run("scale --model builtin-narrow --precision fp32 --batch 1 --max-length 600 --time 1ms "
          "--dry-run");
  EXPECT_EQ(ended.code, 0) << ended.err;
  const std::size_t limit = ended.err.find("--max-length 600");
  ASSERT_NE(limit, std::string::npos) << ended.err;
  EXPECT_EQ(ended.err.find("--max-length 600", limit + 1), std::string::npos) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("3 rounds take roughly"));
}

TEST_F(RunTest, ScaleRefusesSizesThatShowNothing) {
  const std::string scale = "scale --model builtin-narrow --precision fp32 ";
  expect_refused(scale + "--sizes 10", "10");
  expect_refused(scale + "--sizes 100..200", "100..200");
  expect_refused(scale + "--sizes 0..100", "--sizes");
  expect_refused(scale + "--sizes 10..1000 --max-length 64,128", "--max-length");
}

}  // namespace
}  // namespace breakeven

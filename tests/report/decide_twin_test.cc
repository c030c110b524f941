// The page answers its sliders with a script of its own (src/report/page/decide.js). Here node runs
// it on thousands of questions, and each answer must be advise's: costs to the last bit, the same
// ranking and choice.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "decide/advice.h"
#include "decide/made_up_records.h"
#include "record/journal.h"
#include "report/decision.h"
#include "testing/paths.h"
#include "testing/program.h"

namespace breakeven::report {
namespace {

using Json = nlohmann::ordered_json;
using decide::Advice;
using decide::Candidate;
using testing::cpu_engine;
using testing::gpu_engine;

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}
Json amount(const decide::Amount& value) {
  return Json::array({number(value.low), number(value.high)});
}
Json amount(const std::optional<decide::Amount>& value) {
  return value ? amount(*value) : Json(nullptr);
}
std::string name_of(decide::Outcome outcome) {
  return outcome == decide::Outcome::advice    ? "advice"
         : outcome == decide::Outcome::no_cell ? "no cell"
                                               : "can't tell";
}

// As decide_twin.js writes it.
Json answer_of(const Advice& advice) {
  const auto name = [&](const std::optional<std::size_t>& at) {
    return at ? Json(advice.candidates[*at].name) : Json(nullptr);
  };
  Json choices = Json::array();
  for (const decide::Choice& choice : advice.choices) {
    const auto& winner = choice.winner == decide::Side::cpu ? choice.cpu : choice.gpu;
    choices.push_back(
        Json::array({choice.precision, name_of(choice.outcome), name(winner), name(choice.rival)}));
  }
  Json order = Json::array();
  for (const decide::Ranked& ranked : advice.ranking) {
    const Candidate& candidate = advice.candidates[ranked.candidate];
    order.push_back(Json::array({candidate.name, static_cast<int>(candidate.answer()),
                                 amount(candidate.machines), amount(candidate.cost_per_month),
                                 amount(candidate.cost_per_million)}));
  }
  return {{"choices", std::move(choices)}, {"order", std::move(order)}};
}

Json number(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

// Memory and allowed loss of accuracy, together: each alone and both, generous and strict.
struct Limits {
  std::optional<double> memory_bytes, accuracy_loss;
};
const Limits kLimits[] = {{},        {450e6, {}}, {{}, 0.001}, {{}, 0.0},
                          {{}, 0.5}, {1e3, {}},   {2e9, 0.002}};

// Both prices, load, limits and budget over a grid; what came out, to see that the grid has all.
Json questions_on(const std::vector<record::Record>& records, const Json& data,
                  std::set<std::string>& outcomes, std::set<std::string>& checked) {
  auto study = decide::Study::of(records);
  EXPECT_TRUE(study) << (study ? "" : study.error().to_string());
  Json questions = Json::array();
  if (!study) return questions;
  const auto ask = [&](const decide::Question& question, std::size_t limit,
                       const std::vector<Candidate>& rated) {
    const Advice advice = decide::advice_for(rated, question);
    outcomes.insert(name_of(advice.outcome));
    for (const Candidate& candidate : advice.candidates) {
      for (const decide::Check& check : candidate.checks) {
        checked.insert(check.limit + std::to_string(static_cast<int>(check.answer)));
      }
    }
    questions.push_back({{"question",
                          {{"cpu_price", *question.cpu_price},
                           {"gpu_price", *question.gpu_price},
                           {"load_per_s", *question.load_per_s},
                           {"peak", question.peak},
                           {"utilisation", question.utilisation},
                           {"limit", limit},
                           {"memory_bytes", number(question.memory_bytes)},
                           {"accuracy_loss", number(question.accuracy_loss)},
                           {"budget_per_month", number(question.budget_per_month)}}},
                         {"answer", answer_of(advice)}});
  };
  std::size_t turn = 0;
  for (std::size_t limit = 0; limit < data["limits_s"].size(); limit += 3) {
    decide::Question question;
    if (!data["limits_s"][limit].is_null()) question.p99_s = data["limits_s"][limit].get<double>();
    const std::vector<Candidate> rated = study->rated(question);
    for (const double cpu_price : {0.0, 0.19}) {
      for (const double gpu_price : {0.05, 0.53, 4.0}) {
        for (const double load : {0.01, 3e18, 40.0, 500.0, 20000.0, 1.0 / 3}) {
          for (const double budget : {0.0, 150.0, 3000.0}) {
            question.cpu_price = cpu_price;
            question.gpu_price = gpu_price;
            question.load_per_s = load;
            question.budget_per_month = budget > 0 ? std::optional(budget) : std::nullopt;
            // Seven and the 108 questions of a limit share no divisor: each meets each.
            const Limits& limits = kLimits[turn++ % std::size(kLimits)];
            question.memory_bytes = limits.memory_bytes;
            question.accuracy_loss = limits.accuracy_loss;
            question.peak = static_cast<double>(1 + turn % 3);
            question.utilisation = turn % 4 == 0 ? 1 : 0.7;
            ask(question, limit, rated);
          }
        }
      }
    }
  }
  return questions;
}

// Records of both sides in which nothing is as it should be somewhere.
std::vector<record::Record> doubtful_records() {
  std::vector<record::Record> records = testing::both_runs();
  for (std::size_t i = 0; i < records.size(); ++i) {
    record::Record& record = records[i];
    if (i % 5 == 0) record.reviews_per_s.interval.reset();
    if (i % 5 == 1) {
      record.reviews_per_s.interval->low *= 0.4;
      record.reviews_per_s.interval->high *= 2.2;
    }
    if (i % 7 == 3) record.reasons = {{"steal", "", 0.02, 0.01}};
    if (i % 11 == 4) record.reasons = {{"steal", "", 0.4, 0.1, record::Severity::invalid}};
    if (i == 8) record.parity->outcome = record::Agreement::failed;
    if (i % 6 == 2) record.parity->outcome = record::Agreement::unproven;
  }
  return records;
}

// Some texts cut shorter, with and without labels; some memory and accuracy not known.
std::vector<record::Record> limited_records() {
  std::vector<record::Record> records = testing::both_runs();
  for (std::size_t i = 0; i < records.size(); ++i) {
    record::Record& record = records[i];
    record.accuracy = record::Accuracy{};
    record.accuracy->share = 0.9 + 0.0005 * static_cast<double>(i);
    if (record.cell.batch == 8) {
      record.cell.max_length = 128;
      record.texts.truncated = 30;
      if (record.cell.precision == Precision::fp32) record.accuracy.reset();
    }
    if (record.cell.batch == 32) record.memory.reset();
    if (record.cell.batch == 32 && record.cell.precision != Precision::fp32) {
      record.parity->accuracy_loss.reset();
    }
    if (record.cell.batch == 1) record.memory->peak_rss_bytes = 300'000'000 + 20'000'000 * i;
  }
  return records;
}

std::vector<record::Record> paced_records() {
  std::vector<record::Record> records = testing::both_runs();
  for (const double rate : {10.0, 40.0, 150.0}) {
    records.push_back(testing::made_up_paced(cpu_engine(), Precision::int8, 8, rate, 0.002 * rate));
    records.push_back(
        testing::made_up_paced(gpu_engine(), Precision::fp16, 32, 4 * rate, 0.0005 * rate));
    records.push_back(testing::made_up_paced(cpu_engine(), Precision::fp32, 1, rate, 0.003 * rate));
    records.back().latency_s.clear();
  }
  return records;
}

std::vector<record::Record> real_records(const std::string& name) {
  auto journal = record::read_journal(
      (testing::source_dir() / "results/2026-11-22-xeon-amx-2cpu" / name).string());
  EXPECT_TRUE(journal);
  return journal ? std::move(journal->records) : std::vector<record::Record>{};
}

TEST(DecideTwin, ThePageAnswersAsAdviseDoes) {
  const testing::TempDir folder;
  if (testing::run_shell("node --version", (folder / "err").string()).code != 0) {
    GTEST_SKIP() << "SKIPPED: node is not installed, so nobody checked that the report's page "
                    "decides as advise does";
  }
  const std::vector<std::pair<std::string, std::vector<record::Record>>> inputs = {
      {"both", testing::both_runs()},
      {"cpu alone", testing::cpu_run()},
      {"gpu alone", testing::gpu_run()},
      {"doubtful", doubtful_records()},
      {"limited", limited_records()},
      {"paced", paced_records()},
      {"imdb", real_records("imdb.jsonl")},
      {"runtimes", real_records("runtimes-128.jsonl")},
      {"real paced", real_records("paced.jsonl")}};
  Json cases = Json::array();
  std::set<std::string> outcomes;
  std::set<std::string> checked;
  std::size_t count = 0;
  for (const auto& [name, records] : inputs) {
    const Decision decision = decide_for_page(records, {});
    ASSERT_NE(decision.json, "") << name << ": " << decision.headline;
    Json data = Json::parse(decision.json);
    Json questions = questions_on(records, data, outcomes, checked);
    count += questions.size();
    cases.push_back(
        {{"name", name}, {"data", std::move(data)}, {"questions", std::move(questions)}});
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"advice", "can't tell", "no cell"}));
  // Keeps, cannot tell, misses, of every limit that can come out so.
  for (const char* check :
       {"p990", "p991", "p992", "memory0", "memory1", "memory2", "accuracy loss0", "accuracy loss1",
        "accuracy loss2", "length0", "length2", "budget0", "budget1", "budget2"}) {
    EXPECT_TRUE(checked.contains(check)) << check;
  }
  EXPECT_GT(count, 2000U);
  std::ofstream(folder / "cases.json") << cases;
  const std::string source = testing::source_dir().string();
  const testing::Ended ended = testing::run_shell(
      "node '" + source + "/tests/report/decide_twin.js' '" + source +
          "/src/report/page/decide.js' '" + (folder / "cases.json").string() + "'",
      (folder / "err").string());
  EXPECT_EQ(ended.code, 0) << ended.out << ended.err;
}

TEST(DecideTwin, ThePageStartsWithAnAnswerOfAdvise) {
  const std::vector<record::Record> records = testing::both_runs();
  Start start;
  start.cpu_price = 0.2;
  start.gpu_price = 0.6;
  start.example_prices = false;
  start.load_per_s = 20'000;
  start.p99_s = 0.123;
  start.memory_bytes = 1.2e9;
  start.accuracy_loss = 0.005;
  start.budget_per_month = 5000;
  const Decision decision = decide_for_page(records, start);
  decide::Question question;
  question.cpu_price = 0.2;
  question.gpu_price = 0.6;
  question.load_per_s = 20'000;
  question.p99_s = 0.123;
  question.memory_bytes = 1.2e9;
  question.accuracy_loss = 0.005;
  question.budget_per_month = 5000;
  const auto advice = decide::advise(records, question);
  ASSERT_TRUE(advice);
  EXPECT_EQ(decision.headline, advice->headline);
  const Json data = Json::parse(decision.json);
  EXPECT_EQ(data["limits_s"][data["start"]["limit"].get<std::size_t>()], 0.123);
  EXPECT_EQ(data["cells"].size(), advice->candidates.size());
  EXPECT_EQ(data["start"]["memory_bytes"], 1.2e9);
  EXPECT_EQ(data["start"]["accuracy_loss"], 0.005);
  EXPECT_EQ(data["start"]["budget_per_month"], 5000);
  EXPECT_NE(decision.asked.find("memory within 1.20 GB, budget 5,000 a month, accuracy loss "
                                "within 0.500 points"),
            std::string::npos)
      << decision.asked;
}

TEST(DecideTwin, RecordsThatCannotBeDecidedSaySo) {
  std::vector<record::Record> records = testing::both_runs();
  records.back().model_hash = "another";
  const Decision two_models = decide_for_page(records, {});
  EXPECT_EQ(two_models.json, "");
  EXPECT_NE(two_models.headline.find("two models"), std::string::npos) << two_models.headline;
  records.assign(kMostDecided + 1, testing::cpu_run().front());
  for (std::size_t i = 0; i < records.size(); ++i) records[i].cell.batch = i + 1;
  const Decision many = decide_for_page(records, {});
  EXPECT_EQ(many.json, "");
  EXPECT_NE(many.headline.find("too many"), std::string::npos) << many.headline;
}

}  // namespace
}  // namespace breakeven::report

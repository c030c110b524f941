// Runs with a known right answer, made up one by one: what a verdict or an advice must not conclude
// from them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "decide/advice.h"
#include "decide/made_up_records.h"
#include "decide/verdict.h"
#include "testing/md1.h"

namespace breakeven::decide {
namespace {

using breakeven::testing::cpu_engine;
using breakeven::testing::Engine;
using breakeven::testing::gpu_engine;
using breakeven::testing::made_up;
using breakeven::testing::made_up_paced;
using ::testing::HasSubstr;
using Records = std::vector<record::Record>;

Question question_of(double load, double p99_s = 0) {
  Question question;
  question.cpu_price = 0.19;
  question.gpu_price = 0.53;
  question.load_per_s = load;
  if (p99_s > 0) question.p99_s = p99_s;
  return question;
}

// The records must outlive the advice.
Advice ask(const Records& records, const Question& question) {
  auto advice = advise(records, question);
  EXPECT_TRUE(advice) << (advice ? "" : advice.error().to_string());
  return advice ? *std::move(advice) : Advice{};
}

// A paced row of a batch of 8; a rate that is too much has no p99.
record::Record paced(const Engine& engine, double rate, double p99_s, double busy,
                     bool too_much = false) {
  record::Record row = made_up_paced(engine, Precision::int8, 8, rate, p99_s);
  row.paced = record::Paced{};
  row.paced->busy_share = busy;
  row.paced->saturated = too_much;
  if (too_much) row.latency_s.clear();
  return row;
}

// Both were asked for 1, 10 and 100 a second and kept all; the GPU was 2 % busy. Its limit was not
// reached, so that nobody knows how many machines 1,000 a second take.
TEST(Journals, ATestedRateIsNotTheCapacity) {
  Records records;
  for (const double rate : {1.0, 10.0, 100.0}) {
    records.push_back(paced(cpu_engine(), rate, 0.02 + 0.0003 * rate, rate / 110));
    records.push_back(paced(gpu_engine(), rate, 0.004, rate / 5000));
  }
  const Advice advice = ask(records, question_of(1000, 0.06));
  EXPECT_EQ(advice.outcome, Outcome::cannot_tell);
  EXPECT_THAT(advice.headline, HasSubstr("Measure next: cuda:0 int8, batch 8, at higher rates: at "
                                         "100/s, 2.00 % busy, its limit was not reached."));
  ASSERT_TRUE(advice.load);
  EXPECT_TRUE(std::isfinite(advice.load->always.low)) << "never is not proven";
}

// Two machines that keep 50 ms up to between 90 and 100 a second, asked for different rates.
TEST(Journals, DifferentGridsOfRatesTellNoMachinesApart) {
  for (const bool swapped : {false, true}) {
    const Engine fine = swapped ? cpu_engine() : gpu_engine();
    const Engine coarse = swapped ? gpu_engine() : cpu_engine();
    const Records records = {paced(fine, 10, 0.02, 0.1), paced(fine, 90, 0.04, 0.9),
                             paced(coarse, 10, 0.02, 0.1), paced(coarse, 100, 0, 1, true)};
    Question question = question_of(1000, 0.05);
    question.gpu_price = question.cpu_price;
    EXPECT_EQ(ask(records, question).outcome, Outcome::cannot_tell) << swapped;
  }
}

// One cell each at 50.0 and 49.9 texts a second.
Records twins(const std::vector<double>& factors, const Engine& second) {
  Records records = {
      made_up(cpu_engine(), Precision::int8, 1, Mode::stream),
      made_up(second, second.device.is_cpu() ? Precision::bf16 : Precision::int8, 1, Mode::stream)};
  double rate = 50.0;
  for (record::Record& record : records) {
    record.passes = factors.size();
    record.samples_s.clear();
    for (const double factor : factors) record.samples_s.push_back(64 / rate * factor);
    record.reviews_per_s = {rate, std::nullopt, factors.size()};
    record.schema_version = 1;
    rate = 49.9;
  }
  return records;
}

TEST(Journals, FewerDataNeverMakeAVerdictSurer) {
  for (const Engine& second : {cpu_engine(), gpu_engine()}) {
    for (const std::vector<double>& factors :
         {std::vector<double>{1}, std::vector<double>{0.9, 1, 1.1}}) {
      const Records records = twins(factors, second);
      const RowSet rows(records);
      const record::Estimate ratio = rows.speed_ratio(rows.rows()[0], rows.rows()[1]);
      EXPECT_EQ(ratio.interval.has_value(), factors.size() == 3);
      if (ratio.interval) {
        EXPECT_LT(ratio.interval->low, 1);
        EXPECT_GT(ratio.interval->high, 1);
      }
    }
  }
}

TEST(Journals, AGpuOfOnePassIsNotToldFromACpuOfOnePass) {
  const Records records = twins({1}, gpu_engine());
  const RowSet rows(records);
  const Verdict verdict = verdict_of(rows);
  EXPECT_EQ(verdict.throughput.value().sign(), 0);
  EXPECT_EQ(verdict.same_precision.at(0).gpu_over_cpu.sign(), 0);
  Question question = question_of(200);
  question.gpu_price = question.cpu_price;
  EXPECT_EQ(ask(records, question).outcome, Outcome::cannot_tell);
}

// Passes that differ by a factor of three, times that follow the latency model exactly: the model
// is no surer than what it was fitted to.
TEST(Journals, AModelledRateIsNoSurerThanTheMeasuredOne) {
  Records records;
  for (const std::uint64_t batch : {1U, 32U}) {
    record::Record record = made_up(cpu_engine(), Precision::int8, batch, Mode::serial);
    const std::size_t batches = record.samples_s.size() / record.passes;
    const double factors[] = {0.7, 1, 1, 1, 2.2};
    for (std::size_t i = 0; i < record.samples_s.size(); ++i) {
      record.samples_s[i] *= factors[i / batches];
    }
    record.reviews_per_s.value /= 1.18;  // the mean of the factors
    record.reviews_per_s.interval.reset();
    records.push_back(std::move(record));
  }
  const Advice advice = ask(records, question_of(10, 1));
  const RowSet rows(records);
  for (const Candidate& candidate : advice.candidates) {
    ASSERT_TRUE(candidate.rate.interval);
    const Row& row = rows.rows()[candidate.cell().batch == 1 ? 0 : 1];
    const auto width = [](const record::Interval& interval) {
      return interval.high / interval.low;
    };
    EXPECT_LE(candidate.rate.per_s, row.per_s.value);
    EXPECT_LE(candidate.rate.interval->low, row.per_s.interval->low);
    EXPECT_LE(candidate.rate.interval->high, row.per_s.interval->high);
    EXPECT_GE(width(*candidate.rate.interval), 0.999 * width(*row.per_s.interval));
  }
}

// One server of constant time: the closed form has the highest rate; near what the server can do
// nobody knows, and the answer says so.
TEST(Journals, AModelledRateIsThatOfTheClosedForm) {
  Engine constant = cpu_engine();
  constant.a_s = 0.02;
  constant.b_s = constant.c_s = 0;
  Records records = {made_up(constant, Precision::fp32, 1, Mode::serial)};
  records[0].texts.token_counts.clear();
  const double service_s = 1 / records[0].reviews_per_s.value;
  for (const double limit : {3.0, 5.0, 17.0, 25.0}) {
    const Advice advice = ask(records, question_of(1, limit * service_s));
    const double exact = breakeven::testing::Md1::highest_rate(service_s, limit * service_s, 0.99);
    const Rate& rate = advice.candidates.at(0).rate;
    EXPECT_NEAR(rate.per_s, exact, 0.01 / service_s) << limit;
    ASSERT_TRUE(rate.interval);
    EXPECT_LE(rate.interval->low, exact) << limit;
    EXPECT_GE(rate.interval->high, exact) << limit;
  }
  const Advice advice = ask(records, question_of(1, 60 * service_s));
  EXPECT_NEAR(advice.candidates.at(0).rate.per_s, 0.95 / service_s, 0.001 / service_s);
  EXPECT_THAT(advice.candidates.at(0).checks.at(0).text, HasSubstr("/s or more (modelled)"));
  EXPECT_THAT(advice.headline, HasSubstr("or more ["));
}

// A search tries the rate that it found again, with other seeds: one that fails counts.
TEST(Journals, ARateThatWasTriedTwiceIsAsGoodAsTheWorstOfThem) {
  Records records = {paced(cpu_engine(), 10, 0.02, 0.1), paced(cpu_engine(), 50, 0.05, 0.6),
                     paced(cpu_engine(), 50, 0.2, 0.6)};
  // The same draw, measured again: the later one counts.
  std::swap(records[1], records[2]);
  EXPECT_EQ(ask(records, question_of(1, 0.1)).candidates.at(0).rate.per_s, 50);
  records[1].paced->seed = 1;
  records[2].paced->seed = 2;
  const Rate rate = ask(records, question_of(1, 0.1)).candidates.at(0).rate;
  EXPECT_EQ(rate.per_s, 10);
  EXPECT_EQ(rate.interval->high, 50);
}

// Enough requests for a p99, worth too few.
TEST(Journals, AP99ThatStandsOnFewStallsCannotBeTold) {
  Records records = {paced(cpu_engine(), 50, 0.05, 0.6)};
  records[0].latency_s.clear();
  records[0].paced->tail_episodes = 3;
  const Advice advice = ask(records, question_of(1, 0.1));
  EXPECT_EQ(advice.outcome, Outcome::cannot_tell);
  EXPECT_THAT(advice.candidates.at(0).checks.at(0).text,
              HasSubstr("worth fewer than 662; the slowest 1 % lie in 3 busy periods"));
}

// The same cost: who answers sooner by its measured p99; where nobody measured one, the CPU.
TEST(Journals, ATieGoesToTheSideThatAnswersSooner) {
  Question question = question_of(50, 0.06);
  question.gpu_price = question.cpu_price;
  const Records cpu_sooner = {paced(cpu_engine(), 100, 0.005, 0.1),
                              paced(gpu_engine(), 100, 0.055, 0.9)};
  const Advice cpu = ask(cpu_sooner, question);
  EXPECT_EQ(cpu.outcome, Outcome::advice);
  EXPECT_EQ(cpu.choices.front().winner, Side::cpu);
  EXPECT_THAT(cpu.choices.front().text, HasSubstr("answers sooner: p99 5.00 ms against 55.0 ms"));
  const Records gpu_sooner = {paced(cpu_engine(), 100, 0.055, 0.9),
                              paced(gpu_engine(), 100, 0.005, 0.1)};
  EXPECT_EQ(ask(gpu_sooner, question).choices.front().winner, Side::gpu);
  const Records alike = {paced(cpu_engine(), 100, 0.0501, 0.9),
                         paced(gpu_engine(), 100, 0.05, 0.1)};
  EXPECT_EQ(ask(alike, question).choices.front().winner, Side::cpu) << "not told apart";
  question.p99_s.reset();
  const Records no_p99 = {made_up(cpu_engine(), Precision::int8, 1, Mode::stream),
                          made_up(gpu_engine(), Precision::int8, 1, Mode::stream)};
  EXPECT_EQ(ask(no_p99, question).choices.front().winner, Side::cpu);
}

// The low end of a rate at the target use, not its value: a machine must hold when it is slow.
TEST(Journals, MachinesArePlannedFromTheLowEnd) {
  Records records = {made_up(cpu_engine(), Precision::int8, 1, Mode::stream)};
  records[0].reviews_per_s = {54.1, record::Interval{45.2, 67.2}, 5};
  const Advice at_70 = ask(records, question_of(54));
  EXPECT_EQ(at_70.candidates[0].machines->high, std::ceil(54 / (0.7 * 45.2)));
  EXPECT_EQ(at_70.candidates[0].machines->low,
            std::ceil(54 / (0.7 * at_70.candidates[0].rate.interval->high)));
  Question question = question_of(54);
  question.peak = 3;
  EXPECT_EQ(ask(records, question).candidates[0].machines->high, std::ceil(3 * 54 / (0.7 * 45.2)));
  question.utilisation = 1;
  EXPECT_EQ(ask(records, question).candidates[0].machines->high, std::ceil(3 * 54 / 45.2));
}

}  // namespace
}  // namespace breakeven::decide

#include "decide/advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "decide/made_up_records.h"

namespace breakeven::decide {
namespace {

using breakeven::testing::both_runs;
using breakeven::testing::cpu_engine;
using breakeven::testing::cpu_run;
using breakeven::testing::gpu_engine;
using breakeven::testing::gpu_run;
using breakeven::testing::made_up;
using breakeven::testing::made_up_paced;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Question prices() {
  Question question;
  question.cpu_price = 0.19;
  question.gpu_price = 0.53;
  return question;
}

Question with_load(double load) {
  Question question = prices();
  question.load_per_s = load;
  return question;
}

// The advice points into the records, so that both are kept.
struct Asked {
  std::vector<record::Record> records;
  Advice advice;
  const Candidate& winner() const { return advice.candidates.at(advice.winner.value()); }
  const record::Cell& cell() const { return winner().cell(); }
  // The reason of the first cell of this name.
  std::string reason(const std::string& name) const {
    for (const Ranked& ranked : advice.ranking) {
      if (advice.candidates[ranked.candidate].name == name) {
        return ranked.standing + ": " + ranked.reason;
      }
    }
    return "no such cell";
  }
};

Asked ask(std::vector<record::Record> records, const Question& question) {
  Asked asked{std::move(records), {}};
  auto advice = advise(asked.records, question);
  EXPECT_TRUE(advice) << (advice ? "" : advice.error().to_string());
  if (advice) asked.advice = *std::move(advice);
  return asked;
}

Error refusal(const std::vector<record::Record>& records, const Question& question) {
  const auto advice = advise(records, question);
  EXPECT_FALSE(advice);
  return advice ? Error{} : advice.error();
}

record::Record fp32_paced(double rate_per_s, double p99_s) {
  return made_up_paced(cpu_engine(), Precision::fp32, 8, rate_per_s, p99_s);
}

// The two answers that everything else is about.
TEST(Advise, LittleToDoAndLittleMoneyIsACpuWithSmallBatches) {
  Question question = with_load(2e5 / 86400);
  question.budget_per_month = 200;
  const Asked asked = ask(both_runs(), question);
  EXPECT_EQ(asked.advice.outcome, Outcome::advice);
  EXPECT_EQ(asked.cell().device, Device{});
  EXPECT_EQ(asked.cell().batch, 1U);
  EXPECT_EQ(asked.winner().machines->high, 1);
  EXPECT_NEAR(asked.winner().cost_per_month->high, 0.19 * 730.5, 1e-9);
  EXPECT_NEAR(asked.winner().cost_per_million.high, 0.19 * 24 / 0.2, 1e-9);
  EXPECT_THAT(asked.reason("cuda:0 fp16, batch 1"), HasSubstr("misses: 387 a month, 200 allowed"));
  EXPECT_THAT(asked.reason("cpu int8, batch 32"), HasSubstr("same cost: a batch takes"));
}

TEST(Advise, MuchToDoIsAGpuWithLargeBatches) {
  const Asked asked = ask(both_runs(), with_load(20'000));
  EXPECT_EQ(asked.advice.outcome, Outcome::advice);
  EXPECT_EQ(asked.cell().device, Device{{0}});
  EXPECT_EQ(asked.cell().precision, Precision::fp16);
  EXPECT_EQ(asked.cell().batch, 32U);
  const double machines = std::ceil(20'000 / (0.7 * asked.winner().rate.interval->low));
  EXPECT_EQ(asked.winner().machines->high, machines);
  EXPECT_NEAR(asked.winner().cost_per_million.high, machines * 0.53 / 3600 / 20'000 * 1e6, 1e-9);
  EXPECT_THAT(asked.reason("cpu int8, batch 8"), HasSubstr("costs more: "));
  EXPECT_THAT(asked.advice.headline, HasSubstr("Take cuda:0 fp16, batch 32 for 20,000 texts/s"));
}

TEST(Advise, SaysFromWhereOnTheGpuPays) {
  const Asked asked = ask(both_runs(), with_load(100));
  ASSERT_TRUE(asked.advice.load);
  const double cpu_rate = asked.advice.candidates[asked.advice.load_cpu].rate.per_s;
  // Two CPU machines cost 0.38, three 0.57, a GPU machine 0.53.
  EXPECT_NEAR(*asked.advice.load->first.load, 2 * 0.7 * 0.99 * cpu_rate, 1e-9);
  EXPECT_NEAR(asked.advice.load->first.low, 2 * 0.7 * 0.99 * cpu_rate, 1e-9);
  EXPECT_NEAR(asked.advice.load->first.high, 2 * 0.7 * 1.01 * cpu_rate, 1e-9);
  ASSERT_TRUE(asked.advice.batch);
  ASSERT_EQ(asked.advice.batch->rows.size(), 3U);
  EXPECT_EQ(asked.advice.batch->faster_from, 1U);
  EXPECT_EQ(asked.advice.batch->cheaper_from, 1U);
  const BatchRow& row = asked.advice.batch->rows[2];
  EXPECT_NEAR(
      row.throughput_ratio.value,
      asked.advice.candidates[row.gpu].rate.per_s / asked.advice.candidates[row.cpu].rate.per_s,
      1e-9);
}

TEST(Advise, ASlowLaunchMakesTheGpuPayOnlyFromLargerBatches) {
  breakeven::testing::Engine slow = gpu_engine();
  slow.a_s = 0.03;
  std::vector<record::Record> records = cpu_run();
  for (const std::uint64_t batch : {1U, 8U, 32U}) {
    for (const Mode mode : {Mode::serial, Mode::stream})
      records.push_back(made_up(slow, Precision::fp16, batch, mode));
  }
  const Asked asked = ask(records, with_load(100));
  ASSERT_TRUE(asked.advice.batch);
  EXPECT_EQ(asked.advice.batch->faster_from, 8U);
  EXPECT_EQ(asked.advice.batch->cheaper_from, 8U);
  EXPECT_EQ(asked.advice.batch->rows.front().faster, Leads::cpu);
}

TEST(Advise, OneChoiceOverAllAndOneAPrecision) {
  const Asked asked = ask(both_runs(), with_load(100));
  ASSERT_EQ(asked.advice.choices.size(), 2U);
  EXPECT_EQ(asked.advice.choices[0].precision, "");
  EXPECT_EQ(asked.advice.choices[1].precision, "fp32");
  const Advice& advice = asked.advice;
  EXPECT_EQ(advice.candidates[*advice.choices[1].cpu].cell().precision, Precision::fp32);
  EXPECT_EQ(advice.candidates[*advice.choices[1].gpu].cell().precision, Precision::fp32);
}

TEST(Advise, TooCloseToCall) {
  // Priced so that both cost nearly the same a text, within what the rates' intervals allow.
  Question question = prices();
  const Asked first = ask(both_runs(), question);
  const double ratio = first.advice.candidates[first.advice.load_gpu].rate.per_s /
                       first.advice.candidates[first.advice.load_cpu].rate.per_s;
  question.gpu_price = 0.19 * ratio * 1.005;
  const Asked asked = ask(both_runs(), question);
  EXPECT_EQ(asked.advice.outcome, Outcome::cannot_tell);
  EXPECT_THAT(asked.advice.headline, HasSubstr("Too close to call"));
  question.gpu_price = 0.19 * ratio * 1.2;
  EXPECT_EQ(ask(both_runs(), question).advice.outcome, Outcome::advice);
}

TEST(Advise, ARateWithoutAnIntervalDecidesNothingThatHangsOnIt) {
  auto records = both_runs();
  for (record::Record& record : records) {
    if (record.cell.device != Device{}) continue;
    record.passes = 1;
    record.samples_s.resize(record.samples_s.size() / 5);
    record.sample_positions.resize(record.sample_positions.size() / 5);
  }
  // One machine of either kind is enough here; but nobody knows whether one CPU machine is.
  EXPECT_EQ(ask(records, with_load(1)).advice.outcome, Outcome::cannot_tell);
  EXPECT_THAT(ask(records, with_load(200)).advice.headline,
              HasSubstr("cpu int8, batch 1 might be cheaper: fewer than 3 rounds"));
  // A hundred machines against five: nothing hangs on it.
  EXPECT_EQ(ask(records, with_load(20'000)).advice.outcome, Outcome::advice);
}

TEST(Advise, ImpossibleLimitsNameTheNearest) {
  Question question = with_load(10);
  question.memory_bytes = 1e8;
  const Asked asked = ask(both_runs(), question);
  EXPECT_EQ(asked.advice.outcome, Outcome::no_cell);
  EXPECT_FALSE(asked.advice.winner);
  ASSERT_TRUE(asked.advice.nearest);
  EXPECT_EQ(asked.advice.candidates[*asked.advice.nearest].cell().device, Device{});
  EXPECT_THAT(asked.advice.headline,
              HasSubstr("No cell keeps the limits for 10.0 texts/s; nearest is cpu int8, batch 1: "
                        "memory 400 MB, 100 MB allowed"));
}

TEST(Advise, WrongPricesAreRefusedByName) {
  Question question = with_load(10);
  question.cpu_price = -1;
  EXPECT_EQ(refusal(both_runs(), question).code, "advise/price");
  EXPECT_THAT(refusal(both_runs(), question).message, HasSubstr("--cpu-price is -1"));
  question.cpu_price = kNan;
  EXPECT_THAT(refusal(both_runs(), question).message, HasSubstr("--cpu-price is nan"));
  question.cpu_price.reset();
  EXPECT_THAT(refusal(both_runs(), question).message, HasSubstr("--cpu-price is missing"));
  question.cpu_price = 0.19;
  question.gpu_price.reset();
  EXPECT_THAT(refusal(both_runs(), question).message, HasSubstr("--gpu-price is missing"));
  question.gpu_price = std::numeric_limits<double>::infinity();
  EXPECT_THAT(refusal(cpu_run(), question).message, HasSubstr("--gpu-price is inf"));
}

TEST(Advise, WrongLimitsAreRefusedByName) {
  const auto refused = [](auto member, double value) {
    Question question = with_load(10);
    question.*member = value;
    return refusal(both_runs(), question);
  };
  for (const double bad : {0.0, -1.0, kNan}) {
    EXPECT_THAT(refused(&Question::p99_s, bad).message, HasSubstr("--p99"));
    EXPECT_THAT(refused(&Question::load_per_s, bad).message, HasSubstr("--load"));
    EXPECT_THAT(refused(&Question::memory_bytes, bad).message, HasSubstr("--memory"));
    EXPECT_THAT(refused(&Question::budget_per_month, bad).message, HasSubstr("--budget"));
  }
  EXPECT_THAT(refused(&Question::accuracy_loss, -0.1).message, HasSubstr("--accuracy-loss"));
  Question question = prices();
  question.budget_per_month = 200;
  EXPECT_THAT(refusal(both_runs(), question).message, HasSubstr("--budget needs --load"));
}

TEST(Advise, WithoutAGpuTheCpuAnswerStandsAndWhatIsMissingIsSaid) {
  Question question = with_load(100);
  const Asked asked = ask(cpu_run(), question);
  EXPECT_EQ(asked.advice.outcome, Outcome::advice);
  EXPECT_EQ(asked.cell().device, Device{});
  EXPECT_FALSE(asked.advice.load);
  EXPECT_THAT(asked.advice.missing, Contains(HasSubstr("no GPU was measured")));
  const double rate = asked.winner().rate.interval->low * 0.53 / 0.19;
  EXPECT_THAT(asked.advice.missing,
              Contains(HasSubstr("at 0.530 an hour it is cheaper a text at full use if it "
                                 "keeps up with more than " +
                                 std::to_string(static_cast<int>(rate)).substr(0, 2))));
  question.gpu_price.reset();
  EXPECT_EQ(ask(cpu_run(), question).advice.outcome, Outcome::advice);
}

TEST(Advise, WithoutACpuTheGpuAnswerStands) {
  Question question = with_load(100);
  question.cpu_price.reset();
  const Asked asked = ask(gpu_run(), question);
  EXPECT_EQ(asked.advice.outcome, Outcome::advice);
  EXPECT_THAT(asked.advice.missing, Contains(HasSubstr("no CPU was measured")));
}

TEST(Advise, BrokenParityAndInvalidRowsNeverWin) {
  auto records = both_runs();
  for (record::Record& record : records) {
    if (record.cell.precision == Precision::fp16) {
      record.parity->outcome = record::Agreement::failed;
      record.parity->flips = 12;
    } else if (record.cell.device != Device{}) {
      record.reasons = {{"steal", "", 0.4, 0.1, record::Severity::invalid}};
    }
  }
  const Asked asked = ask(records, with_load(20'000));
  EXPECT_EQ(asked.cell().device, Device{});
  EXPECT_EQ(asked.reason("cuda:0 fp16, batch 32"),
            "left out: outputs break parity (12 of 1000 labels differ)");
  EXPECT_EQ(asked.reason("cuda:0 fp32, batch 32"), "left out: INVALID: steal");
}

TEST(Advise, NothingValidCannotTell) {
  auto records = cpu_run();
  for (record::Record& record : records)
    record.reasons = {{"steal", "", 0.4, 0.1, record::Severity::invalid}};
  const Asked asked = ask(records, with_load(1));
  EXPECT_EQ(asked.advice.outcome, Outcome::cannot_tell);
  EXPECT_EQ(asked.advice.headline, "Can't tell: no cell counts.");
}

TEST(Advise, WhatIsUnprovenOrDisturbedIsSaid) {
  auto records = cpu_run();
  for (record::Record& record : records) {
    record.parity->outcome = record::Agreement::unproven;
    record.parity->texts = 64;
    record.reasons = {{"spread", "", 0.2, 0.05}, {"steal", "", 0.05, 0.01}};
  }
  const Asked asked = ask(records, with_load(1));
  EXPECT_THAT(asked.advice.headline,
              HasSubstr("Bear in mind: disturbed: steal, parity unproven on 64 texts"));
}

TEST(Advise, AccuracyLossIsALimit) {
  Question question = with_load(1000);
  question.accuracy_loss = 0.001;
  const Asked strict = ask(both_runs(), question);
  EXPECT_EQ(strict.cell().precision, Precision::fp32);
  EXPECT_EQ(strict.reason("cpu int8, batch 1"),
            "misses: accuracy loss 0.200 points, 0.100 points allowed");
  question.accuracy_loss = 0.005;
  EXPECT_EQ(ask(both_runs(), question).cell().precision, Precision::fp16);
  auto records = both_runs();
  for (record::Record& record : records) record.parity->accuracy_loss.reset();
  EXPECT_EQ(ask(records, question).reason("cpu int8, batch 1"),
            "can't tell: accuracy loss not known: the texts had no labels");
}

TEST(Advise, CuttingTextsShorterIsAnotherTask) {
  auto records = cpu_run();
  for (std::size_t i = 0; i < 2; ++i) {
    record::Record cut = records[6 + i];  // int8, batch 1
    cut.cell.max_length = 64;
    cut.texts.truncated = 40;
    cut.reviews_per_s = {5000, record::Interval{4900, 5100, 0.95}, 5};
    records.push_back(cut);
  }
  const Asked asked = ask(records, with_load(1000));
  EXPECT_EQ(asked.cell().max_length, 512U);
  EXPECT_THAT(asked.reason("cpu int8, batch 1, max length 64"),
              HasSubstr("40 of 64 texts cut at 64 tokens"));
}

TEST(Advise, OnlyPacedCellsDecideAP99) {
  auto records = both_runs();
  // The GPU keeps 50 ms up to 1,000 a second, the CPU's best up to 50.
  for (const auto& [rate, p99] :
       {std::pair{10.0, 0.012}, std::pair{1000.0, 0.03}, std::pair{3000.0, 0.4}}) {
    records.push_back(made_up_paced(gpu_engine(), Precision::fp16, 32, rate, p99));
  }
  for (const auto& [rate, p99] :
       {std::pair{10.0, 0.02}, std::pair{50.0, 0.04}, std::pair{100.0, 0.09}}) {
    records.push_back(made_up_paced(cpu_engine(), Precision::int8, 8, rate, p99));
  }
  Question question = with_load(500);
  question.p99_s = 0.05;
  const Asked asked = ask(records, question);
  EXPECT_EQ(asked.cell().device, Device{{0}});
  EXPECT_EQ(asked.winner().rate.basis, "paced");
  EXPECT_EQ(asked.winner().rate.per_s, 1000);
  EXPECT_EQ(asked.winner().machines->high, 1);
  ASSERT_EQ(asked.advice.faster_at.size(), 1U);
  EXPECT_EQ(asked.advice.faster_at[0].load, 10);
}

TEST(Advise, APacedP99ThatMissesOrIsNotCarriedIsSaid) {
  std::vector<record::Record> records = {fp32_paced(10, 0.2),
                                         made_up_paced(cpu_engine(), Precision::int8, 8, 10, 0.2)};
  records[1].latency_s.clear();
  records[1].samples_s.resize(300);
  Question question = with_load(5);
  question.p99_s = 0.1;
  const Asked asked = ask(records, question);
  EXPECT_EQ(asked.advice.outcome, Outcome::cannot_tell);
  EXPECT_THAT(asked.reason("cpu fp32, batch 8"), HasSubstr("misses: p99 200 ms at 10.0/s"));
  EXPECT_THAT(asked.reason("cpu int8, batch 8"), HasSubstr("300 samples, 662 needed"));
}

TEST(Advise, AMachineThatFallsBehindDoesNotKeepTheLoad) {
  std::vector<record::Record> records = {fp32_paced(100, 0.05)};
  records[0].reviews_per_s.value = 80;
  Question question = with_load(5);
  question.p99_s = 0.1;
  EXPECT_EQ(ask(records, question).advice.outcome, Outcome::no_cell);
}

TEST(Advise, ASaturatedRowDoesNotKeepTheLoadWhateverItAnswered) {
  std::vector<record::Record> records = {fp32_paced(100, 0.05)};
  records[0].paced = record::Paced{};
  records[0].paced->saturated = true;
  Question question = with_load(5);
  question.p99_s = 0.1;
  EXPECT_EQ(ask(records, question).advice.outcome, Outcome::no_cell);
  question.p99_s.reset();
  EXPECT_EQ(ask(records, question).advice.outcome, Outcome::cannot_tell);
  // One that is not saturated answered all that came, however few that was by chance.
  records[0].paced->saturated = false;
  records[0].reviews_per_s.value = 80;
  EXPECT_EQ(ask(records, question).advice.outcome, Outcome::advice);
  question.p99_s = 0.1;
  EXPECT_EQ(ask(records, question).advice.outcome, Outcome::advice);
}

TEST(Advise, TooMuchAtAHighRateSaysNothingOfALowOneThatIsInDoubt) {
  std::vector<record::Record> records = {fp32_paced(10, 0.05), fp32_paced(100, 0.5)};
  records[0].latency_s.clear();
  records[0].samples_s.resize(20);
  Question question = with_load(5);
  question.p99_s = 0.1;
  EXPECT_EQ(ask(records, question).advice.outcome, Outcome::cannot_tell);
}

TEST(Advise, AP99WithoutAnIntervalNeverKeepsALimit) {
  std::vector<record::Record> records = {fp32_paced(100, 0.05)};
  records[0].latency_s["p99"].interval.reset();
  Question question = with_load(5);
  question.p99_s = 0.1;
  const Asked asked = ask(records, question);
  EXPECT_EQ(asked.advice.outcome, Outcome::cannot_tell);
  EXPECT_THAT(asked.reason("cpu fp32, batch 8"),
              HasSubstr("p99 50.0 ms at 100/s cannot be told from 100 ms: too few independent"));
}

TEST(Advise, ALowerRateThatDidNotKeepTheLimitIsAContradiction) {
  std::vector<record::Record> records = {fp32_paced(40, 0.8), fp32_paced(60, 0.3)};
  Question question = with_load(100);
  question.p99_s = 0.5;
  const Asked asked = ask(records, question);
  EXPECT_EQ(asked.advice.outcome, Outcome::cannot_tell);
  EXPECT_THAT(asked.reason("cpu fp32, batch 8"),
              HasSubstr("p99 800 ms at 40.0/s, 500 ms allowed, though it kept 60.0/s"));
  records[0].cell.rate_per_s = 80;  // more load, more latency: nothing to wonder at
  EXPECT_EQ(ask(records, question).winner().rate.interval, (record::Interval{60, 80}));
}

TEST(Advise, AnIntervalThatHoldsTheLimitIsGivenAsTheReason) {
  Question question = with_load(5);
  question.p99_s = 0.05;
  EXPECT_EQ(ask({fp32_paced(100, 0.05)}, question).reason("cpu fp32, batch 8"),
            "can't tell: p99 50.0 ms [49.0 ms, 51.0 ms] at 100/s cannot be told from 50.0 ms");
}

TEST(Advise, WithoutPacedCellsP99IsModelledAndSaysSo) {
  Question question = with_load(40);
  question.p99_s = 0.1;
  const Asked asked = ask(both_runs(), question);
  EXPECT_EQ(asked.advice.outcome, Outcome::advice);
  EXPECT_EQ(asked.winner().rate.basis, "modelled");
  EXPECT_EQ(asked.cell().device, Device{});
  EXPECT_LT(asked.winner().rate.per_s, asked.winner().queue->full_rate());
  EXPECT_THAT(asked.advice.notes, Contains(HasSubstr("Poisson arrivals")));
  question.p99_s = 0.001;
  const Asked impossible = ask(both_runs(), question);
  EXPECT_EQ(impossible.advice.outcome, Outcome::no_cell);
  EXPECT_THAT(impossible.advice.headline, HasSubstr("without any load"));
}

TEST(Advise, AModelOfUnknownErrorDecidesNothing) {
  std::vector<record::Record> records;
  for (const std::uint64_t batch : {8U, 32U}) {
    records.push_back(made_up(cpu_engine(), Precision::fp32, batch, Mode::serial));
    records.back().texts.token_counts.clear();  // as an older breakeven wrote it
  }
  Question question = with_load(1);
  question.p99_s = 1;
  const Asked asked = ask(records, question);
  EXPECT_EQ(asked.advice.outcome, Outcome::cannot_tell);
  EXPECT_THAT(asked.reason("cpu fp32, batch 8"), HasSubstr("nobody knows how well"));
  EXPECT_THAT(asked.advice.missing, Contains(HasSubstr("lengths of the texts are not in these")));
}

TEST(Advise, WithoutLengthsOneTextABatchDrawsTheMeasuredTimes) {
  std::vector<record::Record> records = {made_up(cpu_engine(), Precision::fp32, 1, Mode::serial)};
  records.back().texts.token_counts.clear();
  Question question = with_load(1);
  question.p99_s = 0.2;
  const Asked asked = ask(records, question);
  EXPECT_EQ(asked.advice.outcome, Outcome::advice);
  EXPECT_TRUE(asked.winner().times_drawn);
  EXPECT_LT(asked.winner().rate.interval->low, asked.winner().rate.per_s);
}

TEST(Advise, EnergyComesFromCountersOrNotAtAll) {
  auto records = both_runs();
  EXPECT_THAT(ask(records, with_load(1)).advice.notes,
              Contains(HasSubstr("energy: not available")));
  for (record::Record& record : records) {
    record.energy.texts = 320;
    record.energy.host_joules_gross = 64;
    record.energy.host_joules_net = 32;
    record.energy.method = "RAPL";
  }
  const Asked asked = ask(records, with_load(1));
  for (const Candidate& candidate : asked.advice.candidates) {
    if (candidate.configuration.side == Side::gpu) {
      EXPECT_FALSE(candidate.joules_per_1000);  // the GPU's own share was not counted
    } else {
      EXPECT_NEAR(*candidate.joules_per_1000, 200, 1e-9);
      EXPECT_NEAR(*candidate.net_joules_per_1000, 100, 1e-9);
    }
  }
}

TEST(Advise, OtherWorkIsRefusedByName) {
  auto records = both_runs();
  records[3].model_hash = "other";
  EXPECT_EQ(refusal(records, prices()).code, "advise/model");
  records = both_runs();
  records[3].texts.hash = "other";
  records[3].texts.mean_tokens *= 2;
  EXPECT_EQ(refusal(records, prices()).code, "advise/texts");
  records[3].texts.mean_tokens *= 0.51;
  EXPECT_THAT(ask(records, prices()).advice.notes, Contains(HasSubstr("2 sets of texts")));
  EXPECT_EQ(refusal({}, prices()).code, "advise/empty");
  records = cpu_run();
  for (record::Record& record : records) record.kind = record::Kind::scaling;
  EXPECT_EQ(refusal(records, prices()).code, "advise/empty");
}

TEST(Advise, ALaterRecordOfACellReplacesTheEarlier) {
  auto records = cpu_run();
  for (record::Record& record : cpu_run()) {
    record.reviews_per_s.value *= 3;
    record.reviews_per_s.interval.reset();
    records.insert(records.begin(), record);
  }
  const Asked asked = ask(records, with_load(1));
  EXPECT_EQ(asked.advice.candidates.size(), 6U);
  EXPECT_THAT(asked.advice.notes, Contains(HasSubstr("of 12 records the later one counts")));
  EXPECT_TRUE(asked.winner().rate.interval);
}

// A record may say anything: whatever it says, the answer is an error or a row that names it.
TEST(Advise, NonsenseIsMarkedAndDoesNotCrash) {
  const double nonsense[] = {
      kNan, -1, 0, 1e308, -1e308, 5e-324, std::numeric_limits<double>::infinity()};
  for (const double value : nonsense) {
    auto records = both_runs();
    for (record::Record& record : records) {
      record.reviews_per_s = {value, record::Interval{value, -value, value}, 1};
      record.texts.mean_tokens = value;
      record.samples_s.assign(3, value);
      record.sample_positions = {0, 4'000'000'000U, 1};
      record.parity->accuracy_loss = value;
      record.latency_s["p99"] = {value, {}, 1};
      record.energy.host_joules_gross = value;
      record.energy.texts = 1;
      record.cell.rate_per_s = value;
    }
    records[0].cell.batch = 0;
    records[1].cell.batch = std::numeric_limits<std::uint64_t>::max();
    records[2].cell.max_length = 0;
    records[3].texts.token_counts.assign(5, std::numeric_limits<std::uint32_t>::max());
    records[4].cell.mode = Mode::paced;
    for (const double limit : {1e-300, 0.1, 1e300}) {
      Question question = with_load(limit);
      question.p99_s = limit;
      question.memory_bytes = limit;
      question.budget_per_month = limit;
      question.accuracy_loss = limit;
      const auto advice = advise(records, question);
      if (advice) {
        EXPECT_NE(advice->outcome, Outcome::advice) << value;
      }
    }
  }
}

}  // namespace
}  // namespace breakeven::decide

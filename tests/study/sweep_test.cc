#include "study/sweep.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "measure/thresholds.h"
#include "study/judging.h"
#include "study/sweep_fixture.h"

namespace breakeven::study {
namespace {

using breakeven::testing::FakeClassifier;
using ::testing::Contains;
using ::testing::HasSubstr;

TEST_F(SweepTest, FindsThePlantedCosts) {
  const auto letter_s = [](Precision precision) {
    return precision == Precision::bf16 ? 1e-5 : 4e-5;
  };
  machine_.seconds_per_letter = [&](const Spec& spec) { return letter_s(spec.precision); };
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  ASSERT_EQ(outcome->records.size(), 8U);
  for (const record::Record& record : outcome->records) {
    EXPECT_NEAR(record.reviews_per_s.value, 64 / (letter_s(record.cell.precision) * letters()),
                1e-6);
    EXPECT_FALSE(measure::is_invalid(record))
        << (record.reasons.empty() ? "" : record.reasons[0].message);
    if (record.cell.mode == Mode::serial) {
      EXPECT_EQ(record.bound, "compute");
    }
    EXPECT_EQ(record.texts.count, 64U);
    EXPECT_EQ(record.texts.real_tokens, static_cast<std::uint64_t>(letters()));
    EXPECT_EQ(record.energy.method, "not measured");
  }
  EXPECT_EQ(kept_.size(), 8U);
}

TEST_F(SweepTest, OutputsOfTimedPassesAreJudged) {
  machine_.plant = [](const Spec& spec, FakeClassifier& fake) {
    if (spec.precision == Precision::bf16) fake.wobble_from = 0;
  };
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  const auto& good = find(*outcome, Precision::fp32, 1, Mode::serial);
  const auto& bad = find(*outcome, Precision::bf16, 1, Mode::serial);
  ASSERT_TRUE(good.parity && bad.parity);
  EXPECT_EQ(good.parity->texts, 64U);
  EXPECT_EQ(good.parity->logit_abs_max, 0);
  EXPECT_EQ(good.parity->outcome, record::Agreement::passed);  // it is the judge itself
  EXPECT_NEAR(bad.parity->logit_abs_max, 0.25, 1e-6);
}

TEST_F(SweepTest, MoreTextsAreJudgedThanTimed) {
  add_texts(1100);
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  const auto& record = find(*outcome, Precision::bf16, 8, Mode::stream);
  EXPECT_EQ(record.texts.count, 64U);
  EXPECT_EQ(record.parity->texts, 1164U);
  EXPECT_EQ(record.parity->outcome, record::Agreement::passed);
}

TEST_F(SweepTest, AProofIsKeptForLaterRunsOfTheSameBuild) {
  add_texts(1100);
  input_.cache = (root_ / "cache").string();
  input_.prototype.texts.name = "many";
  ASSERT_TRUE(run());
  input_.texts.resize(64);
  auto outcome = run();
  ASSERT_TRUE(outcome);
  const auto& later = find(*outcome, Precision::bf16, 8, Mode::serial);
  EXPECT_EQ(later.parity->texts, 1164U);
  EXPECT_EQ(later.parity->outcome, record::Agreement::passed);
  EXPECT_THAT(later.parity->judge, HasSubstr("on 1164 texts of many, in an earlier run"));
  input_.prototype.build.commit = "another";
  outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(find(*outcome, Precision::bf16, 8, Mode::serial).parity->outcome,
            record::Agreement::unproven);
}

TEST_F(SweepTest, JudgingMoreTextsTakesAQuarterOfTheTimeAtMost) {
  add_texts(1100);
  // The judge takes 36 ms a text and bf16 half of it, so the guess: 15 of the 60 s hold some 280.
  machine_.seconds_per_letter = [](const Spec&) { return 3e-4; };
  input_.work = {2e8, 0};
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(find(*outcome, Precision::bf16, 8, Mode::stream).parity->texts, 250U);
  EXPECT_THAT(outcome->notes, Contains(HasSubstr("judged on 250 of 1164 texts")));
}

TEST_F(SweepTest, LogitsThatShipSpareTheJudgeItsWork) {
  add_texts(1100);
  input_.shipped = (root_ / "shipped").string();
  FakeClassifier fake(machine_.clock, [](auto...) { return 0.0; });
  const measure::JudgeKey key{"model", measure::hash_texts(input_.texts), kNativeJudge, 512};
  ASSERT_TRUE(measure::judge_logits(fake, input_.texts, 8, key, input_.shipped));
  machine_.seconds_per_letter = [](const Spec& spec) {
    return spec.precision == Precision::fp32 ? 1e-3 : 1e-6;
  };
  input_.work = {2e8, 0};
  input_.time_s = 240;
  auto outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(find(*outcome, Precision::bf16, 8, Mode::stream).parity->texts, 1164U);
  EXPECT_THAT(outcome->notes, Contains(HasSubstr("that ship with the program; here it agrees")));
  machine_.plant = [](const Spec& spec, FakeClassifier& planted) {
    if (spec.precision == Precision::fp32) planted.wobble_from = 0;
  };
  outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_THAT(outcome->notes, Contains(HasSubstr("are not used: native cpu fp32 differs from")));
  EXPECT_LT(find(*outcome, Precision::bf16, 8, Mode::stream).parity->texts, 1164U);
}

TEST_F(SweepTest, TheReferenceJudgesTheFp32Path) {
  machine_.plant = [](const Spec& spec, FakeClassifier& fake) {
    if (spec.reference) fake.wobble_from = 0;
  };
  const auto outcome = run();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, "parity/judge");
  EXPECT_TRUE(kept_.empty());
}

TEST_F(SweepTest, AccuracyCountsDistinctOriginals) {
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    input_.labels.push_back(texts_[i].size() % 2 == 1 ? 1 : 0);
    input_.originals.push_back({i / 2});
  }
  input_.labels[0] = 1 - input_.labels[0];
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  const auto& accuracy = outcome->records.front().accuracy;
  ASSERT_TRUE(accuracy);
  EXPECT_NEAR(accuracy->share, 63.0 / 64, 1e-9);
  EXPECT_EQ(accuracy->distinct, 32U);
}

TEST_F(SweepTest, ACellThatFailsIsARecordAndTheOthersGoOn) {
  machine_.refuse = Precision::bf16;
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  ASSERT_EQ(outcome->records.size(), 8U);
  const auto& failed = find(*outcome, Precision::bf16, 1, Mode::serial);
  EXPECT_TRUE(measure::is_invalid(failed));
  ASSERT_FALSE(failed.reasons.empty());
  EXPECT_EQ(failed.reasons[0].code, "failed");
  EXPECT_THAT(failed.reasons[0].message, HasSubstr("not enough memory"));
  EXPECT_FALSE(measure::is_invalid(find(*outcome, Precision::fp32, 1, Mode::serial)));
}

TEST_F(SweepTest, AClassifierThatBreaksWhileItRunsIsARecordToo) {
  machine_.plant = [](const Spec& spec, FakeClassifier& fake) {
    if (spec.precision == Precision::bf16) fake.fail_at = 5;
  };
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->records.size(), 8U);
  EXPECT_EQ(find(*outcome, Precision::bf16, 1, Mode::serial).reasons.at(0).code, "failed");
}

TEST_F(SweepTest, AnotherRuntimeJudgesOurRowsAndWeJudgeIts) {
  add_runtime();
  Spec other;
  other.runtime.name = "other";
  other.padding = Padding::longest;
  input_.other_judge = other;
  machine_.plant = [](const Spec& spec, FakeClassifier& fake) {
    if (spec.runtime.name == "other") fake.wobble_from = 0;  // its logits are 0.25 off
  };
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  ASSERT_EQ(outcome->records.size(), 12U);
  for (const record::Record& record : outcome->records) {
    ASSERT_TRUE(record.parity);
    EXPECT_EQ(record.parity->judge, "native cpu fp32");
    const bool native = record.cell.runtime.is_native();
    EXPECT_NEAR(record.parity->logit_abs_max, native ? 0 : 0.25, 1e-6);
    EXPECT_EQ(record.other_parity.has_value(), native);
    if (!native) continue;
    EXPECT_EQ(record.other_parity->judge, "other cpu fp32");
    EXPECT_NEAR(record.other_parity->logit_abs_max, 0.25, 1e-6);
  }
}

TEST_F(SweepTest, AJudgeOfAnotherRuntimeThatFailsIsANote) {
  add_runtime();
  input_.other_judge = Spec{};
  input_.other_judge->runtime.name = "broken";
  machine_.plant = [](const Spec& spec, FakeClassifier& fake) {
    if (spec.runtime.name == "broken") fake.fail_at = 0;
  };
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->records.size(), 12U);
  EXPECT_FALSE(outcome->records.front().other_parity);
  EXPECT_THAT(outcome->notes, ::testing::Contains(HasSubstr("broken cpu fp32 did not judge")));
}

TEST_F(SweepTest, AModelThatOnlyOthersRunIsJudgedByTheirFp32) {
  add_runtime();
  std::erase_if(input_.cells, [](const auto& cell) { return cell.runtime.is_native(); });
  input_.judge.runtime.name = "other";
  input_.judge.padding = Padding::longest;
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  ASSERT_EQ(outcome->records.size(), 4U);
  EXPECT_EQ(outcome->records.front().parity->judge, "other cpu fp32");
  for (const Spec& spec : machine_.made) {
    EXPECT_EQ(spec.runtime.name, "other");
    EXPECT_FALSE(spec.reference);
  }
}

TEST_F(SweepTest, OutputsThatNobodyCanJudgeAreAnInvalidRow) {
  add_runtime();
  machine_.plant = [](const Spec& spec, FakeClassifier& fake) {
    fake.third_class = spec.runtime.name == "other";
  };
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  ASSERT_EQ(outcome->records.size(), 12U);
  for (const record::Record& record : outcome->records) {
    const bool native = record.cell.runtime.is_native();
    EXPECT_EQ(measure::is_invalid(record), !native);
  }
}

TEST_F(SweepTest, WhenEveryCellFailsTheErrorIsTheResult) {
  std::erase_if(input_.cells, [](const auto& cell) { return cell.precision == Precision::fp32; });
  machine_.refuse = Precision::bf16;
  const auto outcome = run();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, "engine/memory");
}

TEST_F(SweepTest, AnErrorOfTheJournalEndsTheSweep) {
  tools_.keep = [](const record::Record&) -> Result<void> {
    return fail("file/unwritable", "disk full");
  };
  const auto outcome = run();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, "file/unwritable");
}

TEST_F(SweepTest, MemoryAndColdStartComeFromAFreshProcess) {
  std::size_t asked = 0;
  tools_.fresh = [&](const record::Cell& cell) -> Result<Fresh> {
    ++asked;
    if (cell.mode == Mode::stream) return fail("child/killed", "the child was killed");
    Fresh fresh;
    fresh.memory = record::Memory{};
    fresh.memory->peak_rss_bytes = 1000 * cell.batch;
    fresh.cold_start = record::ColdStart{1.5, 1, 0.3, 0.2};
    return fresh;
  };
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(asked, 8U);
  EXPECT_EQ(find(*outcome, Precision::fp32, 8, Mode::serial).memory->peak_rss_bytes, 8000U);
  EXPECT_EQ(find(*outcome, Precision::fp32, 8, Mode::serial).cold_start->total_s, 1.5);
  EXPECT_FALSE(find(*outcome, Precision::fp32, 8, Mode::stream).memory);
  EXPECT_THAT(outcome->notes, ::testing::Contains(HasSubstr("the child was killed")));
}

TEST_F(SweepTest, AGpuRowNamesItsGpuAndWhyItsCountersAreMissing) {
  for (record::Cell& cell : input_.cells) {
    if (cell.precision == Precision::bf16) cell.device = Device{{0}};
  }
  tools_.gpus[0].name = "NVIDIA H100";
  tools_.gpus[0].uuid = "GPU-1";
  tools_.nvml_library = "libnowhere.so.9";
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  for (const record::Record& record : outcome->records) {
    ASSERT_EQ(record.gpu.has_value(), record.cell.device == Device{{0}});
    if (!record.gpu) continue;
    EXPECT_EQ(record.gpu->name, "NVIDIA H100");
    EXPECT_EQ(record.gpu->counters, "not available: libnowhere.so.9 cannot be loaded");
    EXPECT_FALSE(measure::is_invalid(record));
    EXPECT_FALSE(record.gpu->event_stages) << "the fake has no events";
  }
}

class PacedSweepTest : public SweepTest {
 protected:
  PacedSweepTest() {
    Axes axes;
    axes.runtimes[0].abilities = {{}, {"", {}, Precision::bf16}};
    axes.precisions = {Precision::fp32, Precision::bf16};
    axes.batches = {8};
    axes.modes = {Mode::serial, Mode::paced};
    axes.rates = {20, 5000};
    axes.paced_batches = {8};
    axes.max_wait_s = 0.01;
    input_.cells = plan_cells(axes);
    input_.time_s = 120;  // 20 s a cell
  }
  static const record::Record& paced(const Outcome& outcome, Precision precision, double rate) {
    for (const record::Record& record : outcome.records) {
      if (record.cell.precision == precision && record.cell.rate_per_s == rate) return record;
    }
    ADD_FAILURE() << to_string(precision) << " " << rate;
    static const record::Record kNone;
    return kNone;
  }
};

TEST_F(PacedSweepTest, PacedCellsStandBesideTheOthersAndAreJudged) {
  const double begin = machine_.clock.now_s();
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  ASSERT_EQ(outcome->records.size(), 6U);
  EXPECT_EQ(kept_.size(), 6U);
  EXPECT_LT(machine_.clock.now_s() - begin, 2 * input_.time_s);
  for (const Precision precision : {Precision::fp32, Precision::bf16}) {
    const record::Record& light = paced(*outcome, precision, 20);
    EXPECT_FALSE(measure::is_invalid(light))
        << (light.reasons.empty() ? "" : light.reasons[0].message);
    EXPECT_FALSE(light.paced->saturated);
    EXPECT_GT(light.latency_s.at("p50").value, 0.001);
    EXPECT_NEAR(light.reviews_per_s.value, 20, 1e-6);
    EXPECT_EQ(light.parity->flips, 0U);
    EXPECT_EQ(light.parity->texts, 64U);
    EXPECT_EQ(light.texts.token_counts.size(), 64U);
    EXPECT_EQ(light.passes, 0U);
    EXPECT_EQ(light.bound, "");
    EXPECT_FALSE(light.stages);
    // 64 texts of 7,424 letters at 10 us: 862 a second at most.
    const record::Record& heavy = paced(*outcome, precision, 5000);
    EXPECT_TRUE(heavy.paced->saturated);
    EXPECT_NEAR(heavy.reviews_per_s.value, 64 / (1e-5 * letters()), 20);
  }
}

TEST_F(PacedSweepTest, ARateNeedsNoFreshProcessOfItsOwn) {
  std::vector<record::Cell> asked;
  tools_.fresh = [&](const record::Cell& cell) -> Result<Fresh> {
    asked.push_back(cell);
    Fresh fresh;
    fresh.memory = record::Memory{};
    fresh.memory->peak_rss_bytes = 77;
    return fresh;
  };
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(asked.size(), 4U);  // two serial ones, and one for each precision's rates
  EXPECT_EQ(paced(*outcome, Precision::bf16, 5000).memory->peak_rss_bytes, 77U);
}

TEST_F(PacedSweepTest, AnInterruptedWindowIsNotKept) {
  machine_.plant = [this](const Spec&, FakeClassifier& fake) {
    fake.after_call = [this](std::size_t) {
      if (kept_.size() == 3) stop_ = true;
    };
  };
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->interrupted);
  EXPECT_EQ(outcome->records.size(), 3U);
}

TEST_F(PacedSweepTest, AnEngineThatFailsUnderLoadIsAnInvalidRow) {
  machine_.plant = [](const Spec& spec, FakeClassifier& fake) {
    if (spec.precision == Precision::bf16) fake.fail_at = 700;
  };
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(std::any_of(outcome->records.begin(), outcome->records.end(), [](const auto& each) {
    return each.cell.mode == Mode::paced && measure::is_invalid(each) &&
           each.reasons[0].code == "failed";
  }));
}

TEST_F(SweepTest, NothingToDoIsDone) {
  input_.cells.clear();
  const auto outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->records.empty());
}

}  // namespace
}  // namespace breakeven::study

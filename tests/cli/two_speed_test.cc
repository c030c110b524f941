// The program end to end on a machine of two speeds: more than a hundred short runs whose worker
// sleeps as long as such a machine would compute. Sleeping costs no CPU, so they run side by side.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "cli/real_program.h"
#include "measure/rounds.h"
#include "record/journal.h"

namespace breakeven {
namespace {

using measure::RoundValues;
using record::Record;

class TwoSpeedTest : public testing::RealProgram {
 protected:
  // `count` runs at once, the first with this number: journals run-NUMBER.jsonl in folder_.
  void run_side_by_side(std::size_t first, std::size_t count) {
    const std::filesystem::path scripts = folder_ / "scripts";
    std::filesystem::create_directories(scripts);
    const auto tests = testing::source_dir() / "tests";
    using std::filesystem::copy_options;
    std::filesystem::copy_file(tests / "cli/two_speed_worker.py", scripts / "pytorch.py",
                               copy_options::skip_existing);
    std::ofstream(scripts / "common.py") << "";  // what tells the folder
    std::string command = fmt::format(
        "cd '{}'; export CUDA_VISIBLE_DEVICES= HF_HOME=hf XDG_CACHE_HOME=cache "
        "BREAKEVEN_RUNTIMES=scripts BREAKEVEN_PYTHON_PYTORCH={} "
        "MACHINE_START_S=$(cut -d' ' -f1 /proc/uptime); ",
        folder_.path().string(), PYTHON);
    for (std::size_t i = first; i < first + count; ++i) {
      command += fmt::format(
          "MACHINE_SEED={0} '{1}' run --model builtin-narrow --count 8 --batch 1,4 --precision "
          "fp32 "
          "--max-length 32 --no-memory --time 60s --runtime pytorch:seed,pytorch:tuned "
          "--journal run-{0}.jsonl >out-{0} 2>&1 & ",
          i, BREAKEVEN_BINARY);
    }
    testing::run_shell(command + "wait", (folder_ / "stderr").string());
  }
};

TEST_F(TwoSpeedTest, IntervalsHoldTheTruthAndEqualCellsAreNotToldApart) {
  constexpr std::size_t kRuns = 104;
  constexpr std::size_t kAtOnce = 26;
  // Eight texts of 10 ms at the quick speed; half of the time it is 1.4 times slower.
  constexpr double kTruthPerSecond = (1 + 1 / 1.4) / 2 / 0.01;
  for (std::size_t i = 0; i < kRuns; i += kAtOnce) run_side_by_side(i, kAtOnce);
  std::size_t hits = 0;
  std::size_t intervals = 0;
  std::size_t alarms = 0;
  std::size_t pairs = 0;
  for (std::size_t i = 0; i < kRuns; ++i) {
    const auto journal =
        record::read_journal((folder_ / ("run-" + std::to_string(i) + ".jsonl")).string());
    ASSERT_TRUE(journal) << journal.error().to_string();
    const std::vector<Record>& records = journal->records;
    ASSERT_EQ(records.size(), 8U);
    std::vector<RoundValues> passes;
    std::vector<const Record*> rows;
    for (const Record& record : records) {
      rows.push_back(&record);
      passes.push_back(measure::pass_seconds_by_round(record));
      if (!record.reviews_per_s.interval) continue;  // a busy machine left no time for three rounds
      const auto& [low, high, confidence] = *record.reviews_per_s.interval;
      ++intervals;
      hits += low <= kTruthPerSecond && kTruthPerSecond <= high ? 1U : 0U;
    }
    const measure::Noise noise = measure::pooled_noise(passes, measure::visited_together(rows));
    for (std::size_t a = 0; a < records.size(); ++a) {
      for (std::size_t b = a + 1; b < records.size(); ++b) {
        record::Cell same = records[b].cell;
        same.runtime = records[a].cell.runtime;
        if (same != records[a].cell) continue;
        const auto ratio = measure::ratio_by_round(passes[a], passes[b], noise);
        if (!ratio.interval) continue;
        ++pairs;
        alarms += ratio.interval->low > 1 || ratio.interval->high < 1 ? 1U : 0U;
      }
    }
  }
  RecordProperty("coverage", std::to_string(hits) + "/" + std::to_string(intervals));
  RecordProperty("alarms", std::to_string(alarms) + "/" + std::to_string(pairs));
  EXPECT_GT(intervals, 4 * kRuns);  // of 8; a busy machine leaves no time for some
  EXPECT_GT(pairs, 2 * kRuns);      // of 4
  // 92 % and 5 % are demanded (tests/study/coverage_test.cc holds them with fixed seeds); cells of
  // one run share its luck, so that these shares are off by some points.
  EXPECT_GE(static_cast<double>(hits), 0.90 * static_cast<double>(intervals)) << intervals;
  EXPECT_LE(static_cast<double>(alarms), 0.10 * static_cast<double>(pairs)) << pairs;
}

}  // namespace
}  // namespace breakeven

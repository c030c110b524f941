// A sweep over 64 texts of many lengths on a machine with planted costs and a made-up clock.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

#include "study/fake_machine.h"
#include "study/sweep.h"
#include "testing/paths.h"

namespace breakeven::study {

class SweepTest : public ::testing::Test {
 protected:
  SweepTest() {
    for (std::size_t i = 0; i < 64; ++i) texts_.emplace_back(20 + (i * 37) % 200, 'a');
    use_texts(64);
    input_.time_s = 60;
    input_.work = {1e6, 0};
    input_.prototype.model_hash = "model";
    Axes axes;
    axes.runtimes[0].abilities = {{}, {"", {}, Precision::bf16}};
    axes.precisions = {Precision::fp32, Precision::bf16};
    axes.batches = {1, 8};
    input_.cells = plan_cells(axes);
    tools_.make = [this](const Spec& spec) { return machine_.make(spec); };
    tools_.keep = [this](const record::Record& record) -> Result<void> {
      kept_.push_back(record);
      return {};
    };
    tools_.clock = &machine_.clock;
    tools_.stop = &stop_;
    tools_.root = root_.path().string() + "/";  // no counters of this machine
  }

  void use_texts(std::size_t timed) {
    input_.texts.assign(texts_.begin(), texts_.end());
    input_.timed = timed;
  }
  void add_texts(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) texts_.emplace_back(20 + (i * 31) % 200, 'b');
    use_texts(64);
  }
  // Another runtime, fp32 only, beside the native one.
  void add_runtime() {
    Axes axes;
    axes.runtimes = {{{"other"}, {{"", {}, Precision::fp32, {Padding::longest}}}}};
    axes.batches = {1, 8};
    for (record::Cell& cell : plan_cells(axes)) input_.cells.push_back(std::move(cell));
  }
  double letters() const {
    double sum = 0;
    for (const std::string& text : texts_) sum += static_cast<double>(text.size());
    return sum;
  }
  Result<Outcome> run() { return run_sweep(input_, tools_); }

  static const record::Record& find(const Outcome& outcome, Precision precision,
                                    std::uint64_t batch, Mode mode) {
    for (const record::Record& record : outcome.records) {
      const record::Cell& cell = record.cell;
      if (cell.precision == precision && cell.batch == batch && cell.mode == mode) return record;
    }
    ADD_FAILURE() << "no record of " << to_string(precision) << " " << batch << " "
                  << to_string(mode);
    static const record::Record kNone;
    return kNone;
  }

  breakeven::testing::TempDir root_;
  breakeven::testing::FakeMachine machine_;
  std::vector<std::string> texts_;
  Input input_;
  Tools tools_;
  std::vector<record::Record> kept_;
  std::atomic<bool> stop_{false};
};

}  // namespace breakeven::study

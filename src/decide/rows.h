// The records of one journal or several as rows that something can be decided from: which may win
// and why the others may not, what a reader must know about each, what it is called, and how sure
// its rate is. Every verdict, advice and table starts here, so that no two of them disagree.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "measure/rounds.h"
#include "record/record.h"

namespace breakeven::decide {

enum class Side : std::uint8_t { cpu, gpu };
Side side_of(const record::Record& record);

// What a row loses by cutting texts shorter than another row does.
struct Cut {
  std::string text;            // "3 of 64 texts cut at 128 tokens"
  std::optional<double> loss;  // share of accuracy against fp32 at the full length
};

struct Row {
  const record::Record* record = nullptr;
  Side side = Side::cpu;
  std::size_t group = 0;            // the run and device whose noise it shares; RowSet::noise_of()
  std::string unusable;             // why it decides nothing; "" = it may
  std::optional<Cut> cut;           // it is another classifier than the rows of the full length
  std::vector<std::string> doubts;  // in words, without those that all rows of a run share
  std::size_t rounds = 0;           // of schema 1: complete passes
  record::Estimate per_s;           // texts a second. No interval: too few rounds to tell
  // Serial: the median time of a batch; the same rule for its interval.
  std::optional<record::Estimate> batch_s;

  const record::Cell& cell() const { return record->cell; }
  // Whether it may be called the fastest, the cheapest ...: what may not win is shown only.
  bool may_win() const { return unusable.empty() && !cut && per_s.value > 0; }
  // Why its numbers carry no interval: "fewer than 3 rounds"; "" when they do.
  std::string why_unsure() const;
};

class RowSet {
 public:
  // Records of cells; others are left out. Of several records of one cell, machine and model the
  // last counts. The records must outlive the set.
  explicit RowSet(std::span<const record::Record> records);

  const std::vector<Row>& rows() const { return rows_; }
  // Records that a later one replaced.
  std::size_t replaced() const { return replaced_; }

  // "cpu int8, batch 1, 2 threads": what tells the rows apart, always with device, precision and
  // batch.
  std::string name_of(const record::Record& record) const;

  // Of the row's run and device.
  const measure::Noise& noise_of(const Row& row) const { return noise_[row.group]; }

  // a's texts a second ÷ b's. Round by round where both were measured in the same rounds on one
  // device; else both intervals joined. No interval when either side has none.
  record::Estimate speed_ratio(const Row& a, const Row& b) const;

  // What all rows share, once and in words: "no rounds in these records (schema 1): passes stand in
  // for them".
  const std::vector<std::string>& doubts() const { return doubts_; }

 private:
  void add_rates();

  std::vector<Row> rows_;
  std::vector<measure::RoundValues> seconds_;  // a text in each round, by row
  std::vector<measure::Noise> noise_;          // by group
  std::vector<std::string> doubts_;
  std::size_t replaced_ = 0;
};

// A number that a measurement can have given: finite, above 0, and not beyond all reason.
bool plausible(double value);

// The low end of its rate; a row without an interval comes behind every row that has one.
double low_end(const Row& row);

// Why a record cannot be used at all ("INVALID: steal", "outputs break parity", "batch 0"); "" = it
// can.
std::string unusable(const record::Record& record);

// The estimate's interval where it says something: finite, above 0, and made to hold the value.
std::optional<record::Interval> interval_of(const record::Estimate& estimate);

// 1 ÷ the estimate and its interval.
record::Estimate inverse_of(const record::Estimate& estimate);

}  // namespace breakeven::decide

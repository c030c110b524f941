// From records, prices and limits to a decision: which cell to rent, what it costs, why every other
// one lost, from where on the GPU pays, and how sure that is. Pure: reads no file, prints nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "decide/batches.h"
#include "decide/candidate.h"
#include "decide/latency_study.h"
#include "decide/machines.h"
#include "record/record.h"

namespace breakeven::decide {

enum class Outcome : std::uint8_t {
  advice,       // a cell keeps every limit and is the cheapest, surely enough
  no_cell,      // no cell keeps them
  cannot_tell,  // too close to call, or nothing valid to decide from
};

// One row of the ranking, best first.
struct Ranked {
  std::size_t candidate = 0;
  // "wins" ("cheapest" where the outcome is no advice), "costs more", "same cost", "misses",
  // "can't tell", "left out".
  std::string standing;
  std::string reason;  // why it lost, with its numbers
};

// CPU against GPU over the candidates of one precision, or over all.
struct Choice {
  std::string precision;                // "" = each side's best
  std::optional<std::size_t> cpu, gpu;  // candidates: the cheapest that keeps the limits
  // The candidate of the other side that would be cheaper at the good end of its range, or if it
  // kept its limits: why nothing can be told.
  std::optional<std::size_t> rival;
  Outcome outcome = Outcome::cannot_tell;
  Side winner = Side::cpu;  // when outcome is advice
  std::string text;
};

// The measured p99 of each side's best cell at one load, on one machine.
struct FasterAtLoad {
  double load = 0;                      // texts a second
  double cpu_p99_s = 0, gpu_p99_s = 0;  // infinite = cannot keep up
};

struct Advice {
  Outcome outcome = Outcome::cannot_tell;
  std::string headline;                // one sentence: the answer
  std::optional<std::size_t> winner;   // the cheapest that keeps the limits, however sure that is
  std::optional<std::size_t> nearest;  // when no cell keeps the limits
  std::vector<Candidate> candidates;
  std::vector<Ranked> ranking;
  std::vector<Choice> choices;  // over all, then by precision
  std::optional<LoadBreakEven> load;
  std::size_t load_cpu = 0, load_gpu = 0;  // its candidates: the surest high rate of each side
  std::optional<BatchBreakEven> batch;
  std::vector<FasterAtLoad> faster_at;  // by load: paced rates that both sides share
  std::vector<Family> families;
  std::vector<std::string> notes;    // assumptions, mixes, what must be borne in mind
  std::vector<std::string> missing;  // what was not measured and what would mend it
};

// What the records say whatever is asked: sorted, with latency models and queues. `records` must
// outlive the study and every advice from it: candidates point into them.
class Study {
 public:
  // Errors: those of sort_records(); advise/many.
  static Result<Study> of(std::span<const record::Record> records);

  // Candidates with the rates that the p99 of `question` leaves them; what decide() adds plays no
  // part. Many questions with one max_wait_s cost little more than one.
  std::vector<Candidate> rated(const Question& question);

  const std::vector<Family>& families() const { return families_; }
  const std::vector<std::string>& notes() const { return sorted_.notes; }

 private:
  explicit Study(Sorted sorted) : sorted_(std::move(sorted)) {}

  Sorted sorted_;
  std::vector<Family> families_;
  std::vector<Modelled> modelled_;  // of each configuration, with max_wait_s_
  double max_wait_s_ = 0;
};

// Prices, load, budget and the limits on memory and accuracy on top of rated candidates: everything
// but faster_at and families.
Advice advice_for(std::vector<Candidate> rated, const Question& question);

// Study, decide and the rest. Errors: those of Study::of(); advise/price (missing for a side that
// has records, negative or not a number), advise/limit (a limit is not a number above 0; a budget
// without a load; utilisation or peak out of range).
Result<Advice> advise(std::span<const record::Record> records, const Question& question);

}  // namespace breakeven::decide

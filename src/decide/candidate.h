// One configuration as an answer: how many texts a second one machine of it sustains, which limits
// it keeps, what it costs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "decide/configuration.h"
#include "decide/latency_study.h"
#include "decide/machines.h"
#include "decide/queue_model.h"

namespace breakeven::decide {

// Prices are of one machine an hour, in any one currency.
struct Question {
  std::optional<double> cpu_price, gpu_price;
  std::optional<double> p99_s;             // of a request, from its arrival
  std::optional<double> load_per_s;        // texts, on average
  std::optional<double> memory_bytes;      // of the process: peak RSS, and of the device
  std::optional<double> budget_per_month;  // needs a load
  std::optional<double> accuracy_loss;     // share; absent = what docs/parity.md lets pass
  double max_wait_s = 0;                   // queue model: how long a batch may wait to fill
  double utilisation = kUtilisation;       // of the low end of a rate, in (0, 1]
  double peak = 1;                         // the busiest time ÷ the average load, at least 1
};

enum class Answer : std::uint8_t { keeps, cannot_tell, misses };

// What one limit says about a candidate.
struct Check {
  std::string limit;  // "p99", "memory", "budget", "accuracy loss", "length", "rate"
  Answer answer = Answer::keeps;
  std::string text;   // "p99 140 ms, 100 ms allowed"
  double excess = 1;  // how many times over the limit; 1 = within or not known
};

struct Rate {
  double per_s = 0;  // texts a second of one machine; 0 = none
  // Under a load: from the highest rate that was kept to the lowest that was missed, infinite when
  // none was. Nothing: nobody knows how sure the rate is.
  std::optional<record::Interval> interval;
  std::string basis;     // "stream", "serial", "paced", "modelled": what it stands on; "" = nothing
  bool or_more = false;  // modelled: the limit is kept as far as the model knows
};

// The low end; a rate of unknown range comes behind all others.
double low_end(const Rate& rate);

struct Candidate {
  Configuration configuration;
  std::string name;      // RowSet::name_of()
  std::string unusable;  // why it takes no part at all; empty = it does
  Rate rate;
  std::vector<Check> checks;
  std::vector<std::string> doubts;  // of its rows: "parity unproven on 64 texts"
  std::string next;  // "at higher rates: ...": what to measure where its range decides
  std::optional<record::Estimate> p99_s;  // measured, of the paced row that the rate stands on
  std::shared_ptr<const Queue> queue;     // null when its parts are not known
  bool times_drawn = false;  // the queue draws measured times, no latency model is behind it
  std::optional<record::Estimate> batch_s;  // serial: mean time of a batch
  std::optional<double> joules_per_1000, net_joules_per_1000;
  double memory_bytes = 0;              // the most of the process and the device; 0 = not measured
  bool is_reference = false;            // our fp32: accuracy is lost against it
  std::optional<double> accuracy_loss;  // share; nothing = the texts had no labels
  std::optional<Cut> cut;
  double price = 0;
  std::optional<Amount> machines;        // for the load at its peak
  std::optional<Amount> cost_per_month;  // of these machines
  Amount cost_per_million;               // texts; at full planned use without a load

  Answer answer() const;  // the worst of the checks
  Answer answer_without_budget() const;
  double excess() const;  // the largest of those that miss
  const record::Cell& cell() const { return configuration.cell(); }
};

struct Context {
  const Question& question;
  const RowSet& rows;
  const std::vector<Family>& families;
  bool cpu_paced = false, gpu_paced = false;  // a side has paced cells: only those decide a p99
};

// The queue of one configuration; null when neither times nor a model are known.
struct Modelled {
  std::shared_ptr<const Queue> queue;
  bool times_drawn = false;
};
Modelled make_queue(const Configuration& configuration, const Context& context);

// Rate, check of the p99, doubts, and what the other limits are held against.
Candidate make_candidate(const Configuration& configuration, const Context& context,
                         const Modelled& modelled);

// The checks of memory, accuracy and length.
void check_limits(Candidate& candidate, const Question& question);

// Price, machines for a load and what they cost over the rate's interval; the check of the budget.
void price_for_load(Candidate& candidate, const Question& question);

}  // namespace breakeven::decide

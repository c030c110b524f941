#include "testing/schedule_model.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace breakeven::engine {
namespace {

// Tokenising comes first and is shared out evenly.
double tokenise_time(const Work& work, std::size_t threads, const CostModel& model) {
  const double tokens = std::accumulate(work.rows.begin(), work.rows.end(), 0.0);
  return tokens * model.token / static_cast<double>(std::min(threads, work.rows.size()));
}

// What putting up to `threads` threads to work costs at least, shared by them: each computes a
// group of its own, which costs model.group, or helps with one, and then all on that group wait for
// it.
double least_share(double texts_cost, std::size_t texts, std::size_t threads,
                   const CostModel& model) {
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t count = 1; count <= threads; ++count) {
    const auto used = static_cast<double>(count);
    for (std::size_t own = 1; own <= std::min(count, texts); ++own) {
      const auto groups = static_cast<double>(own);
      const double waiting = used * model.member * (used / groups - 1);
      least = std::min(least, (texts_cost + groups * model.group + waiting) / used);
    }
  }
  return least;
}

// max(total cost / threads, longest piece that cannot be cut), where a text that several threads
// compute counts with all of their time, waiting included; each text has as many of them as make
// the larger term smallest. There are no more groups than must be.
double least_end(const Work& work, std::size_t threads, const CostModel& model) {
  const auto count = static_cast<unsigned>(threads);
  std::size_t least_groups = 0;
  for (std::size_t first = 0; first < work.rows.size(); first += work.batch) {
    const auto batch = work.rows.subspan(first, std::min(work.batch, work.rows.size() - first));
    const auto rows = std::accumulate(batch.begin(), batch.end(), std::size_t{0});
    least_groups += std::min(batch.size(), (rows + kGroupRows - 1) / kGroupRows);
  }
  double texts_cost = 0;
  for (const std::uint32_t rows : work.rows) texts_cost += model.text(rows);
  const auto larger_term = [&](double time) {
    double total = 0;
    double longest = 0;
    std::size_t cut = 0;
    for (const std::uint32_t rows : work.rows) {
      const double cost = model.text(rows) + model.group;
      const unsigned members = model.members_for(cost, time, count);
      const double pass = model.pass(cost, members);
      total += pass * members - model.group;
      longest = std::max(longest, pass);
      if (members > 1) ++cut;
    }
    total += static_cast<double>(std::max(least_groups, cut)) * model.group;
    return std::max(total / static_cast<double>(threads), longest);
  };
  double low = 0;
  double high = larger_term(1e30);
  for (int i = 0; i < 30; ++i) {
    const double middle = (low + high) / 2;
    (larger_term(middle) <= middle ? high : low) = middle;
  }
  return std::max(high, least_share(texts_cost, work.rows.size(), threads, model));
}

}  // namespace

ModelledPass model_stream(const Work& work, Threads threads, const CostModel& model) {
  Planner planner;
  Groups groups;
  ModelledPass pass;
  const double tokenising = tokenise_time(work, threads.size(), model);
  pass.end = tokenising;
  pass.least_end = tokenising + least_end(work, threads.size(), model);
  for (const Work& part : planner.parts(work, threads, model)) {
    pass.end += planner.plan(part, threads, model, groups);
    pass.groups += groups.count();
  }
  return pass;
}

ModelledPass model_serial(const Work& work, Threads threads, const CostModel& model) {
  ModelledPass sum;
  for (std::size_t first = 0; first < work.rows.size(); first += work.batch) {
    const Work batch{work.rows.subspan(first, std::min(work.batch, work.rows.size() - first)),
                     work.batch};
    const ModelledPass one = model_stream(batch, threads, model);
    sum.end += one.end;
    sum.least_end += one.least_end;
    sum.groups += one.groups;
  }
  return sum;
}

}  // namespace breakeven::engine

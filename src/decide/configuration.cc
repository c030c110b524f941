#include "decide/configuration.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace breakeven::decide {
namespace {

using record::Record;

// Texts of another mean length are another amount of work.
constexpr double kTextsMayDiffer = 0.05;

std::string machine_of(const Record& record) {
  std::string machine = record.machine.hostname_hash + " " + record.machine.cpu_model;
  if (record.gpu) machine += " " + record.gpu->name;
  return machine;
}

// Equal for records of one configuration. '\n' stands between texts, so that two cannot run
// together unseen.
std::string configuration_key(const Record& record) {
  const record::Cell& cell = record.cell;
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{} {} {}", machine_of(record), cell.runtime.name,
                     cell.runtime.variant, to_string(cell.device), to_string(cell.precision),
                     to_string(cell.padding), cell.batch, cell.threads, cell.max_length);
}

Result<void> check_one_question(const RowSet& rows, std::vector<std::string>& notes) {
  const Record& first = *rows.rows().front().record;
  std::set<std::string> texts;
  std::set<std::string> commits;
  double shortest = 0;
  double longest = 0;
  for (const Row& row : rows.rows()) {
    const Record* record = row.record;
    if (record->model_hash != first.model_hash) {
      return fail(
          "advise/model",
          fmt::format("the records are of two models: '{}' ({:.12}) and '{}' ({:.12})",
                      first.model_name, first.model_hash, record->model_name, record->model_hash),
          "give journals of one model");
    }
    texts.insert(record->texts.hash);
    if (!record->build.commit.empty()) commits.insert(record->build.commit);
    const double tokens = record->texts.mean_tokens;
    if (!plausible(tokens)) continue;
    shortest = shortest == 0 ? tokens : std::min(shortest, tokens);
    longest = std::max(longest, tokens);
  }
  // Another --max-length cuts the same texts to another mean.
  if (texts.size() > 1 && longest > (1 + kTextsMayDiffer) * shortest) {
    return fail(
        "advise/texts",
        fmt::format("the records are of different texts: {:.0f} to {:.0f} tokens on average",
                    shortest, longest),
        "measure all cells with the same --texts, --count and --seed");
  }
  if (texts.size() > 1) {
    notes.push_back(fmt::format(
        "the records are of {} sets of texts of nearly the same mean length", texts.size()));
  }
  if (commits.size() > 1) {
    notes.push_back(fmt::format("the records come from {} builds of breakeven", commits.size()));
  }
  return {};
}

}  // namespace

std::vector<const Row*> Configuration::all() const {
  std::vector<const Row*> rows = paced;
  for (const Row* row : {serial, stream}) {
    if (row != nullptr) rows.push_back(row);
  }
  return rows;
}

Sorted sort_rows(std::span<const Record> records) {
  Sorted sorted{RowSet(records), {}, {}};
  const std::vector<Row>& rows = sorted.rows.rows();
  const std::size_t replaced = sorted.rows.replaced();
  if (replaced > 0) {
    sorted.notes.push_back(
        fmt::format("measured more than once: of {} records the later one counts", replaced));
  }
  const std::size_t other = records.size() - rows.size() - replaced;
  if (other > 0) {
    sorted.notes.push_back(fmt::format("{} records are no cells and were left out", other));
  }
  sorted.notes.insert(sorted.notes.end(), sorted.rows.doubts().begin(), sorted.rows.doubts().end());
  std::map<std::string, std::size_t> places;
  for (const Row& row : rows) {
    const auto [place, is_new] =
        places.emplace(configuration_key(*row.record), sorted.configurations.size());
    if (is_new) {
      Configuration& added = sorted.configurations.emplace_back();
      added.side = row.side;
      added.machine = machine_of(*row.record);
      added.any = row.record;
    }
    Configuration& configuration = sorted.configurations[place->second];
    if (row.cell().mode == Mode::serial) configuration.serial = &row;
    if (row.cell().mode == Mode::stream) configuration.stream = &row;
    if (row.cell().mode == Mode::paced && plausible(row.cell().rate_per_s)) {
      configuration.paced.push_back(&row);
    }
  }
  for (Configuration& configuration : sorted.configurations) {
    std::stable_sort(
        configuration.paced.begin(), configuration.paced.end(),
        [](const Row* a, const Row* b) { return a->cell().rate_per_s < b->cell().rate_per_s; });
  }
  return sorted;
}

Result<Sorted> sort_records(std::span<const Record> records) {
  Sorted sorted = sort_rows(records);
  if (sorted.rows.rows().empty()) {
    return fail("advise/empty", "no measured cell is in these records",
                "give journals that `breakeven run` wrote");
  }
  BREAKEVEN_TRY_VOID(check_one_question(sorted.rows, sorted.notes));
  return sorted;
}

}  // namespace breakeven::decide

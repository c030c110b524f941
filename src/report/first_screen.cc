#include "report/first_screen.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <vector>

#include "base/limits.h"
#include "base/units.h"
#include "decide/machines.h"
#include "decide/rows.h"
#include "decide/verdict.h"
#include "measure/speed.h"
#include "measure/summary.h"
#include "report/format.h"

namespace breakeven::report {
namespace {

using decide::Row;
using decide::Side;
using record::Estimate;

constexpr std::array kLoads = {10.0, 100.0, 1'000.0, 10'000.0};
constexpr std::array<std::uint64_t, 2> kBatches = {1, 32};

std::string side_name(Side side) {
  return side == Side::cpu ? "CPU" : "GPU";
}

// "H100" of "NVIDIA H100 80GB HBM3".
std::string short_name(std::string gpu) {
  for (const std::string_view maker : {"NVIDIA ", "Tesla "}) {
    if (gpu.starts_with(maker)) gpu.erase(0, maker.size());
  }
  const auto memory = gpu.find("GB");
  if (memory != std::string::npos) gpu.resize(gpu.find_last_of(" -", memory));
  return gpu.substr(0, gpu.find('-'));
}

class Screen {
 public:
  Screen(std::span<const record::Record> records, const FirstScreen& options)
      : options_(options), records_(records), set_(records), verdict_(decide::verdict_of(set_)) {}
  Document document();
  const Row* cpu() const { return verdict_.best_cpu; }

 private:
  bool native(const Row& row) const { return row.cell().runtime.is_native(); }
  const Row* gpu() const { return verdict_.best_gpu; }
  bool has(Side side) const;
  bool priced() const { return options_.cpu_price && options_.gpu_price; }

  // Of the native rows.
  const Row* best(Side side, const decide::Keep& keep) const;
  const Row* serial(Side side, Precision precision, std::uint64_t batch) const;
  // Nothing without an interval: with what nobody can plan no machines are counted.
  std::optional<decide::MachineKind> kind(const Row* row) const;

  void answer();
  std::string pays() const;
  std::string sooner() const;
  std::string same_precision() const;
  void loads();
  void latency();
  void full_load();
  std::string labels(const Row& row) const;
  std::string how_sure() const;
  std::string moved() const;
  std::string energy() const;
  std::string best_peer() const;
  void closing();

  const FirstScreen& options_;
  std::span<const record::Record> records_;
  decide::RowSet set_;
  decide::Verdict verdict_;
  Document out_;
};

bool Screen::has(Side side) const {
  return std::any_of(set_.rows().begin(), set_.rows().end(),
                     [&](const Row& row) { return row.side == side && native(row); });
}

const Row* Screen::best(Side side, const decide::Keep& keep) const {
  return decide::best_of(
      set_, side, [&](const record::Cell& cell) { return cell.runtime.is_native() && keep(cell); });
}

const Row* Screen::serial(Side side, Precision precision, std::uint64_t batch) const {
  return best(side, [&](const record::Cell& cell) {
    return cell.mode == Mode::serial && cell.precision == precision && cell.batch == batch;
  });
}

// "47", "1,230", "254,000": whole things.
std::string whole(double count) {
  return count < 100 ? fmt::format("{:.0f}", count) : three_digits(count);
}

// "2.1", "37", "1,230": the ends of a ratio's range differ in the first or second digit.
std::string short_digits(double value) {
  return value < 1    ? fmt::format("{:.2f}", value)
         : value < 10 ? fmt::format("{:.1f}", value)
                      : whole(value);
}

std::string between(const std::string& low, const std::string& high) {
  return low == high ? low : low + "-" + high;
}

// "5 (2-5)": whole machines, planned with the low end of a rate.
std::string machines_text(const decide::Amount& machines) {
  const std::string planned = whole(machines.high);
  return machines.sure() ? planned
                         : fmt::format("{} ({})", planned, between(whole(machines.low), planned));
}

// "37x (20-54)", "?" without an interval.
std::string ratio_text(const Estimate& ratio, std::string_view unit = "x") {
  if (!ratio.interval) return "?";
  return fmt::format(
      "{}{} ({})", short_digits(ratio.value), unit,
      between(short_digits(ratio.interval->low), short_digits(ratio.interval->high)));
}

std::string Screen::sooner() const {
  if (!verdict_.latency || !verdict_.latency->ratio.interval) return "";
  const decide::Lead& lead = *verdict_.latency;
  if (lead.sign() == 0) return "; for one review the ranges do not tell them apart";
  if (lead.sign() < 0) {
    return fmt::format("; one review is {} sooner on the CPU",
                       ratio_text(decide::inverse_of(lead.ratio)));
  }
  return fmt::format("; one review is {} sooner", ratio_text(lead.ratio));
}

std::optional<decide::MachineKind> Screen::kind(const Row* row) const {
  if (row == nullptr || !row->per_s.interval) return std::nullopt;
  const auto& price = row->side == Side::cpu ? options_.cpu_price : options_.gpu_price;
  return decide::MachineKind{*row->per_s.interval, price.value_or(0)};
}

std::string Screen::pays() const {
  const Estimate& work = verdict_.throughput->ratio;
  if (!priced()) {
    if (!work.interval) {
      return "Where it pays cannot be told from this: give a longer --time.";
    }
    return fmt::format(
        "At full load it pays where an hour of it costs less than {} times one of these; "
        "--cpu-price and --gpu-price make that a load.",
        between(short_digits(work.interval->low), short_digits(work.interval->high)));
  }
  const std::string prices =
      fmt::format("at {:.2f} and {:.2f} an hour", *options_.cpu_price, *options_.gpu_price);
  const auto on_cpu = kind(cpu());
  const auto on_gpu = kind(gpu());
  const auto even = on_cpu && on_gpu ? decide::load_break_even(*on_cpu, *on_gpu)
                                     : decide::LoadBreakEven{false, {}, {}};
  if (!even.decided) {
    return fmt::format("From which load it pays {} cannot be told from this: give a longer --time.",
                       prices);
  }
  const decide::Threshold& always = even.always;
  const bool for_some = std::isfinite(always.low);
  if (!for_some) return fmt::format("It pays at no load {}.", prices);
  return fmt::format(
      "It pays from {} reviews/s{} {}.",
      std::isfinite(always.high) ? range_text(always.low, always.high) : three_digits(always.low),
      std::isfinite(always.high) ? "" : " or never", prices);
}

std::string Screen::same_precision() const {
  std::vector<std::string> parts;
  for (const std::uint64_t batch : kBatches) {
    std::vector<std::string> precisions;
    for (const decide::AtPrecision& at : verdict_.same_precision) {
      if (at.batch != batch || at.mode != Mode::serial) continue;
      const decide::Lead& lead = at.gpu_over_cpu;
      std::map<std::string, std::vector<std::string>> unsure;  // sides by reason
      for (const Row* row : {lead.second, lead.first}) {
        if (!row->per_s.interval) unsure[row->why_unsure()].push_back(side_name(row->side));
      }
      std::string text = to_string(at.precision) + " " + ratio_text(lead.ratio);
      for (const auto& [why, sides] : unsure) {
        text += fmt::format(" ({}: {})", fmt::join(sides, ", "), why);
      }
      precisions.push_back(std::move(text));
    }
    if (!precisions.empty()) {
      parts.push_back(fmt::format("batch {}: {}", batch, fmt::join(precisions, ", ")));
    }
  }
  return parts.empty()
             ? ""
             : fmt::format("Same precision, GPU against CPU, {}.", fmt::join(parts, "; "));
}

void Screen::answer() {
  if (cpu() == nullptr && gpu() == nullptr) {
    out_.paragraph(set_.rows().empty() ? "Nothing was measured."
                                       : "No row can be used, so nothing is decided.",
                   Style::strong);
    return;
  }
  const auto alone = [&](const Row& row, const std::string& what) {
    const record::Machine& machine = row.record->machine;
    const std::string where =
        row.side == Side::cpu
            ? fmt::format("This machine of {}", counted(machine.cpus_usable, "CPU"))
            : fmt::format("One {}", row.record->gpu ? short_name(row.record->gpu->name) : "GPU");
    out_.paragraph(fmt::format("{} does {} reviews/s ({}). {}", where, rate_range(row.per_s),
                               to_string(row.cell().precision), what),
                   Style::strong);
  };
  if (gpu() == nullptr) {
    alone(*cpu(), has(Side::gpu) ? "No row of the GPU can be used: where it starts to pay is not "
                                   "told."
                  : options_.no_known.empty()
                      ? "No GPU was measured: where one starts to pay is not told."
                      : options_.no_known);
    return;
  }
  if (cpu() == nullptr) {
    alone(*gpu(), has(Side::cpu)
                      ? "No row of the CPU can be used: where the GPU starts to pay is not told."
                      : "No CPU was measured (--device all does): where the GPU starts to pay is "
                        "not told.");
    return;
  }
  const record::Record& record = *gpu()->record;
  const std::string name = record.gpu ? short_name(record.gpu->name) : "GPU";
  const Estimate& work = verdict_.throughput->ratio;
  const std::string known =
      options_.known.empty()
          ? ""
          : fmt::format("Against the {} record of {}, by its latency model on these lengths: ",
                        name, record.started_at.substr(0, 10));
  const unsigned cpus = cpu()->record->machine.cpus_usable;
  const std::string one = known.empty() ? "One" : "one";
  out_.paragraph(
      known + (work.interval ? fmt::format("{} {} does the work of {} of these {}-CPU machines{}.",
                                           one, name, ratio_text(work, ""), cpus, sooner())
                             : fmt::format("How many of these {}-CPU machines one {} stands for "
                                           "cannot be told: {}.",
                                           cpus, name, verdict_.throughput->why)),
      Style::strong);
  out_.paragraph(pays(), Style::strong);
  if (const std::string same = same_precision(); !same.empty()) out_.paragraph(same);
}

void Screen::loads() {
  const auto on_cpu = kind(cpu());
  const auto on_gpu = kind(gpu());
  if (!on_cpu && !on_gpu) return;
  std::vector<Column> columns = {left("reviews/s")};
  for (const double load : kLoads) columns.push_back(right(whole(load)));
  columns.push_back(left(""));
  Table table(std::move(columns));
  const auto add = [&](const Row* row, const std::optional<decide::MachineKind>& machine) {
    if (row == nullptr) return;
    std::vector<TableCell> cells = {side_name(row->side) + " machines"};
    for (const double load : kLoads) {
      cells.emplace_back(machine ? machines_text(decide::machines_for(load, *machine)) : "?");
    }
    cells.emplace_back(priced() && machine ? fmt::format("{:.2f}/h", machine->price) : "");
    table.add_row(std::move(cells));
  };
  add(cpu(), on_cpu);
  add(gpu(), on_gpu);
  if (priced() && cpu() != nullptr && gpu() != nullptr) {
    std::vector<TableCell> cells = {"take"};
    bool open = false;
    for (const double load : kLoads) {
      const auto cost = [&](const decide::MachineKind& machine) {
        return decide::cost_a_month(decide::machines_for(load, machine), machine.price);
      };
      // A machine costs the same whether it answers soon or late: a tie goes to who is sooner.
      const Side on_tie = verdict_.latency && verdict_.latency->sign() > 0 ? Side::gpu : Side::cpu;
      const decide::Leads leads = on_cpu && on_gpu
                                      ? decide::cheaper(cost(*on_cpu), cost(*on_gpu), on_tie)
                                      : decide::Leads::cannot_tell;
      open = open || leads == decide::Leads::cannot_tell;
      cells.emplace_back(leads == decide::Leads::cpu   ? "CPU"
                         : leads == decide::Leads::gpu ? "GPU"
                                                       : "?");
    }
    cells.emplace_back(open ? "? = the range allows both" : "");
    table.add_row(std::move(cells));
  }
  out_.table(std::move(table));
}

std::string bytes_of(const record::Record& record) {
  if (!record.memory) return "-";
  const std::uint64_t bytes = record.cell.device.is_cpu()
                                  ? record.memory->peak_allocated_bytes
                                  : record.memory->device_peak_allocated_bytes.value_or(0);
  return bytes == 0 ? "-" : format_bytes(static_cast<double>(bytes));
}

std::string tokenizing(const record::Record& record) {
  if (!record.stages) return "-";
  const double total = total_s(*record.stages);
  return total > 0 ? percent(record.stages->tokenize_s / total) : "-";
}

void Screen::latency() {
  Table table({left("one batch in flight"), right("batch"), right("a batch"), right("9 of 10"),
               right("reviews/s"), right("memory"), right("tokenizing")});
  for (const Row* side : {cpu(), gpu()}) {
    if (side == nullptr) continue;
    for (const std::uint64_t batch : kBatches) {
      const Row* row = serial(side->side, side->cell().precision, batch);
      if (row == nullptr) continue;
      const auto p90 = row->record->latency_s.find("p90");
      table.add_row({fmt::format("{} {}", side_name(row->side), to_string(row->cell().precision)),
                     std::to_string(batch), row->batch_s ? seconds_range(*row->batch_s) : "-",
                     p90 == row->record->latency_s.end() ? "-" : seconds_range(p90->second),
                     rate_range(row->per_s), bytes_of(*row->record), tokenizing(*row->record)});
    }
  }
  if (table.rows() > 0) out_.table(std::move(table));
}

// The judgement on most texts of those of its device, precision and length, which compute alike.
std::string Screen::labels(const Row& row) const {
  const record::Parity* most = nullptr;
  for (const Row& other : set_.rows()) {
    const record::Cell& cell = other.cell();
    if (cell.runtime != row.cell().runtime || cell.device != row.cell().device ||
        cell.precision != row.cell().precision || cell.max_length != row.cell().max_length ||
        !other.record->parity) {
      continue;
    }
    const record::Parity& parity = *other.record->parity;
    if (most == nullptr ||
        std::pair(parity.texts, parity.flips) > std::pair(most->texts, most->flips)) {
      most = &parity;
    }
  }
  if (most == nullptr) return "not judged";
  if (row.side == Side::cpu && row.cell().precision == Precision::fp32) return "the reference";
  const auto texts = static_cast<double>(most->texts);
  if (most->outcome == record::Agreement::unproven) {
    return fmt::format("{} of {} (too few texts)", most->flips, most->texts);
  }
  const std::string name = "model/" + to_string(row.cell().precision) + "/flips_share";
  return fmt::format("{} of {} ({:.0f} allowed)", most->flips, most->texts,
                     std::floor(limit(name) * texts));
}

void Screen::full_load() {
  std::vector<Column> columns = {
      left("at full load"), right("batch"), right("reviews/s"),
      right(fmt::format("plan with ({:.0f} %)", 100 * decide::kUtilisation)),
      left("labels against fp32")};
  if (priced()) columns.push_back(right("a million"));
  Table table(std::move(columns));
  for (const Side side : {Side::cpu, Side::gpu}) {
    for (const auto& [precision, name] : Names<Precision>::kAll) {
      const Row* row = best(side, [wanted = precision](const record::Cell& cell) {
        return cell.precision == wanted;
      });
      if (row == nullptr) continue;
      const auto& interval = row->per_s.interval;
      std::vector<TableCell> cells = {
          fmt::format("{} {}", side_name(side), name), std::to_string(row->cell().batch),
          rate_range(row->per_s),
          interval ? three_digits(decide::kUtilisation * interval->low) : "?", labels(*row)};
      if (priced()) {
        const auto machine = kind(row);
        const auto million = [&] { return decide::cost_a_million(*machine); };
        cells.emplace_back(machine ? range_text(million().low, million().high) : "?");
      }
      table.add_row(std::move(cells));
    }
  }
  if (table.rows() > 0) out_.table(std::move(table));
}

// How much each device's speed moved between rounds; what it was and what would help where that is
// more than a little.
std::string Screen::moved() const {
  constexpr double kSome = 1.1;
  std::vector<std::string> parts;
  for (const measure::SpeedChange& change : measure::speed_changes(records_)) {
    const bool some = change.cells >= kSome;
    parts.push_back(fmt::format(
        "the {}'s speed moved by {}x between rounds{}", change.device.is_cpu() ? "CPU" : "GPU",
        short_digits(change.cells),
        some ? fmt::format(" (cause: {}; what helps: {})", change.cause, change.remedy) : ""));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string Screen::how_sure() const {
  std::vector<std::string> parts;
  // Of records of schema 1 passes stand in for rounds.
  std::map<std::string_view, std::pair<std::size_t, std::size_t>> counts;  // fewest and most
  std::map<std::string, std::size_t> left_out;                             // rows by reason
  for (const Row& row : set_.rows()) {
    if (!row.unusable.empty()) {
      ++left_out[row.unusable];
      continue;
    }
    if (row.per_s.value <= 0) continue;
    const auto unit = row.record->schema_version < 2 ? "passes" : "rounds";
    auto& [fewest, most] = counts.try_emplace(unit, row.rounds, row.rounds).first->second;
    fewest = std::min(fewest, row.rounds);
    most = std::max(most, row.rounds);
  }
  if (counts.empty()) {
    parts.emplace_back("nothing usable");
  } else {
    // Of the rows that have rounds, where any has: what the others stand on is a doubt of the set.
    const auto& [unit, range] = *counts.rbegin();
    const auto& [fewest, most] = range;
    parts.push_back(fewest == most ? fmt::format("{} {}", most, unit)
                                   : fmt::format("{} to {} {}", fewest, most, unit));
    if (std::string speed = moved(); !speed.empty()) parts.back() += "; " + speed;
  }
  for (const std::string& doubt : set_.doubts()) parts.push_back(doubt);
  for (const auto& [why, rows] : left_out) {
    parts.push_back(fmt::format("left out: {}, {}", counted(rows, "row"), why));
  }
  if (options_.time_s && !counts.empty()) {
    parts.push_back(
        fmt::format("to halve the ranges: --time {:.0f}m", std::ceil(4 * *options_.time_s / 60)));
  }
  for (std::string& part : parts) part[0] = static_cast<char>(std::toupper(part[0]));
  return fmt::format("{}.", fmt::join(parts, ". "));
}

std::string Screen::energy() const {
  std::vector<std::string> joules;
  for (const Row* row : {cpu(), gpu()}) {
    const auto sum = row == nullptr ? std::nullopt : measure::energy_for_1000(*row->record).gross;
    if (!sum) continue;
    joules.push_back(fmt::format("{} {} {} J", side_name(row->side),
                                 to_string(row->cell().precision), three_digits(*sum)));
  }
  if (!joules.empty()) {
    return fmt::format(
        "for 1,000 texts at full load: {} (one sum over all rounds, which has no range; every row: "
        "--all).",
        fmt::join(joules, ", "));
  }
  const bool any = std::ranges::any_of(set_.rows(), [](const Row& row) {
    return row.record->energy.host_joules_gross || row.record->energy.gpu_joules_gross;
  });
  return any ? "measured, and not on all sides of the best rows: see --all."
             : "not measured (--energy).";
}

std::string Screen::best_peer() const {
  std::vector<std::string> lines;
  for (const Side side : {Side::cpu, Side::gpu}) {
    const decide::Peer* best = nullptr;
    for (const decide::Peer& peer : verdict_.peers) {
      const decide::Lead& lead = peer.native_over_peer;
      if (lead.second->side != side || !lead.ratio.interval) continue;
      if (best == nullptr ||
          lead.second->per_s.value > best->native_over_peer.second->per_s.value) {
        best = &peer;
      }
    }
    if (best == nullptr) continue;
    const Row& peer = *best->native_over_peer.second;
    const record::Cell& cell = peer.cell();
    std::string line =
        fmt::format("{} {} on the same {}, batch {}, {} tokens: ours {} text to label",
                    to_string(cell.runtime), to_string(cell.precision), side_name(side), cell.batch,
                    cell.max_length, ratio_text(best->native_over_peer.ratio));
    if (best->compute_ratio) {
      line += fmt::format(", {} compute alone", times(*best->compute_ratio));
    }
    if (const std::string share = tokenizing(*peer.record); share != "-") {
      line += fmt::format("; there tokenizing takes {} of a batch", share);
    }
    lines.push_back(std::move(line));
  }
  return lines.empty() ? "" : fmt::format("{}.", fmt::join(lines, ". "));
}

void Screen::closing() {
  out_.labelled("How sure", how_sure());
  out_.labelled("Energy", energy());
  if (std::string peer = best_peer(); !peer.empty()) out_.labelled("Best peer", std::move(peer));
  if (cpu() != nullptr && (gpu() == nullptr || !options_.known.empty())) {
    out_.labelled("Other GPU", fmt::format("records of an H100 and an H200 ship (advise FILE --gpu "
                                           "h100), of a T4, L4 or A100 none. Three lines make "
                                           "one: there ./run --device cuda --batch 1,8,32,128 "
                                           "--journal gpu.jsonl, then copy gpu.jsonl here, then "
                                           "breakeven report {} gpu.jsonl",
                                           options_.journal));
  }
  out_.labelled("Next", fmt::format("breakeven scale --device all (time over n and b); breakeven "
                                    "advise {} --load 40/s --p99 200ms; everything: --all, --html "
                                    "report.html",
                                    options_.journal));
}

Document Screen::document() {
  answer();
  loads();
  latency();
  full_load();
  closing();
  return std::move(out_);
}

}  // namespace

Document first_screen(std::span<const record::Record> records, const FirstScreen& options) {
  if (options.known.empty()) return Screen(records, options).document();
  FirstScreen alone = options;
  alone.known.clear();
  Screen measured(records, alone);
  // Without a row of a CPU to compare it with, a GPU that ships would pass for one of this machine.
  if (measured.cpu() == nullptr) return measured.document();
  std::vector<record::Record> all(records.begin(), records.end());
  all.insert(all.end(), options.known.begin(), options.known.end());
  return Screen(all, options).document();
}

}  // namespace breakeven::report

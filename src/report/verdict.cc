#include "report/verdict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/units.h"
#include "decide/verdict.h"
#include "report/format.h"
#include "report/paced.h"

namespace breakeven::report {
namespace {

using decide::Lead;
using decide::Row;

class Words {
 public:
  explicit Words(const Keys& keys) : keys_(keys) {}

  std::string name(const Row& row) const {
    return keys_.describe(*row.record) + ", " + to_string(row.cell().mode);
  }

  // " (parity unproven on 64 texts)" of one row or several.
  std::string doubts(std::initializer_list<const Row*> of) const {
    std::vector<std::string> words;
    for (const Row* row : of) {
      for (const std::string& doubt : row->doubts) {
        if (std::find(words.begin(), words.end(), doubt) == words.end()) words.push_back(doubt);
      }
    }
    return words.empty() ? "" : fmt::format(" ({})", fmt::join(words, "; "));
  }

  // "2.13x [1.60, 2.70]", or "1.02x [0.900, 1.20], which cannot be told", or "? (fewer than ...)".
  static std::string ratio(const Lead& lead) {
    return ratio_with_interval(lead.ratio) + (!lead.ratio.interval ? " (" + lead.why + ")"
                                              : lead.sign() == 0   ? ", which cannot be told"
                                                                   : "");
  }

  std::string lead(const std::string& what, const Lead& lead) const {
    return fmt::format("{}: {} over {}: {}{}.", what, name(*lead.first), name(*lead.second),
                       ratio(lead), doubts({lead.first, lead.second}));
  }

 private:
  const Keys& keys_;
};

std::string rate_of(const Row& row) {
  return rate_with_interval(row.per_s) + " reviews/s" +
         (row.per_s.interval ? "" : " (" + row.why_unsure() + ")");
}

void best_of_each(const decide::Verdict& verdict, const Words& words,
                  std::vector<std::string>& out) {
  for (const Row* row : {verdict.soonest_cpu, verdict.soonest_gpu}) {
    if (row == nullptr) continue;
    out.push_back(fmt::format("One review at a time: {}, {}{}.", words.name(*row),
                              seconds_with_interval(*row->batch_s), words.doubts({row})));
  }
  for (const Row* row : {verdict.best_cpu, verdict.best_gpu}) {
    if (row == nullptr) continue;
    out.push_back(fmt::format("Highest throughput: {}, {}{}.", words.name(*row), rate_of(*row),
                              words.doubts({row})));
  }
}

// One line a precision: every batch and mode that both devices measured.
void same_precision(const decide::Verdict& verdict, std::vector<std::string>& out) {
  std::map<Precision, std::vector<std::string>> parts;
  for (const decide::AtPrecision& at : verdict.same_precision) {
    parts[at.precision].push_back(
        fmt::format("batch {} {} {}", at.batch, to_string(at.mode), Words::ratio(at.gpu_over_cpu)));
  }
  for (const auto& [precision, of] : parts) {
    out.push_back(fmt::format("Same precision ({}), GPU over CPU in reviews/s: {}.",
                              to_string(precision), fmt::join(of, "; ")));
  }
}

// Of each device and precision the row of another runtime that comes closest to ours.
void closest_peers(const decide::Verdict& verdict, const Words& words,
                   std::vector<std::string>& out) {
  std::map<std::pair<std::string, Precision>, const Lead*> closest;
  for (const decide::Peer& peer : verdict.peers) {
    const Lead& lead = peer.native_over_peer;
    const record::Cell& cell = lead.first->cell();
    const Lead*& kept = closest[{to_string(cell.device), cell.precision}];
    const auto comes_closer = [&] {
      if (kept == nullptr) return true;
      if (kept->ratio.interval.has_value() != lead.ratio.interval.has_value()) {
        return lead.ratio.interval.has_value();
      }
      return lead.ratio.value < kept->ratio.value;
    };
    if (comes_closer()) kept = &lead;
  }
  for (const auto& [question, lead] : closest) {
    out.push_back(words.lead("Closest other runtime", *lead));
  }
}

std::string missing_gpu(const std::vector<record::Record>& records) {
  const bool any = std::any_of(records.begin(), records.end(), [](const record::Record& record) {
    return !record.cell.device.is_cpu();
  });
  if (any) return "";
  const auto& more = records.front().machine.more;
  const auto note = more.find("gpu_note");
  return fmt::format(
      "No GPU was measured{}: this says what the CPU can do, not where a GPU starts "
      "to pay.",
      note == more.end() || note->second.empty() ? "" : " (" + note->second + ")");
}

}  // namespace

std::vector<std::string> verdict(const std::vector<record::Record>& records, const Keys& keys) {
  if (records.empty()) return {"No cell was measured."};
  const decide::RowSet rows(records);
  const decide::Verdict verdict = decide::verdict_of(rows);
  const Words words(keys);
  std::vector<std::string> out;
  best_of_each(verdict, words, out);
  if (verdict.latency) out.push_back(words.lead("Latency, one review at a time", *verdict.latency));
  if (verdict.throughput) {
    out.push_back(words.lead("Throughput, each at its best", *verdict.throughput));
  }
  same_precision(verdict, out);
  for (const Lead& lead : verdict.over_fp32) {
    out.push_back(words.lead("Lower precision on " + to_string(lead.first->cell().device), lead));
  }
  closest_peers(verdict, words, out);
  const std::vector<std::string> loads = paced_verdict(records, keys);
  out.insert(out.end(), loads.begin(), loads.end());
  if (out.empty()) {
    out.emplace_back("Can't tell: no row counts and keeps parity.");
  }
  const auto broken = std::count_if(rows.rows().begin(), rows.rows().end(), [](const Row& row) {
    return row.unusable.find("parity") != std::string::npos;
  });
  if (broken > 0) {
    out.push_back(fmt::format("{} left out because the outputs break parity.",
                              counted(static_cast<std::uint64_t>(broken), "row")));
  }
  for (const Row& row : rows.rows()) {
    if (!row.cut) continue;
    out.push_back("Another classifier, so in no verdict: " + words.name(row) + ", " +
                  row.cut->text + ".");
  }
  for (const std::string& doubt : rows.doubts()) out.push_back("Bear in mind: " + doubt + ".");
  if (std::string text = missing_gpu(records); !text.empty()) out.push_back(std::move(text));
  return out;
}

}  // namespace breakeven::report

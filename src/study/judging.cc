#include "study/judging.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/files.h"
#include "base/units.h"
#include "record/json.h"
#include "study/cell_run.h"

namespace breakeven::study {
namespace {

constexpr std::size_t kJudgeBatch = 8;
constexpr const char* kReferenceName = "reference fp32";

// How many texts are judged when there is no time for all. Few steps, so that a later run judges
// the same ones and finds the logits in the cache.
constexpr std::size_t kTextSteps[] = {1000, 500, 250, 125};

// "native cpu fp32", "pytorch:seed cpu fp32".
std::string judge_name(const Spec& spec) {
  return to_string(spec.runtime) + " cpu fp32";
}

}  // namespace

measure::JudgeKey Judges::key_of(const Spec& spec, const std::string& texts_hash,
                                 const std::string& name) const {
  return {input_.prototype.model_hash, texts_hash, name, spec.max_length};
}

bool Judges::is_judge(const record::Cell& cell) const {
  return cell.runtime == input_.judge.runtime && cell.device.is_cpu() &&
         cell.precision == Precision::fp32 && cell.padding == input_.judge.padding;
}

Result<measure::JudgeLogits> Judges::logits_of(const Spec& spec, std::span<const Text> texts,
                                               const std::string& texts_hash,
                                               const std::string& name) {
  // Another build may compute other logits, and what a changed tree computes nobody knows.
  const record::Build& build = input_.prototype.build;
  const auto key = key_of(spec, texts_hash,
                          fmt::format("{} {} {} {}", name, input_.prototype.instruction_set,
                                      build.version, build.commit));
  const std::string cache = build.dirty ? "" : input_.cache;
  if (auto cached = measure::cached_judge(key, texts.size(), cache)) return *std::move(cached);
  BREAKEVEN_TRY(const std::unique_ptr<Classifier> judge, tools_.make(spec));
  return measure::judge_logits(*judge, texts, kJudgeBatch, key, cache, tools_.stop);
}

Result<void> Judges::check_against_reference(unsigned threads) {
  std::vector<Text> sample;
  for (const std::size_t i : measure::fixed_sample(input_.timed, kReferenceTexts)) {
    sample.push_back(input_.texts[i]);
  }
  std::uint64_t length = kReferenceLength;
  for (const record::Cell& cell : input_.cells) length = std::min(length, cell.max_length);
  const std::string hash = measure::hash_texts(sample);
  Spec spec;
  spec.threads = threads;
  spec.max_length = length;
  spec.batch = kJudgeBatch;
  BREAKEVEN_TRY(const measure::JudgeLogits ours, logits_of(spec, sample, hash, name_));
  spec.reference = true;
  BREAKEVEN_TRY(const measure::JudgeLogits reference,
                logits_of(spec, sample, hash, kReferenceName));
  measure::JudgeQuestion question;
  question.problem = input_.problem;
  question.judge = kReferenceName;
  question.small_sample = true;
  BREAKEVEN_TRY(const record::Parity parity,
                measure::judge_outputs(ours.outputs(), reference.outputs(), question));
  if (parity.outcome == record::Agreement::failed) {
    return fail("parity/judge",
                fmt::format("the fp32 CPU path differs from the plain reference: {} of {} labels, "
                            "logits by up to {}",
                            parity.flips, parity.texts, three_digits(parity.logit_abs_max)),
                "nothing was measured because nothing could be judged; please report this as a "
                "bug, or try another --instruction-set");
  }
  notes_.push_back(
      fmt::format("{} agrees with the plain reference to {} on {} texts cut at {} tokens", name_,
                  three_digits(parity.logit_abs_max), parity.texts, length));
  return {};
}

Result<void> Judges::find_shipped(Spec judge) {
  if (!judge.runtime.is_native()) return {};
  const std::string hash = measure::hash_texts(input_.texts);
  for (const record::Cell& cell : input_.cells) {
    judge.max_length = cell.max_length;
    if (by_length_.count(cell.max_length) > 0) continue;
    auto logits = measure::cached_judge(key_of(judge, hash, kNativeJudge), input_.texts.size(),
                                        input_.shipped);
    if (!logits) continue;
    BREAKEVEN_TRY(const std::unique_ptr<Classifier> here, tools_.make(judge));
    std::vector<Text> sample;
    std::vector<float> expected;
    for (const std::size_t i : measure::fixed_sample(input_.texts.size(), kReferenceTexts)) {
      sample.push_back(input_.texts[i]);
      const auto row = std::span(logits->logits).subspan(i * logits->class_count);
      expected.insert(expected.end(), row.begin(),
                      row.begin() + static_cast<std::ptrdiff_t>(logits->class_count));
    }
    BatchResult result;
    BREAKEVEN_TRY_VOID(here->run_batch(sample, result));
    measure::JudgeQuestion question;
    question.problem = input_.problem;
    question.small_sample = true;
    BREAKEVEN_TRY(const record::Parity parity,
                  measure::judge_outputs({logits->class_count, result.logits},
                                         {logits->class_count, expected}, question));
    const std::string differ =
        fmt::format("{} on {} texts cut at {} tokens", three_digits(parity.logit_abs_max),
                    parity.texts, cell.max_length);
    if (parity.outcome == record::Agreement::failed) {
      notes_.push_back(
          fmt::format("the judge's logits that ship with the program are not used: "
                      "{} differs from them by up to {}",
                      name_, differ));
      continue;
    }
    notes_.push_back(fmt::format(
        "judged by logits of {} that ship with the program; here it agrees with them to {}", name_,
        differ));
    by_length_.emplace(cell.max_length, *std::move(logits));
  }
  return {};
}

Result<void> Judges::choose_texts(const Spec& judge) {
  texts_ = input_.texts;
  const bool for_nobody = std::all_of(input_.cells.begin(), input_.cells.end(),
                                      [&](const record::Cell& cell) { return is_judge(cell); });
  if (for_nobody) texts_ = texts_.first(std::min(texts_.size(), input_.timed));
  if (texts_.size() <= input_.timed) return {};
  BREAKEVEN_TRY(const std::unique_ptr<Classifier> classifier, tools_.make(judge));
  BREAKEVEN_TRY(const double factor, guess_error(*classifier, judge, input_, *tools_.clock));
  // Once for each length by the judge, unless its logits are at hand, and by what is judged.
  std::vector<Spec> costs;
  const auto add = [&](const Spec& spec) {
    if (std::find(costs.begin(), costs.end(), spec) == costs.end()) costs.push_back(spec);
  };
  for (const Group& group : group_cells(input_.cells)) {
    Spec own = judge;
    own.max_length = group.spec.max_length;
    if (by_length_.count(own.max_length) == 0) add(own);
    if (!is_judge(group.spec)) add(group.spec);
  }
  const auto seconds = [&](std::size_t texts) {
    double sum = 0;
    for (const Spec& spec : costs) {
      sum += guess_pass_s(spec, input_.prototype.instruction_set, input_.work,
                          texts_.subspan(input_.timed, texts - input_.timed));
    }
    return factor * sum;
  };
  if (seconds(texts_.size()) <= kJudgingShare * input_.time_s) return {};
  std::size_t count = input_.timed;
  for (const std::size_t step : kTextSteps) {
    if (step <= input_.timed || step >= texts_.size()) continue;
    if (seconds(step) > kJudgingShare * input_.time_s) continue;
    count = step;
    break;
  }
  notes_.push_back(fmt::format(
      "labels are judged on {} of {} texts: more would take over {:.0f} % of the time; a longer "
      "--time judges more",
      count, texts_.size(), 100 * kJudgingShare));
  texts_ = texts_.first(count);
  return {};
}

Result<void> Judges::prepare_other(const Spec& judge, const std::string& texts_hash) {
  for (const record::Cell& cell : input_.cells) {
    if (!cell.runtime.is_native() || other_by_length_.count(cell.max_length) > 0) continue;
    Spec spec = judge;
    spec.max_length = cell.max_length;
    BREAKEVEN_TRY(measure::JudgeLogits logits, logits_of(spec, texts_, texts_hash, other_name_));
    other_by_length_.emplace(cell.max_length, std::move(logits));
  }
  return {};
}

Result<void> Judges::prepare() {
  unsigned threads = 1;
  for (const record::Cell& cell : input_.cells) threads = std::max(threads, cell.threads);
  Spec spec = input_.judge;
  spec.device = {};
  spec.precision = Precision::fp32;
  spec.threads = threads;
  spec.batch = kJudgeBatch;
  name_ = judge_name(spec);
  if (spec.runtime.is_native()) {
    BREAKEVEN_TRY_VOID(check_against_reference(threads));
  } else {
    notes_.push_back(
        fmt::format("the native engine does not run this model: all rows are judged by {}", name_));
  }
  BREAKEVEN_TRY_VOID(find_shipped(spec));
  BREAKEVEN_TRY_VOID(choose_texts(spec));
  const std::string hash = measure::hash_texts(texts_);
  for (const record::Cell& cell : input_.cells) {
    if (by_length_.count(cell.max_length) > 0) continue;
    spec.max_length = cell.max_length;
    BREAKEVEN_TRY(measure::JudgeLogits logits, logits_of(spec, texts_, hash, name_));
    by_length_.emplace(cell.max_length, std::move(logits));
  }
  if (!input_.other_judge) return {};
  Spec other = *input_.other_judge;
  other.threads = threads;
  other.batch = kJudgeBatch;
  other_name_ = judge_name(other);
  if (Result<void> prepared = prepare_other(other, hash); !prepared) {
    if (prepared.error().code == "parity/interrupted") return prepared;
    other_by_length_.clear();
    notes_.push_back(
        fmt::format("{} did not judge our rows: {}", other_name_, prepared.error().to_string()));
  }
  return {};
}

std::uint64_t Judges::distinct_originals(std::size_t texts) const {
  if (input_.originals.empty()) return texts;
  std::set<std::uint64_t> distinct;
  for (std::size_t i = 0; i < texts; ++i) {
    if (!input_.labels.empty() && input_.labels[i] < 0) continue;
    distinct.insert(input_.originals[i].begin(), input_.originals[i].end());
  }
  // A text is one answer, however many originals were joined in it.
  return std::min<std::uint64_t>(distinct.size(), texts);
}

Result<record::Parity> Judges::judged_by(const measure::JudgeLogits& judge, const std::string& name,
                                         std::span<const float> logits, double repeat_abs_max,
                                         std::span<const int> truth,
                                         const record::Record& record) const {
  measure::JudgeQuestion question;
  question.precision = record.cell.precision;
  question.problem = input_.problem;
  question.judge = name;
  question.repeat_abs_max = repeat_abs_max;
  question.labels = truth;
  // On few texts nothing is proven, but of the judge itself there is nothing to prove.
  question.small_sample = is_judge(record.cell);
  const measure::Outputs ours{judge.class_count, logits};
  return measure::judge_outputs(ours, judge.outputs(), question);
}

Result<void> Judges::judge(std::span<const float> logits, std::span<const std::uint32_t> labels,
                           double repeat_abs_max, record::Record& record) const {
  const std::uint64_t length = record.cell.max_length;
  const std::span<const int> truth =
      std::span(input_.labels).first(std::min(input_.labels.size(), labels.size()));
  BREAKEVEN_TRY(record.parity,
                judged_by(by_length_.at(length), name_, logits, repeat_abs_max, truth, record));
  keep_or_recall_proof(record);
  if (const auto other = other_by_length_.find(length);
      other != other_by_length_.end() && record.cell.runtime.is_native()) {
    BREAKEVEN_TRY(record.other_parity,
                  judged_by(other->second, other_name_, logits, repeat_abs_max, truth, record));
  }
  if (!truth.empty()) {
    record.accuracy = measure::accuracy_of(labels, truth, distinct_originals(labels.size()));
  }
  return {};
}

std::string Judges::proof_path(const record::Cell& cell, const std::string& instruction_set) const {
  const record::Build& build = input_.prototype.build;
  if (input_.cache.empty() || build.dirty) return "";
  return input_.cache + "/proof-" +
         measure::hash_text(fmt::format("{} {} {} {} {} {} {} {} {} {}",
                                        input_.prototype.model_hash, cell.runtime.name,
                                        cell.runtime.variant, to_string(cell.device),
                                        to_string(cell.precision), instruction_set, cell.max_length,
                                        to_string(cell.padding), build.version, build.commit));
}

std::span<const Text> Judges::more_texts(const Spec& spec,
                                         const std::string& instruction_set) const {
  const std::string proof = proof_path(spec, instruction_set);
  if (is_judge(spec) || (!proof.empty() && is_there(proof))) return {};
  return texts_.subspan(std::min(texts_.size(), input_.timed));
}

void Judges::keep_or_recall_proof(record::Record& record) const {
  const std::string path = proof_path(record.cell, record.instruction_set);
  if (path.empty() || is_judge(record.cell)) return;
  record::Parity& parity = *record.parity;
  if (parity.outcome == record::Agreement::passed) {
    std::error_code ignored;  // a cache that cannot be written is no error
    std::filesystem::create_directories(input_.cache, ignored);
    record::Record proof;
    proof.parity = parity;
    proof.texts.name = record.texts.name;
    if (const auto line = record::to_json_line(proof)) (void)write_file_atomic(path, *line);
  } else if (parity.outcome == record::Agreement::unproven && parity.limits_broken.empty()) {
    const auto content = read_file(path);
    if (!content) return;
    const auto proof = record::parse_record(*content);
    if (!proof || !proof->parity) return;
    parity = *proof->parity;
    parity.judge += fmt::format(" (on {} texts of {}, in an earlier run of this build)",
                                parity.texts, proof->texts.name);
  }
}

}  // namespace breakeven::study

#include "study/judging.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/files.h"
#include "base/units.h"

namespace breakeven::study {
namespace {

constexpr std::size_t kJudgeBatch = 8;
constexpr const char* kReferenceName = "reference fp32";

// "native cpu fp32", "pytorch:seed cpu fp32".
std::string judge_name(const Spec& spec) {
  return to_string(spec.runtime) + " cpu fp32";
}

}  // namespace

Result<measure::JudgeLogits> Judges::logits_of(const Spec& spec,
                                               std::span<const std::string_view> texts,
                                               const std::string& texts_hash,
                                               const std::string& name) {
  measure::JudgeKey key;
  key.model_hash = input_.prototype.model_hash;
  key.texts_hash = texts_hash;
  key.max_length = spec.max_length;
  // Another build may compute other logits, and what a changed tree computes nobody knows.
  const record::Build& build = input_.prototype.build;
  key.judge = fmt::format("{} {} {} {}", name, input_.prototype.instruction_set, build.version,
                          build.commit);
  const std::string cache = build.dirty ? "" : input_.cache;
  if (auto cached = measure::cached_judge(key, texts.size(), cache)) return *std::move(cached);
  BREAKEVEN_TRY(const std::unique_ptr<Classifier> judge, tools_.make(spec));
  return measure::judge_logits(*judge, texts, kJudgeBatch, key, cache, tools_.stop);
}

Result<void> Judges::check_against_reference(unsigned threads) {
  std::vector<std::string_view> sample;
  for (const std::size_t i : measure::fixed_sample(input_.texts.size(), kReferenceTexts)) {
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

Result<void> Judges::prepare_other(const Spec& judge, const std::string& texts_hash) {
  for (const record::Cell& cell : input_.cells) {
    if (!cell.runtime.is_native() || other_by_length_.count(cell.max_length) > 0) continue;
    Spec spec = judge;
    spec.max_length = cell.max_length;
    BREAKEVEN_TRY(measure::JudgeLogits logits,
                  logits_of(spec, input_.texts, texts_hash, other_name_));
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
  const std::string hash = measure::hash_texts(input_.texts);
  for (const record::Cell& cell : input_.cells) {
    if (by_length_.count(cell.max_length) > 0) continue;
    spec.max_length = cell.max_length;
    BREAKEVEN_TRY(measure::JudgeLogits logits, logits_of(spec, input_.texts, hash, name_));
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

void Judges::keep_or_recall_proof(record::Record& record) const {
  const record::Build& build = record.build;
  if (input_.cache.empty() || build.dirty) return;
  record::Parity& parity = *record.parity;
  const record::Cell& cell = record.cell;
  const std::string key = measure::hash_text(fmt::format(
      "{} {} {} {} {} {} {} {} {} {}", record.model_hash, cell.runtime.name, cell.runtime.variant,
      to_string(cell.device), to_string(cell.precision), record.instruction_set, cell.max_length,
      to_string(cell.padding), build.version, build.commit));
  const std::string path = input_.cache + "/proof-" + key;
  if (parity.outcome == record::Agreement::passed) {
    std::error_code ignored;  // a cache that cannot be written is no error
    std::filesystem::create_directories(input_.cache, ignored);
    (void)write_file_atomic(path, fmt::format("{} texts of {}", parity.texts, record.texts.name));
  } else if (parity.outcome == record::Agreement::unproven && parity.limits_broken.empty()) {
    const auto proof = read_file(path);
    if (!proof || proof->empty()) return;
    parity.outcome = record::Agreement::passed;
    parity.judge += fmt::format(" (proven before on {})", *proof);
  }
}

}  // namespace breakeven::study

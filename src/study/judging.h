// The judges of a sweep, whose logits the outputs are compared with: the plain reference for a
// small fixed sample of the fp32 CPU path, the fp32 CPU path for everything else, and another
// runtime's fp32 for our rows. Their logits are made before anything is timed, or ship with the
// program (data/judge) and are looked at again on a few texts.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/text.h"
#include "measure/parity.h"
#include "record/record.h"
#include "study/sweep.h"

namespace breakeven::study {

// The reference computes with plain loops: few texts, cut short, or it would take minutes.
inline constexpr std::size_t kReferenceTexts = 8;
inline constexpr std::uint64_t kReferenceLength = 64;

// Of Input::time_s: what judging texts that are not timed may take.
inline constexpr double kJudgingShare = 0.25;

// How records, and the key of the logits that ship, name the fp32 CPU path of any machine.
inline constexpr const char* kNativeJudge = "native cpu fp32";

class Judges {
 public:
  Judges(const Input& input, const Tools& tools) : input_(input), tools_(tools) {}

  // A second judge that cannot be had is a note. Errors: the first judge's; parity/judge when fp32
  // fails before the reference; parity/interrupted.
  Result<void> prepare();

  // Texts behind the timed ones that `spec` shall answer, too, untimed, so that its labels are
  // judged on more than a pass: none for the judge's own configuration, and for one that an earlier
  // run has proven. `instruction_set`: of its classifier, as in the record.
  std::span<const Text> more_texts(const Spec& spec, const std::string& instruction_set) const;

  // Fills record.parity and record.accuracy from the cell's outputs, in the order of the texts.
  Result<void> judge(std::span<const float> logits, std::span<const std::uint32_t> labels,
                     double repeat_abs_max, record::Record& record) const;

  // "the fp32 path agrees with the plain reference to 2.1e-06 on 8 texts", and what else a person
  // should know of the judges.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  measure::JudgeKey key_of(const Spec& spec, const std::string& texts_hash,
                           const std::string& name) const;
  Result<measure::JudgeLogits> logits_of(const Spec& spec, std::span<const Text> texts,
                                         const std::string& texts_hash, const std::string& name);
  Result<void> check_against_reference(unsigned threads);
  // Of the texts, timed or not, as many as may be judged.
  Result<void> choose_texts(const Spec& judge);
  // The judge's logits that ship with the program, as far as the judge here agrees with them.
  Result<void> find_shipped(Spec judge);
  Result<void> prepare_other(const Spec& judge, const std::string& texts_hash);
  // The whole judgement of `logits` by one judge.
  Result<record::Parity> judged_by(const measure::JudgeLogits& judge, const std::string& name,
                                   std::span<const float> logits, double repeat_abs_max,
                                   std::span<const int> truth, const record::Record& record) const;
  std::uint64_t distinct_originals(std::size_t texts) const;
  // A verdict on texts enough is kept, and stands in for a later run's few texts as long as these
  // break no limit: same model, build and kernels, maybe other texts.
  void keep_or_recall_proof(record::Record& record) const;
  std::string proof_path(const record::Cell& cell, const std::string& instruction_set) const;
  // Whether it computes what the judge computes.
  bool is_judge(const record::Cell& cell) const;

  const Input& input_;
  const Tools& tools_;
  std::string name_;             // of the judge: "native cpu fp32"
  std::span<const Text> texts_;  // that are judged
  std::map<std::uint64_t, measure::JudgeLogits> by_length_;
  std::string other_name_;
  std::map<std::uint64_t, measure::JudgeLogits> other_by_length_;  // empty = no second judge
  std::vector<std::string> notes_;
};

}  // namespace breakeven::study

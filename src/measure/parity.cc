#include "measure/parity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/limits.h"
#include "measure/statistics.h"

namespace breakeven::measure {
namespace {

// May not change one label, however many texts there are.
bool keeps_fp32(Precision precision) {
  return precision == Precision::fp32 || precision == Precision::fp32x3;
}

std::size_t argmax(std::span<const float> row) {
  return static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

// Whether the decision on one text differs: another winner, or another sign for any label.
bool flipped(std::span<const float> ours, std::span<const float> judge, ProblemType problem) {
  switch (problem) {
    case ProblemType::single_label:
      return argmax(ours) != argmax(judge);
    case ProblemType::multi_label:
      for (std::size_t c = 0; c < ours.size(); ++c) {
        if ((ours[c] > 0) != (judge[c] > 0)) return true;
      }
      return false;
    case ProblemType::regression:
      break;
  }
  return false;
}

// Standard deviation of all logits, each class around its own mean.
double sigma_of(std::span<const float> logits, std::size_t class_count) {
  double squares = 0;
  const std::size_t n = logits.size() / class_count;
  for (std::size_t c = 0; c < class_count; ++c) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += logits[i * class_count + c];
    const double center = sum / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) {
      const double deviation = logits[i * class_count + c] - center;
      squares += deviation * deviation;
    }
  }
  return std::sqrt(squares / static_cast<double>(logits.size()));
}

double right_share(const Outputs& outputs, std::size_t n, std::span<const int> labels,
                   std::size_t& labelled) {
  std::size_t right = 0;
  labelled = 0;
  for (std::size_t i = 0; i < std::min(n, labels.size()); ++i) {
    if (labels[i] < 0) continue;
    ++labelled;
    const auto row = outputs.logits.subspan(i * outputs.class_count, outputs.class_count);
    right += argmax(row) == static_cast<std::size_t>(labels[i]) ? 1U : 0U;
  }
  return labelled == 0 ? 0 : static_cast<double>(right) / static_cast<double>(labelled);
}

// Fills the figures; false when a logit is not a number.
bool measure_differences(const Outputs& ours, const Outputs& judge, ProblemType problem,
                         record::Parity& parity) {
  const std::size_t classes = ours.class_count;
  std::vector<double> differences;
  differences.reserve(ours.logits.size());
  bool finite = true;
  for (std::size_t i = 0; i < ours.logits.size(); ++i) {
    const double difference = std::abs(double{ours.logits[i]} - double{judge.logits[i]});
    if (std::isfinite(difference)) {
      differences.push_back(difference);
    } else {
      finite = false;
    }
  }
  for (std::size_t text = 0; text < ours.texts(); ++text) {
    const auto mine = ours.logits.subspan(text * classes, classes);
    parity.flips += flipped(mine, judge.logits.subspan(text * classes, classes), problem) ? 1U : 0U;
  }
  if (!differences.empty()) {
    parity.logit_abs_max = *std::max_element(differences.begin(), differences.end());
    parity.logit_abs_p99 = percentile(differences, 0.99);
  }
  const double sigma = sigma_of(judge.logits.first(ours.logits.size()), classes);
  finite = finite && std::isfinite(sigma);
  parity.logit_sigma = std::isfinite(sigma) ? sigma : 0;
  return finite;
}

void check_limit(Precision precision, const std::string& name, double value,
                 record::Parity& parity) {
  const std::string key = "model/" + to_string(precision) + "/" + name;
  if (value > limit(key)) parity.limits_broken.push_back(key);
}

void check_flips(Precision precision, record::Parity& parity) {
  check_limit(precision, "flips_share",
              static_cast<double>(parity.flips) / static_cast<double>(parity.texts), parity);
}

// Few texts cannot pass, and may fail only by what no further text could mend: a rate over few
// texts is not yet a rate.
record::Agreement outcome_of(const record::Parity& parity, bool beyond_doubt, bool small_sample) {
  const bool enough = static_cast<double>(parity.texts) >= limit("model/texts_min");
  if (!parity.limits_broken.empty()) {
    return beyond_doubt || enough ? record::Agreement::failed : record::Agreement::unproven;
  }
  return enough || small_sample ? record::Agreement::passed : record::Agreement::unproven;
}

void check_limits(const JudgeQuestion& question, record::Parity& parity) {
  const auto check = [&](const std::string& name, double value) {
    check_limit(question.precision, name, value, parity);
  };
  check_flips(question.precision, parity);
  if (keeps_fp32(question.precision)) {
    check("logit_abs_max", parity.logit_abs_max);
  } else {
    const double sigma = std::max(parity.logit_sigma, std::numeric_limits<double>::min());
    check("logit_p99_sigma", parity.logit_abs_p99 / sigma);
  }
  const bool coded = question.precision == Precision::int8 || question.precision == Precision::fp8;
  if (coded && parity.accuracy_loss) {
    check("accuracy_loss", *parity.accuracy_loss);
  }
}

}  // namespace

Result<record::Parity> judge_outputs(const Outputs& ours, const Outputs& judge,
                                     const JudgeQuestion& question) {
  if (ours.class_count != judge.class_count || ours.texts() > judge.texts() ||
      ours.texts() * ours.class_count != ours.logits.size()) {
    return fail("parity/shape",
                fmt::format("{} texts with {} labels cannot be judged by {} texts with {} labels",
                            ours.texts(), ours.class_count, judge.texts(), judge.class_count));
  }
  record::Parity parity;
  parity.judge = question.judge;
  parity.texts = ours.texts();
  parity.repeat_abs_max = question.repeat_abs_max;
  if (ours.texts() == 0) return parity;
  const bool finite = measure_differences(ours, judge, question.problem, parity);
  if (question.problem == ProblemType::single_label) {
    std::size_t labelled = 0;
    const double our_share = right_share(ours, ours.texts(), question.labels, labelled);
    const double judge_share = right_share(judge, ours.texts(), question.labels, labelled);
    if (labelled > 0) parity.accuracy_loss = judge_share - our_share;
  }
  check_limits(question, parity);
  if (!finite) parity.limits_broken.insert(parity.limits_broken.begin(), "a logit is not finite");
  parity.outcome =
      outcome_of(parity, !finite || keeps_fp32(question.precision), question.small_sample);
  return parity;
}

record::Parity judge_labels(std::span<const std::string> ours, std::span<const std::string> judge,
                            Precision precision, const std::string& name) {
  BREAKEVEN_CHECK(ours.size() == judge.size(), "ours={} judge={}", ours.size(), judge.size());
  record::Parity parity;
  parity.judge = name;
  parity.texts = ours.size();
  if (ours.empty()) return parity;
  for (std::size_t i = 0; i < ours.size(); ++i) parity.flips += ours[i] != judge[i] ? 1U : 0U;
  check_flips(precision, parity);
  parity.outcome = outcome_of(parity, keeps_fp32(precision), false);
  return parity;
}

std::optional<record::Accuracy> accuracy_of(std::span<const std::uint32_t> ours,
                                            std::span<const int> labels, std::uint64_t distinct) {
  record::Accuracy accuracy;
  std::uint64_t right = 0;
  for (std::size_t i = 0; i < std::min(ours.size(), labels.size()); ++i) {
    if (labels[i] < 0) continue;
    ++accuracy.texts;
    right += ours[i] == static_cast<std::uint32_t>(labels[i]) ? 1U : 0U;
  }
  if (accuracy.texts == 0) return std::nullopt;
  accuracy.distinct = distinct == 0 ? accuracy.texts : std::min(distinct, accuracy.texts);
  accuracy.share = static_cast<double>(right) / static_cast<double>(accuracy.texts);
  accuracy.interval = wilson_interval(accuracy.share, accuracy.distinct);
  return accuracy;
}

bool breaks_parity(const record::Record& record) {
  return record.parity && record.parity->outcome == record::Agreement::failed;
}

std::vector<std::size_t> fixed_sample(std::size_t n, std::size_t count) {
  const std::size_t size = std::min(n, count);
  std::vector<std::size_t> indices(size);
  for (std::size_t i = 0; i < size; ++i) indices[i] = i * n / size;
  return indices;
}

}  // namespace breakeven::measure

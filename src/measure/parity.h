// Are the outputs that were timed the right ones? Logits against a judge's logits, by the limits of
// docs/parity.md. The plain reference judges a small fixed sample of the fp32 path; the fp32 path,
// once passed, judges everything else over all texts, and its logits are cached by content.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "classifier/classifier.h"
#include "record/record.h"

namespace breakeven::measure {

// Logits of n texts. Borrowed.
struct Outputs {
  std::size_t class_count = 0;    // C
  std::span<const float> logits;  // [n, C]
  std::size_t texts() const { return class_count == 0 ? 0 : logits.size() / class_count; }
};

struct JudgeQuestion {
  Precision precision = Precision::fp32;  // of the judged outputs: chooses the limits
  ProblemType problem = ProblemType::single_label;
  std::string judge;  // its name, for the record
  double repeat_abs_max = 0;
  // Right label of each text, -1 = unknown; empty = no labels. Same order as the logits.
  std::span<const int> labels;
  // A small sample that the plain reference judges cannot be "unproven" for its size: it is a check
  // of the fp32 path, whose other texts nothing judges.
  bool small_sample = false;
};

// Compares ours with the judge's over the first ours.texts() texts (a cell that ran out of time has
// fewer). Limits: model/<precision>/... To pass needs model/texts_min texts. NaN anywhere fails.
// Errors: parity/shape (different C, more texts than the judge has).
Result<record::Parity> judge_outputs(const Outputs& ours, const Outputs& judge,
                                     const JudgeQuestion& question);

// The same where labels alone are known, as of a server: those that differ, by the limit of flips.
// Both hold as many.
record::Parity judge_labels(std::span<const std::string> ours, std::span<const std::string> judge,
                            Precision precision, const std::string& name);

// Share of right labels with its Wilson interval over `distinct` originals (0 = each text is one);
// texts with label -1 do not count. Nothing when no text has a label.
std::optional<record::Accuracy> accuracy_of(std::span<const std::uint32_t> ours,
                                            std::span<const int> labels, std::uint64_t distinct);

// Whether the record's outputs left the limits: such a row is shown and decides nothing.
bool breaks_parity(const record::Record& record);

// Indices of the fixed sample: `count` of n texts, evenly spread, ascending.
std::vector<std::size_t> fixed_sample(std::size_t n, std::size_t count);

// Content hashes (SHA-256, hex).
std::string hash_text(std::string_view content);
std::string hash_texts(std::span<const Text> texts);                 // order and lengths count
Result<std::string> hash_files(std::span<const std::string> paths);  // contents in this order

// Everything that the judge's logits depend on. Cutting at another length gives other logits.
struct JudgeKey {
  std::string model_hash, texts_hash, judge;
  std::size_t max_length = 512;
};

struct JudgeLogits {
  std::size_t class_count = 0;
  std::vector<float> logits;  // [n, C]
  bool from_cache = false;
  Outputs outputs() const { return {class_count, logits}; }
};

// The judge's logits of all texts: from `cache` (a folder such as cache_folder() + "/judge"; "" =
// no cache), else by running the classifier in batches of `batch`. A cache file that is damaged or
// answers another key is made anew; a cache that cannot be written is no error.
// `stop` (may be null) ends it between batches with parity/interrupted.
Result<JudgeLogits> judge_logits(Classifier& judge, std::span<const Text> texts, std::size_t batch,
                                 const JudgeKey& key, const std::string& cache,
                                 const std::atomic<bool>* stop = nullptr);
// What the cache holds for the key, without running anything.
std::optional<JudgeLogits> cached_judge(const JudgeKey& key, std::size_t texts,
                                        const std::string& cache);

}  // namespace breakeven::measure

// The judge's logits, computed once for each content (declared in parity.h).
#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/files.h"
#include "measure/parity.h"

namespace breakeven::measure {
namespace {

constexpr std::string_view kMagic = "breakeven-judge-1";

std::string describe(const JudgeKey& key) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n", kMagic, key.model_hash, key.texts_hash, key.max_length,
                     key.judge);
}

std::string cache_path(const JudgeKey& key, const std::string& cache) {
  return (std::filesystem::path(cache) / (hash_text(describe(key)) + ".logits")).string();
}

// The file: the key as text, "<classes> <texts>\n", the logits, and the SHA-256 of all before it.
std::string encode(const JudgeKey& key, const JudgeLogits& logits) {
  std::string content = describe(key);
  content += fmt::format("{} {}\n", logits.class_count, logits.logits.size() / logits.class_count);
  content.append(reinterpret_cast<const char*>(logits.logits.data()),
                 logits.logits.size() * sizeof(float));
  content += hash_text(content);
  return content;
}

constexpr std::size_t kHashLength = 64;

std::optional<JudgeLogits> decode(const JudgeKey& key, std::size_t texts,
                                  std::string_view content) {
  const std::string head = describe(key);
  if (content.size() < head.size() + kHashLength || !content.starts_with(head)) return std::nullopt;
  const auto body = content.substr(0, content.size() - kHashLength);
  if (hash_text(body) != content.substr(body.size())) return std::nullopt;
  // The hash fits, so what follows is what encode() wrote.
  auto rest = body.substr(head.size());
  const auto newline = rest.find('\n');
  if (newline == std::string_view::npos) return std::nullopt;
  JudgeLogits logits;
  logits.class_count = std::strtoull(std::string(rest.substr(0, newline)).c_str(), nullptr, 10);
  rest.remove_prefix(newline + 1);
  if (logits.class_count == 0 || rest.size() != texts * logits.class_count * sizeof(float)) {
    return std::nullopt;
  }
  logits.logits.resize(texts * logits.class_count);
  std::memcpy(logits.logits.data(), rest.data(), rest.size());
  logits.from_cache = true;
  return logits;
}

Result<JudgeLogits> run_judge(Classifier& judge, std::span<const Text> texts, std::size_t batch,
                              const std::atomic<bool>* stop) {
  JudgeLogits answer;
  BatchResult result;
  for (std::size_t first = 0; first < texts.size(); first += batch) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) {
      return fail("parity/interrupted", "judging the outputs was interrupted");
    }
    const std::size_t count = std::min(batch, texts.size() - first);
    BREAKEVEN_TRY_VOID(judge.run_batch(texts.subspan(first, count), result));
    if (answer.class_count == 0) answer.class_count = result.logits.size() / count;
    if (answer.class_count == 0 || result.logits.size() != count * answer.class_count) {
      return fail("measure/output",
                  fmt::format("{} texts gave {} logits", count, result.logits.size()));
    }
    answer.logits.insert(answer.logits.end(), result.logits.begin(), result.logits.end());
  }
  return answer;
}

}  // namespace

std::optional<JudgeLogits> cached_judge(const JudgeKey& key, std::size_t texts,
                                        const std::string& cache) {
  if (cache.empty()) return std::nullopt;
  const auto file = MappedFile::open(cache_path(key, cache));
  if (!file) return std::nullopt;
  return decode(key, texts, file->text());
}

Result<JudgeLogits> judge_logits(Classifier& judge, std::span<const Text> texts, std::size_t batch,
                                 const JudgeKey& key, const std::string& cache,
                                 const std::atomic<bool>* stop) {
  if (texts.empty()) return fail("measure/no-texts", "there are no texts to judge");
  if (auto cached = cached_judge(key, texts.size(), cache)) return *std::move(cached);
  BREAKEVEN_TRY(JudgeLogits answer, run_judge(judge, texts, batch, stop));
  if (!cache.empty()) {
    std::error_code ignored;
    std::filesystem::create_directories(cache, ignored);
    // A cache that cannot be written costs time in the next run, nothing else.
    static_cast<void>(write_file_atomic(cache_path(key, cache), encode(key, answer)).has_value());
  }
  return answer;
}

}  // namespace breakeven::measure

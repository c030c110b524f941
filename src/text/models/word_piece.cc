#include "text/models/word_piece.h"

#include <algorithm>

#include "base/check.h"
#include "base/utf8.h"
#include "text/unicode.h"

namespace breakeven::text {
namespace {

// Where words are split at whitespace and around punctuation, a longer entry with either never
// matches; leaving it out shortens the search.
bool can_match(std::string_view piece, bool whole_word_possible, bool bert_words) {
  std::u32string code_points;
  append_code_points(piece, code_points);
  if (code_points.empty()) return false;
  if (!bert_words) return true;
  if (code_points.size() == 1 && whole_word_possible) return !is_whitespace(code_points[0]);
  return std::none_of(code_points.begin(), code_points.end(),
                      [](char32_t c) { return is_whitespace(c) || is_punctuation(c); });
}

Result<void> read(const JsonObject& model, ModelSpec& spec) {
  BREAKEVEN_TRY_VOID(read_vocabulary(model, spec));
  BREAKEVEN_TRY(spec.unknown_token, model.text("unk_token", "[UNK]"));
  BREAKEVEN_TRY(spec.continuing_prefix, model.text("continuing_subword_prefix", "##"));
  BREAKEVEN_TRY(spec.max_chars_per_word, model.count("max_input_chars_per_word", {}, 100));
  return {};
}

std::unique_ptr<PieceModel> make(const ModelSpec& spec) {
  return std::make_unique<WordPiece>(spec);
}

}  // namespace

const ModelKind kWordPiece = {"WordPiece", read, make};

WordPiece::WordPiece(const ModelSpec& spec)
    : unknown_id_(spec.unknown_id), max_chars_per_word_(spec.max_chars_per_word) {
  const auto& entries = spec.vocabulary;
  const std::string_view continuing_prefix = spec.continuing_prefix;
  std::int32_t highest = -1;
  for (const auto& [entry, id] : entries) highest = std::max(highest, id);
  entries_.resize(static_cast<std::size_t>(highest) + 1);
  for (const auto& [entry, id] : entries) entries_[static_cast<std::size_t>(id)] = entry;

  for (const auto& [source, id] : entries) {
    const std::string_view entry = entries_[static_cast<std::size_t>(id)];
    BREAKEVEN_CHECK(entry == source, "two entries have id {}", id);
    if (can_match(entry, true, spec.bert_words)) {
      starts_.emplace(entry, id);
      longest_start_bytes_ = std::max(longest_start_bytes_, entry.size());
    }
    if (!entry.starts_with(continuing_prefix)) continue;
    const std::string_view rest = entry.substr(continuing_prefix.size());
    if (!can_match(rest, false, spec.bert_words)) continue;
    continuations_.emplace(rest, id);
    longest_continuation_bytes_ = std::max(longest_continuation_bytes_, rest.size());
  }
}

std::string_view WordPiece::entry(std::int32_t id) const {
  const auto index = static_cast<std::size_t>(id);
  return id >= 0 && index < entries_.size() ? std::string_view(entries_[index])
                                            : std::string_view();
}

}  // namespace breakeven::text

#include "data/text_fields.h"

#include <fmt/format.h>

#include <utility>

namespace breakeven::data {
namespace {

constexpr const char* kText = "text";
// As data sets and Hugging Face's pipelines call them.
constexpr std::pair<const char*, const char*> kUsualPairs[] = {
    {kText, "text_pair"},     {"premise", "hypothesis"},  {"query", "passage"},
    {"question", "sentence"}, {"sentence1", "sentence2"}, {"question1", "question2"}};

}  // namespace

Result<TextFields> find_text_fields(const SourceOptions& options, const HasField& has) {
  if (!options.text_field.empty() || !options.pair_field.empty()) {
    return TextFields{options.text_field.empty() ? kText : options.text_field, options.pair_field};
  }
  TextFields found;
  for (const auto& [first, second] : kUsualPairs) {
    if (!has(first) || !has(second)) continue;
    if (found.by_name) {
      return fail("data/ambiguous-pair",
                  fmt::format("'{}' and '{}' may be the pair, or '{}' and '{}'", found.first,
                              found.second, first, second),
                  fmt::format("name the fields: --text-field {} --pair-field {}", first, second));
    }
    found = {first, second, true};
    if (found.first == kText) return found;
  }
  if (!found.by_name || has(kText)) return TextFields{kText, ""};
  return found;
}

bool has_texts(const SourceOptions& options, const HasField& has) {
  const auto fields = find_text_fields(options, has);
  return !fields || (has(fields->first) && (fields->second.empty() || has(fields->second)));
}

std::optional<std::string> assumption_of(const TextFields& fields, const std::string& source) {
  if (!fields.by_name) return std::nullopt;
  return fmt::format(
      "{}: each record is a pair, '{}' and '{}' (--text-field {} for the first alone)", source,
      fields.first, fields.second, fields.first);
}

}  // namespace breakeven::data

#include "data/labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/files.h"
#include "base/json.h"
#include "base/numbers.h"
#include "base/utf8.h"
#include "data/bytes.h"

namespace breakeven::data {
namespace {

std::string canonical(std::string_view name) {
  std::string out = lower_ascii(name);
  if (out == "pos") return "positive";
  if (out == "neg") return "negative";
  return out;
}

// 1 of "1" and of "1.0": tables with gaps are often written so.
std::optional<std::int64_t> whole_number(std::string_view text) {
  constexpr double kLimit = 1e15;
  const std::optional<double> number = parse_number<double>(text);
  if (!number || !(std::fabs(*number) < kLimit) || *number != std::floor(*number))
    return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

// The one number in a label's name: 2 of "2 stars"; nothing where there is none, or several.
std::optional<std::int64_t> number_in(std::string_view name) {
  constexpr std::string_view kDigits = "0123456789";
  std::size_t first = name.find_first_of(kDigits);
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t end = std::min(name.find_first_not_of(kDigits, first), name.size());
  if (name.find_first_of(kDigits, end) != std::string_view::npos) return std::nullopt;
  if (first == 1 && name[0] == '-') first = 0;
  return parse_number<std::int64_t>(name.substr(first, end - first));
}

// How a label of the data is looked up in the label map.
std::string key_of(std::string_view label) {
  label = trimmed(label);
  const auto number = whole_number(label);
  return number ? std::to_string(*number) : lower_ascii(label);
}

// What of a refused label stands in the message.
std::string_view shown(std::string_view label) {
  return label.substr(0, 60);
}

}  // namespace

std::optional<std::int32_t> LabelMap::by_name(std::string_view name) const {
  const std::string wanted = canonical(trimmed(name));
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    if (canonical(labels_[i]) == wanted) return static_cast<std::int32_t>(i);
  }
  const bool unnamed = labels_.empty() ||
                       (labels_.size() == 2 && labels_[0] == "LABEL_0" && labels_[1] == "LABEL_1");
  if (unnamed && wanted == "negative") return 0;
  if (unnamed && wanted == "positive") return 1;
  return std::nullopt;
}

Result<LabelMap> LabelMap::make(std::vector<std::string> labels, const LabelNames& names) {
  LabelMap map(std::move(labels));
  for (const auto& [label, name] : names) {
    const auto index = map.by_name(name);
    if (!index && !trimmed(name).empty()) {
      return fail("data/label-map",
                  fmt::format("--label-map: '{}' is none of the model's labels ({})", shown(name),
                              map.names()),
                  "name them as the model does; nothing behind the = means no label");
    }
    map.given_.emplace(key_of(label), index);
  }
  return map;
}

// An index, unless the names tell another meaning.
Result<std::optional<std::int32_t>> LabelMap::by_number(std::int64_t number) const {
  if (const auto index = by_name(std::to_string(number))) return index;
  constexpr std::int64_t kMost = 2147483647;
  const auto count = labels_.empty() ? kMost + 1 : static_cast<std::int64_t>(labels_.size());
  const bool is_index = number >= 0 && number < count;
  std::vector<std::string> by_their_numbers;  // "2=2 stars"
  std::set<std::int64_t> numbers;
  std::optional<std::size_t> named;
  bool are_indices = true;
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    const auto in_name = number_in(labels_[i]);
    are_indices = are_indices && in_name == static_cast<std::int64_t>(i);
    if (!in_name) continue;
    numbers.insert(*in_name);
    by_their_numbers.push_back(fmt::format("{}={}", *in_name, labels_[i]));
    if (*in_name == number) named = i;
  }
  // Names that count in their own way (1 star, 2 stars ...) leave no bare number clear.
  const bool names_count = !labels_.empty() && numbers.size() == labels_.size() && !are_indices;
  const bool names_another = named && static_cast<std::int64_t>(*named) != number;
  if (!names_count && !names_another) {
    if (is_index) return std::optional(static_cast<std::int32_t>(number));
    return unknown(std::to_string(number));
  }
  std::vector<std::string> meanings;
  if (named) meanings.push_back(fmt::format("'{}'", labels_[*named]));
  if (is_index) {
    meanings.push_back(
        fmt::format("'{}', counted from 0", labels_[static_cast<std::size_t>(number)]));
  }
  if (meanings.empty()) return unknown(std::to_string(number));
  return fail(
      "data/ambiguous-label",
      fmt::format("the label {} may mean {}; the names of the model's labels ({}) have numbers "
                  "of their own",
                  number, fmt::join(meanings, " or "), names()),
      fmt::format("say what each number means, as in --label-map \"{}\", or leave labels out "
                  "with --label-field ''",
                  fmt::join(by_their_numbers, ",")));
}

Result<std::optional<std::int32_t>> LabelMap::unknown(std::string_view label) const {
  const std::string range = labels_.empty()
                                ? "negative, positive or a number from 0"
                                : fmt::format("{} or 0 to {}", names(), labels_.size() - 1);
  return fail(
      "data/unknown-label",
      fmt::format("the label '{}' is none of the model's ({})", shown(label), range),
      fmt::format("choose another --label-field, or --label-field '' to go without labels, or "
                  "say what it means: --label-map \"{}=...\"",
                  shown(label)));
}

Result<std::optional<std::int32_t>> LabelMap::from_text(std::string_view text) const {
  text = trimmed(text);
  if (text.empty()) return std::optional<std::int32_t>();
  if (const auto given = given_.find(key_of(text)); given != given_.end()) return given->second;
  if (const auto index = by_name(text)) return index;
  if (const auto number = whole_number(text)) return by_number(*number);
  const std::string word = lower_ascii(text);
  if (word == "false" && (labels_.empty() || labels_.size() == 2)) return std::optional(0);
  if (word == "true" && (labels_.empty() || labels_.size() == 2)) return std::optional(1);
  return unknown(text);
}

Result<std::optional<std::int32_t>> LabelMap::from_json(const JsonField& field) const {
  if (field.value == "null" || field.value == "NaN") return std::optional<std::int32_t>();
  if (field.is_string()) return from_text(decode_string(field.value));
  if (field.value.starts_with('{') || field.value.starts_with('[')) {
    return fail("data/wrong-type",
                fmt::format("the label is {}, not a string, a whole number, true or false",
                            field.value.starts_with('{') ? "an object" : "an array"),
                "choose another --label-field, or --label-field '' to go without labels");
  }
  return from_text(field.value);
}

std::string LabelMap::names() const {
  return fmt::format("{}", fmt::join(labels_, ", "));
}

Result<LabelNames> parse_label_map(const std::string& text) {
  const char* hint =
      "write it as in --label-map \"1=1 star,2=2 stars\", or give a JSON file "
      "{\"1\": \"1 star\"}";
  LabelNames names;
  const auto add = [&](std::string_view label, std::string_view name) -> Result<void> {
    if (names.emplace(key_of(label), trimmed(name)).second) return {};
    return fail("data/label-map", fmt::format("--label-map says '{}' twice", label), hint);
  };
  if (text.ends_with(".json")) {
    BREAKEVEN_TRY(const std::string content, read_file(text));
    BREAKEVEN_TRY(const JsonDocument document,
                  JsonDocument::parse(content, {text, "data/label-map", "data/label-map", hint}));
    BREAKEVEN_TRY(const JsonObject object, document.object());
    for (const breakeven::JsonField& field : object.fields()) {
      BREAKEVEN_TRY(const std::string name, object.as_text(field.value, field.name));
      BREAKEVEN_TRY_VOID(add(field.name, name));
    }
    return names;
  }
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string_view pair = std::string_view(text).substr(at, end - at);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || trimmed(pair.substr(0, equals)).empty()) {
      return fail("data/label-map", fmt::format("--label-map '{}' is no LABEL=NAME", pair), hint);
    }
    BREAKEVEN_TRY_VOID(add(pair.substr(0, equals), pair.substr(equals + 1)));
    at = end + 1;
  }
  return names;
}

Sentiments::Sentiments(const std::vector<std::string>& labels) {
  const LabelMap map(labels);
  positive_ = map.by_name("positive");
  negative_ = map.by_name("negative");
  if (positive_ && negative_) return;
  positive_ = negative_ = std::nullopt;
  note_ =
      fmt::format("; no accuracy: the model's labels ({}) are not positive/negative", map.names());
}

}  // namespace breakeven::data

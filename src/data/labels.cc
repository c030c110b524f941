#include "data/labels.h"

#include <fmt/format.h>

#include <cmath>

#include "base/numbers.h"

namespace breakeven::data {
namespace {

std::string lower_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string canonical(std::string_view name) {
  std::string out = lower_ascii(name);
  if (out == "pos") return "positive";
  if (out == "neg") return "negative";
  return out;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
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

std::optional<std::int32_t> LabelMap::by_number(std::string_view text) const {
  const double number = parse_number<double>(text).value_or(-1);
  // 1.0 counts as 1: tables with gaps are often written so.
  const double limit = labels_.empty() ? 2147483647.0 : static_cast<double>(labels_.size()) - 1;
  if (!(number >= 0 && number <= limit) || number != std::floor(number)) return std::nullopt;
  return static_cast<std::int32_t>(number);
}

Result<std::optional<std::int32_t>> LabelMap::unknown(std::string_view label) const {
  const std::string range = labels_.empty()
                                ? "negative, positive or a number from 0"
                                : fmt::format("{} or 0 to {}", names(), labels_.size() - 1);
  return fail("data/unknown-label",
              fmt::format("the label '{}' is none of the model's ({})", shown(label), range),
              "choose another --label-field, or --label-field '' to go without labels");
}

Result<std::optional<std::int32_t>> LabelMap::from_text(std::string_view text) const {
  text = trimmed(text);
  if (text.empty()) return std::optional<std::int32_t>();
  if (const auto index = by_name(text)) return index;
  if (const auto index = by_number(text)) return index;
  const std::string word = lower_ascii(text);
  if (word == "false" && (labels_.empty() || labels_.size() == 2)) return std::optional(0);
  if (word == "true" && (labels_.empty() || labels_.size() == 2)) return std::optional(1);
  return unknown(text);
}

Result<std::optional<std::int32_t>> LabelMap::from_json(const JsonField& field) const {
  if (field.value == "null") return std::optional<std::int32_t>();
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

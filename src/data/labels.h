// From what a data set calls a label to the index of the model's label.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/json_line.h"

namespace breakeven::data {

// A label of the data -> the name of a label of the model; "" = no label.
using LabelNames = std::map<std::string, std::string>;
// "1=1 star,2=2 stars", or a JSON file {"1": "1 star", "2": "2 stars"}. Errors: data/label-map,
// file/unreadable.
Result<LabelNames> parse_label_map(const std::string& text);

class LabelMap {
 public:
  explicit LabelMap(std::vector<std::string> labels) : labels_(std::move(labels)) {}
  // `names`: what the data calls the labels, before any rule below. Errors: data/label-map (a name
  // that is none of the model's).
  static Result<LabelMap> make(std::vector<std::string> labels, const LabelNames& names);

  // The index of a name: equal but for case; "pos" and "positive" are the same, "neg" and
  // "negative" too. A model with two labels of no meaning (LABEL_0, LABEL_1) or one whose labels
  // are not known has negative = 0 and positive = 1, as IMDB models do.
  std::optional<std::int32_t> by_name(std::string_view name) const;

  // A label as a text file has it: a name, else a whole number, which is an index, else true or
  // false. Where the names have numbers of their own ("1 star" at index 0), a bare number may mean
  // either: an error. Errors: data/unknown-label, data/ambiguous-label (the message starts with
  // what is wrong and names no file).
  Result<std::optional<std::int32_t>> from_text(std::string_view text) const;  // "" = no label
  // A label as JSON has it: a string as above, a whole number, true or false; null and NaN = no
  // label. Errors: as from_text; data/wrong-type.
  Result<std::optional<std::int32_t>> from_json(const JsonField& field) const;

  std::string names() const;  // "NEGATIVE, POSITIVE" for messages

 private:
  Result<std::optional<std::int32_t>> by_number(std::int64_t number) const;
  Result<std::optional<std::int32_t>> unknown(std::string_view label) const;

  std::vector<std::string> labels_;
  std::map<std::string, std::optional<std::int32_t>> given_;  // nothing = no label
};

// The model's labels of positive and of negative reviews, for data sets that know those two.
class Sentiments {
 public:
  explicit Sentiments(const std::vector<std::string>& labels);
  std::optional<std::int32_t> of(bool positive) const { return positive ? positive_ : negative_; }
  // Why there are none: "; no accuracy: the model's labels (...) are not positive/negative", or "".
  const std::string& note() const { return note_; }

 private:
  std::optional<std::int32_t> positive_, negative_;
  std::string note_;
};

}  // namespace breakeven::data

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "data/file_sources.h"
#include "data/json_line.h"
#include "data/json_values.h"
#include "data/labels.h"
#include "data/text_fields.h"

namespace breakeven::data {
namespace {

// What to try with a line that is no object.
std::string hint_for(std::string_view line) {
  const std::size_t last = line.find_last_not_of(" \t");
  if (line.starts_with("{'"))
    return "names and strings stand in double quotes: write it by json.dumps";
  if (last != std::string_view::npos && line[last] == ',') {
    return "leave out the commas behind the objects, or put the file into [ ]";
  }
  if (line.starts_with('"')) return "jq -c '{text: .}' makes objects of strings";
  return "each line must be one JSON object; for plain text give --input-format lines";
}

class JsonlSource final : public FileSource {
 public:
  JsonlSource(FileText text, LabelMap labels, const SourceOptions& options)
      : FileSource(std::move(text)),
        options_(options),
        label_field_(options.label_field),
        label_required_(options.label_required),
        labels_(std::move(labels)) {}

  // Errors: those of the reader.
  Result<void> read_first() {
    BREAKEVEN_TRY(const std::string_view first_line, lines().first_line());
    if (!options_.one_a_line && JsonValues::are_in(first_line)) values_.emplace(lines());
    first_ = read_next();
    if (text_fields_) {
      if (auto assumption = assumption_of(*text_fields_, name())) assume(*std::move(assumption));
    }
    return {};
  }

  Settled settled(const SourceOptions& options) const override {
    Settled found = FileSource::settled(options);
    found.reading.format = Format::jsonl;
    found.reading.one_a_line = !values_.has_value();
    if (!text_fields_) return found;
    found.reading.text_field = text_fields_->first;
    found.reading.pair_field = text_fields_->second;
    return found;
  }

  std::string losses() const override {
    std::string losses = FileSource::losses();
    if (not_finite_ == 0) return losses;
    return losses + fmt::format("{}{}: {} NaN or Infinity, which JSON does not have, {} null",
                                losses.empty() ? "" : "; ", name(), not_finite_,
                                not_finite_ == 1 ? "is" : "are");
  }

  Result<std::optional<Review>> next() override {
    if (done_) return std::optional<Review>();
    auto review = first_ ? *std::exchange(first_, std::nullopt) : read_next();
    done_ = !review || !*review;
    if (review && !*review && !any_) {
      return fail("data/empty", fmt::format("{} holds no record, only blanks", name()),
                  "give a file with one JSON object a line");
    }
    any_ = true;
    return review;
  }

 private:
  Result<std::optional<std::string_view>> next_line() {
    for (;;) {
      BREAKEVEN_TRY(const auto line, lines().next());
      if (!line) return std::optional<std::string_view>();
      if (line->find_first_not_of(" \t\r\n") == std::string_view::npos) continue;
      return std::optional(without_line_end(*line));
    }
  }

  Result<std::optional<Review>> read_next() {
    BREAKEVEN_TRY(const auto record, values_ ? values_->next() : next_line());
    if (!record) return std::optional<Review>();
    if (values_ ? is_valid_utf8(*record) : lines().valid()) return review_of(*record);
    return review_of(repair_utf8(*record));
  }

  // An error of this line: `problem` gets the place in front.
  tl::unexpected<Error> here(Error problem) const {
    problem.message = fmt::format("{}, line {}: {}", name(),
                                  values_ ? values_->line() : lines().line(), problem.message);
    return tl::unexpected<Error>(std::move(problem));
  }

  // Fields of this record by name, for the message about a missing one.
  std::string field_names() const {
    std::vector<std::string> names;
    for (const JsonField& field : fields_) names.push_back(decode_key(field.key));
    if (names.size() > 10) {
      names.resize(10);
      names.emplace_back("...");
    }
    return names.empty() ? "no fields" : fmt::format("{}", fmt::join(names, ", "));
  }

  Error missing(const std::string& field, const char* option) const {
    std::string hint = fmt::format("name the right one with {}", option);
    for (const JsonField& one : fields_) {
      if (one.value.size() < 2 || one.value.front() != '[' || one.value.find('{') > 8) continue;
      hint += fmt::format("; if the texts are inside of '{0}', take them out: jq -c '.{0}[]'",
                          decode_key(one.key));
    }
    return {"data/missing-field",
            fmt::format("no field '{}'; the record has {}", field, field_names()), std::move(hint)};
  }

  // By the first record's fields; all others must have the same.
  Result<void> settle_text_fields() {
    if (text_fields_) return {};
    auto found = find_text_fields(options_, [this](std::string_view name) {
      return std::any_of(fields_.begin(), fields_.end(),
                         [name](const JsonField& field) { return is_named(field, name); });
    });
    if (!found) return here(std::move(found).error());
    text_fields_ = *std::move(found);
    return {};
  }

  // `field`: null where the record has none of that name.
  Result<std::string> text_of(const JsonField* field, const std::string& name,
                              const char* option) const {
    if (field == nullptr) return here(missing(name, option));
    if (field->is_string()) return decode_string(field->value);
    std::string hint = fmt::format("name the field that holds the text with {}", option);
    if (field->value.front() == '{' || field->value.front() == '[') {
      hint +=
          "; a table in columns becomes one object a line by pandas' "
          "to_json(orient='records', lines=True)";
    }
    return here(
        {"data/wrong-type",
         fmt::format("the field '{}' is {}, not a string", name, json_type_name(field->value)),
         std::move(hint)});
  }

  Result<std::optional<Review>> review_of(std::string_view line) {
    fields_.clear();
    bool not_finite = false;
    if (auto parsed = parse_object(line, fields_, &not_finite); !parsed) {
      Error problem = std::move(parsed).error();
      problem.hint = hint_for(line);
      return here(std::move(problem));
    }
    BREAKEVEN_TRY_VOID(settle_text_fields());
    Review review;
    const JsonField* text = nullptr;
    const JsonField* second = nullptr;
    const JsonField* label = nullptr;
    // Of two fields of one name the last counts, as in nearly every JSON reader.
    for (const JsonField& field : fields_) {
      if (is_named(field, text_fields_->first)) {
        text = &field;
      } else if (!text_fields_->second.empty() && is_named(field, text_fields_->second)) {
        second = &field;
      } else if (!label_field_.empty() && is_named(field, label_field_)) {
        label = &field;
      } else {
        review.extra += review.extra.empty() ? "{\"" : ",\"";
        review.extra.append(field.key).append("\":");
        if (not_finite || values_) {
          not_finite_ += append_compact(field.value, review.extra);
        } else {
          review.extra += field.value;
        }
      }
    }
    if (!review.extra.empty()) review.extra += '}';
    BREAKEVEN_TRY(review.text, text_of(text, text_fields_->first, "--text-field"));
    if (!text_fields_->second.empty()) {
      BREAKEVEN_TRY(review.second, text_of(second, text_fields_->second, "--pair-field"));
    }
    if (label == nullptr) {
      if (label_required_) return here(missing(label_field_, "--label-field"));
      return std::optional(std::move(review));
    }
    auto index = labels_.from_json(*label);
    if (!index) return here(std::move(index).error());
    review.label = *index;
    return std::optional(std::move(review));
  }

  static bool is_named(const JsonField& field, std::string_view name) {
    if (field.key.find('\\') == std::string_view::npos) return field.key == name;
    return decode_key(field.key) == name;
  }

  std::optional<JsonValues> values_;  // nothing: one object a line
  SourceOptions options_;
  std::optional<TextFields> text_fields_;                 // known with the first record
  std::optional<Result<std::optional<Review>>> first_{};  // read when the file was opened
  std::string label_field_;
  bool label_required_;
  LabelMap labels_;
  std::vector<JsonField> fields_;
  std::size_t not_finite_ = 0;
  bool any_ = false;
  bool done_ = false;
};

}  // namespace

Result<std::unique_ptr<Source>> open_jsonl(FileText text, const SourceOptions& options) {
  BREAKEVEN_TRY(LabelMap labels, LabelMap::make(options.labels, options.label_map));
  auto source = std::make_unique<JsonlSource>(std::move(text), std::move(labels), options);
  BREAKEVEN_TRY_VOID(source->read_first());
  return std::unique_ptr<Source>(std::move(source));
}

}  // namespace breakeven::data

#include <fmt/format.h>

#include <utility>

#include "base/utf8.h"
#include "data/file_sources.h"
#include "data/json_line.h"
#include "data/labels.h"

namespace breakeven::data {
namespace {

std::string_view type_name(std::string_view value) {
  switch (value.front()) {
    case '{':
      return "an object";
    case '[':
      return "an array";
    case 't':
    case 'f':
      return "true or false";
    case 'n':
      return "null";
    default:
      return "a number";
  }
}

class JsonlSource final : public Source {
 public:
  JsonlSource(std::unique_ptr<LineReader> lines, const SourceOptions& options)
      : lines_(std::move(lines)),
        text_field_(options.text_field),
        label_field_(options.label_field),
        label_required_(options.label_required),
        labels_(options.labels) {}

  std::string name() const override { return lines_->name(); }

  Result<std::optional<Review>> next() override {
    if (done_) return std::optional<Review>();
    auto review = read_next();
    done_ = !review || !*review;
    if (review && !*review && !any_) {
      return fail("data/empty", fmt::format("{} holds no records, only blank lines", name()),
                  "give a file with one JSON object a line");
    }
    any_ = true;
    return review;
  }

 private:
  Result<std::optional<Review>> read_next() {
    for (;;) {
      BREAKEVEN_TRY(const auto line, lines_->next());
      if (!line) return std::optional<Review>();
      if (line->find_first_not_of(" \t\r\n") == std::string_view::npos) continue;
      if (is_valid_utf8(*line)) return review_of(without_line_end(*line));
      const std::string repaired = repair_utf8(*line);
      return review_of(without_line_end(repaired));
    }
  }

  // An error of this line: `problem` gets the place in front.
  tl::unexpected<Error> here(Error problem) const {
    problem.message = fmt::format("{}, line {}: {}", name(), lines_->line(), problem.message);
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
    return {"data/missing-field",
            fmt::format("no field '{}'; the record has {}", field, field_names()),
            fmt::format("name the right one with {}", option)};
  }

  Result<std::optional<Review>> review_of(std::string_view line) {
    fields_.clear();
    if (auto parsed = parse_object(line, fields_); !parsed) {
      Error problem = std::move(parsed).error();
      problem.hint = line.starts_with('[')
                         ? "write one object a line, for example with jq -c '.[]'"
                         : "each line must be one JSON object; for plain text give "
                           "--input-format lines";
      return here(std::move(problem));
    }
    Review review;
    const JsonField* text = nullptr;
    const JsonField* label = nullptr;
    // Of two fields of one name the last counts, as in nearly every JSON reader.
    for (const JsonField& field : fields_) {
      if (is_named(field, text_field_)) {
        text = &field;
      } else if (!label_field_.empty() && is_named(field, label_field_)) {
        label = &field;
      } else {
        review.extra += review.extra.empty() ? "{\"" : ",\"";
        review.extra.append(field.key).append("\":").append(field.value);
      }
    }
    if (!review.extra.empty()) review.extra += '}';
    if (text == nullptr) return here(missing(text_field_, "--text-field"));
    if (!text->is_string()) {
      return here(
          {"data/wrong-type",
           fmt::format("the field '{}' is {}, not a string", text_field_, type_name(text->value)),
           "name the field that holds the text with --text-field"});
    }
    review.text = decode_string(text->value);
    if (label == nullptr) {
      if (label_required_) return here(missing(label_field_, "--label-field"));
      return std::optional(std::move(review));
    }
    auto index = labels_.from_json(*label);
    if (!index) return here(std::move(index).error());
    review.label = *index;
    return std::optional(std::move(review));
  }

  static bool is_named(const JsonField& field, const std::string& name) {
    if (field.key.find('\\') == std::string_view::npos) return field.key == name;
    return decode_key(field.key) == name;
  }

  std::unique_ptr<LineReader> lines_;
  std::string text_field_;
  std::string label_field_;
  bool label_required_;
  LabelMap labels_;
  std::vector<JsonField> fields_;
  bool any_ = false;
  bool done_ = false;
};

}  // namespace

Result<std::unique_ptr<Source>> open_jsonl(std::unique_ptr<LineReader> lines,
                                           const SourceOptions& options) {
  return std::unique_ptr<Source>(std::make_unique<JsonlSource>(std::move(lines), options));
}

}  // namespace breakeven::data

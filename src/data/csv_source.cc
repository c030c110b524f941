#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "data/csv_reader.h"
#include "data/file_sources.h"
#include "data/json_line.h"
#include "data/labels.h"

namespace breakeven::data {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

class CsvSource final : public Source {
 public:
  CsvSource(std::unique_ptr<LineReader> lines, char separator, const SourceOptions& options)
      : lines_(std::move(lines)), records_(*lines_, separator), labels_(options.labels) {}

  std::string name() const override { return lines_->name(); }

  // Errors: data/empty, data/csv, data/missing-field.
  Result<void> read_header(const SourceOptions& options) {
    BREAKEVEN_TRY(const bool found, records_.next(header_));
    if (!found) {
      return fail("data/empty", fmt::format("{} holds no header, only blank lines", name()),
                  "give a CSV file whose first line names the columns");
    }
    for (std::size_t i = 0; i < header_.size(); ++i) {
      if (std::find(header_.begin(), header_.begin() + static_cast<std::ptrdiff_t>(i),
                    header_[i]) != header_.begin() + static_cast<std::ptrdiff_t>(i)) {
        return fail("data/csv",
                    fmt::format("{}, line {}: two columns are called '{}'", name(), records_.line(),
                                header_[i]),
                    "rename one of them");
      }
    }
    text_column_ = column(options.text_field);
    if (text_column_ == kNone) return missing(options.text_field, "--text-field");
    if (options.label_field.empty()) return {};
    label_column_ = column(options.label_field);
    if (label_column_ == kNone && options.label_required) {
      return missing(options.label_field, "--label-field");
    }
    return {};
  }

  Result<std::optional<Review>> next() override {
    if (done_) return std::optional<Review>();
    auto review = read_next();
    done_ = !review || !*review;
    if (review && !*review && !any_) {
      return fail("data/empty", fmt::format("{} holds a header and no records", name()),
                  "give a file with at least one text");
    }
    any_ = true;
    return review;
  }

 private:
  std::size_t column(const std::string& wanted) const {
    const auto found = std::find(header_.begin(), header_.end(), wanted);
    return found == header_.end() ? kNone : static_cast<std::size_t>(found - header_.begin());
  }

  tl::unexpected<Error> missing(const std::string& field, const char* option) const {
    return fail("data/missing-field",
                fmt::format("{}, line {}: no column '{}'; the header has {}", name(),
                            records_.line(), field, fmt::join(header_, ", ")),
                fmt::format("name the right one with {}", option));
  }

  Result<std::optional<Review>> read_next() {
    BREAKEVEN_TRY(const bool found, records_.next(fields_));
    if (!found) return std::optional<Review>();
    if (fields_.size() != header_.size()) {
      return fail("data/csv",
                  fmt::format("{}, line {}: {} fields where the header has {}", name(),
                              records_.line(), fields_.size(), header_.size()),
                  "put quotes around a field that holds a separator or a line break");
    }
    Review review;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      if (i == text_column_ || i == label_column_) continue;
      review.extra += review.extra.empty() ? '{' : ',';
      append_json_string(header_[i], review.extra);
      review.extra += ':';
      append_json_string(fields_[i], review.extra);
    }
    if (!review.extra.empty()) review.extra += '}';
    review.text = std::move(fields_[text_column_]);
    if (label_column_ == kNone) return std::optional(std::move(review));
    auto index = labels_.from_text(fields_[label_column_]);
    if (!index) {
      Error problem = std::move(index).error();
      problem.message = fmt::format("{}, line {}: {}", name(), records_.line(), problem.message);
      return tl::unexpected<Error>(std::move(problem));
    }
    review.label = *index;
    return std::optional(std::move(review));
  }

  std::unique_ptr<LineReader> lines_;
  CsvReader records_;
  LabelMap labels_;
  std::vector<std::string> header_;
  std::vector<std::string> fields_;
  std::size_t text_column_ = kNone;
  std::size_t label_column_ = kNone;
  bool any_ = false;
  bool done_ = false;
};

}  // namespace

Result<std::unique_ptr<Source>> open_csv(std::unique_ptr<LineReader> lines, char separator,
                                         const SourceOptions& options) {
  auto source = std::make_unique<CsvSource>(std::move(lines), separator, options);
  BREAKEVEN_TRY_VOID(source->read_header(options));
  return std::unique_ptr<Source>(std::move(source));
}

}  // namespace breakeven::data

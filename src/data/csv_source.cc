#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/numbers.h"
#include "data/csv_reader.h"
#include "data/file_sources.h"
#include "data/json_line.h"
#include "data/labels.h"
#include "data/text_fields.h"

namespace breakeven::data {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

class CsvSource final : public FileSource {
 public:
  CsvSource(FileText text, CsvForm form, LabelMap labels)
      : FileSource(std::move(text)),
        form_(form),
        records_(lines(), form),
        labels_(std::move(labels)) {}

  Settled settled(const SourceOptions& options) const override {
    Settled found = FileSource::settled(options);
    found.reading.format = Format::csv;
    found.reading.separator = form_.separator;
    found.reading.quoting = form_.quoting ? Quoting::on : Quoting::off;
    found.reading.columns = header_;
    found.guessed = form_.guessed;
    found.reading.text_field = fields_read_.first;
    found.reading.pair_field = fields_read_.second;
    found.begin = has_header_ ? lines().offset() : begin_;
    found.lines = has_header_ ? lines().line() : lines_before_;
    return found;
  }

  // Errors: data/empty, data/csv, data/missing-field.
  Result<void> read_header(const SourceOptions& options) {
    has_header_ = options.header;
    begin_ = lines().offset();
    lines_before_ = lines().line();
    header_ = options.columns;
    BREAKEVEN_TRY(const bool found, header_.empty() ? records_.next(header_) : true);
    if (!found) {
      return fail("data/empty", fmt::format("{} holds only blank lines", name()),
                  "give a CSV file whose first line names the columns");
    }
    if (!has_header_ && options.columns.empty()) waiting_ = header_;
    for (std::size_t i = 0; i < header_.size(); ++i) {
      // Spreadsheets leave such columns behind, pandas writes its index as one.
      const bool has_name = has_header_ && !trimmed(header_[i]).empty();
      if (!has_name && options.columns.empty()) header_[i] = fmt::format("column_{}", i + 1);
    }
    for (std::size_t i = 0; i < header_.size(); ++i) {
      if (std::find(header_.begin(), header_.begin() + static_cast<std::ptrdiff_t>(i),
                    header_[i]) != header_.begin() + static_cast<std::ptrdiff_t>(i)) {
        return fail("data/csv",
                    fmt::format("{}, line {}: two columns are called '{}'", name(), records_.line(),
                                header_[i]),
                    "rename one of them; if the first line is a record already, give --no-header");
      }
    }
    auto fields = find_text_fields(
        options, [this](std::string_view field) { return column(std::string(field)) != kNone; });
    if (!fields) {
      return fail(fields.error().code, fmt::format("{}: {}", name(), fields.error().message),
                  fields.error().hint);
    }
    fields_read_ = *fields;
    text_column_ = column(fields->first);
    if (text_column_ == kNone) return missing(fields->first, "--text-field");
    if (!fields->second.empty()) {
      pair_column_ = column(fields->second);
      if (pair_column_ == kNone) return missing(fields->second, "--pair-field");
    }
    if (auto assumption = assumption_of(*fields, name())) assume(*std::move(assumption));
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
                  "give a file with at least one text; if that line is one, give --no-header");
    }
    any_ = true;
    return review;
  }

 private:
  // Without a header a column is called by its number, from 1. Else blanks around a name in the
  // file may be left out.
  std::size_t column(const std::string& wanted) const {
    if (!has_header_) {
      const std::size_t number = parse_number<std::size_t>(wanted).value_or(0);
      return number >= 1 && number <= header_.size() ? number - 1 : kNone;
    }
    auto found = std::find(header_.begin(), header_.end(), wanted);
    if (found == header_.end()) {
      found = std::find_if(header_.begin(), header_.end(),
                           [&wanted](const std::string& name) { return trimmed(name) == wanted; });
    }
    return found == header_.end() ? kNone : static_cast<std::size_t>(found - header_.begin());
  }

  tl::unexpected<Error> missing(const std::string& field, const char* option) const {
    if (!has_header_) {
      return fail(
          "data/missing-field",
          fmt::format("{}, line {}: no column '{}'; without a header the columns are called by "
                      "their numbers, 1 to {}",
                      name(), records_.line(), field, header_.size()),
          fmt::format("give {} {}", option, header_.size()));
    }
    std::string hint = fmt::format(
        "name the right one with {0}; if this line is no header, give --no-header and the column's "
        "number, as in {0} {1}",
        option, header_.size());
    if (header_.front().starts_with('{')) hint = "this looks like JSON: give --input-format jsonl";
    return fail("data/missing-field",
                fmt::format("{}, line {}: no column '{}'; the header has {}", name(),
                            records_.line(), field, fmt::join(header_, ", ")),
                std::move(hint));
  }

  Result<std::optional<Review>> read_next() {
    if (!waiting_.empty()) {
      fields_ = std::exchange(waiting_, {});
    } else {
      BREAKEVEN_TRY(const bool found, records_.next(fields_));
      if (!found) return std::optional<Review>();
    }
    if (fields_.size() != header_.size()) {
      return fail("data/csv",
                  fmt::format("{}, line {}: {} fields where {} has {}", name(), records_.line(),
                              fields_.size(), has_header_ ? "the header" : "the first record",
                              header_.size()),
                  "put quotes around a field that holds a separator or a line break, or name the "
                  "separator with --csv-separator");
    }
    Review review;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      if (i == text_column_ || i == pair_column_ || i == label_column_) continue;
      review.extra += review.extra.empty() ? '{' : ',';
      append_json_string(header_[i], review.extra);
      review.extra += ':';
      append_json_string(fields_[i], review.extra);
    }
    if (!review.extra.empty()) review.extra += '}';
    if (pair_column_ != kNone) review.second = fields_[pair_column_];
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

  CsvForm form_;
  CsvReader records_;
  LabelMap labels_;
  bool has_header_ = true;
  std::uint64_t begin_ = 0, lines_before_ = 0;  // where the file's first record stands
  TextFields fields_read_;
  std::vector<std::string> waiting_;  // the first record, read where a header stands in other files
  std::vector<std::string> header_;
  std::vector<std::string> fields_;
  std::size_t text_column_ = kNone;
  std::size_t pair_column_ = kNone;
  std::size_t label_column_ = kNone;
  bool any_ = false;
  bool done_ = false;
};

// "sep=;", which Excel writes and takes as a first line.
std::optional<char> named_separator(std::string_view first_lines) {
  const std::string_view line = first_lines.substr(0, first_lines.find_first_of("\r\n"));
  return line.size() == 5 && line.starts_with("sep=") ? std::optional(line.back()) : std::nullopt;
}

std::string shown_separator(char separator) {
  return separator == '\t' ? "the tab" : fmt::format("'{}'", separator);
}

// How the file is written, by its first lines where the options do not say; what is assumed is
// noted.
Result<CsvForm> find_form(FileText& text, char expected, const SourceOptions& options) {
  LineReader& lines = *text.lines;
  CsvForm form{options.separator, options.quoting != Quoting::off};
  if (!options.columns.empty()) return form;  // settled
  BREAKEVEN_TRY(std::string_view first, lines.first_line());
  if (const auto named = named_separator(first)) {
    if (form.separator == 0) form.separator = *named;
    BREAKEVEN_TRY_VOID(lines.next());
  }
  if (form.separator == 0) {
    BREAKEVEN_TRY(first, lines.first_line());
    const auto guess =
        guess_separator(first, expected, [&](const std::vector<std::string>& header) {
          return options.header && has_texts(options, [&](std::string_view field) {
                   return std::find(header.begin(), header.end(), field) != header.end();
                 });
        });
    form.separator = guess.separator;
    if (guess.by_content) {
      text.assumptions.push_back(
          fmt::format("{}: fields are separated by {}, not {} (--csv-separator)", lines.name(),
                      shown_separator(guess.separator), shown_separator(expected)));
    }
  }
  if (form.separator != '\t' || options.quoting != Quoting::automatic) return form;
  form.guessed = true;
  BREAKEVEN_TRY(first, lines.ahead(LineReader::kMaxFirstLine));
  const bool at_end = first.size() < LineReader::kMaxFirstLine;
  if (has_stray_quotes(first, form.separator, at_end)) {
    form.quoting = form.guessed = false;
    text.assumptions.push_back(
        fmt::format("{}: fields begin with quotes that do not close; quotes are read as letters "
                    "(--csv-quoting)",
                    lines.name()));
  }
  return form;
}

}  // namespace

Result<std::unique_ptr<Source>> open_csv(FileText text, char separator,
                                         const SourceOptions& options) {
  BREAKEVEN_TRY(LabelMap labels, LabelMap::make(options.labels, options.label_map));
  BREAKEVEN_TRY(const CsvForm form, find_form(text, separator, options));
  auto source = std::make_unique<CsvSource>(std::move(text), form, std::move(labels));
  BREAKEVEN_TRY_VOID(source->read_header(options));
  return std::unique_ptr<Source>(std::move(source));
}

}  // namespace breakeven::data

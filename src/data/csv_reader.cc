#include "data/csv_reader.h"

#include <fmt/format.h>

namespace breakeven::data {

Result<void> CsvReader::take_line(std::string_view line, std::vector<std::string>& fields) {
  // Inside quotes the line break belongs to the field, so the whole line is walked; outside it ends
  // the record.
  const std::string_view content = without_line_end(line);
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (state_ == State::quoted) {
      if (c == '"') {
        state_ = State::quote_in_quoted;
      } else {
        fields.back() += c;
      }
      continue;
    }
    if (i >= content.size()) break;
    if (c == separator_) {
      fields.emplace_back();
      state_ = State::field_start;
    } else if (state_ == State::quote_in_quoted) {
      if (c != '"') {
        return fail("data/csv",
                    fmt::format("{}, line {}: text behind the closing quote of field {}",
                                lines_.name(), lines_.line(), fields.size()),
                    "write a quote inside a quoted field twice (\"\")");
      }
      fields.back() += '"';
      state_ = State::quoted;
    } else if (state_ == State::field_start && c == '"') {
      state_ = State::quoted;
      quote_line_ = lines_.line();
    } else {
      fields.back() += c;
      state_ = State::plain;
    }
  }
  return {};
}

Result<bool> CsvReader::next(std::vector<std::string>& fields) {
  std::size_t record_bytes = 0;
  state_ = State::field_start;
  fields.assign(1, std::string());
  for (;;) {
    BREAKEVEN_TRY(const auto line, lines_.next());
    if (!line) {
      if (state_ != State::quoted) return false;
      return fail("data/csv",
                  fmt::format("{}, line {}: the quote that opens here is never closed",
                              lines_.name(), quote_line_),
                  "close it, or write a quote inside a quoted field twice (\"\")");
    }
    if (state_ != State::quoted) {
      if (without_line_end(*line).empty()) continue;
      record_line_ = lines_.line();
    }
    record_bytes += line->size();
    if (record_bytes > lines_.max_line_bytes()) {
      return tl::unexpected<Error>(lines_.too_long(record_line_));
    }
    BREAKEVEN_TRY_VOID(take_line(*line, fields));
    if (state_ != State::quoted) return true;
  }
}

}  // namespace breakeven::data

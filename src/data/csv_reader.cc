#include "data/csv_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace breakeven::data {
namespace {

constexpr std::string_view kQuotesHint =
    "write a quote inside a quoted field twice (\"\"); where quotes are only letters, give "
    "--csv-quoting off";

std::size_t plain_fields(std::string_view line, char separator) {
  return 1 + static_cast<std::size_t>(std::count(line.begin(), line.end(), separator));
}

// Whether a field begins with a quote and does not end with its partner.
bool is_stray(std::string_view field) {
  if (!field.starts_with('"')) return false;
  for (std::size_t at = 1; at < field.size(); ++at) {
    if (field[at] != '"') continue;
    if (at + 1 == field.size()) return false;
    if (field[at + 1] != '"') return true;
    ++at;
  }
  return true;
}

}  // namespace

Result<void> CsvReader::take_line(std::string_view line, std::vector<std::string>& fields) {
  // Inside quotes the line break belongs to the field, so the whole line is walked; outside it ends
  // the record.
  const std::string_view content = without_line_end(line);
  for (std::size_t i = 0; i < line.size();) {
    const char c = line[i];
    if (state_ == State::quoted) {
      const std::size_t end = std::min(line.find('"', i), line.size());
      fields.back() += line.substr(i, end - i);
      if (end < line.size()) state_ = State::quote_in_quoted;
      i = end + 1;
      continue;
    }
    if (i >= content.size()) break;
    if (c == form_.separator) {
      fields.emplace_back();
      state_ = State::field_start;
      ++i;
    } else if (state_ == State::quote_in_quoted) {
      if (c != '"') {
        return fail("data/csv",
                    fmt::format("{}, line {}: text behind the closing quote of field {}",
                                lines_.name(), lines_.line(), fields.size()),
                    std::string(kQuotesHint));
      }
      fields.back() += '"';
      state_ = State::quoted;
      ++i;
    } else if (state_ == State::field_start && c == '"' && form_.quoting) {
      state_ = State::quoted;
      quote_line_ = lines_.line();
      ++i;
    } else {
      const std::size_t end = std::min(content.find(form_.separator, i), content.size());
      fields.back() += content.substr(i, end - i);
      state_ = State::plain;
      i = end;
    }
  }
  return {};
}

Result<void> CsvReader::check_guess(std::size_t lines_of_record) const {
  if (!form_.guessed || lines_of_record < 2 || !lines_are_full_ || width_ < 2) return {};
  return fail("data/csv",
              fmt::format("{}, line {}: a quote opens here and closes in another line, and without "
                          "quotes each line is a record",
                          lines_.name(), quote_line_),
              "say which is meant: --csv-quoting off (quotes are letters) or on");
}

Result<bool> CsvReader::next(std::vector<std::string>& fields) {
  std::size_t record_bytes = 0;
  std::size_t lines_of_record = 0;
  state_ = State::field_start;
  lines_are_full_ = true;
  fields.assign(1, std::string());
  for (;;) {
    BREAKEVEN_TRY(const auto line, lines_.next());
    if (!line) {
      if (state_ != State::quoted) return false;
      return fail("data/csv",
                  fmt::format("{}, line {}: the quote that opens here is never closed",
                              lines_.name(), quote_line_),
                  fmt::format("close it, or {}", kQuotesHint));
    }
    if (state_ != State::quoted) {
      if (without_line_end(*line).empty()) continue;
      record_line_ = lines_.line();
    }
    record_bytes += line->size();
    if (record_bytes > lines_.max_line_bytes()) {
      return tl::unexpected<Error>(lines_.too_long(record_line_));
    }
    ++lines_of_record;
    lines_are_full_ =
        lines_are_full_ &&
        (!form_.guessed || plain_fields(without_line_end(*line), form_.separator) == width_);
    BREAKEVEN_TRY_VOID(take_line(*line, fields));
    if (state_ == State::quoted) continue;
    BREAKEVEN_TRY_VOID(check_guess(lines_of_record));
    if (width_ == 0) width_ = fields.size();
    return true;
  }
}

CsvGuess guess_separator(std::string_view first_lines, char expected, const IsWanted& is_wanted) {
  CsvGuess most{expected, false};
  std::size_t most_fields = 1;
  for (const char separator : {expected, ',', ';', '\t', '|'}) {
    LineReader lines(bytes_of(first_lines, ""), first_lines.size());
    CsvReader reader(lines, {separator});
    std::vector<std::string> fields;
    if (!reader.next(fields).value_or(false)) continue;
    const bool by_content = separator != expected;
    if (is_wanted(fields)) return {separator, by_content};
    // What was expected stands while it separates anything.
    if (fields.size() > most_fields && (most_fields == 1 || most.by_content)) {
      most = {separator, by_content};
      most_fields = fields.size();
    }
  }
  return most;
}

bool has_stray_quotes(std::string_view first_lines, char separator, bool at_end) {
  std::size_t width = 0;
  bool stray = false;
  while (!first_lines.empty()) {
    const std::size_t end = first_lines.find_first_of("\r\n");
    if (end == std::string_view::npos && !at_end) break;
    std::string_view line = first_lines.substr(0, end);
    first_lines.remove_prefix(std::min(first_lines.size(), line.size() + 1));
    if (line.empty()) continue;
    const std::size_t fields = plain_fields(line, separator);
    if (width == 0) width = fields;
    if (fields != width) return false;
    for (std::size_t from = 0; from <= line.size();) {
      const std::size_t to = std::min(line.find(separator, from), line.size());
      stray = stray || is_stray(line.substr(from, to - from));
      from = to + 1;
    }
  }
  return stray;
}

}  // namespace breakeven::data

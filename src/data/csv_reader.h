// RFC 4180 records: fields between separators, quoted where they hold a separator, a quote (written
// twice) or a line break. Knows nothing of headers or reviews.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/bytes.h"

namespace breakeven::data {

struct CsvForm {
  char separator = ',';
  bool quoting = true;  // false: quotes are letters, and a line is a record
  // Quoting is a guess: a record of several lines, each of which would be a record without it, is
  // then an error.
  bool guessed = false;
};

class CsvReader {
 public:
  CsvReader(LineReader& lines, CsvForm form) : lines_(lines), form_(form) {}

  // The next record's fields into `fields`; false at the end. Blank lines are skipped.
  // Errors: data/csv (a quote that does not end, text after a closing quote, a wrong guess),
  // data/line-too-long (a record over the reader's limit), file/unreadable.
  Result<bool> next(std::vector<std::string>& fields);

  std::size_t line() const { return record_line_; }  // where the record last handed out began

 private:
  enum class State : std::uint8_t { field_start, plain, quoted, quote_in_quoted };
  // Takes one physical line; the record goes on after it when the state is `quoted` afterwards.
  Result<void> take_line(std::string_view line, std::vector<std::string>& fields);
  Result<void> check_guess(std::size_t lines_of_record) const;

  LineReader& lines_;
  CsvForm form_;
  State state_ = State::field_start;
  std::size_t record_line_ = 0;
  std::size_t quote_line_ = 0;  // where the open quote stands
  std::size_t width_ = 0;       // fields of the first record
  bool lines_are_full_ =
      false;  // each line of this record has width_ fields when quotes are letters
};

// How a CSV file is written, as far as its first lines show.
struct CsvGuess {
  char separator = ',';
  bool by_content = false;  // it is not the one that was expected
};
// The separator by which the header (the first record) has the columns that are wanted, `expected`
// before all others; else `expected`, or the one that makes the most fields of it where that makes
// one.
using IsWanted = std::function<bool(const std::vector<std::string>& header)>;
CsvGuess guess_separator(std::string_view first_lines, char expected, const IsWanted& is_wanted);
// Whether quotes must be letters, as in GLUE's files: the lines have the same number of fields
// then, and a field begins with a quote that does not close at its end. `at_end`: no more lines
// follow.
bool has_stray_quotes(std::string_view first_lines, char separator, bool at_end);

}  // namespace breakeven::data

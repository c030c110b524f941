// RFC 4180 records: fields between separators, quoted where they hold a separator, a quote (written
// twice) or a line break. Knows nothing of headers or reviews.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/bytes.h"

namespace breakeven::data {

class CsvReader {
 public:
  CsvReader(LineReader& lines, char separator) : lines_(lines), separator_(separator) {}

  // The next record's fields into `fields`; false at the end. Blank lines are skipped.
  // Errors: data/csv (a quote that does not end, or text after a closing quote),
  // data/line-too-long (a record over the reader's limit), file/unreadable.
  Result<bool> next(std::vector<std::string>& fields);

  std::size_t line() const { return record_line_; }  // where the record last handed out began

 private:
  enum class State : std::uint8_t { field_start, plain, quoted, quote_in_quoted };
  // Takes one physical line; the record goes on after it when the state is `quoted` afterwards.
  Result<void> take_line(std::string_view line, std::vector<std::string>& fields);

  LineReader& lines_;
  char separator_;
  State state_ = State::field_start;
  std::size_t record_line_ = 0;
  std::size_t quote_line_ = 0;  // where the open quote stands
};

}  // namespace breakeven::data

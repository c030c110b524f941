// JSON objects that are no lines: the elements of one array, or objects that go over several lines.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "data/bytes.h"

namespace breakeven::data {

class JsonValues {
 public:
  // Whether the first line shows such a file: it begins with '[', or with an object that does not
  // end in it.
  static bool are_in(std::string_view first_line);

  explicit JsonValues(LineReader& lines) : lines_(lines) {}

  // The text of the next object, nothing at the end. Its grammar is looked at only as far as
  // finding its end takes. Valid until the next call. Errors: data/json (with name and line),
  // data/line-too-long (an object over the reader's limit), those of the reader.
  Result<std::optional<std::string_view>> next();

  std::size_t line() const { return line_; }  // where the object last handed out begins

 private:
  Result<char> next_letter();  // that is no blank, not taken away; 0 at the end
  Result<char> start_of_value();
  Result<std::size_t> value_bytes();
  tl::unexpected<Error> wrong(std::size_t line, std::string_view what, std::string_view hint) const;

  LineReader& lines_;
  bool started_ = false;
  bool in_array_ = false;
  bool any_ = false;  // element of the array
  std::size_t array_line_ = 0;
  std::size_t handed_out_ = 0;  // bytes, still to be skipped
  std::size_t line_ = 0;
};

}  // namespace breakeven::data

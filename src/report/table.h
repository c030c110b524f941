// A table of text cells: aligned columns for a terminal, or Markdown. Knows nothing of records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace breakeven::report {

enum class Style : std::uint8_t { plain, strong, good, careful, bad, dim };

// Text in a style, or the bare text when `colour` is false.
std::string styled(std::string_view text, Style style, bool colour);

// `text` with each control character (newline, escape ...) replaced by a space: what a file says
// must not steer a terminal or break a table.
std::string printable(std::string text);

// Columns that a terminal needs to show `text`: one a code point.
std::size_t display_width(std::string_view text);

// Breaks `text` at spaces into lines of at most `width` columns; following lines start with
// `indent` spaces. A word longer than a line stands alone.
std::string wrap(std::string_view text, std::size_t width, std::size_t indent);

// What stands in a row below one column.
struct TableCell {
  TableCell(std::string words, Style how = Style::plain) : text(std::move(words)), style(how) {}
  TableCell(const char* words, Style how = Style::plain) : text(words), style(how) {}

  std::string text;
  Style style;
};
// "-": not known, or there is none.
inline TableCell no_value() {
  return {"-", Style::dim};
}

struct Column {
  std::string title;
  bool left;
  // When the table is too wide, the columns with the highest number are left out first; 0 always
  // stays.
  int give_up;
};
// A column of words, and one of numbers.
inline Column left(std::string title, int give_up = 0) {
  return {std::move(title), true, give_up};
}
inline Column right(std::string title, int give_up = 0) {
  return {std::move(title), false, give_up};
}

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // cells.size() is the number of columns.
  void add_row(std::vector<TableCell> cells);
  std::size_t rows() const { return rows_.size(); }
  const std::vector<Column>& columns() const { return columns_; }
  const std::vector<std::vector<TableCell>>& cells() const { return rows_; }

  // At most `width` columns as long as columns may be left out; their titles go to `left_out`.
  std::string to_text(std::size_t width, bool colour,
                      std::vector<std::string>* left_out = nullptr) const;
  std::string to_markdown() const;

 private:
  std::vector<std::size_t> widths() const;
  std::vector<bool> choose_columns(std::size_t width) const;

  std::vector<Column> columns_;
  std::vector<std::vector<TableCell>> rows_;
};

}  // namespace breakeven::report

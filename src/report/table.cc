#include "report/table.h"

#include <algorithm>

#include "base/check.h"

namespace breakeven::report {
namespace {

constexpr std::size_t kGap = 2;  // spaces between columns

std::string_view escape_of(Style style) {
  switch (style) {
    case Style::plain:
      return "";
    case Style::strong:
      return "\x1b[1m";
    case Style::good:
      return "\x1b[32m";
    case Style::careful:
      return "\x1b[33m";
    case Style::bad:
      return "\x1b[31m";
    case Style::dim:
      return "\x1b[2m";
  }
  return "";
}

void trim_right(std::string& line) {
  line.erase(line.find_last_not_of(' ') + 1);
}

std::string escape_markdown(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string styled(std::string_view text, Style style, bool colour) {
  if (!colour || style == Style::plain || text.empty()) return std::string(text);
  return std::string(escape_of(style)) + std::string(text) + "\x1b[0m";
}

std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, ' ');
  return text;
}

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;  // not a UTF-8 continuation byte
  }));
}

std::string wrap(std::string_view text, std::size_t width, std::size_t indent) {
  std::string out;
  std::size_t used = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view word = text.substr(at, end - at);
    at = end + 1;
    const std::size_t word_width = display_width(word);
    if (used > 0 && used + 1 + word_width > width) {
      out += '\n';
      out.append(indent, ' ');
      used = indent;
    } else if (used > 0) {
      out += ' ';
      ++used;
    }
    out += word;
    used += word_width;
  }
  return out;
}

void Table::add_row(std::vector<TableCell> cells) {
  BREAKEVEN_CHECK(cells.size() == columns_.size(), "cells={} columns={}", cells.size(),
                  columns_.size());
  for (TableCell& cell : cells) cell.text = printable(std::move(cell.text));
  rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> result;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t widest = display_width(columns_[c].title);
    for (const auto& row : rows_) widest = std::max(widest, display_width(row[c].text));
    result.push_back(widest);
  }
  return result;
}

std::vector<bool> Table::choose_columns(std::size_t width) const {
  const std::vector<std::size_t> wide = widths();
  std::vector<bool> shown(columns_.size(), true);
  const auto total = [&] {
    std::size_t sum = 0;
    for (std::size_t c = 0; c < wide.size(); ++c) sum += shown[c] ? wide[c] + kGap : 0;
    return sum == 0 ? 0 : sum - kGap;
  };
  while (total() > width) {
    std::size_t worst = columns_.size();
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (!shown[c] || columns_[c].give_up == 0) continue;
      if (worst == columns_.size() || columns_[c].give_up >= columns_[worst].give_up) worst = c;
    }
    if (worst == columns_.size()) break;  // nothing more may go
    shown[worst] = false;
  }
  return shown;
}

std::string Table::to_text(std::size_t width, bool colour,
                           std::vector<std::string>* left_out) const {
  const std::vector<std::size_t> wide = widths();
  const std::vector<bool> shown = choose_columns(width);
  if (left_out != nullptr) {
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (!shown[c]) left_out->push_back(columns_[c].title);
    }
  }
  const auto line_of = [&](const auto& cell_at) {
    std::string line;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (!shown[c]) continue;
      if (!line.empty()) line.append(kGap, ' ');
      const TableCell cell = cell_at(c);
      const std::size_t missing = wide[c] - display_width(cell.text);
      if (!columns_[c].left) line.append(missing, ' ');
      line += styled(cell.text, cell.style, colour);
      if (columns_[c].left) line.append(missing, ' ');
    }
    trim_right(line);
    return line + '\n';
  };
  std::string out = line_of([&](std::size_t c) {
    return TableCell{columns_[c].title, Style::strong};
  });
  for (const auto& row : rows_) {
    out += line_of([&](std::size_t c) { return row[c]; });
  }
  return out;
}

std::string Table::to_markdown() const {
  std::string out = "|";
  for (const Column& column : columns_) out += " " + escape_markdown(column.title) + " |";
  out += "\n|";
  for (const Column& column : columns_) out += column.left ? " --- |" : " ---: |";
  out += '\n';
  for (const auto& row : rows_) {
    out += '|';
    for (const TableCell& cell : row) out += " " + escape_markdown(cell.text) + " |";
    out += '\n';
  }
  return out;
}

}  // namespace breakeven::report

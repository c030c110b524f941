// What a report says, before anybody knows where it is shown: headings, sentences, bullets, tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "report/table.h"

namespace breakeven::report {

struct Block {
  enum class Kind : std::uint8_t { heading, paragraph, labelled, bullet, table };
  Kind kind = Kind::paragraph;
  std::string text;  // a table's text stands under it, when columns had to go
  Style style = Style::plain;
  std::optional<Table> table;
  std::string label{};  // of a labelled paragraph
};

class Document {
 public:
  void heading(std::string text);
  void paragraph(std::string text, Style style = Style::plain);
  // "How sure    5 rounds ...": further lines are indented as the first.
  void labelled(std::string label, std::string text);
  void bullet(std::string text, Style style = Style::plain);
  void table(Table table);
  void append(const Document& other);

  const std::vector<Block>& blocks() const { return blocks_; }

  std::string to_text(std::size_t width, bool colour) const;
  std::string to_markdown() const;

 private:
  std::vector<Block> blocks_;
};

}  // namespace breakeven::report

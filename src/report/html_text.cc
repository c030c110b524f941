#include "report/html_text.h"

#include <fmt/format.h>

#include <vector>

namespace breakeven::report {
namespace {

std::string_view class_of(Style style) {
  switch (style) {
    case Style::plain:
      return "";
    case Style::strong:
      return "strong";
    case Style::good:
      return "good";
    case Style::careful:
      return "careful";
    case Style::bad:
      return "bad";
    case Style::dim:
      return "dim";
  }
  return "";
}

std::string classes_of(const Column& column, Style style) {
  const std::string_view colour = class_of(style);
  if (!column.left) return std::string(colour);
  return colour.empty() ? "left" : fmt::format("left {}", colour);
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    }
  }
  return out;
}

std::string json_for_script(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) {
    switch (c) {
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string element(std::string_view name, std::string_view classes, const std::string& text) {
  const std::string attribute = classes.empty() ? "" : fmt::format(" class=\"{}\"", classes);
  return fmt::format("<{0}{1}>{2}</{0}>", name, attribute, escape_html(text));
}

std::string to_html(const Table& table, std::string_view id) {
  std::string out = "<div class=\"scroll\"><table";
  if (!id.empty()) out += fmt::format(" id=\"{}\"", id);
  out += "><thead><tr>";
  for (const Column& column : table.columns()) {
    out += element("th", classes_of(column, Style::plain), column.title);
  }
  out += "</tr></thead><tbody>\n";
  for (const std::vector<TableCell>& row : table.cells()) {
    out += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += element("td", classes_of(table.columns()[i], row[i].style), row[i].text);
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string to_html(const Table& table) {
  return to_html(table, "");
}

std::string to_html(const Document& document) {
  std::string out;
  bool in_list = false;
  for (const Block& block : document.blocks()) {
    const bool bullet = block.kind == Block::Kind::bullet;
    if (bullet != in_list) out += bullet ? "<ul>\n" : "</ul>\n";
    in_list = bullet;
    switch (block.kind) {
      case Block::Kind::heading:
        out += element("h2", "", block.text) + "\n";
        break;
      case Block::Kind::paragraph:
        out += element("p", class_of(block.style), block.text) + "\n";
        break;
      case Block::Kind::labelled:
        out += fmt::format("<p><strong>{}</strong> {}</p>\n", escape_html(block.label),
                           escape_html(block.text));
        break;
      case Block::Kind::bullet:
        out += element("li", class_of(block.style), block.text) + "\n";
        break;
      case Block::Kind::table:
        out += to_html(*block.table);
        break;
    }
  }
  return out + (in_list ? "</ul>\n" : "");
}

}  // namespace breakeven::report

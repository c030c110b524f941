#include "report/document.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace breakeven::report {
namespace {

// A blank line separates blocks, but bullets of one list stand together.
bool needs_gap(const std::vector<Block>& blocks, std::size_t at) {
  if (at == 0) return false;
  const Block::Kind here = blocks[at].kind;
  const Block::Kind before = blocks[at - 1].kind;
  if (before == Block::Kind::heading) return false;
  return here != before || here == Block::Kind::table;
}

}  // namespace

void Document::heading(std::string text) {
  blocks_.push_back(
      {Block::Kind::heading, printable(std::move(text)), Style::strong, std::nullopt});
}
void Document::paragraph(std::string text, Style style) {
  blocks_.push_back({Block::Kind::paragraph, printable(std::move(text)), style, std::nullopt});
}
void Document::labelled(std::string label, std::string text) {
  blocks_.push_back({Block::Kind::labelled, printable(std::move(text)), Style::plain, std::nullopt,
                     printable(std::move(label))});
}
void Document::bullet(std::string text, Style style) {
  blocks_.push_back({Block::Kind::bullet, printable(std::move(text)), style, std::nullopt});
}
void Document::table(Table table) {
  blocks_.push_back({Block::Kind::table, "", Style::plain, std::move(table)});
}

void Document::append(const Document& other) {
  blocks_.insert(blocks_.end(), other.blocks_.begin(), other.blocks_.end());
}

std::string Document::to_text(std::size_t width, bool colour) const {
  std::string out;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    if (needs_gap(blocks_, i)) out += '\n';
    switch (block.kind) {
      case Block::Kind::heading:
      case Block::Kind::paragraph:
        out += styled(wrap(block.text, width, 0), block.style, colour) + '\n';
        break;
      case Block::Kind::labelled: {
        // wrap() breaks at every space: those between label and text are put in afterwards.
        constexpr std::size_t kIndent = 12;
        std::string filler(kIndent, '.');
        filler.replace(0, std::min(kIndent, block.label.size()), block.label, 0, kIndent);
        std::string lines = wrap(filler + block.text, width, kIndent);
        for (std::size_t at = block.label.size(); at < kIndent; ++at) lines[at] = ' ';
        out += lines + '\n';
        break;
      }
      case Block::Kind::bullet:
        out += styled(wrap("- " + block.text, width, 2), block.style, colour) + '\n';
        break;
      case Block::Kind::table: {
        std::vector<std::string> left_out;
        out += block.table->to_text(width, colour, &left_out);
        if (!left_out.empty()) {
          out += styled(wrap(fmt::format("left out for width: {} (--format md or csv shows all)",
                                         fmt::join(left_out, ", ")),
                             width, 2),
                        Style::dim, colour) +
                 '\n';
        }
        break;
      }
    }
  }
  return out;
}

std::string Document::to_markdown() const {
  std::string out;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    const bool list_goes_on =
        i > 0 && block.kind == Block::Kind::bullet && blocks_[i - 1].kind == Block::Kind::bullet;
    if (i > 0 && !list_goes_on) out += '\n';
    switch (block.kind) {
      case Block::Kind::heading:
        out += "### " + block.text + '\n';
        break;
      case Block::Kind::paragraph:
        out += block.text + '\n';
        break;
      case Block::Kind::labelled:
        out += fmt::format("**{}** {}\n", block.label, block.text);
        break;
      case Block::Kind::bullet:
        out += "- " + block.text + '\n';
        break;
      case Block::Kind::table:
        out += block.table->to_markdown();
        break;
    }
  }
  return out;
}

}  // namespace breakeven::report

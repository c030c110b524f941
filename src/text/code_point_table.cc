#include "text/code_point_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/utf8.h"
#include "text/unicode.h"
#include "text/unicode_tables.h"

namespace breakeven::text {
namespace {

std::set<char32_t> alphabet_of(const WordPiece& word_piece) {
  std::set<char32_t> alphabet;
  for (const auto* pieces : {&word_piece.starts(), &word_piece.continuations()}) {
    for (const auto& [piece, id] : *pieces) {
      std::u32string code_points;
      append_code_points(piece, code_points);
      alphabet.insert(code_points.begin(), code_points.end());
    }
  }
  return alphabet;
}

tl::unexpected<Error> refuse(std::string reason) {
  return fail("text/not-one-pass", std::move(reason));
}

}  // namespace

class CodePointTable::Builder {
 public:
  Builder(const BertNormalizer& normalizer, const WordPiece& word_piece)
      : normalizer_(normalizer), word_piece_(word_piece), alphabet_(alphabet_of(word_piece)) {}

  Result<CodePointTable> build() {
    if (alphabet_.contains(0)) return refuse("the vocabulary has an entry with NUL in it");
    if (normalizer_.flags.strip_accents) {
      // Canonical reordering moves only code points with a class, within a word. Where no entry has
      // one, a word that keeps such a code point is unknown in whatever order.
      for (const char32_t c : alphabet_)
        if (combining_class(c) != 0)
          return refuse(
              fmt::format("the vocabulary has U+{:04X}, whose place depends on its neighbours",
                          static_cast<std::uint32_t>(c)));
    }
    find_pages_of_interest();
    const std::uint32_t unknown_page = append_uniform_page(Action::plain(Effect::unknown));
    const std::uint32_t removed_page = append_uniform_page(Action::plain(Effect::removed));
    table_.page_of_.assign(kPages, unknown_page);
    for (std::size_t page = 0; page < kPages; ++page) {
      if (!of_interest_[page]) continue;
      if (normalizer_.flags.clean_text && is_all_control(page)) {
        table_.page_of_[page] = removed_page;
        continue;
      }
      BREAKEVEN_TRY_VOID(append_page(page));
    }
    table_.pool_.resize(table_.pool_.size() + kMaxBytes + 1);
    return std::move(table_);
  }

 private:
  void mark(char32_t first, char32_t last) {
    for (std::size_t page = first >> kPageBits; page <= last >> kPageBits; ++page)
      of_interest_[page] = true;
  }

  // Pages outside hold only code points that the normaliser leaves alone and no entry has.
  void find_pages_of_interest() {
    of_interest_.assign(kPages, false);
    for (const auto* ranges :
         {&tables::kControl, &tables::kWhitespace, &tables::kNonspacingMark, &tables::kPunctuation})
      for (const tables::Range& range : *ranges) mark(range.first, range.last);
    for (const auto& row : tables::kDecomposition) mark(row.code_point, row.code_point);
    for (const auto& row : tables::kLowercase) mark(row.code_point, row.code_point);
    for (const char32_t c : alphabet_) mark(c, c);
    mark(0, 0x7F);
    mark(kReplacement, kReplacement);
    mark(0xAC00, 0xD7A3);  // Hangul syllables
    mark(0x3400, 0x9FFF);  // CJK
    mark(0xF900, 0xFAFF);
    mark(0x20000, 0x2FFFF);
  }

  static bool is_all_control(std::size_t page) {
    const auto first = static_cast<char32_t>(page << kPageBits);
    return std::any_of(tables::kControl.begin(), tables::kControl.end(),
                       [&](const tables::Range& range) {
                         return range.first <= first && first + kPageMask <= range.last;
                       });
  }

  std::uint32_t append_uniform_page(Action action) {
    const std::size_t offset = table_.pages_.size();
    table_.pages_.resize(offset + kPageSize, action);
    return static_cast<std::uint32_t>(offset);
  }

  Result<void> append_page(std::size_t page) {
    const auto first = static_cast<char32_t>(page << kPageBits);
    std::array<Action, kPageSize> actions;
    for (std::size_t i = 0; i < kPageSize; ++i) {
      BREAKEVEN_TRY(actions[i], action_of(first + static_cast<char32_t>(i)));
    }
    const std::size_t before = table_.pages_.size() - kPageSize;
    const bool repeats = std::equal(actions.begin(), actions.end(),
                                    table_.pages_.begin() + static_cast<std::ptrdiff_t>(before));
    if (!repeats) table_.pages_.insert(table_.pages_.end(), actions.begin(), actions.end());
    table_.page_of_[page] = static_cast<std::uint32_t>(table_.pages_.size() - kPageSize);
    return {};
  }

  // Asks the normaliser and the splitter, by their definition, what they do to the code point.
  Result<Action> action_of(char32_t c) {
    normalizer_.normalize(std::u32string_view(&c, 1), buffers_, normalized_);
    if (normalized_.empty()) return Action::plain(Effect::removed);
    std::u32string word;
    bool spaced = false, punctuation = false;
    for (const char32_t part : normalized_) {
      spaced = spaced || is_whitespace(part);
      punctuation = punctuation || is_punctuation(part);
      if (!is_whitespace(part)) word.push_back(part);
    }
    if (word.empty()) return Action::plain(Effect::space);
    const bool spaced_around =
        is_whitespace(normalized_.front()) && is_whitespace(normalized_.back());
    if (punctuation ? word.size() == 1 : spaced_around) return isolated(word);
    if (punctuation || spaced)
      return refuse(
          fmt::format("U+{:04X} becomes a word and a separator", static_cast<std::uint32_t>(c)));
    return bytes(word);
  }

  Result<Action> isolated(const std::u32string& word) {
    std::string utf8;
    for (const char32_t c : word) append_utf8(c, utf8);
    ids_.clear();
    word_piece_.append_pieces(utf8, word.size(), ids_);
    if (ids_.size() != 1) return refuse("a separate code point becomes several pieces");
    return Action::isolated(ids_[0]);
  }

  Result<Action> bytes(const std::u32string& word) {
    std::string utf8;
    for (const char32_t c : word) {
      if (!alphabet_.contains(c)) return Action::plain(Effect::unknown);
      append_utf8(c, utf8);
    }
    std::size_t offset = table_.pool_.find(utf8);
    if (offset == std::string::npos) {
      offset = table_.pool_.size();
      table_.pool_ += utf8;
    }
    if (utf8.size() > kMaxBytes || word.size() > 7 || offset >= (1U << 22))
      return refuse("a code point becomes too many");
    return Action::bytes(word.size(), utf8.size(), offset);
  }

  const BertNormalizer& normalizer_;
  const WordPiece& word_piece_;
  std::set<char32_t> alphabet_;
  std::vector<bool> of_interest_;
  NormalizerBuffers buffers_;
  std::u32string normalized_;
  std::vector<std::int32_t> ids_;
  CodePointTable table_;
};

Result<CodePointTable> CodePointTable::build(const BertNormalizer& normalizer,
                                             const WordPiece& word_piece) {
  return Builder(normalizer, word_piece).build();
}

}  // namespace breakeven::text

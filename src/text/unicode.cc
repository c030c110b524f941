#include "text/unicode.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "text/unicode_tables.h"

namespace breakeven::text {
namespace {

constexpr char32_t kHangulFirst = 0xAC00, kHangulLast = 0xD7A3;
constexpr char32_t kLeadingJamo = 0x1100, kVowelJamo = 0x1161, kTrailingJamoBefore = 0x11A7;
constexpr char32_t kLeadings = 19, kVowels = 21, kTrailings = 28;

template <class Row>
const Row* find_range(std::span<const Row> rows, char32_t c) {
  const auto after =
      std::upper_bound(rows.begin(), rows.end(), c,
                       [](char32_t value, const Row& row) { return value < row.first; });
  if (after == rows.begin()) return nullptr;
  const Row& row = *(after - 1);
  return c <= row.last ? &row : nullptr;
}

template <class Row>
const Row* find_code_point(std::span<const Row> rows, char32_t c) {
  const auto at = std::lower_bound(rows.begin(), rows.end(), c, [](const Row& row, char32_t value) {
    return row.code_point < value;
  });
  return at != rows.end() && at->code_point == c ? &*at : nullptr;
}

// Stable sort of a run of marks by combining class. Counting, because a hostile run is as long as
// its text.
void sort_marks(std::span<char32_t> run, std::u32string& sorting) {
  std::array<std::size_t, 257> begin{};
  for (const char32_t c : run) ++begin[combining_class(c) + 1];
  for (std::size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
  sorting.resize(run.size());
  for (const char32_t c : run) sorting[begin[combining_class(c)]++] = c;
  std::copy(sorting.begin(), sorting.end(), run.begin());
}

}  // namespace

bool is_control(char32_t c) {
  return find_range(tables::kControl, c) != nullptr;
}

bool is_whitespace(char32_t c) {
  return find_range(tables::kWhitespace, c) != nullptr;
}

bool is_nonspacing_mark(char32_t c) {
  return find_range(tables::kNonspacingMark, c) != nullptr;
}

bool is_mark(char32_t c) {
  return find_range(tables::kMark, c) != nullptr;
}

bool is_word(char32_t c) {
  return find_range(tables::kWord, c) != nullptr;
}

bool is_punctuation(char32_t c) {
  if (c < 0x80)
    return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) ||
           (c >= 0x7B && c <= 0x7E);
  return find_range(tables::kPunctuation, c) != nullptr;
}

bool is_cjk(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= kCjkExtensionEStart && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

bool is_letter(char32_t c) {
  return find_range(tables::kLetter, c) != nullptr;
}

bool is_number(char32_t c) {
  return find_range(tables::kNumber, c) != nullptr;
}

unsigned combining_class(char32_t c) {
  const auto* row = find_range(tables::kCombiningClass, c);
  return row ? row->value : 0;
}

bool is_hangul_syllable(char32_t c) {
  return c >= kHangulFirst && c <= kHangulLast;
}

tables::Cluster cluster_kind(char32_t c) {
  if (is_hangul_syllable(c))
    return (c - kHangulFirst) % kTrailings == 0 ? tables::Cluster::vowel
                                                : tables::Cluster::trailing;
  const auto* row = find_range(tables::kCluster, c);
  return row != nullptr ? row->value : tables::Cluster::other;
}

void append_decomposed(char32_t c, std::u32string& out) {
  // Nothing below U+00C0 decomposes: no look-up for most text.
  const auto* row = c < 0xC0 ? nullptr : find_code_point(tables::kDecomposition, c);
  if (is_hangul_syllable(c)) {
    const char32_t index = c - kHangulFirst;
    out.push_back(kLeadingJamo + index / (kVowels * kTrailings));
    out.push_back(kVowelJamo + index % (kVowels * kTrailings) / kTrailings);
    if (index % kTrailings != 0) out.push_back(kTrailingJamoBefore + index % kTrailings);
  } else if (row != nullptr) {
    for (const char32_t part : tables::kDecompositionPool.subspan(row->offset, row->length))
      out.push_back(part);
  } else {
    out.push_back(c);
  }
}

// Canonical ordering of the whole text: every run of code points with a class is sorted by it.
void order_marks(std::u32string& text, std::u32string& sorting) {
  for (std::size_t i = 0; i < text.size();) {
    std::size_t stop = i;
    while (stop < text.size() && text[stop] >= 0x300 && combining_class(text[stop]) != 0) ++stop;
    if (stop - i > 1) sort_marks(std::span(text).subspan(i, stop - i), sorting);
    i = std::max(stop, i + 1);
  }
}

namespace {

// The one code point that two make, or 0.
char32_t composed(char32_t first, char32_t second) {
  const char32_t leading = first - kLeadingJamo;
  const char32_t vowel = second - kVowelJamo;
  if (leading < kLeadings && vowel < kVowels) {
    return kHangulFirst + (leading * kVowels + vowel) * kTrailings;
  }
  const char32_t trailing = second - kTrailingJamoBefore;
  if (is_hangul_syllable(first) && (first - kHangulFirst) % kTrailings == 0 && trailing > 0 &&
      trailing < kTrailings) {
    return first + trailing;
  }
  const auto all = tables::kComposition;
  const auto at = std::lower_bound(all.begin(), all.end(), std::pair(first, second),
                                   [](const tables::Composition& row, const auto& pair) {
                                     return std::pair(row.first, row.second) < pair;
                                   });
  return at != all.end() && at->first == first && at->second == second ? at->composed : 0;
}

}  // namespace

// A mark reaches the last starter over marks of lower classes than its own; a starter only from
// right behind it.
void compose(std::u32string& text) {
  constexpr std::size_t kNone = std::u32string::npos;
  std::size_t starter = kNone;
  std::size_t kept = 0;
  unsigned last_class = 0;
  for (const char32_t c : text) {
    const unsigned its_class = c < 0x300 ? 0 : combining_class(c);
    if (starter != kNone && (kept == starter + 1 || last_class < its_class)) {
      const char32_t both = composed(text[starter], c);
      if (both != 0) {
        text[starter] = both;
        continue;
      }
    }
    if (its_class == 0) starter = kept;
    last_class = its_class;
    text[kept++] = c;
  }
  text.resize(kept);
}

void append_lowercase(char32_t c, std::u32string& out) {
  const auto* row = find_code_point(tables::kLowercase, c);
  out.push_back(row != nullptr ? row->to[0] : c);
  if (row != nullptr && row->to[1] != 0) out.push_back(row->to[1]);
}

}  // namespace breakeven::text

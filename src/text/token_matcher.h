// Finds added tokens in a text: which one starts at a place, the longest if there are several.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven::text {

// Char is char for UTF-8 bytes, char32_t for code points.
template <class Char>
class TokenMatcher {
 public:
  using View = std::basic_string_view<Char>;
  struct Entry {
    std::basic_string<Char> content;
    std::size_t index;  // the caller's name for it
  };
  struct Match {
    std::size_t length = 0;  // 0: none starts here
    std::size_t index = 0;
  };

  TokenMatcher() = default;
  explicit TokenMatcher(std::vector<Entry> entries) : entries_(std::move(entries)) {
    std::erase_if(entries_, [](const Entry& entry) { return entry.content.empty(); });
    std::stable_sort(entries_.begin(), entries_.end(),
                     [](const Entry& a, const Entry& b) { return a.content < b.content; });
    for (const Entry& entry : entries_)
      if (firsts_.empty() || firsts_.back() != entry.content.front())
        firsts_ += entry.content.front();
  }

  bool empty() const { return entries_.empty(); }

  // The first place from `at` on where an entry may start; text.size() where there is none.
  std::size_t next_place(View text, std::size_t at) const {
    const std::size_t found =
        firsts_.size() == 1 ? text.find(firsts_.front(), at) : text.find_first_of(firsts_, at);
    return found == View::npos ? text.size() : found;
  }

  // Costs the length of the longest entry times the logarithm of their number.
  Match at_start_of(View text) const {
    Match best;
    auto low = entries_.begin(), high = entries_.end();
    for (std::size_t depth = 0; depth < text.size() && low != high; ++depth) {
      const Char wanted = text[depth];
      low = std::partition_point(low, high, [&](const Entry& entry) {
        return entry.content.size() <= depth ||
               std::char_traits<Char>::lt(entry.content[depth], wanted);
      });
      high = std::partition_point(
          low, high, [&](const Entry& entry) { return entry.content[depth] == wanted; });
      // The shortest of those that share the text so far comes first.
      if (low != high && low->content.size() == depth + 1) best = {depth + 1, low->index};
    }
    return best;
  }

 private:
  std::vector<Entry> entries_;
  std::basic_string<Char> firsts_;  // what entries start with
};

}  // namespace breakeven::text

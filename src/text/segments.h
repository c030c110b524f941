// A text cut at the added tokens in it, as code points or as UTF-8 bytes.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "text/id_sink.h"
#include "text/spec.h"
#include "text/token_matcher.h"
#include "text/unicode.h"

namespace breakeven::text {

// Units of the white space that starts at text[at], or ends before it; 0 where there is none.
inline std::size_t whitespace_at(std::u32string_view text, std::size_t at) {
  return at < text.size() && is_whitespace(text[at]) ? 1 : 0;
}
inline std::size_t whitespace_before(std::u32string_view text, std::size_t at) {
  return at > 0 && is_whitespace(text[at - 1]) ? 1 : 0;
}
inline std::size_t whitespace_at(std::string_view text, std::size_t at) {
  if (at >= text.size()) return 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  const Decoded decoded = decode_utf8(bytes + at, bytes + text.size());
  return is_whitespace(decoded.code_point) ? decoded.bytes : 0;
}
inline std::size_t whitespace_before(std::string_view text, std::size_t at) {
  // A byte that can start a code point never belongs to the one before it, so this finds what
  // reading from the left finds.
  for (std::size_t length = 1; length <= 3 && length <= at; ++length)
    if (whitespace_at(text.substr(0, at), at - length) == length) return length;
  return 0;
}

// Whether a letter, a digit or another \w stands before `start` or at `stop`.
inline bool is_inside_word(std::u32string_view text, std::size_t start, std::size_t stop) {
  return (start > 0 && is_word(text[start - 1])) || (stop < text.size() && is_word(text[stop]));
}
// Of bytes no pass takes a tokenizer that asks.
inline bool is_inside_word(std::string_view /*text*/, std::size_t /*start*/, std::size_t /*stop*/) {
  return false;
}

// Calls on_segment for the text between added tokens and writes the tokens' ids. The search goes on
// after a token itself, not after the whitespace that it strips on its right; a token that is found
// and not taken hides the shorter ones inside of it.
template <class Char, class OnSegment>
void for_each_segment(const TokenMatcher<Char>& matcher, const std::vector<AddedToken>& added,
                      std::basic_string_view<Char> text, IdSink& sink, OnSegment on_segment) {
  std::size_t segment = 0;
  for (std::size_t at = matcher.next_place(text, 0); at < text.size() && !sink.full();
       at = matcher.next_place(text, at)) {
    const auto match = matcher.at_start_of(text.substr(at));
    if (match.length == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = added[match.index];
    std::size_t start = at, stop = at + match.length;
    if (token.plain_text || (token.single_word && is_inside_word(text, start, stop))) {
      at = stop;
      continue;
    }
    if (token.lstrip)
      while (start > segment) {
        const std::size_t space = whitespace_before(text.substr(segment), start - segment);
        if (space == 0) break;
        start -= space;
      }
    if (token.rstrip)
      while (const std::size_t space = whitespace_at(text, stop)) stop += space;
    if (segment < start) on_segment(text.substr(segment, start - segment));
    if (!sink.full()) sink.push_back(token.id);
    sink.forget();
    segment = stop;
    at += match.length;
  }
  if (segment < text.size() && !sink.full()) on_segment(text.substr(segment));
}

}  // namespace breakeven::text

// Extended grapheme clusters (UAX 29), what a reader takes for one character.
#pragma once

#include <cstddef>
#include <string_view>

namespace breakeven::text {

// Where the cluster that starts at text[at] ends; at < text.size().
std::size_t grapheme_end(std::u32string_view text, std::size_t at);

}  // namespace breakeven::text

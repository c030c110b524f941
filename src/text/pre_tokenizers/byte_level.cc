#include "text/pre_tokenizers/byte_level.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/unicode.h"

namespace breakeven::text {
namespace {

enum class Class : std::uint8_t { letter, number, space, other };

Class class_of(char32_t c) {
  if (is_letter(c)) return Class::letter;
  if (is_number(c)) return Class::number;
  return is_whitespace(c) ? Class::space : Class::other;
}

// Where the piece that starts at `at` stops:
// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t piece_end(std::u32string_view text, std::size_t at) {
  for (const std::u32string_view contraction : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"})
    if (text.substr(at).starts_with(contraction)) return at + contraction.size();
  const std::size_t first = text[at] == U' ' && at + 1 < text.size() ? at + 1 : at;
  const Class wanted = class_of(text[first]);
  const auto run_end = [&](std::size_t stop) {
    while (stop < text.size() && class_of(text[stop]) == wanted) ++stop;
    return stop;
  };
  if (wanted != Class::space) return run_end(first);
  const std::size_t stop = run_end(at);
  // A run of white space leaves its last character to the word behind it.
  return stop < text.size() && stop - at > 1 ? stop - 1 : stop;
}

}  // namespace

std::u32string_view ByteLevel::prepare(std::u32string_view text, bool /*starts_text*/,
                                       PreTokenizerBuffers& buffers) const {
  if (!flags.add_prefix_space || text.empty() || text.front() == U' ') return text;
  buffers.prepared.assign(1, U' ').append(text);
  return buffers.prepared;
}

std::size_t ByteLevel::next_word(std::u32string_view text, std::size_t& at,
                                 std::string& word) const {
  word.clear();
  const std::size_t begin = at;
  if (at < text.size()) at = flags.use_regex ? piece_end(text, at) : text.size();
  for (const char32_t c : text.substr(begin, at - begin)) append_utf8(c, word);
  return at - begin;
}

Result<std::unique_ptr<PreTokenizer>> read_byte_level(const JsonObject& object) {
  ByteLevel::Flags flags;
  BREAKEVEN_TRY(flags.add_prefix_space, object.boolean("add_prefix_space", true));
  BREAKEVEN_TRY(flags.use_regex, object.boolean("use_regex", true));
  return std::make_unique<ByteLevel>(flags);
}

}  // namespace breakeven::text

#include "text/pre_tokenizers/metaspace.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/part_kinds.h"

namespace breakeven::text {
namespace {

// Stands behind each piece of the prepared text; no code point.
constexpr char32_t kEnd = kLastCodePoint + 1;

}  // namespace

std::u32string_view Metaspace::prepare(std::u32string_view text, bool starts_text,
                                       PreTokenizerBuffers& buffers) const {
  std::u32string& out = buffers.prepared;
  out.clear();
  const auto finish_piece = [&](std::size_t from) {
    std::replace(out.begin() + static_cast<std::ptrdiff_t>(from), out.end(), U' ',
                 flags.replacement);
    const bool wanted =
        flags.prepend == Prepend::always || (flags.prepend == Prepend::first && starts_text);
    if (wanted && out[from] != flags.replacement) out.insert(from, 1, flags.replacement);
    out.push_back(kEnd);
  };
  if (before_ == nullptr) {
    out = text;
    if (!text.empty()) finish_piece(0);
    return out;
  }
  for (std::size_t at = 0; before_->next_word(text, at, buffers.word) > 0;) {
    const std::size_t from = out.size();
    append_code_points(buffers.word, out);
    finish_piece(from);
  }
  return out;
}

std::size_t Metaspace::next_word(std::u32string_view text, std::size_t& at,
                                 std::string& word) const {
  word.clear();
  std::size_t chars = 0;
  for (; at < text.size(); ++at) {
    const bool ends = text[at] == kEnd;
    if (chars > 0 && (ends || (flags.split && text[at] == flags.replacement))) break;
    if (ends) continue;
    append_utf8(text[at], word);
    ++chars;
  }
  return chars;
}

Result<std::unique_ptr<PreTokenizer>> read_metaspace(const JsonObject& object,
                                                     std::unique_ptr<PreTokenizer> before) {
  Metaspace::Flags flags;
  BREAKEVEN_TRY(const std::string replacement, object.text("replacement"));
  std::u32string character;
  append_code_points(replacement, character);
  if (character.size() != 1) return object.wrong("replacement", "one character");
  flags.replacement = character.front();
  BREAKEVEN_TRY(flags.split, object.boolean("split", true));
  // Until 2023 there was only add_prefix_space. `tokenizers` refuses a file in which it is false
  // and the scheme, which then counts, prepends.
  BREAKEVEN_TRY(const bool add_prefix_space, object.boolean("add_prefix_space", true));
  BREAKEVEN_TRY(const std::string scheme,
                object.text("prepend_scheme", add_prefix_space ? "always" : "never"));
  if (scheme == "always") {
    flags.prepend = Metaspace::Prepend::always;
  } else if (scheme == "first") {
    flags.prepend = Metaspace::Prepend::first;
  } else if (scheme == "never") {
    flags.prepend = Metaspace::Prepend::never;
  } else {
    return object.wrong("prepend_scheme", "\"always\", \"first\" or \"never\"");
  }
  if (!add_prefix_space && flags.prepend != Metaspace::Prepend::never)
    return unsupported(object.where("prepend_scheme"), "'" + scheme + "' without add_prefix_space",
                       "never");
  if (flags.prepend == Metaspace::Prepend::first && before != nullptr)
    return unsupported(object.where("prepend_scheme"), "'first' behind another splitter",
                       "always or never");
  return std::make_unique<Metaspace>(flags, std::move(before));
}

}  // namespace breakeven::text

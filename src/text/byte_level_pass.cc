#include "text/byte_level_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/utf8.h"
#include "text/normalizers/bert.h"
#include "text/pre_tokenizers/byte_level.h"
#include "text/segments.h"
#include "text/unicode_tables.h"

namespace breakeven::text {
namespace {

tl::unexpected<Error> refuse(std::string reason) {
  return fail("text/not-one-pass", std::move(reason));
}

// Letters at `at`, of which 16 bytes can be read: how many before the first other byte.
unsigned letters(const unsigned char* at) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  const __m128i from_a = _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
  const __m128i letter = _mm_cmpeq_epi8(_mm_min_epu8(from_a, _mm_set1_epi8(25)), from_a);
  return static_cast<unsigned>(std::countr_one(static_cast<unsigned>(_mm_movemask_epi8(letter))));
}

}  // namespace

Result<ByteLevelPass> ByteLevelPass::build(const TokenizerSpec& spec, const PieceModel& model) {
  const auto* bpe = dynamic_cast<const Bpe*>(&model);
  const auto* byte_level = dynamic_cast<const ByteLevel*>(spec.pre_tokenizer.get());
  if (bpe == nullptr || byte_level == nullptr) return refuse("it is not ByteLevel and BPE");
  if (!byte_level->flags.use_regex) return refuse("the text is not split into words");
  const auto* normalizer = dynamic_cast<const BertNormalizer*>(spec.normalizer.get());
  if (normalizer == nullptr || !normalizer->changes_nothing())
    return refuse("a normaliser changes the text");
  ByteLevelPass out;
  std::vector<TokenMatcher<char>::Entry> raw, normalized;
  for (std::size_t i = 0; i < spec.added.size(); ++i) {
    const std::string& content = spec.added[i].content;
    if (content.find("\xEF\xBF\xBD") != std::string::npos)
      return refuse(fmt::format("the added token '{}' stands for broken bytes, too", content));
    if (spec.added[i].single_word || spec.added[i].plain_text)
      return refuse(fmt::format("the added token '{}' is more than a string of bytes", content));
    (spec.added[i].normalized ? normalized : raw).push_back({content, i});
  }
  out.in_raw_text_ = TokenMatcher<char>(std::move(raw));
  out.in_normalized_text_ = TokenMatcher<char>(std::move(normalized));
  out.bpe_ = bpe;
  out.added_ = &spec.added;
  out.add_prefix_space_ = byte_level->flags.add_prefix_space;

  out.classes_.assign(kLastCodePoint + 1, Class::other);
  for (const auto& [ranges, kind] :
       {std::pair{tables::kLetter, Class::letter}, std::pair{tables::kNumber, Class::number},
        std::pair{tables::kWhitespace, Class::space}})
    for (const tables::Range& range : ranges)
      std::fill(out.classes_.begin() + range.first, out.classes_.begin() + range.last + 1, kind);
  std::copy_n(out.classes_.begin(), out.ascii_.size(), out.ascii_.begin());

  std::vector<std::pair<PieceKey, std::int32_t>> keys;
  for (const auto& [word, id] : bpe->single_words()) {
    if (word.size() > PieceKey::kMaxBytes || word.find('\0') != std::string::npos) continue;
    char padded[PieceKey::kMaxBytes] = {};
    std::copy(word.begin(), word.end(), padded);
    keys.emplace_back(PieceKey::load(padded, word.size()), id);
  }
  out.words_.build(keys);
  return out;
}

ByteLevelPass::Character ByteLevelPass::character(const Byte* at, const Byte* end) const {
  if (*at < 0x80) return {ascii_[*at], 1, true};
  const Decoded decoded = decode_utf8(at, end);
  return {classes_[decoded.code_point], decoded.bytes, decoded.valid};
}

// Where the characters of one class that start at `at` end.
const ByteLevelPass::Byte* ByteLevelPass::run(const Byte* at, const Byte* end, Class kind,
                                              bool& valid) const {
  while (at < end) {
    if (kind == Class::letter && end - at >= 16) {
      const unsigned count = letters(at);
      at += count;
      if (count == 16) continue;
    }
    if (at == end) break;
    const Character next = character(at, end);
    if (next.kind != kind) break;
    valid = valid && next.valid;
    at += next.bytes;
  }
  return at;
}

// A run of white space leaves its last character to the word behind it.
ByteLevelPass::Piece ByteLevelPass::white_space(const Byte* at, const Byte* end) const {
  const Byte* stop = at;
  const Byte* last = at;
  while (stop < end) {
    const Character next = character(stop, end);
    if (next.kind != Class::space) return {last > at ? last : stop, true};
    last = stop;
    stop += next.bytes;
  }
  return {stop, true};
}

ByteLevelPass::Piece ByteLevelPass::next_piece(const Byte* at, const Byte* end) const {
  const auto left = static_cast<std::size_t>(end - at);
  if (*at == '\'' && left >= 2) {
    const Byte next = at[1];
    if (next == 's' || next == 't' || next == 'm' || next == 'd') return {at + 2, true};
    if (left >= 3 && ((next == 'r' && at[2] == 'e') || (next == 'v' && at[2] == 'e') ||
                      (next == 'l' && at[2] == 'l')))
      return {at + 3, true};
  }
  const Byte* first = *at == ' ' && left >= 2 ? at + 1 : at;
  const Character character_there = character(first, end);
  if (character_there.kind == Class::space) return white_space(at, end);
  bool valid = character_there.valid;
  const Byte* stop = run(first + character_there.bytes, end, character_there.kind, valid);
  return {stop, valid};
}

void ByteLevelPass::ids_of(const char* word, std::size_t length, bool padded, Buffers& buffers,
                           IdSink& sink) const {
  const std::string_view view(word, length);
  if (length <= PieceKey::kMaxBytes && std::memchr(word, 0, length) == nullptr) {
    char copy[PieceKey::kMaxBytes] = {};
    if (!padded) std::memcpy(copy, word, length);
    const PieceKey key = PieceKey::load(padded ? word : copy, length);
    if (const std::int32_t id = words_.find(key); id >= 0) {
      sink.push_back(id);
      return;
    }
    WordCache::Slot& slot = buffers.cache.slot(key);
    if (!slot.holds(key)) {
      const auto ids = bpe_->merge(view, buffers.model);
      if (ids.empty() || ids.size() > WordCache::kMaxPieces) {
        for (const std::int32_t id : ids) sink.push_back(id);
        return;
      }
      slot.key = key;
      slot.count = static_cast<std::int32_t>(ids.size());
      std::copy(ids.begin(), ids.end(), slot.ids);
    }
    for (std::int32_t i = 0; i < slot.count; ++i) sink.push_back(slot.ids[i]);
    return;
  }
  for (const std::int32_t id : bpe_->merge(view, buffers.model)) sink.push_back(id);
}

void ByteLevelPass::repaired_ids(std::string_view word, Buffers& buffers, IdSink& sink) const {
  const auto* at = reinterpret_cast<const Byte*>(word.data());
  const auto* end = at + word.size();
  while (at < end) {
    const Decoded decoded = decode_utf8(at, end);
    append_utf8(decoded.code_point, buffers.word);
    at += decoded.bytes;
  }
  ids_of(buffers.word.data(), buffers.word.size(), false, buffers, sink);
}

// The first piece of a text that a blank is put in front of; returns where it ends.
const ByteLevelPass::Byte* ByteLevelPass::prefixed_piece(const Byte* at, const Byte* end,
                                                         Buffers& buffers, IdSink& sink) const {
  const Character first = character(at, end);
  const Byte* stop = at;
  if (first.kind != Class::space) {
    bool valid = true;
    stop = run(at, end, first.kind, valid);
  } else {
    const Byte* last = at;
    while (stop < end && character(stop, end).kind == Class::space) {
      last = stop;
      stop += character(stop, end).bytes;
    }
    if (stop < end) stop = last;
  }
  buffers.word.assign(1, ' ');
  repaired_ids({reinterpret_cast<const char*>(at), static_cast<std::size_t>(stop - at)}, buffers,
               sink);
  return stop;
}

void ByteLevelPass::segment(std::string_view text, Buffers& buffers, IdSink& sink) const {
  const auto* at = reinterpret_cast<const Byte*>(text.data());
  const auto* const end = at + text.size();
  if (add_prefix_space_ && at < end && *at != ' ') at = prefixed_piece(at, end, buffers, sink);
  while (at < end && !sink.full()) {
    const Piece piece = next_piece(at, end);
    const auto* word = reinterpret_cast<const char*>(at);
    const auto length = static_cast<std::size_t>(piece.end - at);
    if (piece.valid) {
      ids_of(word, length, end - at >= 16, buffers, sink);
    } else {
      buffers.word.clear();
      repaired_ids({word, length}, buffers, sink);
    }
    sink.forget();
    at = piece.end;
  }
}

void ByteLevelPass::encode(std::string_view text, Buffers& buffers, IdSink& sink) const {
  for_each_segment(in_raw_text_, *added_, text, sink, [&](std::string_view part) {
    for_each_segment(in_normalized_text_, *added_, part, sink,
                     [&](std::string_view words) { segment(words, buffers, sink); });
  });
}

}  // namespace breakeven::text

#include "text/one_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "text/utf8.h"

namespace breakeven::text {
namespace {

using Effect = CodePointTable::Effect;

// Words of a register's width must be allowed, and the pieces of the longest word must fit behind
// the ids that a block asks for.
constexpr std::size_t kMinCharsPerWord = PieceKey::kMaxBytes, kMaxCharsPerWord = 1000;
constexpr std::size_t kBlockIds = 4096;

tl::unexpected<Error> refuse(std::string reason) {
  return fail("text/not-one-pass", std::move(reason));
}

// Bytes of `x` that are at most `limit` (unsigned).
__m128i at_most(__m128i x, char limit) {
  const __m128i limits = _mm_set1_epi8(limit);
  return _mm_cmpeq_epi8(_mm_min_epu8(x, limits), x);
}

std::vector<std::pair<PieceKey, std::int32_t>> keys_of(const Vocabulary::Pieces& pieces) {
  std::vector<std::pair<PieceKey, std::int32_t>> keys;
  for (const auto& [piece, id] : pieces) {
    if (piece.size() > PieceKey::kMaxBytes) continue;
    char padded[PieceKey::kMaxBytes] = {};
    std::copy(piece.begin(), piece.end(), padded);
    keys.emplace_back(PieceKey::load(padded, piece.size()), id);
  }
  // Entries that stand first in a vocabulary are the frequent ones: they get the first slots.
  std::sort(keys.begin(), keys.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
  return keys;
}

}  // namespace

OnePass::Buffers::Buffers()
    : slots_(std::size_t{1} << kSlotBits),
      word_(4 * kMaxCharsPerWord + CodePointTable::kMaxBytes + 2 * PieceKey::kMaxBytes) {}

Result<OnePass> OnePass::build(const TokenizerSpec& spec, const Vocabulary& vocabulary) {
  const std::size_t max_chars = spec.max_chars_per_word;
  if (max_chars < kMinCharsPerWord || max_chars > kMaxCharsPerWord)
    return refuse(fmt::format("max_input_chars_per_word {} is not from {} to {}", max_chars,
                              kMinCharsPerWord, kMaxCharsPerWord));
  OnePass out;
  std::vector<TokenMatcher<char>::Entry> entries;
  for (const AddedToken& token : spec.added) {
    const auto first = static_cast<Byte>(token.content.front());
    if (token.lstrip || token.rstrip || token.normalized)
      return refuse(
          fmt::format("the added token '{}' is more than a string of bytes", token.content));
    if (first >= 0x80 || !is_punctuation(first))
      return refuse(
          fmt::format("the added token '{}' does not start with ASCII punctuation", token.content));
    entries.push_back({token.content, out.added_ids_.size()});
    out.added_ids_.push_back(token.id);
  }
  out.added_ = TokenMatcher<char>(std::move(entries));
  BREAKEVEN_TRY(out.code_points_, CodePointTable::build(spec.normalizer, vocabulary));
  out.vocabulary_ = &vocabulary;
  out.lowercase_ = spec.normalizer.lowercase;
  out.classify_bytes(spec);
  out.starts_.build(keys_of(vocabulary.starts()));
  out.continuations_.build(keys_of(vocabulary.continuations()));
  return out;
}

void OnePass::classify_bytes(const TokenizerSpec& spec) {
  byte_class_.fill(ByteClass::lead);
  for (std::size_t byte = 0; byte < 128; ++byte) {
    const auto action = code_points_.action(static_cast<char32_t>(byte));
    ByteClass& byte_class = byte_class_[byte];
    switch (action.effect()) {
      case Effect::unknown:
        byte_class = ByteClass::unknown;
        break;
      case Effect::removed:
        byte_class = ByteClass::removed;
        break;
      case Effect::space:
        byte_class = ByteClass::space;
        break;
      case Effect::isolated:
        byte_class = ByteClass::punctuation;
        alone_id_[byte] = action.id();
        break;
      case Effect::bytes:
        byte_class = ByteClass::word;
        folded_[byte] = *code_points_.bytes(action);
        break;
    }
  }
  for (const AddedToken& token : spec.added)
    byte_class_[static_cast<Byte>(token.content.front())] = ByteClass::added;
}

// The pieces of a word by greedy search. `word` has PieceKey::kMaxBytes readable bytes behind it.
std::int32_t* OnePass::greedy(const char* word, std::size_t length, std::size_t chars,
                              std::int32_t* out) const {
  std::int32_t* const begin = out;
  bool known = chars <= vocabulary_->max_chars_per_word();
  for (std::size_t at = 0; known && at < length;) {
    const bool start = at == 0;
    std::size_t piece = std::min(length - at, start ? vocabulary_->longest_start_bytes()
                                                    : vocabulary_->longest_continuation_bytes());
    std::int32_t id = -1;
    for (; piece > 0; --piece) {
      if (at + piece < length && (static_cast<Byte>(word[at + piece]) & 0xC0) == 0x80) continue;
      if (piece > PieceKey::kMaxBytes) {
        const std::string_view text(word + at, piece);
        id = start ? vocabulary_->find_start(text) : vocabulary_->find_continuation(text);
      } else {
        const PieceKey key = PieceKey::load(word + at, piece);
        id = start ? starts_.find(key) : continuations_.find(key);
      }
      if (id >= 0) break;
    }
    known = id >= 0;
    *out++ = id;
    at += piece;
  }
  if (known) return out;
  *begin = vocabulary_->unknown_id();
  return begin + 1;
}

// A word of at most 16 bytes that is no entry as a whole: out of the cache, or by search.
std::int32_t* OnePass::several_pieces(__m128i padded, PieceKey key, std::size_t length,
                                      std::int32_t* out, Buffers& buffers) const {
  const std::uint64_t hash = (key.low ^ key.high * kHashHigh) * kHashLow;
  Buffers::Slot& slot = buffers.slots_[hash >> (64 - Buffers::kSlotBits)];
  if (slot.key.low == key.low && slot.key.high == key.high) {
    std::memcpy(out, slot.ids, sizeof(slot.ids));
    return out + slot.count;
  }
  char* word = buffers.word_.data();
  _mm_storeu_si128(reinterpret_cast<__m128i*>(word), padded);
  // No more code points than bytes, and kMinCharsPerWord of those are always allowed.
  std::int32_t* const after = greedy(word, length, 1, out);
  const auto count = static_cast<std::size_t>(after - out);
  if (count <= Buffers::kMaxPieces) {
    slot.key = key;
    slot.count = static_cast<std::int32_t>(count);
    std::copy(out, after, slot.ids);
  }
  return after;
}

// Gathers a word byte by byte: whatever is not a short run of letters and digits between
// separators. Stops at the separator.
OnePass::Word OnePass::read_word(const Byte*& at, const Byte* end, Buffers& buffers) const {
  Word word{0, 0, false};
  char* const bytes = buffers.word_.data();
  const std::size_t max_chars = vocabulary_->max_chars_per_word();
  while (at < end) {
    const ByteClass byte_class = byte_class_[*at];
    if (byte_class == ByteClass::word) {
      if (word.chars < max_chars) bytes[word.length++] = folded_[*at];
      ++word.chars;
      ++at;
    } else if (byte_class == ByteClass::lead) {
      const Decoded decoded = decode_utf8(at, end);
      const auto action = code_points_.action(decoded.code_point);
      if (action.effect() == Effect::space || action.effect() == Effect::isolated) break;
      if (action.effect() == Effect::bytes) {
        if (word.chars + action.chars() <= max_chars) {
          std::memcpy(bytes + word.length, code_points_.bytes(action), CodePointTable::kMaxBytes);
          word.length += action.length();
        }
        word.chars += action.chars();
      }
      word.unknown = word.unknown || action.effect() == Effect::unknown;
      at += decoded.bytes;
    } else if (byte_class == ByteClass::removed || byte_class == ByteClass::unknown) {
      word.unknown = word.unknown || byte_class == ByteClass::unknown;
      ++at;
    } else {
      break;
    }
  }
  return word;
}

OnePass::Cursor OnePass::irregular_word(Cursor cursor, const Byte* end, Buffers& buffers) const {
  const Word word = read_word(cursor.at, end, buffers);
  if (word.unknown || word.chars > vocabulary_->max_chars_per_word()) {
    *cursor.out++ = vocabulary_->unknown_id();
    return cursor;
  }
  if (word.length == 0) return cursor;
  const char* bytes = buffers.word_.data();
  if (word.length > PieceKey::kMaxBytes) {
    cursor.out = greedy(bytes, word.length, word.chars, cursor.out);
    return cursor;
  }
  const PieceKey key = PieceKey::load(bytes, word.length);
  const std::int32_t id = starts_.find(key);
  if (id >= 0) {
    *cursor.out++ = id;
    return cursor;
  }
  const __m128i padded = _mm_and_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)),
                                       PieceKey::first_bytes(word.length));
  cursor.out = several_pieces(padded, key, word.length, cursor.out, buffers);
  return cursor;
}

// Handles the byte at a place where no letter or digit stands and no word is open.
OnePass::Cursor OnePass::separator(Cursor cursor, const Byte* end, Buffers& buffers) const {
  const Byte byte = *cursor.at;
  switch (byte_class_[byte]) {
    case ByteClass::added: {
      const std::string_view rest(reinterpret_cast<const char*>(cursor.at),
                                  static_cast<std::size_t>(end - cursor.at));
      const auto match = added_.at_start_of(rest);
      *cursor.out++ = match.length > 0 ? added_ids_[match.index] : alone_id_[byte];
      cursor.at += std::max<std::size_t>(match.length, 1);
      return cursor;
    }
    case ByteClass::punctuation:
      *cursor.out++ = alone_id_[byte];
      [[fallthrough]];
    case ByteClass::space:
    case ByteClass::removed:
      ++cursor.at;
      return cursor;
    case ByteClass::lead: {
      const Decoded decoded = decode_utf8(cursor.at, end);
      const auto action = code_points_.action(decoded.code_point);
      if (action.effect() == Effect::bytes || action.effect() == Effect::unknown) break;
      if (action.effect() == Effect::isolated) *cursor.out++ = action.id();
      cursor.at += decoded.bytes;
      return cursor;
    }
    case ByteClass::word:
    case ByteClass::unknown:
      break;
  }
  return irregular_word(cursor, end, buffers);
}

template <bool Lowercase>
OnePass::Cursor OnePass::scan(Cursor cursor, const Byte* end, std::size_t margin,
                              const std::int32_t* stop, Buffers& buffers) const {
  const Byte* at = cursor.at;
  std::int32_t* out = cursor.out;
  while (out < stop && static_cast<std::size_t>(end - at) >= margin && at < end) {
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i cased = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    const __m128i letters = at_most(_mm_sub_epi8(cased, _mm_set1_epi8('a')), 25);
    const __m128i digits = at_most(_mm_sub_epi8(bytes, _mm_set1_epi8('0')), 9);
    const auto others = ~static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(letters, digits)));
    const auto length = static_cast<std::size_t>(std::countr_zero(others));  // 16 if all are
    const bool ends_here = length < PieceKey::kMaxBytes && length > 0 &&
                           (byte_class_[at[length]] == ByteClass::space ||
                            byte_class_[at[length]] == ByteClass::punctuation ||
                            byte_class_[at[length]] == ByteClass::added);
    if (!ends_here) {
      const Cursor next = length == 0 ? separator({at, out}, end, buffers)
                                      : irregular_word({at, out}, end, buffers);
      at = next.at;
      out = next.out;
      continue;
    }
    if (Lowercase) bytes = _mm_or_si128(bytes, _mm_and_si128(letters, _mm_set1_epi8(0x20)));
    bytes = _mm_and_si128(bytes, PieceKey::first_bytes(length));
    const PieceKey key = PieceKey::of(bytes);
    const std::int32_t id = starts_.find(key);
    *out = id;
    out = id >= 0 ? out + 1 : several_pieces(bytes, key, length, out, buffers);
    at += length + (at[length] == ' ' ? 1 : 0);
  }
  return {at, out};
}

// Scans [begin, end) block by block into the sink, as far as `margin` allows and the sink wants.
void OnePass::run(const Byte* begin, const Byte* end, std::size_t margin, const Byte*& rest,
                  Buffers& buffers, IdSink& sink) const {
  const Byte* at = begin;
  while (!sink.full() && at < end && static_cast<std::size_t>(end - at) >= margin) {
    const std::size_t block = std::min(kBlockIds, sink.wanted());
    std::int32_t* const out = sink.room(block + kMaxCharsPerWord + Buffers::kMaxPieces);
    const Cursor cursor = lowercase_ ? scan<true>({at, out}, end, margin, out + block, buffers)
                                     : scan<false>({at, out}, end, margin, out + block, buffers);
    sink.resize(sink.size() + static_cast<std::size_t>(cursor.out - out));
    sink.forget();
    at = cursor.at;
  }
  rest = at;
}

void OnePass::encode(std::string_view text, Buffers& buffers, IdSink& sink) const {
  const auto* begin = reinterpret_cast<const Byte*>(text.data());
  const Byte* const end = begin + text.size();
  run(begin, end, PieceKey::kMaxBytes, begin, buffers, sink);
  // The last bytes move to where 16 can be read from each of them.
  const auto left = static_cast<std::size_t>(end - begin);
  if (left == 0 || left >= PieceKey::kMaxBytes) return;
  std::copy(begin, end, buffers.tail_.begin());
  std::fill(buffers.tail_.begin() + static_cast<std::ptrdiff_t>(left), buffers.tail_.end(),
            Byte{' '});
  const Byte* tail = buffers.tail_.data();
  run(tail, tail + left, 1, tail, buffers, sink);
}

}  // namespace breakeven::text

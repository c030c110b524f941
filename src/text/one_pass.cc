#include "text/one_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/utf8.h"
#include "text/normalizers/bert.h"
#include "text/pre_tokenizers/bert.h"
#include "text/unicode.h"

namespace breakeven::text {
namespace {

using Effect = CodePointTable::Effect;

// Words of a register's width must be allowed, and the pieces of the longest word must fit after
// the ids that a block asks for.
constexpr std::size_t kMinCharsPerWord = PieceKey::kMaxBytes, kMaxCharsPerWord = 1000;
constexpr std::size_t kBlockIds = 4096;
constexpr std::size_t kBlockBytes = 64;  // a bit each in a mask

tl::unexpected<Error> refuse(std::string reason) {
  return fail("text/not-one-pass", std::move(reason));
}

// Bytes of `x` that are at most `limit` (unsigned).
__m128i at_most(__m128i x, char limit) {
  const __m128i limits = _mm_set1_epi8(limit);
  return _mm_cmpeq_epi8(_mm_min_epu8(x, limits), x);
}

std::vector<std::pair<PieceKey, std::int32_t>> keys_of(const WordPiece::Pieces& pieces) {
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
    : word_(4 * kMaxCharsPerWord + CodePointTable::kMaxBytes + 2 * PieceKey::kMaxBytes) {}

Result<OnePass> OnePass::build(const TokenizerSpec& spec, const PieceModel& model) {
  const auto* normalizer = dynamic_cast<const BertNormalizer*>(spec.normalizer.get());
  const auto* word_piece = dynamic_cast<const WordPiece*>(&model);
  if (normalizer == nullptr || word_piece == nullptr ||
      dynamic_cast<const BertPreTokenizer*>(spec.pre_tokenizer.get()) == nullptr)
    return refuse("it is not BertNormalizer, BertPreTokenizer and WordPiece");
  const std::size_t max_chars = word_piece->max_chars_per_word();
  if (max_chars < kMinCharsPerWord || max_chars > kMaxCharsPerWord)
    return refuse(fmt::format("max_input_chars_per_word {} is not from {} to {}", max_chars,
                              kMinCharsPerWord, kMaxCharsPerWord));
  OnePass out;
  std::vector<TokenMatcher<char>::Entry> entries;
  std::string first_bytes;
  for (const AddedToken& token : spec.added) {
    const auto first = static_cast<Byte>(token.content.front());
    if (token.lstrip || token.rstrip || token.normalized || token.single_word || token.plain_text)
      return refuse(
          fmt::format("the added token '{}' is more than a string of bytes", token.content));
    if (first >= 0x80 || !is_punctuation(first))
      return refuse(
          fmt::format("the added token '{}' does not start with ASCII punctuation", token.content));
    if (first_bytes.find(token.content.front()) == std::string::npos)
      first_bytes += token.content.front();
    entries.push_back({token.content, out.added_ids_.size()});
    out.added_ids_.push_back(token.id);
  }
  if (first_bytes.size() > kMaxAddedFirst)
    return refuse(fmt::format("the added tokens start with {} different characters, more than {}",
                              first_bytes.size(), kMaxAddedFirst));
  if (!first_bytes.empty()) out.added_first_.fill(first_bytes.front());
  std::copy(first_bytes.begin(), first_bytes.end(), out.added_first_.begin());
  out.added_ = TokenMatcher<char>(std::move(entries));
  BREAKEVEN_TRY(out.code_points_, CodePointTable::build(*normalizer, *word_piece));
  out.word_piece_ = word_piece;
  out.lowercase_ = normalizer->flags.lowercase;
  out.classify_bytes();
  const auto starts = keys_of(word_piece->starts());
  out.starts_.build(starts);
  out.start_lengths_.build(starts);
  const auto continuations = keys_of(word_piece->continuations());
  out.continuations_.build(continuations);
  out.continuation_lengths_.build(continuations);
  return out;
}

void OnePass::classify_bytes() {
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
  for (const char first : added_first_)
    if (first != 0) byte_class_[static_cast<Byte>(first)] = ByteClass::added;
}

// The longest piece at `at`: its id and length, or id -1. PieceKey::kMaxBytes can be read at `at`.
OnePass::Piece OnePass::longest_piece(const char* at, std::size_t left, bool start) const {
  const auto splits_code_point = [&](std::size_t length) {
    return length < left && (static_cast<Byte>(at[length]) & 0xC0) == 0x80;
  };
  std::size_t length = std::min(
      left, start ? word_piece_->longest_start_bytes() : word_piece_->longest_continuation_bytes());
  for (; length > PieceKey::kMaxBytes; --length) {
    if (splits_code_point(length)) continue;
    const std::string_view text(at, length);
    const std::int32_t id =
        start ? word_piece_->find_start(text) : word_piece_->find_continuation(text);
    if (id >= 0) return {id, length};
  }
  const PieceKey first = PieceKey::load(at, std::min<std::size_t>(left, 3));
  std::uint32_t lengths =
      start ? start_lengths_.lengths(first) : continuation_lengths_.lengths(first);
  lengths &= (2U << length) - 1;
  while (lengths != 0) {
    length = std::bit_width(lengths) - 1;
    lengths ^= 1U << length;
    if (splits_code_point(length)) continue;
    const PieceKey key = PieceKey::load(at, length);
    const std::int32_t id = start ? starts_.find(key) : continuations_.find(key);
    if (id >= 0) return {id, length};
  }
  return {-1, 0};
}

// The pieces of a word by greedy search. `word` has PieceKey::kMaxBytes readable bytes after it.
std::int32_t* OnePass::greedy(const char* word, std::size_t length, std::size_t chars,
                              std::int32_t* out) const {
  std::int32_t* const begin = out;
  bool known = chars <= word_piece_->max_chars_per_word();
  for (std::size_t at = 0; known && at < length;) {
    const Piece piece = longest_piece(word + at, length - at, at == 0);
    known = piece.id >= 0;
    *out++ = piece.id;
    at += piece.length;
  }
  if (known) return out;
  *begin = word_piece_->unknown_id();
  return begin + 1;
}

// A word of at most 16 bytes that is no entry as a whole: out of the cache, or by search.
std::int32_t* OnePass::several_pieces(PieceKey key, std::int32_t* out, Buffers& buffers) const {
  WordCache::Slot& slot = buffers.cache_.slot(key);
  if (slot.holds(key)) {
    std::memcpy(out, slot.ids, sizeof(slot.ids));
    return out + slot.count;
  }
  char* word = buffers.word_.data();
  _mm_storeu_si128(reinterpret_cast<__m128i*>(word), key.padded());
  // No more code points than bytes, and kMinCharsPerWord of those are always allowed.
  std::int32_t* const after = greedy(word, key.length(), 1, out);
  const auto count = static_cast<std::size_t>(after - out);
  if (count <= WordCache::kMaxPieces) {
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
  const std::size_t max_chars = word_piece_->max_chars_per_word();
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
  if (word.unknown || word.chars > word_piece_->max_chars_per_word()) {
    *cursor.out++ = word_piece_->unknown_id();
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
  cursor.out = several_pieces(key, cursor.out, buffers);
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

OnePass::Block OnePass::look_at(const Byte* at) const {
  std::uint64_t words = 0, spaces = 0, irregulars = 0;
  for (unsigned part = 0; part < 64; part += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + part));
    const auto is = [&](char c) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)); };
    const auto put = [&](__m128i found, std::uint64_t& mask) {
      mask |= static_cast<std::uint64_t>(static_cast<unsigned>(_mm_movemask_epi8(found))) << part;
    };
    const __m128i cased = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    const __m128i letter = at_most(_mm_sub_epi8(cased, _mm_set1_epi8('a')), 25);
    const __m128i digit = at_most(_mm_sub_epi8(bytes, _mm_set1_epi8('0')), 9);
    put(_mm_or_si128(letter, digit), words);
    const __m128i line = _mm_or_si128(_mm_or_si128(is('\n'), is('\r')), is('\t'));
    put(_mm_or_si128(line, is(' ')), spaces);
    const __m128i printable = at_most(_mm_sub_epi8(bytes, _mm_set1_epi8(' ')), '~' - ' ');
    const __m128i added = _mm_or_si128(_mm_or_si128(is(added_first_[0]), is(added_first_[1])),
                                       _mm_or_si128(is(added_first_[2]), is(added_first_[3])));
    put(_mm_or_si128(_mm_andnot_si128(_mm_or_si128(line, printable), _mm_set1_epi8(-1)), added),
        irregulars);
  }
  return {words, (words & ~(words << 1)) | ~(words | spaces), irregulars};
}

// The ids of words and punctuation; KeyTable::prefetch() has seen their keys.
std::int32_t* OnePass::look_up(std::span<const PieceKey> keys, std::int32_t* out,
                               Buffers& buffers) const {
  std::array<std::int32_t, kBlockBytes> ids;
  std::uint64_t no_entry = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ids[i] = starts_.find(keys[i]);
    if (ids[i] >= 0) continue;
    no_entry |= std::uint64_t{1} << i;
    __builtin_prefetch(&buffers.cache_.slot(keys[i]));
  }
  std::int32_t* done = ids.data();
  for (; no_entry != 0; no_entry &= no_entry - 1) {
    const auto next = static_cast<std::size_t>(std::countr_zero(no_entry));
    out = several_pieces(keys[next], std::copy(done, ids.data() + next, out), buffers);
    done = ids.data() + next + 1;
  }
  return std::copy(done, ids.data() + keys.size(), out);
}

// Words and punctuation whose first bytes are `tokens`; none touches anything irregular. All keys
// are made before the first look-up, so that the table's cache misses overlap.
template <bool Lowercase>
std::int32_t* OnePass::regular_tokens(const Byte* at, const Byte* end, std::uint64_t tokens,
                                      std::uint64_t word, std::int32_t* out,
                                      Buffers& buffers) const {
  std::array<PieceKey, kBlockBytes> keys;
  std::size_t count = 0;
  for (; tokens != 0; tokens &= tokens - 1) {
    const auto place = static_cast<unsigned>(std::countr_zero(tokens));
    const auto letters_and_digits = static_cast<std::size_t>(std::countr_one(word >> place));
    const std::size_t length = std::max<std::size_t>(letters_and_digits, 1);
    if (length > PieceKey::kMaxBytes) {
      out = look_up(std::span(keys).first(count), out, buffers);
      count = 0;
      out = irregular_word({at + place, out}, end, buffers).out;
      continue;
    }
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + place));
    if (Lowercase) {
      const __m128i upper = at_most(_mm_sub_epi8(bytes, _mm_set1_epi8('A')), 25);
      bytes = _mm_or_si128(bytes, _mm_and_si128(upper, _mm_set1_epi8(0x20)));
    }
    keys[count] = PieceKey::of(_mm_and_si128(bytes, PieceKey::first_bytes(length)));
    starts_.prefetch(keys[count]);
    ++count;
  }
  return look_up(std::span(keys).first(count), out, buffers);
}

template <bool Lowercase>
OnePass::Cursor OnePass::scan(Cursor cursor, const Byte* limit, const Byte* end,
                              const std::int32_t* stop, Buffers& buffers) const {
  while (cursor.at < limit && cursor.out < stop) {
    const Block block = look_at(cursor.at);
    // A word that reaches the end of the block, or something irregular, is left for later.
    const auto word_before = [&](unsigned place) {  // where the word that ends at `place` starts
      const std::uint64_t gaps = ~block.word & ((std::uint64_t{1} << place) - 1);
      return static_cast<unsigned>(std::bit_width(gaps));
    };
    unsigned taken = 64;
    const bool irregular = block.irregular != 0;
    if (irregular) {
      taken = word_before(static_cast<unsigned>(std::countr_zero(block.irregular)));
    } else if (block.word >> 63 != 0) {
      taken = static_cast<unsigned>(std::bit_width(~block.word));
    }
    const std::uint64_t inside = taken == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << taken) - 1;
    cursor.out = regular_tokens<Lowercase>(cursor.at, end, block.tokens & inside, block.word,
                                           cursor.out, buffers);
    cursor.at += taken;
    if (!irregular && taken > 0) continue;
    const ByteClass byte_class = byte_class_[*cursor.at];
    const bool in_word = byte_class == ByteClass::word || byte_class == ByteClass::unknown;
    cursor = in_word ? irregular_word(cursor, end, buffers) : separator(cursor, end, buffers);
  }
  return cursor;
}

const OnePass::Byte* OnePass::run(const Byte* at, const Byte* limit, const Byte* end,
                                  Buffers& buffers, IdSink& sink) const {
  while (!sink.full() && at < limit) {
    const std::size_t block = std::min(kBlockIds, sink.wanted());
    std::int32_t* const out = sink.room(block + kMaxCharsPerWord + Buffers::kReadAhead);
    const Cursor cursor = lowercase_ ? scan<true>({at, out}, limit, end, out + block, buffers)
                                     : scan<false>({at, out}, limit, end, out + block, buffers);
    sink.resize(sink.size() + static_cast<std::size_t>(cursor.out - out));
    sink.forget();
    at = cursor.at;
  }
  return at;
}

void OnePass::encode(std::string_view text, Buffers& buffers, IdSink& sink) const {
  const auto* at = reinterpret_cast<const Byte*>(text.data());
  const Byte* const end = at + text.size();
  if (text.size() >= Buffers::kReadAhead)
    at = run(at, end - Buffers::kReadAhead + 1, end, buffers, sink);
  // The last bytes move to where that much can be read from each of them.
  if (sink.full() || at >= end) return;
  const auto left = static_cast<std::size_t>(end - at);
  std::copy(at, end, buffers.tail_.begin());
  std::fill(buffers.tail_.begin() + static_cast<std::ptrdiff_t>(left), buffers.tail_.end(),
            Byte{' '});
  const Byte* tail = buffers.tail_.data();
  run(tail, tail + left, tail + left, buffers, sink);
}

}  // namespace breakeven::text

#include "text/unigram_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <span>

#include "base/utf8.h"
#include "text/normalizers/bert.h"
#include "text/normalizers/lowercase.h"
#include "text/normalizers/precompiled.h"
#include "text/normalizers/replace.h"
#include "text/normalizers/strip.h"
#include "text/pre_tokenizers/by_character.h"
#include "text/segments.h"
#include "text/unicode.h"

namespace breakeven::text {
namespace {

using tables::Cluster;

tl::unexpected<Error> refuse(std::string reason) {
  return fail("text/not-one-pass", std::move(reason));
}

// Printable ASCII but the blank and `odd`, of the 16 bytes at `at`: how many before the first other
// byte.
unsigned printable(const unsigned char* at, char odd) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  const __m128i from_first = _mm_sub_epi8(bytes, _mm_set1_epi8('!'));
  const __m128i is_printable =
      _mm_cmpeq_epi8(_mm_min_epu8(from_first, _mm_set1_epi8('~' - '!')), from_first);
  const __m128i ok = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(odd)), is_printable);
  return static_cast<unsigned>(std::countr_one(static_cast<unsigned>(_mm_movemask_epi8(ok))));
}

}  // namespace

// Takes the normalised text of a segment in blanks and in runs of other characters between them,
// each as long as it is, and writes the ids of the words that Metaspace makes of it.
class UnigramPass::Words {
 public:
  Words(const UnigramPass& owner, bool starts_text, Buffers& memory, IdSink& to)
      : buffers(memory),
        sink(to),
        pass_(owner),
        prepends_(owner.prepend_ == Metaspace::Prepend::always ||
                  (owner.prepend_ == Metaspace::Prepend::first && starts_text)) {}

  void blank() {
    if (pass_.splits_first_) {
      end_piece();
    } else if (!(after_blank_ && pass_.joins_blanks_)) {
      ++blanks_;
    }
    after_blank_ = true;
  }
  // A character of the text that looks like Metaspace's blank.
  void replacement() {
    ++blanks_;
    after_blank_ = false;
  }
  // Whether a run that came now would have a blank in front.
  bool has_blank() const { return blanks_ > 0 || (starts_piece_ && prepends_); }
  // Before the ids of a run: those of the blanks that are words of their own.
  void start_run() {
    for (; blanks_ > 1; --blanks_) lone_blank();
    blanks_ = 0;
    after_blank_ = starts_piece_ = false;
  }
  void end_piece() {
    for (; blanks_ > 0; --blanks_) lone_blank();
    starts_piece_ = true;
  }
  // Its ids live in `buffers`.
  std::span<const std::int32_t> run(std::string_view bytes) {
    const bool with_blank = has_blank();
    start_run();
    return write(bytes, with_blank);
  }

  Buffers& buffers;
  IdSink& sink;

 private:
  std::span<const std::int32_t> write(std::string_view bytes, bool with_blank) {
    buffers.word.assign(with_blank ? pass_.replacement_bytes_ : std::string());
    buffers.word += bytes;
    const auto ids = pass_.unigram_->cut(buffers.word, buffers.model);
    for (const std::int32_t id : ids) sink.push_back(id);
    return ids;
  }
  void lone_blank() { write({}, true); }

  const UnigramPass& pass_;
  const bool prepends_;
  std::size_t blanks_ = 0;
  bool after_blank_ = false;  // what came last was a blank, not what looks like one
  bool starts_piece_ = true;
};

Result<UnigramPass> UnigramPass::build(const TokenizerSpec& spec, const PieceModel& model,
                                       const ByStages& by_stages) {
  const auto* metaspace = dynamic_cast<const Metaspace*>(spec.pre_tokenizer.get());
  UnigramPass out;
  out.unigram_ = dynamic_cast<const Unigram*>(&model);
  if (metaspace == nullptr || out.unigram_ == nullptr) return refuse("it is not Unigram");
  if (!metaspace->flags.split) return refuse("words are not split at blanks");
  out.splits_first_ = metaspace->before() != nullptr;
  if (out.splits_first_) {
    const auto* before = dynamic_cast<const ByCharacter*>(metaspace->before());
    if (before == nullptr || !before->is_whitespace_split())
      return refuse("words are split at more than white space");
    if (metaspace->flags.prepend != Metaspace::Prepend::always)
      return refuse("words are split at white space and get no blank");
  }
  out.prepend_ = metaspace->flags.prepend;
  out.replacement_ = metaspace->flags.replacement;
  append_utf8(out.replacement_, out.replacement_bytes_);
  out.by_stages_ = &by_stages;
  out.added_ = &spec.added;
  BREAKEVEN_TRY_VOID(out.take_normalizer(*spec.normalizer));
  BREAKEVEN_TRY_VOID(out.take_added_tokens(*spec.normalizer));
  BREAKEVEN_TRY_VOID(out.find_kinds());
  return out;
}

// The steps must come in the order in which encode() makes up for them.
Result<void> UnigramPass::take_normalizer(const Normalizer& normalizer) {
  enum Place { start, lowercase, strip, map, strip_again, replace } place = start;
  const auto comes_at = [&](Place wanted) {
    const bool later = place < wanted;
    place = wanted;
    return later;
  };
  for (const Normalizer* step : normalizer.steps()) {
    bool known = false;
    if (const auto* bert = dynamic_cast<const BertNormalizer*>(step)) {
      known = bert->changes_nothing();
    } else if (dynamic_cast<const LowercaseNormalizer*>(step) != nullptr) {
      known = comes_at(lowercase);
      by_character_.push_back(step);
    } else if (dynamic_cast<const PrecompiledNormalizer*>(step) != nullptr) {
      known = comes_at(map);
      by_character_.push_back(step);
    } else if (const auto* strip_step = dynamic_cast<const StripNormalizer*>(step)) {
      if (place < map) {
        known = comes_at(strip);
        strips_left_ = strip_step->flags.left;
        strips_right_ = strip_step->flags.right;
      } else {
        known = comes_at(strip_again) && !strip_step->flags.left;
        strips_normalized_ = strip_step->flags.right;
      }
    } else if (const auto* replace_step = dynamic_cast<const ReplaceNormalizer*>(step)) {
      known = comes_at(replace) && replace_step->joins_blanks(splits_first_ ? U' ' : replacement_);
      joins_blanks_ = true;
    }
    if (!known) return refuse("the normaliser has other steps than lower case, strip, map, blanks");
  }
  return {};
}

Result<void> UnigramPass::take_added_tokens(const Normalizer& normalizer) {
  std::vector<TokenMatcher<char>::Entry> raw;
  for (std::size_t i = 0; i < added_->size(); ++i) {
    const AddedToken& token = (*added_)[i];
    if (token.content.find("\xEF\xBF\xBD") != std::string::npos)
      return refuse(
          fmt::format("the added token '{}' stands for broken bytes, too", token.content));
    if (token.single_word || token.plain_text)
      return refuse(
          fmt::format("the added token '{}' is more than a string of bytes", token.content));
    if (!token.normalized) {
      raw.push_back({token.content, i});
      continue;
    }
    // Where one may start, the route by stages takes over.
    NormalizerBuffers buffers;
    std::u32string content, normal;
    append_code_points(token.content, content);
    normalizer.normalize(content, buffers, normal);
    if (normal.empty()) continue;
    if (normal.front() == U' ' || normal.front() == replacement_)
      return refuse(fmt::format("the added token '{}' starts with a blank", token.content));
    token_starts_ += normal.front();
  }
  in_raw_text_ = TokenMatcher<char>(std::move(raw));
  return {};
}

// Fills kinds_ and what follows from it.
Result<void> UnigramPass::find_kinds() {
  kinds_.assign(kLastCodePoint + 1, Kind::plain);
  for (const Normalizer* step : by_character_) {
    const auto* map = dynamic_cast<const PrecompiledNormalizer*>(step);
    if (map == nullptr) {
      for (const tables::Lowercase& each : tables::kLowercase)
        kinds_[each.code_point] = Kind::changed;
      continue;
    }
    for (char32_t c = 0; c <= kLastCodePoint; ++c) {
      char bytes[4];
      const std::string_view spelled(bytes, encode_utf8(c, bytes));
      if (map->map().shortest(spelled).value_or(spelled) != spelled) kinds_[c] = Kind::changed;
    }
  }
  if (kinds_[U' '] != Kind::plain) return refuse("the map changes blanks");
  for (const tables::Range& range : tables::kWhitespace)
    std::fill(kinds_.begin() + range.first, kinds_.begin() + range.last + 1, Kind::changed);
  for (const char32_t c : token_starts_ + replacement_ + U'\0') kinds_[c] = Kind::changed;
  for (const tables::ClusterRange& range : tables::kCluster) {
    Kind kind = Kind::changed;
    switch (range.value) {
      case Cluster::mark:
      case Cluster::spacing_mark:
      case Cluster::linker:
        kind = Kind::mark;
        break;
      case Cluster::prepend:
        kind = Kind::prepended;
        break;
      case Cluster::leading:
      case Cluster::vowel:
      case Cluster::trailing:
      case Cluster::regional:
        break;
      default:
        continue;  // joins nothing unless one of the above stands between
    }
    std::fill(kinds_.begin() + range.first, kinds_.begin() + range.last + 1, kind);
  }
  for (char32_t c = U'!'; c <= U'~'; ++c)
    if (kinds_[c] != Kind::plain) odd_printables_ += static_cast<char>(c);
  Buffers buffers;
  for (const char c : std::string_view(" \t\n\r"))
    if (normalized({&c, 1}, buffers) == U" ") blanks_at_end_ += c;
  return {};
}

UnigramPass::Kind UnigramPass::kind(const Byte* at, const Byte* end, unsigned& bytes) const {
  const Decoded decoded = decode_utf8(at, end);
  bytes = decoded.bytes;
  return decoded.valid ? kinds_[decoded.code_point] : Kind::changed;
}

// A blank that no mark behind it makes a cluster of; what stands before it is none's beginning.
bool UnigramPass::is_blank(const Byte* at, const Byte* end) const {
  unsigned bytes = 0;
  return *at == ' ' && (at + 1 == end || at[1] < 0x80 || kind(at + 1, end, bytes) != Kind::mark);
}

UnigramPass::Chunk UnigramPass::next_chunk(const Byte* at, const Byte* end) const {
  bool plain = true;
  Kind last = Kind::plain;
  while (at < end) {
    if (end - at >= 16 && odd_printables_.size() <= 1) {
      const unsigned count = printable(at, odd_printables_.empty() ? ' ' : odd_printables_.front());
      if (count > 0) last = Kind::plain;
      at += count;
      if (count == 16) continue;
    }
    if (at == end || (last != Kind::prepended && is_blank(at, end))) break;
    unsigned bytes = 0;
    last = kind(at, end, bytes);
    plain = plain && last == Kind::plain && *at != ' ';
    at += bytes;
  }
  return {at, plain};
}

const std::u32string& UnigramPass::normalized(std::string_view chunk, Buffers& buffers) const {
  std::u32string* text = &buffers.normalized;
  std::u32string* other = &buffers.step;
  text->clear();
  append_code_points(chunk, *text);
  for (const Normalizer* step : by_character_) {
    step->normalize(*text, buffers.normalizer, *other);
    std::swap(text, other);
  }
  return *text;
}

// False where an added token may start in it.
bool UnigramPass::encode_chunk(std::string_view chunk, bool plain, bool padded,
                               Words& words) const {
  Buffers& buffers = words.buffers;
  WordCache::Slot* slot = nullptr;
  PieceKey key;
  const bool fits = chunk.size() <= PieceKey::kMaxBytes && words.has_blank();
  if (fits && (plain || std::memchr(chunk.data(), 0, chunk.size()) == nullptr)) {
    char copy[PieceKey::kMaxBytes] = {};
    if (!padded) std::memcpy(copy, chunk.data(), chunk.size());
    key = PieceKey::load(padded ? chunk.data() : copy, chunk.size());
    slot = &buffers.cache.slot(key);
    if (slot->holds(key)) {
      words.start_run();
      for (std::int32_t i = 0; i < slot->count; ++i) words.sink.push_back(slot->ids[i]);
      return true;
    }
  }
  if (!plain) {
    const std::u32string& text = normalized(chunk, buffers);
    if (text.find_first_of(token_starts_) != std::u32string::npos) return false;
    buffers.run.clear();
    bool one_run = !text.empty();
    for (const char32_t c : text) {
      const bool blank = c == U' ' || (splits_first_ && is_whitespace(c));
      if (!blank && c != replacement_) {
        append_utf8(c, buffers.run);
        continue;
      }
      one_run = false;
      if (!buffers.run.empty()) words.run(buffers.run);
      buffers.run.clear();
      if (blank) {
        words.blank();
      } else {
        words.replacement();
      }
    }
    if (!one_run) {
      if (!buffers.run.empty()) words.run(buffers.run);
      return true;
    }
    chunk = buffers.run;
  }
  const auto ids = words.run(chunk);
  if (slot == nullptr || ids.size() > WordCache::kMaxPieces) return true;
  slot->key = key;
  slot->count = static_cast<std::int32_t>(ids.size());
  std::copy(ids.begin(), ids.end(), slot->ids);
  return true;
}

// False where an added token may start in the normalised text.
bool UnigramPass::encode_words(std::string_view text, Words& words) const {
  const auto* at = reinterpret_cast<const Byte*>(text.data());
  const auto* const end = at + text.size();
  while (at < end && !words.sink.full()) {
    if (is_blank(at, end)) {
      words.blank();
      ++at;
      continue;
    }
    const Chunk chunk = next_chunk(at, end);
    const auto length = static_cast<std::size_t>(chunk.end - at);
    if (!encode_chunk({reinterpret_cast<const char*>(at), length}, chunk.plain, end - at >= 16,
                      words))
      return false;
    // What is forgotten can not be taken back.
    if (token_starts_.empty()) words.sink.forget();
    at = chunk.end;
  }
  words.end_piece();
  return true;
}

// The text without the white space that the normaliser strips; nothing where it takes more than a
// look at the bytes to tell what that is.
std::optional<std::string_view> UnigramPass::stripped(std::string_view text) const {
  while (strips_left_)
    if (const std::size_t space = whitespace_at(text, 0)) {
      text.remove_prefix(space);
    } else {
      break;
    }
  while (strips_right_)
    if (const std::size_t space = whitespace_before(text, text.size())) {
      text.remove_suffix(space);
    } else {
      break;
    }
  if (!strips_normalized_) return text;
  text = text.substr(0, text.find_last_not_of(blanks_at_end_) + 1);
  const auto* bytes = reinterpret_cast<const Byte*>(text.data());
  for (std::size_t length = 1; length <= 4 && length <= text.size(); ++length) {
    const Decoded last = decode_utf8(bytes + text.size() - length, bytes + text.size());
    if (!last.valid || last.bytes != length) continue;
    if (kinds_[last.code_point] == Kind::plain) return text;
    break;
  }
  return text.empty() ? std::optional(text) : std::nullopt;
}

void UnigramPass::segment(std::string_view text, bool starts_text, Buffers& buffers,
                          IdSink& sink) const {
  const std::size_t before = sink.size();
  if (const auto words = stripped(text)) {
    Words to(*this, starts_text, buffers, sink);
    if (encode_words(*words, to)) return;
  }
  sink.resize(before);
  buffers.segment.clear();
  append_code_points(text, buffers.segment);
  by_stages_->encode_segment(buffers.segment, starts_text, buffers.by_stages, sink);
}

void UnigramPass::encode(std::string_view text, Buffers& buffers, IdSink& sink) const {
  for_each_segment(in_raw_text_, *added_, text, sink, [&](std::string_view part) {
    segment(part, part.data() == text.data(), buffers, sink);
  });
}

}  // namespace breakeven::text

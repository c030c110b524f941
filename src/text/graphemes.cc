#include "text/graphemes.h"

#include "text/unicode.h"

namespace breakeven::text {
namespace {

using tables::Cluster;

constexpr char32_t kFirstJoining = 0x300;  // nothing below joins a neighbour, but CR and LF
constexpr char32_t kNonJoiner = 0x200C, kJoiner = 0x200D;

bool is_mark(Cluster kind) {
  return kind == Cluster::mark || kind == Cluster::linker || kind == Cluster::spacing_mark;
}

// Whether jamo go on with a syllable; `before` of a whole one is its last jamo.
bool is_syllable(Cluster before, char32_t c, Cluster next) {
  if (is_hangul_syllable(c)) return before == Cluster::leading;
  if (before == Cluster::leading) return next == Cluster::leading || next == Cluster::vowel;
  if (before == Cluster::vowel) return next == Cluster::vowel || next == Cluster::trailing;
  return before == Cluster::trailing && next == Cluster::trailing;
}

// What the rules remember of a cluster's code points so far.
class Open {
 public:
  explicit Open(Cluster first) : before_(first) { note(0, first); }

  bool takes(char32_t c, Cluster kind) const {
    if (is_mark(kind) || is_syllable(before_, c, kind)) return true;
    if (kind == Cluster::regional) return before_ == Cluster::regional && odd_regional_;
    if (kind == Cluster::pictographic) return joined_picture_;
    return kind == Cluster::consonant && linked_;
  }

  void note(char32_t c, Cluster kind) {
    odd_regional_ = kind == Cluster::regional && !odd_regional_;
    joined_picture_ = picture_ && c == kJoiner;
    picture_ = kind == Cluster::pictographic ||
               (picture_ && (kind == Cluster::mark || kind == Cluster::linker));
    const bool links = kind == Cluster::linker || (kind == Cluster::mark && c != kNonJoiner);
    linked_ = consonant_ && links && (linked_ || kind == Cluster::linker);
    consonant_ = kind == Cluster::consonant || (consonant_ && links);
    before_ = kind;
  }

 private:
  Cluster before_;
  bool odd_regional_ = false;
  bool picture_ = false, joined_picture_ = false;  // a picture and marks; the joiner behind them
  bool consonant_ = false, linked_ = false;        // a consonant and marks; a linker among them
};

}  // namespace

std::size_t grapheme_end(std::u32string_view text, std::size_t at) {
  const std::size_t size = text.size();
  if (text[at] == U'\r' && at + 1 < size && text[at + 1] == U'\n') return at + 2;
  if (text[at] < kFirstJoining && (at + 1 == size || text[at + 1] < kFirstJoining)) return at + 1;
  Cluster kind = cluster_kind(text[at]);
  if (kind == Cluster::control) return at + 1;
  while (kind == Cluster::prepend && at + 1 < size) {
    const Cluster next = cluster_kind(text[at + 1]);
    if (next == Cluster::control) break;
    kind = next;
    ++at;
  }
  Open open(kind);
  for (++at; at < size; ++at) {
    kind = cluster_kind(text[at]);
    if (!open.takes(text[at], kind)) break;
    open.note(text[at], kind);
  }
  return at;
}

}  // namespace breakeven::text

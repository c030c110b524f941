#include "text/by_stages.h"

#include "base/utf8.h"

namespace breakeven::text {

ByStages::ByStages(const TokenizerSpec& spec, const Vocabulary& vocabulary)
    : flags_(spec.normalizer), added_(spec.added), vocabulary_(vocabulary) {
  std::vector<Matcher::Entry> raw, normalized;
  for (std::size_t i = 0; i < added_.size(); ++i) {
    std::u32string content;
    append_code_points(added_[i].content, content);
    if (added_[i].normalized) {
      NormalizerBuffers buffers;
      std::u32string out;
      normalize(content, flags_, buffers, out);
      normalized.push_back({out, i});
    } else {
      raw.push_back({content, i});
    }
  }
  in_raw_text_ = Matcher(std::move(raw));
  in_normalized_text_ = Matcher(std::move(normalized));
}

// Calls on_segment for the text between added tokens and writes the tokens' ids. The search goes on
// behind a token itself, not behind the whitespace that it strips on its right.
template <class OnSegment>
void ByStages::for_each_segment(const Matcher& matcher, std::u32string_view text, IdSink& sink,
                                OnSegment on_segment) const {
  std::size_t segment = 0;
  for (std::size_t at = 0; !matcher.empty() && at < text.size() && !sink.full();) {
    const Matcher::Match match = matcher.at_start_of(text.substr(at));
    if (match.length == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = added_[match.index];
    std::size_t start = at, stop = at + match.length;
    if (token.lstrip)
      while (start > segment && is_whitespace(text[start - 1])) --start;
    if (token.rstrip)
      while (stop < text.size() && is_whitespace(text[stop])) ++stop;
    if (segment < start) on_segment(text.substr(segment, start - segment));
    if (!sink.full()) sink.push_back(token.id);
    sink.forget();
    segment = stop;
    at += match.length;
  }
  if (segment < text.size() && !sink.full()) on_segment(text.substr(segment));
}

void ByStages::split_to_ids(std::u32string_view normalized, Buffers& buffers, IdSink& sink) const {
  std::string& word = buffers.word;
  std::size_t chars = 0;
  const auto flush = [&] {
    if (chars > 0 && !sink.full()) vocabulary_.word_to_ids(word, chars, sink);
    sink.forget();
    word.clear();
    chars = 0;
  };
  for (const char32_t c : normalized) {
    if (sink.full()) return;
    const bool alone = is_punctuation(c);
    if (alone || is_whitespace(c)) flush();
    if (is_whitespace(c)) continue;
    append_utf8(c, word);
    ++chars;
    if (alone) flush();
  }
  flush();
}

void ByStages::encode(std::string_view text, Buffers& buffers, IdSink& sink) const {
  buffers.code_points.clear();
  append_code_points(text, buffers.code_points);
  for_each_segment(in_raw_text_, buffers.code_points, sink, [&](std::u32string_view segment) {
    normalize(segment, flags_, buffers.normalizer, buffers.normalized);
    for_each_segment(in_normalized_text_, buffers.normalized, sink,
                     [&](std::u32string_view part) { split_to_ids(part, buffers, sink); });
  });
}

}  // namespace breakeven::text

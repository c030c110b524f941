#include "text/by_stages.h"

#include "base/utf8.h"
#include "text/unicode.h"

namespace breakeven::text {

ByStages::ByStages(const TokenizerSpec& spec, const PieceModel& model)
    : spec_(spec), model_(model) {
  std::vector<Matcher::Entry> raw, normalized;
  for (std::size_t i = 0; i < spec.added.size(); ++i) {
    std::u32string content;
    append_code_points(spec.added[i].content, content);
    if (spec.added[i].normalized) {
      NormalizerBuffers buffers;
      std::u32string out;
      spec.normalizer->normalize(content, buffers, out);
      normalized.push_back({out, i});
    } else {
      raw.push_back({content, i});
    }
  }
  in_raw_text_ = Matcher(std::move(raw));
  in_normalized_text_ = Matcher(std::move(normalized));
}

// Calls on_segment for the text between added tokens and writes the tokens' ids. The search goes on
// after a token itself, not after the whitespace that it strips on its right.
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
    const AddedToken& token = spec_.added[match.index];
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
  std::size_t at = 0;
  while (!sink.full()) {
    const std::size_t chars = spec_.pre_tokenizer->next_word(normalized, at, buffers.word);
    if (chars == 0) return;
    model_.word_to_ids(buffers.word, chars, sink);
    sink.forget();
  }
}

void ByStages::encode(std::string_view text, Buffers& buffers, IdSink& sink) const {
  buffers.code_points.clear();
  append_code_points(text, buffers.code_points);
  for_each_segment(in_raw_text_, buffers.code_points, sink, [&](std::u32string_view segment) {
    spec_.normalizer->normalize(segment, buffers.normalizer, buffers.normalized);
    for_each_segment(in_normalized_text_, buffers.normalized, sink,
                     [&](std::u32string_view part) { split_to_ids(part, buffers, sink); });
  });
}

}  // namespace breakeven::text

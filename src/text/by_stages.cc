#include "text/by_stages.h"

#include "base/utf8.h"
#include "text/segments.h"

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

void ByStages::split_to_ids(std::u32string_view normalized, bool starts_text, Buffers& buffers,
                            IdSink& sink) const {
  const std::u32string_view text =
      spec_.pre_tokenizer->prepare(normalized, starts_text, buffers.pre_tokenizer);
  std::size_t at = 0;
  while (!sink.full()) {
    const std::size_t chars = spec_.pre_tokenizer->next_word(text, at, buffers.word);
    if (chars == 0) return;
    model_.word_to_ids(buffers.word, chars, buffers.model, sink);
    sink.forget();
  }
}

void ByStages::encode_segment(std::u32string_view segment, bool starts_text, Buffers& buffers,
                              IdSink& sink) const {
  spec_.normalizer->normalize(segment, buffers.normalizer, buffers.normalized);
  const std::u32string_view normalized = buffers.normalized;
  for_each_segment(
      in_normalized_text_, spec_.added, normalized, sink, [&](std::u32string_view part) {
        split_to_ids(part, starts_text && part.data() == normalized.data(), buffers, sink);
      });
}

void ByStages::encode(std::string_view text, Buffers& buffers, IdSink& sink) const {
  buffers.code_points.clear();
  append_code_points(text, buffers.code_points);
  const std::u32string_view whole = buffers.code_points;
  for_each_segment(in_raw_text_, spec_.added, whole, sink, [&](std::u32string_view segment) {
    encode_segment(segment, segment.data() == whole.data(), buffers, sink);
  });
}

}  // namespace breakeven::text

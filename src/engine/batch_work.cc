#include "engine/batch_work.h"

#include <algorithm>

namespace breakeven::engine {

Reading reading_of(const text::Tokenizer& tokenizer, std::size_t token_types,
                   text::PairCut pair_cut, bool whole) {
  return {.pair_cut = pair_cut,
          .whole = whole,
          .takes_types = tokenizer.info().model_takes_types && token_types > 1};
}

void make_ids(const text::Tokenizer& tokenizer, const Reading& reading, const Text& text,
              text::Tokenizer::Scratch& scratch, TokenIds& made) {
  made.ids.clear();
  made.types.clear();
  const text::EncodeOptions options{.max_length = reading.max_length,
                                    .truncation_side = tokenizer.info().truncation_side,
                                    .pair_cut = reading.pair_cut,
                                    .whole = reading.whole ? &made.whole : nullptr};
  const bool typed = reading.takes_types && text.second;
  made.cut = tokenizer.encode(text, options, scratch, made.ids, typed ? &made.types : nullptr);
}

BatchWork::BatchWork(const text::Tokenizer& tokenizer, std::size_t token_types,
                     text::PairCut pair_cut, bool whole_tokens, unsigned threads)
    : tokenizer_(&tokenizer), reading_(reading_of(tokenizer, token_types, pair_cut, whole_tokens)) {
  for (unsigned i = 0; i < threads; ++i) threads_.push_back({tokenizer.make_scratch(), {}});
}

void BatchWork::start(std::span<const Text> texts, std::size_t max_length) {
  reading_.max_length = max_length;
  typed_ = reading_.takes_types && any_pair(texts);
  const std::size_t room = texts.size() * max_length;
  if (ids_.size() < room) ids_.resize(room);
  if (typed_ && token_types_.size() < room) token_types_.resize(room);
  for (Thread& thread : threads_) {
    thread.made.ids.reserve(max_length);
    if (typed_) thread.made.types.reserve(max_length);
  }
  tokens_.resize(texts.size());
  cut_.resize(texts.size());
  whole_tokens_.resize(reading_.whole ? texts.size() : 0);
}

void BatchWork::tokenize(unsigned thread, std::span<const Text> texts, std::size_t first,
                         std::size_t count) {
  Thread& mine = threads_[thread];
  for (std::size_t text = first; text < first + count; ++text) {
    const TokenIds* made = texts[text].ready;
    if (made == nullptr) {
      make_ids(*tokenizer_, reading_, texts[text], *mine.scratch, mine.made);
      made = &mine.made;
    }
    cut_[text] = made->cut ? 1 : 0;
    if (reading_.whole) whole_tokens_[text] = static_cast<std::uint32_t>(made->whole);
    const auto place = static_cast<std::ptrdiff_t>(text * reading_.max_length);
    std::ranges::copy(made->ids, ids_.begin() + place);
    tokens_[text] = static_cast<std::uint32_t>(made->ids.size());
    if (!typed_) continue;
    const auto types = token_types_.begin() + place;
    std::fill_n(types, made->ids.size(), 0);  // of a text without a second one
    std::ranges::copy(made->types, types);
  }
}

void BatchWork::pad(Padding padding, std::size_t max_length, std::size_t batch) {
  rows_ = tokens_;
  if (padding == Padding::max_length) {
    std::ranges::fill(rows_, static_cast<std::uint32_t>(max_length));
  }
  for (std::size_t first = 0; padding == Padding::longest && first < rows_.size(); first += batch) {
    const auto of_batch = std::span(rows_).subspan(first, std::min(batch, rows_.size() - first));
    std::ranges::fill(of_batch, std::ranges::max(of_batch));
  }
  computed_tokens_ = 0;
  for (const std::uint32_t rows : rows_) computed_tokens_ += rows;
}

}  // namespace breakeven::engine

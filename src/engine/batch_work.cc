#include "engine/batch_work.h"

#include <algorithm>

namespace breakeven::engine {

BatchWork::BatchWork(const text::Tokenizer& tokenizer, std::size_t token_types,
                     text::PairCut pair_cut, bool whole_tokens, unsigned threads)
    : tokenizer_(&tokenizer),
      pair_cut_(pair_cut),
      counts_whole_(whole_tokens),
      takes_types_(tokenizer.info().model_takes_types && token_types > 1) {
  for (unsigned i = 0; i < threads; ++i) threads_.push_back({tokenizer.make_scratch(), {}, {}});
}

void BatchWork::start(std::span<const Text> texts, std::size_t max_length) {
  max_length_ = max_length;
  typed_ = takes_types_ && any_pair(texts);
  const std::size_t room = texts.size() * max_length;
  if (ids_.size() < room) ids_.resize(room);
  if (typed_ && token_types_.size() < room) token_types_.resize(room);
  for (Thread& thread : threads_) {
    thread.ids.reserve(max_length);
    if (typed_) thread.token_types.reserve(max_length);
  }
  tokens_.resize(texts.size());
  cut_.resize(texts.size());
  whole_tokens_.resize(counts_whole_ ? texts.size() : 0);
}

void BatchWork::tokenize(unsigned thread, std::span<const Text> texts, std::size_t first,
                         std::size_t count) {
  std::size_t whole = 0;
  const text::EncodeOptions options{.max_length = max_length_,
                                    .truncation_side = tokenizer_->info().truncation_side,
                                    .pair_cut = pair_cut_,
                                    .whole = counts_whole_ ? &whole : nullptr};
  Thread& mine = threads_[thread];
  for (std::size_t text = first; text < first + count; ++text) {
    mine.ids.clear();
    mine.token_types.clear();
    cut_[text] = tokenizer_->encode(texts[text], options, *mine.scratch, mine.ids,
                                    typed_ ? &mine.token_types : nullptr)
                     ? 1
                     : 0;
    if (counts_whole_) whole_tokens_[text] = static_cast<std::uint32_t>(whole);
    const auto place = static_cast<std::ptrdiff_t>(text * max_length_);
    std::ranges::copy(mine.ids, ids_.begin() + place);
    if (typed_) std::ranges::copy(mine.token_types, token_types_.begin() + place);
    tokens_[text] = static_cast<std::uint32_t>(mine.ids.size());
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

// Texts on their way through the engine: their ids, and their rows under the padding policy. All
// memory is reused from one use to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/text.h"
#include "classifier/classifier.h"
#include "text/tokenizer.h"

namespace breakeven::engine {

// How a classifier makes ids of texts.
struct Reading {
  std::size_t max_length = 0;
  text::PairCut pair_cut = text::PairCut::longest_first;
  bool whole = false;        // all of a text is read, even of one that is cut
  bool takes_types = false;  // the model has several token types, and takes them
};
Reading reading_of(const text::Tokenizer& tokenizer, std::size_t token_types,
                   text::PairCut pair_cut, bool whole);
// What `made` held is gone; its memory is used again. `scratch`: of this tokenizer.
void make_ids(const text::Tokenizer& tokenizer, const Reading& reading, const Text& text,
              text::Tokenizer::Scratch& scratch, TokenIds& made);

class BatchWork {
 public:
  // `threads`: how many may tokenise at the same time. `token_types`: rows of the model's table.
  // `whole_tokens`: all of a text is read, even of one that is cut.
  BatchWork(const text::Tokenizer& tokenizer, std::size_t token_types, text::PairCut pair_cut,
            bool whole_tokens, unsigned threads);

  // Makes room for these texts of max_length tokens, which hold at least the special ones.
  void start(std::span<const Text> texts, std::size_t max_length);
  // texts[first .. first + count) -> ids, cut at max_length, by one of the threads.
  void tokenize(unsigned thread, std::span<const Text> texts, std::size_t first, std::size_t count);
  // Rows of each text; `batch` texts share a batch.
  void pad(Padding padding, std::size_t max_length, std::size_t batch);

  std::span<const std::uint32_t> tokens() const { return tokens_; }  // real ones of each text
  std::span<const std::uint8_t> cut() const { return cut_; }         // 1: it had more
  std::span<const std::uint32_t> whole_tokens() const { return whole_tokens_; }  // uncut, or empty
  std::span<const std::uint32_t> rows() const { return rows_; }
  std::size_t computed_tokens() const { return computed_tokens_; }
  std::span<const std::int32_t> ids(std::uint32_t text) const {
    return std::span(ids_).subspan(text * reading_.max_length, tokens_[text]);
  }
  // As many as ids; none where all are 0: without a pair, or where the model has one type or none.
  std::span<const std::int32_t> token_types(std::uint32_t text) const {
    if (!typed_) return {};
    return std::span(token_types_).subspan(text * reading_.max_length, tokens_[text]);
  }

 private:
  struct Thread {
    std::unique_ptr<text::Tokenizer::Scratch, void (*)(text::Tokenizer::Scratch*)> scratch;
    TokenIds made;  // of one text
  };

  const text::Tokenizer* tokenizer_;
  std::vector<Thread> threads_;
  Reading reading_;
  bool typed_ = false;
  std::vector<std::int32_t> ids_, token_types_;  // [texts, max_length]
  std::vector<std::uint32_t> tokens_, whole_tokens_, rows_;
  std::vector<std::uint8_t> cut_;
  std::size_t computed_tokens_ = 0;
};

}  // namespace breakeven::engine

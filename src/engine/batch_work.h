// Texts on their way through the engine: their ids, and their rows under the padding policy. All
// memory is reused from one use to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "classifier/classifier.h"
#include "text/tokenizer.h"

namespace breakeven::engine {

class BatchWork {
 public:
  // `threads`: how many may tokenise at the same time.
  BatchWork(const text::Tokenizer& tokenizer, unsigned threads);

  // Makes room for so many texts of max_length tokens.
  void start(std::size_t texts, std::size_t max_length);
  // texts[first .. first + count) -> ids, cut at max_length, by one of the threads.
  void tokenize(unsigned thread, std::span<const std::string_view> texts, std::size_t first,
                std::size_t count);
  // Rows of each text; `batch` texts share a batch.
  void pad(Padding padding, std::size_t max_length, std::size_t batch);

  std::span<const std::uint32_t> tokens() const { return tokens_; }  // real ones of each text
  std::span<const std::uint8_t> cut() const { return cut_; }         // 1: it had more
  std::span<const std::uint32_t> rows() const { return rows_; }
  std::size_t computed_tokens() const { return computed_tokens_; }
  std::span<const std::int32_t> ids(std::uint32_t text) const {
    return std::span(ids_).subspan(text * max_length_, tokens_[text]);
  }

 private:
  struct Thread {
    std::unique_ptr<text::Tokenizer::Scratch, void (*)(text::Tokenizer::Scratch*)> scratch;
    std::vector<std::int32_t> ids;  // of one text
  };

  const text::Tokenizer* tokenizer_;
  std::vector<Thread> threads_;
  std::size_t max_length_ = 0;
  std::vector<std::int32_t> ids_;  // [texts, max_length]
  std::vector<std::uint32_t> tokens_, rows_;
  std::vector<std::uint8_t> cut_;
  std::size_t computed_tokens_ = 0;
};

}  // namespace breakeven::engine

// Where texts come from. A source hands out one review after the other, so that a file may be
// larger than memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace breakeven::data {

struct Review {
  std::string text;
  std::optional<std::int32_t> label;  // index into the model's labels when the data set has labels
  std::uint64_t origin =
      0;  // texts made from the same originals share no origin; accuracy counts distinct ones
  std::string extra;  // JSON object text with the record's other fields, "" when there are none
};

class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;
  // The next review, or nothing at the end. Errors name the file and the line.
  virtual Result<std::optional<Review>> next() = 0;
};

struct SourceOptions {
  std::string texts = "builtin";  // "builtin", "imdb", a file (.jsonl .csv .txt), a folder or
                                  // archive of aclImdb, "-"
  std::string text_field = "text";
  std::string label_field = "label";
  std::string split = "test";       // of IMDB
  std::vector<std::string> labels;  // the model's label names, to map label strings to indices
  std::uint64_t seed = 1;           // order and joining of the built-in reviews
};

Result<std::unique_ptr<Source>> open_source(const SourceOptions& options);

// Reads up to `count` reviews. IMDB comes in an order mixed by seed (its files are sorted by
// label).
struct ReviewSet {
  std::string name;  // "imdb test", "builtin", the file's path
  std::vector<Review> reviews;
  std::string hash;  // SHA-256 over the texts, hex
  std::string
      note;  // what a reader must know, for example "built-in reviews: no data set was given"
};
Result<ReviewSet> read_reviews(const SourceOptions& options, std::size_t count);

}  // namespace breakeven::data

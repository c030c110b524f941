// Where texts come from. A source hands out one review after the other, so that a file may be
// larger than memory.
//
// Formats (docs/inputs.md says more). Whatever a file is compressed with and encoded in is found
// out by its content (input.h); lines end with "\n", "\r\n" or "\r".
//   jsonl  one JSON object a line, blank lines are skipped; or JSON: an array of objects, or
//   objects
//          that go over several lines. The text field must be a string. Invalid UTF-8 and lone
//          surrogates (\ud83d without its partner) become U+FFFD.
//   csv    RFC 4180 with a header line: quotes, "" inside quotes, line breaks inside quotes.
//          Separated by commas, semicolons, tabs or bars.
//   lines  every line is a text, an empty one too, so that answer n belongs to line n.
//          Any bytes are accepted, NUL and invalid UTF-8 included; the tokenizer's rule holds.
//   IMDB   aclImdb/{train,test}/{pos,neg}/ID_RATING.txt as a folder or a tar archive, in an order
//          mixed by seed (its files are sorted by label).
//   built-in  reviews written for this project, joined to IMDB's lengths (builtin.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/text.h"
#include "data/encoding.h"
#include "data/labels.h"

namespace breakeven::data {

// The longest line, record or review that is read; a longer one is an error with its place.
inline constexpr std::size_t kMaxTextBytes = 100'000'000;

struct Review {
  std::string text;
  std::optional<std::string> second{};  // of a pair
  std::optional<std::int32_t> label;  // index into the model's labels when the data set has labels
  // Fingerprints of the original texts that this one holds: one for a review as it was found,
  // several for a joined one. A text that occurs twice has the same fingerprint twice.
  std::vector<std::uint64_t> originals;
  std::string extra;  // JSON object text with the record's other fields, "" when there are none

  Text view() const { return {text, second}; }
};

class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;
  // The next review, or nothing at the end; a source hands out at least one or an error. Errors
  // name the file and the line; after one the source is at its end. Errors: those of open_source,
  // data/line-too-long, data/json, data/csv, data/missing-field, data/wrong-type,
  // data/unknown-label, data/ambiguous-pair, data/archive-corrupt, data/archive-members,
  // data/empty, file/unreadable.
  virtual Result<std::optional<Review>> next() = 0;
  // "imdb test", "builtin", the file's path.
  virtual std::string name() const = 0;
  // What a reader of the results must know; may be empty.
  virtual std::string note() const { return {}; }
  // What a person should know before: how the input is read where it does not say so itself.
  virtual std::vector<std::string> assumptions() const { return {}; }
  // What a person should know after: what of the texts so far could not be read; "" = nothing.
  virtual std::string losses() const { return {}; }
};

// automatic: by the file's name; of .txt and other names by the beginning: JSON, a CSV header that
// has the texts' fields, else lines.
enum class Format : std::uint8_t { automatic, jsonl, csv, lines };
Result<Format> parse_format(std::string_view text);  // auto, jsonl, csv, lines; errors: data/format

// Whether quotes in CSV are anything but letters. automatic: yes, but for fields between tabs that
// cannot be meant so, as GLUE's are.
enum class Quoting : std::uint8_t { automatic, on, off };
Result<Quoting> parse_quoting(std::string_view text);  // auto, on, off; errors: data/format
// "," ";" "|", "tab" or "\t"; "" and "auto" = 0, found out. Errors: data/format.
Result<char> parse_separator(std::string_view text);

struct SourceOptions {
  std::string texts = "builtin";       // "builtin", "imdb", a file (.jsonl .csv .txt), a folder or
                                       // archive of aclImdb, "-" for stdin
  Format format = Format::automatic;   // of a file or of stdin
  std::optional<Encoding> encoding{};  // nothing: a byte order mark's, else UTF-8
  char separator = 0;                  // of CSV; 0 = found out
  Quoting quoting = Quoting::automatic;
  bool header = true;  // false: CSV whose fields are called by their numbers, from 1
  // "" and no pair_field: "text", or a pair by its usual names (text_fields.h).
  std::string text_field{};
  std::string pair_field{};  // of the second text; "" = no pair where text_field is given
  // "" = no labels are read, and a field of that name is passed on like any other.
  std::string label_field = "label";
  bool label_required = false;        // a record without the label field is then an error
  std::string split = "test";         // of IMDB: test, train, all
  std::vector<std::string> labels{};  // the model's label names, to map label strings to indices
  LabelNames label_map{};
  // Of the middle of a file (pieces.h), what its beginning said.
  bool one_a_line = false;             // JSON: no object goes over several lines
  std::vector<std::string> columns{};  // CSV: its header, which is not read again
  std::uint64_t seed = 1;              // order of IMDB, order and joining of the built-in reviews
};

// Errors: those of open_input; data/empty, data/split, data/imdb-missing, data/no-reviews (a folder
// or archive without them), data/missing-field, data/ambiguous-pair, data/csv, data/label-map.
Result<std::unique_ptr<Source>> open_source(const SourceOptions& options);

// Many reviews at once.
struct ReviewSet {
  std::string name;  // of the source
  std::vector<Review> reviews;
  std::string note;                  // of the source
  std::vector<std::string> remarks;  // its assumptions and losses
};
// The first `count` reviews, fewer when the source has fewer. Errors: those of the source.
Result<ReviewSet> read_reviews(const SourceOptions& options, std::size_t count);

// A text's fingerprint (FNV-1a, 64 bits).
std::uint64_t fingerprint(std::string_view text);

}  // namespace breakeven::data

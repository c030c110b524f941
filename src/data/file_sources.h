// The sources that read one file or stream from front to back.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/bytes.h"
#include "data/source.h"

namespace breakeven::data {

// A file as text, and what a person should know of how it came to be so.
struct FileText {
  std::unique_ptr<LineReader> lines;
  std::vector<std::string> assumptions;
  bool is_plain = false;  // as Input's
};

// How a file is read, and where its first record begins: what is behind it can be read by itself.
struct Settled {
  SourceOptions reading;    // with all that its beginning said
  bool is_plain = false;    // as Input's
  bool guessed = false;     // CSV: as CsvForm's
  std::uint64_t begin = 0;  // byte of the first record, behind a CSV header
  std::uint64_t lines = 0;  // before that
};

class FileSource : public Source {
 public:
  // `options`: those that it was opened with. Before anything is read.
  virtual Settled settled(const SourceOptions& options) const {
    Settled found{options, text_.is_plain};
    found.reading.format = Format::lines;
    return found;
  }
  std::string name() const override { return text_.lines->name(); }
  std::vector<std::string> assumptions() const override { return text_.assumptions; }
  std::string losses() const override { return text_.lines->losses(); }

 protected:
  explicit FileSource(FileText text) : text_(std::move(text)) {}
  LineReader& lines() const { return *text_.lines; }
  void assume(std::string what) { text_.assumptions.push_back(std::move(what)); }

 private:
  FileText text_;
};

// Each takes, of `options`, the fields, the labels and how its format is written. Errors of a
// file's first bytes (no text at all, a CSV header without the text field) and of the label map
// come from here, all others from next(). `separator`: of CSV, where the options name none and the
// first line does not show another.
Result<std::unique_ptr<Source>> open_jsonl(FileText text, const SourceOptions& options);
Result<std::unique_ptr<Source>> open_csv(FileText text, char separator,
                                         const SourceOptions& options);
Result<std::unique_ptr<Source>> open_lines(FileText text);

}  // namespace breakeven::data

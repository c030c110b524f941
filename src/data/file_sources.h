// The sources that read one file or stream from front to back.
#pragma once

#include <memory>

#include "data/bytes.h"
#include "data/source.h"

namespace breakeven::data {

// Each takes the reader and, of `options`, the fields and labels. Errors of a file's first bytes
// (no text at all, a CSV header without the text field) come from here, all others from next().
Result<std::unique_ptr<Source>> open_jsonl(std::unique_ptr<LineReader> lines,
                                           const SourceOptions& options);
Result<std::unique_ptr<Source>> open_csv(std::unique_ptr<LineReader> lines, char separator,
                                         const SourceOptions& options);
Result<std::unique_ptr<Source>> open_lines(std::unique_ptr<LineReader> lines);

}  // namespace breakeven::data

// Bytes in, lines out: reading a file or stdin that may be larger than memory, line by line, with a
// limit on the length of a line.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace breakeven::data {

class ByteStream {
 public:
  ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  virtual ~ByteStream() = default;
  // Reads up to `size` bytes into `out`; 0 = the end. Errors: file/unreadable.
  virtual Result<std::size_t> read(char* out, std::size_t size) = 0;
  virtual const std::string& name() const = 0;  // for messages
};

// A file, a pipe, a device; "-" is stdin. Errors: file/missing, file/unreadable, file/not-a-file (a
// folder).
Result<std::unique_ptr<ByteStream>> open_bytes(const std::string& path);

// Text in memory, for tests and fuzzing. `content` must outlive it.
std::unique_ptr<ByteStream> bytes_of(std::string_view content, std::string name);

class LineReader {
 public:
  explicit LineReader(std::unique_ptr<ByteStream> bytes, std::size_t max_line_bytes);

  // The first bytes of the stream, at least one unless it is empty, a byte order mark left out.
  // Only before the first next().
  Result<std::string_view> peek();

  // The next line with the '\n' that ends it, if it has one; nothing at the end. Valid until the
  // next call. Errors: data/line-too-long, file/unreadable.
  Result<std::optional<std::string_view>> next();

  std::size_t line() const { return line_; }  // number of the line last handed out, from 1
  const std::string& name() const { return bytes_->name(); }
  std::size_t max_line_bytes() const { return max_line_bytes_; }
  Error too_long(std::size_t first_line) const;

 private:
  Result<bool> fill();  // reads more after end_; false at the end of the stream
  Result<void> skip_byte_order_mark();

  std::unique_ptr<ByteStream> bytes_;
  std::size_t max_line_bytes_;
  std::string buffer_;
  std::size_t read_bytes_ = 4096;  // of the next read; grows, since most files are large
  std::size_t begin_ = 0;          // first byte not yet handed out
  std::size_t end_ = 0;            // after the last byte read
  std::size_t line_ = 0;
  bool started_ = false;
};

// The line without its '\n' or "\r\n".
std::string_view without_line_end(std::string_view line);

}  // namespace breakeven::data

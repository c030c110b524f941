// Bytes in, lines out: reading a file or stdin that may be larger than memory, line by line, with a
// limit on the length of a line.
#pragma once

#include <cstddef>
#include <cstdint>
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
  // Reads up to `size` bytes into `out`; 0 = the end. Errors: file/unreadable,
  // data/archive-corrupt.
  virtual Result<std::size_t> read(char* out, std::size_t size) = 0;
  virtual const std::string& name() const = 0;  // for messages
  // What of the bytes read so far could not be understood, as a sentence; "" = nothing.
  virtual std::string losses() const { return {}; }
};

// A file, a pipe, a device; "-" is stdin. Errors: file/missing, file/unreadable, file/not-a-file (a
// folder).
Result<std::unique_ptr<ByteStream>> open_bytes(const std::string& path);

// Text in memory, for tests and fuzzing. `content` must outlive it.
std::unique_ptr<ByteStream> bytes_of(std::string_view content, std::string name);

// A line ends with "\n", "\r\n" or, as on old Macs, "\r" alone: Python's universal newlines.
class LineReader {
 public:
  explicit LineReader(std::unique_ptr<ByteStream> bytes, std::size_t max_line_bytes);

  // What comes next, taking nothing away: `least` bytes or more, fewer only at the end of the
  // stream; a byte order mark is left out. Valid until the next call of anything here.
  Result<std::string_view> ahead(std::size_t least);
  // What comes next up to the end of the first line that is not blank, or further; at most about
  // kMaxFirstLine bytes are waited for.
  Result<std::string_view> first_line();
  static constexpr std::size_t kMaxFirstLine = std::size_t{1} << 20;
  // Takes away bytes that ahead() has shown.
  void skip(std::size_t bytes);

  // The next line with what ends it, if it has an end; nothing at the end. Valid until the next
  // call. Errors: data/line-too-long, those of the stream.
  Result<std::optional<std::string_view>> next();

  // The stream is the middle of a file: so many lines stand before it, and no byte order mark
  // begins it. Before anything is read.
  void begin_behind(std::size_t lines) {
    line_ = lines;
    started_ = true;
  }
  std::uint64_t offset() const { return offset_; }  // bytes handed out or skipped so far

  std::size_t line() const { return line_; }  // number of the line last handed out, from 1
  bool valid() const { return valid_; }       // whether the bytes last handed out are UTF-8
  const std::string& name() const { return bytes_->name(); }
  std::size_t max_line_bytes() const { return max_line_bytes_; }
  Error too_long(std::size_t first_line) const;
  // As ByteStream has it, of what was handed out; bytes that are no UTF-8 are counted here.
  std::string losses() const;

 private:
  Result<bool> fill();  // reads more after end_; false at the end of the stream
  Result<void> skip_byte_order_mark();
  std::size_t find(char wanted, std::size_t& searched) const;
  std::optional<std::size_t> line_bytes(bool at_end);
  void check_utf8(std::string_view handed_out);

  std::unique_ptr<ByteStream> bytes_;
  std::size_t max_line_bytes_;
  std::string buffer_;
  std::size_t read_bytes_ = 4096;  // of the next read; grows, since most files are large
  std::size_t begin_ = 0;          // first byte not yet handed out
  std::size_t end_ = 0;            // after the last byte read
  // Between begin_ and these there is no '\n' and no '\r': each byte is looked at once.
  std::size_t line_feed_ = 0, carriage_return_ = 0;
  std::size_t valid_end_ = 0;  // up to here the buffer is UTF-8, checked in one go
  bool valid_ = true;
  std::uint64_t offset_ = 0;
  std::size_t line_ = 0;
  std::size_t bad_parts_ = 0;  // each read as one U+FFFD
  std::size_t first_bad_line_ = 0;
  bool started_ = false;
};

// The line without its "\n", "\r\n" or "\r".
std::string_view without_line_end(std::string_view line);
// The text without the blanks and tabs around it.
std::string_view trimmed(std::string_view text);

}  // namespace breakeven::data

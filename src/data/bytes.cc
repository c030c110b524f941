#include "data/bytes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/utf8.h"

namespace breakeven::data {
namespace {

constexpr std::size_t kMaxReadBytes = std::size_t{1} << 18;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Bytes of `text` without a code point at its end that goes on behind it.
std::size_t whole_code_points(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return length > back ? text.size() - back : text.size();
  }
  return text.size();
}

std::string reason(int error_number) {
  return std::generic_category().message(error_number);
}

class FileBytes final : public ByteStream {
 public:
  FileBytes(int fd, bool owned, std::string name)
      : fd_(fd), owned_(owned), name_(std::move(name)) {}
  ~FileBytes() override {
    if (owned_) ::close(fd_);
  }
  Result<std::size_t> read(char* out, std::size_t size) override {
    for (;;) {
      const ssize_t got = ::read(fd_, out, size);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == EINTR) continue;
      return fail("file/unreadable", fmt::format("cannot read {}: {}", name_, reason(errno)));
    }
  }
  const std::string& name() const override { return name_; }

 private:
  int fd_;
  bool owned_;
  std::string name_;
};

class MemoryBytes final : public ByteStream {
 public:
  MemoryBytes(std::string_view content, std::string name)
      : content_(content), name_(std::move(name)) {}
  Result<std::size_t> read(char* out, std::size_t size) override {
    const std::size_t count = std::min(size, content_.size());
    std::copy_n(content_.data(), count, out);
    content_.remove_prefix(count);
    return count;
  }
  const std::string& name() const override { return name_; }

 private:
  std::string_view content_;
  std::string name_;
};

}  // namespace

Result<std::unique_ptr<ByteStream>> open_bytes(const std::string& path) {
  if (path == "-") {
    return std::unique_ptr<ByteStream>(std::make_unique<FileBytes>(STDIN_FILENO, false, "stdin"));
  }
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return fail("file/missing", fmt::format("there is no file {}", path), "check the path");
    }
    return fail("file/unreadable", fmt::format("cannot read {}: {}", path, reason(errno)));
  }
  auto stream = std::make_unique<FileBytes>(fd, true, path);
  struct stat status {};
  if (::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
    return fail("file/not-a-file", fmt::format("{} is a folder", path), "give a file");
  }
  return std::unique_ptr<ByteStream>(std::move(stream));
}

std::unique_ptr<ByteStream> bytes_of(std::string_view content, std::string name) {
  return std::make_unique<MemoryBytes>(content, std::move(name));
}

LineReader::LineReader(std::unique_ptr<ByteStream> bytes, std::size_t max_line_bytes)
    : bytes_(std::move(bytes)), max_line_bytes_(max_line_bytes) {}

Result<bool> LineReader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    line_feed_ -= std::min(line_feed_, begin_);
    carriage_return_ -= std::min(carriage_return_, begin_);
    valid_end_ -= std::min(valid_end_, begin_);
    begin_ = 0;
  }
  if (buffer_.size() - end_ < read_bytes_) buffer_.resize(std::max(end_ * 2, end_ + read_bytes_));
  BREAKEVEN_TRY(const std::size_t got, bytes_->read(buffer_.data() + end_, read_bytes_));
  read_bytes_ = std::min(read_bytes_ * 2, kMaxReadBytes);
  end_ += got;
  const std::string_view fresh(buffer_.data() + valid_end_, end_ - valid_end_);
  const std::size_t whole = whole_code_points(fresh);
  if (is_valid_utf8(fresh.substr(0, whole))) valid_end_ += whole;
  return got > 0;
}

Result<void> LineReader::skip_byte_order_mark() {
  if (started_) return {};
  started_ = true;
  while (end_ - begin_ < kByteOrderMark.size()) {
    BREAKEVEN_TRY(const bool more, fill());
    if (!more) break;
  }
  if (std::string_view(buffer_.data() + begin_, end_ - begin_).starts_with(kByteOrderMark)) {
    begin_ += kByteOrderMark.size();
    offset_ += kByteOrderMark.size();
  }
  return {};
}

Result<std::string_view> LineReader::ahead(std::size_t least) {
  BREAKEVEN_TRY_VOID(skip_byte_order_mark());
  while (end_ - begin_ < least) {
    BREAKEVEN_TRY(const bool more, fill());
    if (!more) break;
  }
  return std::string_view(buffer_.data() + begin_, end_ - begin_);
}

Result<std::string_view> LineReader::first_line() {
  for (std::size_t least = 1;;) {
    BREAKEVEN_TRY(const std::string_view text, ahead(least));
    const std::size_t start = text.find_first_not_of(" \t\r\n");
    const bool whole = start != std::string_view::npos &&
                       text.find_first_of("\r\n", start) != std::string_view::npos;
    if (whole || text.size() < least || text.size() >= kMaxFirstLine) return text;
    least = text.size() + 1;
  }
}

void LineReader::skip(std::size_t bytes) {
  const std::string_view skipped(buffer_.data() + begin_, bytes);
  check_utf8(skipped);
  for (std::size_t i = 0; i < bytes; ++i) {
    const bool half =
        skipped[i] == '\r' && begin_ + i + 1 < end_ && buffer_[begin_ + i + 1] == '\n';
    line_ += static_cast<std::size_t>(skipped[i] == '\n' || (skipped[i] == '\r' && !half));
  }
  begin_ += bytes;
  offset_ += bytes;
}

Error LineReader::too_long(std::size_t first_line) const {
  return Error{
      "data/line-too-long",
      fmt::format("{}, line {}: longer than {} bytes", name(), first_line, max_line_bytes_),
      "split the text, or check that the file has line breaks"};
}

std::string LineReader::losses() const {
  if (bad_parts_ == 0) return bytes_->losses();
  return fmt::format(
      "{}: {} {} no UTF-8, the first in line {}, and read as U+FFFD; if the file is in another "
      "encoding, name it, as in --encoding cp1252 or latin-1 (others: iconv)",
      name(), bad_parts_, bad_parts_ == 1 ? "place is" : "places are", first_bad_line_);
}

// Where `wanted` stands first; end_ where it is not there.
std::size_t LineReader::find(char wanted, std::size_t& searched) const {
  searched = std::max(searched, begin_);
  if (searched == end_) return end_;
  const void* found = std::memchr(buffer_.data() + searched, wanted, end_ - searched);
  searched = found == nullptr
                 ? end_
                 : static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
  return searched;
}

// Bytes of the next line with its end; nothing while its end is not in the buffer.
std::optional<std::size_t> LineReader::line_bytes(bool at_end) {
  const std::size_t line_feed = find('\n', line_feed_);
  const std::size_t carriage_return = find('\r', carriage_return_);
  if (line_feed < carriage_return) return line_feed + 1 - begin_;
  // The last byte of the buffer may be the first half of "\r\n".
  if (carriage_return + 1 < end_) {
    return carriage_return + (line_feed == carriage_return + 1 ? 2 : 1) - begin_;
  }
  if (at_end) return end_ - begin_;
  return std::nullopt;
}

void LineReader::check_utf8(std::string_view handed_out) {
  valid_ = begin_ + handed_out.size() <= valid_end_ || is_valid_utf8(handed_out);
  if (valid_) return;
  if (bad_parts_ == 0) first_bad_line_ = line_ + 1;
  for (;;) {
    handed_out.remove_prefix(first_invalid_utf8(handed_out));
    if (handed_out.empty()) return;
    ++bad_parts_;
    const auto* bytes = reinterpret_cast<const unsigned char*>(handed_out.data());
    handed_out.remove_prefix(decode_utf8(bytes, bytes + handed_out.size()).bytes);
  }
}

Result<std::optional<std::string_view>> LineReader::next() {
  BREAKEVEN_TRY_VOID(skip_byte_order_mark());
  for (bool at_end = false;;) {
    const std::optional<std::size_t> found = line_bytes(at_end);
    const std::string_view line(buffer_.data() + begin_, found.value_or(end_ - begin_));
    if (without_line_end(line).size() > max_line_bytes_) {
      return tl::unexpected<Error>(too_long(line_ + 1));
    }
    if (!found) {
      BREAKEVEN_TRY(const bool more, fill());
      at_end = !more;
      continue;
    }
    if (line.empty()) return std::optional<std::string_view>();
    check_utf8(line);
    begin_ += line.size();
    offset_ += line.size();
    ++line_;
    return std::optional<std::string_view>(line);
  }
}

std::string_view without_line_end(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace breakeven::data

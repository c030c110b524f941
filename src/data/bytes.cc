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

namespace breakeven::data {
namespace {

constexpr std::size_t kMaxReadBytes = std::size_t{1} << 18;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

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
    begin_ = 0;
  }
  if (buffer_.size() - end_ < read_bytes_) buffer_.resize(std::max(end_ * 2, end_ + read_bytes_));
  BREAKEVEN_TRY(const std::size_t got, bytes_->read(buffer_.data() + end_, read_bytes_));
  read_bytes_ = std::min(read_bytes_ * 2, kMaxReadBytes);
  end_ += got;
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
  }
  return {};
}

Result<std::string_view> LineReader::peek() {
  BREAKEVEN_TRY_VOID(skip_byte_order_mark());
  if (begin_ == end_) BREAKEVEN_TRY_VOID(fill());
  return std::string_view(buffer_.data() + begin_, end_ - begin_);
}

Error LineReader::too_long(std::size_t first_line) const {
  return Error{
      "data/line-too-long",
      fmt::format("{}, line {}: longer than {} bytes", name(), first_line, max_line_bytes_),
      "split the text, or check that the file has line breaks"};
}

Result<std::optional<std::string_view>> LineReader::next() {
  BREAKEVEN_TRY_VOID(skip_byte_order_mark());
  std::size_t searched = 0;  // bytes from begin_ on that hold no '\n'
  for (;;) {
    const void* found = end_ - begin_ == searched ? nullptr
                                                  : std::memchr(buffer_.data() + begin_ + searched,
                                                                '\n', end_ - begin_ - searched);
    std::size_t length = end_ - begin_;
    if (found != nullptr) {
      length =
          static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data()) + 1 - begin_;
    }
    const std::string_view line(buffer_.data() + begin_, length);
    if (without_line_end(line).size() > max_line_bytes_) {
      return tl::unexpected<Error>(too_long(line_ + 1));
    }
    if (found == nullptr) {
      searched = length;
      BREAKEVEN_TRY(const bool more, fill());
      if (more) continue;
      if (length == 0) return std::optional<std::string_view>();
    }
    const std::string_view out(buffer_.data() + begin_, length);
    begin_ += length;
    ++line_;
    return std::optional<std::string_view>(out);
  }
}

std::string_view without_line_end(std::string_view line) {
  if (!line.ends_with('\n')) return line;
  line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace breakeven::data

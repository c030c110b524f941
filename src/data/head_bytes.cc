#include "data/head_bytes.h"

#include <algorithm>

namespace breakeven::data {
namespace {

constexpr std::size_t kBlock = 65536;
constexpr std::size_t kSignature = 16;  // the signature of no kind of file is longer, but for tar's
constexpr std::size_t kTarHeader = 512;

bool is_enough(std::string_view head) {
  if (head.size() >= kTarHeader) return true;
  // A text has no NUL, a tar archive's first header has many.
  if (head.find('\0') != std::string_view::npos) return false;
  return head.size() >= kSignature || head.ends_with('\n');
}

}  // namespace

Result<std::string_view> HeadBytes::head() {
  while (!is_enough(head_)) {
    const std::size_t before = head_.size();
    head_.resize(before + kBlock);
    const auto got = rest_->read(head_.data() + before, kBlock);
    head_.resize(before + got.value_or(0));
    BREAKEVEN_TRY_VOID(got);
    if (*got == 0) break;
  }
  return std::string_view(head_);
}

Result<std::size_t> HeadBytes::read(char* out, std::size_t size) {
  if (read_ == head_.size()) return rest_->read(out, size);
  const std::size_t count = head_.copy(out, size, read_);
  read_ += count;
  if (read_ == head_.size()) {
    head_ = std::string();
    read_ = 0;
  }
  return count;
}

}  // namespace breakeven::data

#include "data/archive_feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace breakeven::data {

la_ssize_t ArchiveFeed::read_block(archive* reader, void* self, const void** block) {
  auto& feed = *static_cast<ArchiveFeed*>(self);
  auto got = feed.bytes_->read(feed.block_.data(), feed.block_.size());
  if (!got) {
    feed.error_ = std::move(got).error();
    archive_set_error(reader, EIO, "%s", feed.error_->message.c_str());
    return -1;
  }
  *block = feed.block_.data();
  if (*got > 0) feed.block_bytes_ = *got;
  feed.given_ += *got;
  return static_cast<la_ssize_t>(*got);
}

bool ArchiveFeed::open(archive* reader) {
  return archive_read_open(reader, this, nullptr, &ArchiveFeed::read_block, nullptr) == ARCHIVE_OK;
}

Error ArchiveFeed::error(archive* reader, const std::string& what) const {
  if (error_) return *error_;
  const char* reason = archive_error_string(reader);
  return {"data/archive-corrupt",
          fmt::format("cannot read {} {}: {}", what, name(),
                      reason != nullptr ? reason : "it is damaged or cut off"),
          "copy or download it again, or give what its own program makes of it"};
}

Result<bool> ArchiveFeed::has_more(archive* reader) {
  const auto used =
      static_cast<std::uint64_t>(std::max<la_int64_t>(0, archive_filter_bytes(reader, -1)));
  std::size_t rest = static_cast<std::size_t>(given_ - std::min(used, given_));
  const char* at = block_.data() + block_bytes_ - std::min(rest, block_bytes_);
  rest = std::min(rest, block_bytes_);
  for (;;) {
    if (std::any_of(at, at + rest, [](char c) { return c != '\0'; })) return true;
    BREAKEVEN_TRY(rest, bytes_->read(block_.data(), block_.size()));
    if (rest == 0) return false;
    at = block_.data();
  }
}

}  // namespace breakeven::data

// libarchive fed by a ByteStream.
#pragma once

#include <archive.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/bytes.h"

namespace breakeven::data {

struct CloseArchive {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using Archive = std::unique_ptr<archive, CloseArchive>;

class ArchiveFeed {
 public:
  explicit ArchiveFeed(std::unique_ptr<ByteStream> bytes)
      : bytes_(std::move(bytes)), block_(std::size_t{1} << 16) {}

  // Opens `reader`, whose formats are chosen already, on the stream; false: see error(). Neither
  // may be moved or end before the reader ends.
  bool open(archive* reader);
  const std::string& name() const { return bytes_->name(); }
  // What went wrong: the stream's own error, else what libarchive says of `what` ("the archive").
  Error error(archive* reader, const std::string& what) const;
  // Whether the stream holds more than zero bytes behind what the reader has used.
  Result<bool> has_more(archive* reader);

 private:
  static la_ssize_t read_block(archive* reader, void* self, const void** block);

  std::unique_ptr<ByteStream> bytes_;
  std::vector<char> block_;
  std::uint64_t given_ = 0;      // bytes that the reader was given, the last block included
  std::size_t block_bytes_ = 0;  // of the last block
  std::optional<Error> error_;
};

}  // namespace breakeven::data

// Compressed streams and zip archives, recognised by their first bytes and read through: nothing is
// unpacked to disk, and memory does not grow with the content.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "data/bytes.h"

namespace breakeven::data {

enum class Compression : std::uint8_t {
  none,
  gzip,
  bzip2,
  xz,
  lzma,
  lzip,
  zstd,
  lz4,
  compress,
  zip
};

// By the first bytes of a stream; by its name, too, where there are fewer than these.
Compression compression_of(std::string_view head, std::string_view name);
// "x.csv.gz" -> "x.csv", "x.tgz" -> "x.tar"; nothing where the name says nothing of compression.
std::optional<std::string> without_compression(std::string_view name);

// What is compressed in `packed`, for every kind but none and zip. Several streams one behind the
// other are one. Errors of read(): data/archive-corrupt (damaged, cut off, other bytes behind the
// end), those of `packed`.
std::unique_ptr<ByteStream> decompress(Compression kind, std::unique_ptr<ByteStream> packed);

// The one file in a zip archive.
struct ZipMember {
  std::string name;
  std::unique_ptr<ByteStream> bytes;
};
// `path`: where a file of the disk lies, whose members can be counted first; "" for any other
// stream, where a second member is an error of read() behind the first. What Macs and Windows add
// does not count. Errors: data/archive-corrupt, data/archive-members (none, several, encrypted),
// data/binary (an Excel file and so on, which are zip archives).
Result<ZipMember> open_zip(std::unique_ptr<ByteStream> packed, const std::string& path);

}  // namespace breakeven::data

// A file or stdin as UTF-8 bytes, whatever it is compressed with and encoded in: its content says
// so, its name only where the content cannot.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "data/bytes.h"
#include "data/encoding.h"

namespace breakeven::data {

struct Input {
  std::unique_ptr<ByteStream> bytes;  // of a tar archive: the archive
  std::string name;  // without what compressed it: "x.csv" of x.csv.gz, a zip archive's member
  bool is_tar = false;
  bool is_plain = false;   // its bytes are those of a file of the disk, one for one
  std::string assumption;  // what a person should know of how it is read; may be empty
};

// `path`: "-" is stdin. Errors: file/missing, file/unreadable, file/not-a-file,
// data/archive-corrupt, data/archive-members, data/binary, data/encoding.
Result<Input> open_input(const std::string& path, const std::optional<Encoding>& encoding);
// The same of bytes that are open already. `disk_path`: where a file of the disk holds them; "" for
// any other stream.
Result<Input> read_input(std::unique_ptr<ByteStream> bytes, const std::string& disk_path,
                         const std::optional<Encoding>& encoding);

}  // namespace breakeven::data

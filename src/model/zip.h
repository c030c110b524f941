// The members of a zip file (also zip64), in place: what torch.save writes. Errors, one for each
// cause: zip/not-a-zip (no end of a directory, as in a file that was cut off), zip/directory
// (it leads out of the file), zip/method (neither stored nor deflated), zip/encrypted,
// zip/duplicate-name, zip/size (a member does not have the bytes that the directory says).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace breakeven::model {

struct ZipMember {
  std::string_view name;
  bool deflated = false;
  std::span<const std::byte> data;  // as it stands in the file
  std::uint64_t size = 0;           // bytes of the content; data.size() where it is not deflated
};

// The members in the order of the directory; they point into `bytes`. `where` names the file.
Result<std::vector<ZipMember>> read_zip(std::span<const std::byte> bytes, const std::string& where);

// The content of a deflated member. Checksums are not looked at, as of stored members.
Result<std::vector<std::byte>> inflate(const ZipMember& member, const std::string& where);

}  // namespace breakeven::model

// What a downloaded file must hash to.
#pragma once

#include <string>

#include "base/result.h"

namespace breakeven::hub {

enum class DigestKind : std::uint8_t {
  none,      // nothing to compare with
  sha256,    // of the file
  git_blob,  // SHA-1 of "blob <size>\0" and the file: how git names it
};

struct Digest {
  DigestKind kind = DigestKind::none;
  std::string hex;  // lower case
};

// The hub's ETags are digests: 64 hex digits for large files (SHA-256), 40 for small ones (git).
Digest digest_of_etag(const std::string& etag);

// The digest of a file, as lower-case hex; "" for none. Errors: those of read_file.
Result<std::string> digest_of_file(const std::string& path, DigestKind kind);

}  // namespace breakeven::hub

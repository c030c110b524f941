#include "hub/digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/content_hash.h"
#include "base/files.h"

namespace breakeven::hub {

Digest digest_of_etag(const std::string& etag) {
  const bool is_hex = std::all_of(etag.begin(), etag.end(), [](unsigned char c) {
    return std::isdigit(c) != 0 || (c >= 'a' && c <= 'f');
  });
  if (is_hex && etag.size() == 64) return {DigestKind::sha256, etag};
  if (is_hex && etag.size() == 40) return {DigestKind::git_blob, etag};
  return {};
}

Result<std::string> digest_of_file(const std::string& path, DigestKind kind) {
  if (kind == DigestKind::none) return std::string();
  BREAKEVEN_TRY(const MappedFile file, MappedFile::open(path));
  ContentHash hash(kind == DigestKind::sha256 ? HashAlgorithm::sha256 : HashAlgorithm::sha1);
  if (kind == DigestKind::git_blob) {
    // The terminating NUL belongs to git's header.
    const std::string header = fmt::format("blob {}", file.bytes().size());
    hash.add(std::string_view(header.c_str(), header.size() + 1));
  }
  hash.add(file.text());
  return hash.hex();
}

}  // namespace breakeven::hub

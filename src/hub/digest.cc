#include "hub/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>

#include "base/check.h"
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
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  const EVP_MD* algorithm = kind == DigestKind::sha256 ? EVP_sha256() : EVP_sha1();
  BREAKEVEN_CHECK(context && EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1);
  if (kind == DigestKind::git_blob) {
    const std::string header = fmt::format("blob {}", file.bytes().size());
    // The terminating NUL belongs to git's header.
    BREAKEVEN_CHECK(EVP_DigestUpdate(context.get(), header.c_str(), header.size() + 1) == 1);
  }
  BREAKEVEN_CHECK(EVP_DigestUpdate(context.get(), file.bytes().data(), file.bytes().size()) == 1);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  BREAKEVEN_CHECK(EVP_DigestFinal_ex(context.get(), digest.data(), &size) == 1);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace breakeven::hub

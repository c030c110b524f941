// SHA-256 of texts and files (declared in parity.h): cached judgements are keyed by content.
#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <memory>

#include "base/check.h"
#include "base/files.h"
#include "measure/parity.h"

namespace breakeven::measure {
namespace {

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    BREAKEVEN_CHECK(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void add(std::string_view bytes) {
    BREAKEVEN_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  // The length goes in as well, so that ("ab", "c") and ("a", "bc") differ.
  void add_with_length(std::string_view bytes) {
    add(fmt::format("{}:", bytes.size()));
    add(bytes);
  }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    BREAKEVEN_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), &length) == 1);
    return fmt::format("{:02x}", fmt::join(digest.data(), digest.data() + length, ""));
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string hash_text(std::string_view content) {
  Sha256 hash;
  hash.add(content);
  return hash.hex();
}

std::string hash_texts(std::span<const std::string_view> texts) {
  Sha256 hash;
  for (const std::string_view text : texts) hash.add_with_length(text);
  return hash.hex();
}

Result<std::string> hash_files(std::span<const std::string> paths) {
  Sha256 hash;
  for (const std::string& path : paths) {
    BREAKEVEN_TRY(const MappedFile file, MappedFile::open(path));
    hash.add_with_length(file.text());
  }
  return hash.hex();
}

}  // namespace breakeven::measure

#include "base/content_hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "base/check.h"

namespace breakeven {

struct ContentHash::State {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free};
};

ContentHash::ContentHash(HashAlgorithm algorithm) : state_(std::make_unique<State>()) {
  const EVP_MD* chosen = algorithm == HashAlgorithm::sha1 ? EVP_sha1() : EVP_sha256();
  BREAKEVEN_CHECK(state_->context &&
                  EVP_DigestInit_ex(state_->context.get(), chosen, nullptr) == 1);
}

ContentHash::~ContentHash() = default;

void ContentHash::add(std::string_view bytes) {
  BREAKEVEN_CHECK(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

void ContentHash::add(std::span<const std::byte> bytes) {
  BREAKEVEN_CHECK(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

std::string ContentHash::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  BREAKEVEN_CHECK(EVP_DigestFinal_ex(state_->context.get(), digest.data(), &size) == 1);
  return fmt::format("{:02x}", fmt::join(digest.data(), digest.data() + size, ""));
}

std::string sha256_hex(std::string_view bytes) {
  ContentHash hash;
  hash.add(bytes);
  return hash.hex();
}

}  // namespace breakeven

// Hashes of contents as lower-case hex: SHA-256 names contents in records and caches, SHA-1 is what
// git calls a blob.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace breakeven {

enum class HashAlgorithm : std::uint8_t { sha256, sha1 };

class ContentHash {
 public:
  explicit ContentHash(HashAlgorithm algorithm = HashAlgorithm::sha256);
  ContentHash(const ContentHash&) = delete;
  ContentHash& operator=(const ContentHash&) = delete;
  ~ContentHash();

  void add(std::string_view bytes);
  void add(std::span<const std::byte> bytes);
  // Ends it; nothing can be added afterwards.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view bytes);

}  // namespace breakeven

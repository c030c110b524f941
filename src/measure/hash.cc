// SHA-256 of texts and files (declared in parity.h): cached judgements are keyed by content.
#include <fmt/format.h>

#include "base/content_hash.h"
#include "base/files.h"
#include "measure/parity.h"

namespace breakeven::measure {
namespace {

// The length goes in as well, so that ("ab", "c") and ("a", "bc") differ.
void add_with_length(ContentHash& hash, std::string_view bytes) {
  hash.add(fmt::format("{}:", bytes.size()));
  hash.add(bytes);
}

}  // namespace

std::string hash_text(std::string_view content) {
  return sha256_hex(content);
}

std::string hash_texts(std::span<const Text> texts) {
  ContentHash hash;
  for (const Text& text : texts) {
    add_with_length(hash, text.first);
    if (!text.second) continue;
    hash.add("+");  // no length begins so
    add_with_length(hash, *text.second);
  }
  return hash.hex();
}

Result<std::string> hash_files(std::span<const std::string> paths) {
  ContentHash hash;
  for (const std::string& path : paths) {
    BREAKEVEN_TRY(const MappedFile file, MappedFile::open(path));
    add_with_length(hash, file.text());
  }
  return hash.hex();
}

}  // namespace breakeven::measure

// Any bytes as the files that a tokenizer is made of: refused with an Error, or a tokenizer is made
// that gives a text the same ids by both of its routes, all of them in its vocabulary. The first
// byte says which files; 0xFF, which no UTF-8 has, ends each, and the last of the input is the
// text.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "text/tokenizer.h"

namespace {

using breakeven::text::EncodeOptions;
using breakeven::text::Route;
using breakeven::text::Tokenizer;

constexpr std::array<std::array<const char*, 3>, 5> kFiles = {
    {{"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"},
     {"vocab.txt", "tokenizer_config.json", "added_tokens.json"},
     {"vocab.json", "merges.txt", "tokenizer_config.json"},
     {"spm.model", "tokenizer_config.json", "config.json"},
     {"sentencepiece.bpe.model", "tokenizer_config.json", "config.json"}}};

// One folder for the whole run; memory-backed where the system has such a place.
const std::string& folder() {
  static const std::string kFolder = [] {
    std::string name = std::filesystem::exists("/dev/shm") ? "/dev/shm/" : "/tmp/";
    name += "fuzz_tokenizer_files_XXXXXX";
    BREAKEVEN_CHECK(mkdtemp(name.data()) != nullptr);
    return name;
  }();
  return kFolder;
}

std::string_view take_part(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\xFF'), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  for (const auto& files : kFiles)
    for (const char* name : files) std::filesystem::remove(folder() + "/" + name);
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (const char* name : kFiles[data[0] % kFiles.size()]) {
    const std::string_view content = take_part(rest);
    if (content.empty()) continue;
    std::ofstream(folder() + "/" + name, std::ios::binary) << content;
  }
  const auto tokenizer = Tokenizer::load(folder());
  if (!tokenizer) {
    BREAKEVEN_CHECK(tokenizer.error().code.starts_with("tokenizer/"), "{}", tokenizer.error().code);
    return 0;
  }
  const auto scratch = tokenizer->make_scratch();
  EncodeOptions options;
  options.truncate = false;
  std::vector<std::int32_t> fast, slow;
  tokenizer->encode(rest, options, *scratch, fast);
  options.route = Route::by_stages;
  tokenizer->encode(rest, options, *scratch, slow);
  BREAKEVEN_CHECK(fast == slow, "{} and {} ids", fast.size(), slow.size());
  for (const std::int32_t id : fast) {
    BREAKEVEN_CHECK(id >= 0 && static_cast<std::size_t>(id) < tokenizer->info().vocabulary, "{}",
                    id);
  }
  return 0;
}

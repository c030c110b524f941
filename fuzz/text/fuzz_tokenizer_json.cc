// Any bytes as tokenizer.json: refused with an Error or loaded, and what is loaded encodes a text
// by both routes to the same ids.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/files.h"
#include "text/tokenizer.h"

namespace {

using breakeven::text::EncodeOptions;
using breakeven::text::Route;
using breakeven::text::Tokenizer;

// One folder for the whole run; memory-backed where the system has such a place.
const std::string& folder() {
  static const std::string kFolder = [] {
    std::string name = std::filesystem::exists("/dev/shm") ? "/dev/shm/" : "/tmp/";
    name += "fuzz_tokenizer_XXXXXX";
    BREAKEVEN_CHECK(mkdtemp(name.data()) != nullptr);
    return name;
  }();
  return kFolder;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = folder() + "/tokenizer.json";
  std::FILE* file = std::fopen(path.c_str(), "wb");
  BREAKEVEN_CHECK(file != nullptr);
  BREAKEVEN_CHECK(std::fwrite(data, 1, size, file) == size);
  std::fclose(file);
  const auto tokenizer = Tokenizer::load(folder());
  if (!tokenizer) {
    BREAKEVEN_CHECK(tokenizer.error().code.starts_with("tokenizer/"), "{}", tokenizer.error().code);
    return 0;
  }
  const auto scratch = tokenizer->make_scratch();
  EncodeOptions options;
  std::vector<std::int32_t> fast, slow;
  const std::string_view text =
      "The caf\u00e9, movie[SEP] \u4e2d\u6587 a!<b> x\u0301y [CLS] \ud55c";
  tokenizer->encode(text, options, *scratch, fast);
  options.route = Route::by_stages;
  tokenizer->encode(text, options, *scratch, slow);
  BREAKEVEN_CHECK(fast == slow, "{} and {} ids", fast.size(), slow.size());
  return 0;
}

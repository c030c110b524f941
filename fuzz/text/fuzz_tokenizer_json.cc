// Any bytes as tokenizer.json: refused with an Error, or read into a description whose ids all lie
// inside the vocabulary. (Building a tokenizer from it takes too long for a fuzzer.)
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/check.h"
#include "base/files.h"
#include "text/spec.h"

namespace {

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
  constexpr auto kAnyRows = static_cast<std::size_t>(-1);  // of the embedding
  const auto spec = breakeven::text::read_tokenizer_spec(folder(), kAnyRows);
  if (!spec) {
    BREAKEVEN_CHECK(spec.error().code.starts_with("tokenizer/"), "{}", spec.error().code);
    return 0;
  }
  const auto inside = [&](std::int32_t id) {
    return id >= 0 && static_cast<std::size_t>(id) < spec->info.vocabulary;
  };
  for (const auto& [entry, id] : spec->model.vocabulary) BREAKEVEN_CHECK(inside(id), "{}", id);
  for (const auto& token : spec->added)
    BREAKEVEN_CHECK(inside(token.id) && !token.content.empty(), "{}", token.id);
  for (const auto* steps : {&spec->processor.single, &spec->processor.pair})
    for (const auto& step : *steps)
      for (const std::int32_t id : step.ids) BREAKEVEN_CHECK(inside(id), "{}", id);
  return 0;
}

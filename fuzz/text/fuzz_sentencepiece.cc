// Any bytes as SentencePiece's file, of each class that reads one: refused with an Error, or read
// into a description whose ids all lie inside the vocabulary.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/check.h"
#include "base/files.h"
#include "text/sentencepiece.h"

namespace {

using breakeven::text::TokenizerConfig;

// One file for the whole run; memory-backed where the system has such a place.
const std::string& path() {
  static const std::string kPath = [] {
    std::string name = std::filesystem::exists("/dev/shm") ? "/dev/shm/" : "/tmp/";
    name += "fuzz_sentencepiece_XXXXXX";
    BREAKEVEN_CHECK(mkdtemp(name.data()) != nullptr);
    return name + "/spm.model";
  }();
  return kPath;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::FILE* file = std::fopen(path().c_str(), "wb");
  BREAKEVEN_CHECK(file != nullptr);
  BREAKEVEN_CHECK(std::fwrite(data, 1, size, file) == size);
  std::fclose(file);
  for (const auto kind : {TokenizerConfig::Class::xlm_roberta, TokenizerConfig::Class::camembert,
                          TokenizerConfig::Class::deberta_v2}) {
    TokenizerConfig config;
    config.tokenizer_class = kind;
    breakeven::text::TokenizerSpec spec;
    const auto read = breakeven::text::read_sentencepiece(path(), config, spec);
    if (!read) {
      BREAKEVEN_CHECK(read.error().code.starts_with("tokenizer/"), "{}", read.error().code);
      continue;
    }
    const auto entries = static_cast<std::int32_t>(spec.model.vocabulary.size());
    BREAKEVEN_CHECK(spec.model.scores.size() == spec.model.vocabulary.size());
    BREAKEVEN_CHECK(spec.model.unknown_id >= 0 && spec.model.unknown_id < entries);
    for (const auto& step : spec.processor.pair)
      for (const std::int32_t id : step.ids) BREAKEVEN_CHECK(id >= 0 && id < entries, "{}", id);
  }
  return 0;
}

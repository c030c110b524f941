#include "text/pre_tokenizers/pre_tokenizer.h"

#include "text/part_kinds.h"
#include "text/pre_tokenizers/bert.h"
#include "text/pre_tokenizers/byte_level.h"

namespace breakeven::text {

Result<std::unique_ptr<PreTokenizer>> read_pre_tokenizer(const JsonObject& root) {
  using Read = Result<std::unique_ptr<PreTokenizer>> (*)(const JsonObject& root);
  struct Kind {
    std::string_view type;
    Read read;
  };
  constexpr Read kBert = [](const JsonObject&) -> Result<std::unique_ptr<PreTokenizer>> {
    return std::make_unique<BertPreTokenizer>();
  };
  static constexpr Kind kKinds[] = {{"BertPreTokenizer", kBert}, {"ByteLevel", read_byte_level}};
  BREAKEVEN_TRY(const Kind* kind, find_kind(root, "pre_tokenizer", std::span<const Kind>(kKinds)));
  return kind->read(root);
}

}  // namespace breakeven::text

#include "text/pre_tokenizers/pre_tokenizer.h"

#include "text/part_kinds.h"
#include "text/pre_tokenizers/bert.h"

namespace breakeven::text {

Result<std::unique_ptr<PreTokenizer>> read_pre_tokenizer(const JsonObject& root) {
  struct Kind {
    std::string_view type;
    std::unique_ptr<PreTokenizer> (*make)();
  };
  static constexpr Kind kKinds[] = {{"BertPreTokenizer", []() -> std::unique_ptr<PreTokenizer> {
                                       return std::make_unique<BertPreTokenizer>();
                                     }}};
  BREAKEVEN_TRY(const Kind* kind, find_kind(root, "pre_tokenizer", std::span<const Kind>(kKinds)));
  return kind->make();
}

}  // namespace breakeven::text

#include "text/normalizers/normalizer.h"

#include "text/normalizers/bert.h"
#include "text/part_kinds.h"

namespace breakeven::text {

Result<std::unique_ptr<Normalizer>> read_normalizer(const JsonObject& root) {
  struct Kind {
    std::string_view type;
    Result<std::unique_ptr<Normalizer>> (*read)(const JsonObject& root);
  };
  static constexpr Kind kKinds[] = {{"null", no_normalizer},
                                    {"BertNormalizer", read_bert_normalizer}};
  BREAKEVEN_TRY(const Kind* kind, find_kind(root, "normalizer", std::span<const Kind>(kKinds)));
  return kind->read(root);
}

}  // namespace breakeven::text

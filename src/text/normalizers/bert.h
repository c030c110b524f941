// BertNormalizer, by its definition: control characters out, blanks around CJK, accents off, lower
// case. The one-pass route (one_pass.h) is built from it at load and judged by it in the tests.
#pragma once

#include "text/normalizers/normalizer.h"

namespace breakeven::text {

class BertNormalizer final : public Normalizer {
 public:
  struct Flags {
    bool clean_text = true;
    bool handle_chinese_chars = true;
    bool strip_accents = true;  // the effective value: where a file says null, it is `lowercase`
    bool lowercase = true;
  };

  explicit BertNormalizer(const Flags& wanted) : flags(wanted) {}
  void normalize(std::u32string_view text, NormalizerBuffers& buffers,
                 std::u32string& out) const override;

  bool changes_nothing() const {
    return !flags.clean_text && !flags.handle_chinese_chars && !flags.strip_accents &&
           !flags.lowercase;
  }

  Flags flags;
};

Result<std::unique_ptr<Normalizer>> read_bert_normalizer(const JsonObject& object);
// Where tokenizer.json has none: the same with nothing to do, until tokenizer_config.json says
// more.
std::unique_ptr<Normalizer> no_normalizer();

}  // namespace breakeven::text

// What happens to a text before it is split into words. tokenizer.json names a kind, or a Sequence
// of kinds; each has a file of its own beside this one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace breakeven::text {

// Memory that normalize() uses again.
struct NormalizerBuffers {
  std::u32string decomposed;
  std::u32string sorting;
  std::u32string step;  // of a Sequence
};

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // Replaces `out` by the normalised `text`. Linear in the length of the text.
  virtual void normalize(std::u32string_view text, NormalizerBuffers& buffers,
                         std::u32string& out) const = 0;
  // Those of a Sequence, else this one.
  virtual std::vector<const Normalizer*> steps() const { return {this}; }
};

// One after the other; nothing changes where there are none.
std::unique_ptr<Normalizer> in_sequence(std::vector<std::unique_ptr<Normalizer>> steps);

// The part "normalizer" of tokenizer.json. Errors: tokenizer/json, tokenizer/unsupported.
Result<std::unique_ptr<Normalizer>> read_normalizer(const JsonObject& root);

}  // namespace breakeven::text

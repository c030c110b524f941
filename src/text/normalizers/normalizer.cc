#include "text/normalizers/normalizer.h"

#include "text/normalizers/bert.h"
#include "text/normalizers/lowercase.h"
#include "text/normalizers/nfc.h"
#include "text/normalizers/nfd.h"
#include "text/normalizers/precompiled.h"
#include "text/normalizers/replace.h"
#include "text/normalizers/strip.h"
#include "text/normalizers/strip_accents.h"
#include "text/part_kinds.h"

namespace breakeven::text {
namespace {

// One after the other.
class SequenceNormalizer final : public Normalizer {
 public:
  explicit SequenceNormalizer(std::vector<std::unique_ptr<Normalizer>> steps)
      : steps_(std::move(steps)) {}

  void normalize(std::u32string_view text, NormalizerBuffers& buffers,
                 std::u32string& out) const override {
    out = text;
    for (const auto& step : steps_) {
      std::swap(out, buffers.step);
      step->normalize(buffers.step, buffers, out);
    }
  }
  std::vector<const Normalizer*> steps() const override {
    std::vector<const Normalizer*> out;
    for (const auto& step : steps_) out.push_back(step.get());
    return out;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

template <class Kind>
Result<std::unique_ptr<Normalizer>> make(const JsonObject& /*part*/) {
  return std::make_unique<Kind>();
}

struct NormalizerKind {
  std::string_view type;
  Result<std::unique_ptr<Normalizer>> (*read)(const JsonObject& part);
};
constexpr NormalizerKind kKinds[] = {{"BertNormalizer", read_bert_normalizer},
                                     {"Lowercase", make<LowercaseNormalizer>},
                                     {"NFC", make<NfcNormalizer>},
                                     {"NFD", make<NfdNormalizer>},
                                     {"Precompiled", read_precompiled},
                                     {"Replace", read_replace},
                                     {"Strip", read_strip},
                                     {"StripAccents", make<StripAccentsNormalizer>}};

}  // namespace

std::unique_ptr<Normalizer> in_sequence(std::vector<std::unique_ptr<Normalizer>> steps) {
  if (steps.empty()) return no_normalizer();
  if (steps.size() == 1) return std::move(steps.front());
  return std::make_unique<SequenceNormalizer>(std::move(steps));
}

Result<std::unique_ptr<Normalizer>> read_normalizer(const JsonObject& root) {
  if (!root.find("normalizer")) return no_normalizer();
  BREAKEVEN_TRY(const JsonObject part, root.object("normalizer"));
  BREAKEVEN_TRY(const auto parts, flatten(part, "normalizers"));
  std::vector<std::unique_ptr<Normalizer>> steps;
  for (const JsonObject& each : parts) {
    BREAKEVEN_TRY(const auto* kind, find_kind(each, std::span<const NormalizerKind>(kKinds)));
    BREAKEVEN_TRY(auto step, kind->read(each));
    steps.push_back(std::move(step));
  }
  return in_sequence(std::move(steps));
}

}  // namespace breakeven::text

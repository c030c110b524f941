// Tables of the kinds that a part of tokenizer.json can be: each part (normalizer, pre_tokenizer,
// model, post_processor) names its kind as "type".
#pragma once

#include <fmt/format.h>

#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace breakeven::text {

// A vocabulary's ids index arrays; ten times the largest published one is room enough.
inline constexpr std::uint64_t kMostIds = std::uint64_t{1} << 24;

inline tl::unexpected<Error> unsupported(const std::string& where, std::string_view what,
                                         std::string_view expected) {
  return fail("tokenizer/unsupported",
              fmt::format("{} is {}; only {} is supported", where, what, expected),
              "use a model with another tokenizer, or run this one with another runtime");
}

// The kind of the part in `kinds` (anything with a member `type`; "null" is a part that is left
// out). Errors: tokenizer/json, tokenizer/unsupported with the kinds that there are.
template <class Kind>
Result<const Kind*> find_kind(const JsonObject& root, std::string_view part,
                              std::span<const Kind> kinds) {
  std::string type = "null";
  if (root.find(part)) {
    BREAKEVEN_TRY(const JsonObject object, root.object(part));
    BREAKEVEN_TRY(type, object.text("type", "without a type"));
  }
  std::string known;
  for (const Kind& kind : kinds) {
    if (kind.type == type) return &kind;
    if (kind.type != "null") known += fmt::format("{}{}", known.empty() ? "" : " or ", kind.type);
  }
  return unsupported(root.where(part), type, known);
}

}  // namespace breakeven::text

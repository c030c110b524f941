// Tables of the kinds that a part of tokenizer.json can be: each part (normalizer, pre_tokenizer,
// model, post_processor) names its kind as "type".
#pragma once

#include <fmt/format.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace breakeven::text {

// A vocabulary's ids index arrays; ten times the largest published one is room enough.
inline constexpr std::uint64_t kMostIds = std::uint64_t{1} << 24;

// The type of a part that is made of others.
inline constexpr std::string_view kSequence = "Sequence";

inline tl::unexpected<Error> unsupported(const std::string& where, std::string_view what,
                                         std::string_view expected) {
  return fail("tokenizer/unsupported",
              fmt::format("{} is {}; only {} is supported", where, what, expected),
              "use a model with another tokenizer, or run this one with another runtime");
}

// The kind of `part` in `kinds`, anything with a member `type`. Errors: tokenizer/json,
// tokenizer/unsupported with the kinds that there are.
template <class Kind>
Result<const Kind*> find_kind(const JsonObject& part, std::span<const Kind> kinds) {
  BREAKEVEN_TRY(const std::string type, part.text("type", "without a type"));
  std::string known;
  for (const Kind& kind : kinds) {
    if (kind.type == type) return &kind;
    known += fmt::format("{}{}", known.empty() ? "" : " or ", kind.type);
  }
  return unsupported(part.where("type"), type, known);
}

// The parts that a part is made of: itself, or those of a "Sequence" in its field `list`, and of
// the Sequences among them. Errors: tokenizer/json.
inline Result<std::vector<JsonObject>> flatten(const JsonObject& part, std::string_view list) {
  std::vector<JsonObject> flat;
  std::vector<JsonObject> left = {part};  // the next one last
  while (!left.empty()) {
    const JsonObject each = std::move(left.back());
    left.pop_back();
    BREAKEVEN_TRY(const std::string type, each.text("type", ""));
    if (type != kSequence) {
      flat.push_back(each);
      continue;
    }
    BREAKEVEN_TRY(auto values, each.list(list));
    for (auto value = values.rbegin(); value != values.rend(); ++value) {
      BREAKEVEN_TRY(JsonObject inner, each.as_object(*value, list));
      left.push_back(std::move(inner));
    }
  }
  return flat;
}

}  // namespace breakeven::text

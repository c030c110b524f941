#include "text/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>

namespace breakeven::text {

Result<AddedToken> read_added_token(const JsonObject& object, bool special) {
  AddedToken token;
  BREAKEVEN_TRY(token.content, object.text("content", ""));
  BREAKEVEN_TRY(token.lstrip, object.boolean("lstrip", false));
  BREAKEVEN_TRY(token.rstrip, object.boolean("rstrip", false));
  BREAKEVEN_TRY(token.single_word, object.boolean("single_word", false));
  BREAKEVEN_TRY(token.special, object.boolean("special", special));
  BREAKEVEN_TRY(token.normalized, object.boolean("normalized", !token.special));
  return token;
}

AddedTokens::AddedTokens(std::string where, const Vocabulary& vocabulary)
    : where_(std::move(where)), next_(static_cast<std::int32_t>(vocabulary.size())) {
  vocabulary_.reserve(vocabulary.size());
  for (const auto& [entry, id] : vocabulary) {
    vocabulary_.emplace(entry, id);
    highest_ = std::max(highest_, id);
  }
}

std::optional<std::int32_t> AddedTokens::id_in_vocabulary(std::string_view content) const {
  const auto at = vocabulary_.find(content);
  return at == vocabulary_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<std::int32_t> AddedTokens::id(std::string_view content) const {
  if (const auto known = id_in_vocabulary(content)) return known;
  const auto at = place_.find(content);
  return at == place_.end() ? std::nullopt : std::optional(tokens_[at->second].id);
}

Result<void> AddedTokens::add(AddedToken token) {
  if (token.content.empty()) return {};
  const auto known = id(token.content);
  const std::int32_t expected = known.value_or(next_);
  if (token.id != AddedToken::kNoId && token.id != expected)
    return fail("tokenizer/vocabulary",
                fmt::format("{}: the added token '{}' has id {}, but {} {}", where_, token.content,
                            token.id, known ? "it has already" : "the next free one is", expected),
                "save the tokenizer with Transformers again");
  token.id = expected;
  next_ = std::max(next_, expected + 1);
  highest_ = std::max(highest_, expected);
  const auto [at, is_new] = place_.emplace(token.content, tokens_.size());
  if (is_new) {
    tokens_.push_back(std::move(token));
  } else {
    tokens_[at->second] = std::move(token);
  }
  return {};
}

}  // namespace breakeven::text

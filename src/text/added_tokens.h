// Added tokens: tokens that are looked for in the text itself, with the ids that Hugging Face gives
// them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace breakeven::text {

struct AddedToken {
  static constexpr std::int32_t kNoId = -1;  // as AddedTokens::add finds it

  std::string content;
  std::int32_t id = kNoId;
  bool lstrip = false, rstrip = false;  // takes the whitespace on its left, right along
  bool single_word = false;             // not beside a letter, a digit or another \w
  bool normalized = false;              // looked for in the normalised text instead of the raw one
  bool special = true;
  bool plain_text = false;  // found and left to the model (split_special_tokens)
};

// content and flags of an added token; its id is the caller's to read. `special`: where the file
// does not say. Errors: tokenizer/json.
Result<AddedToken> read_added_token(const JsonObject& object, bool special);

class AddedTokens {
 public:
  using Vocabulary = std::vector<std::pair<std::string, std::int32_t>>;
  // `where`: of error messages. `vocabulary` must outlive it.
  AddedTokens(std::string where, const Vocabulary& vocabulary);

  // Adds a token, or replaces the one of this content. Its id is the vocabulary's, else the next
  // free one. Errors: tokenizer/vocabulary for a token that says another id, which would mean other
  // ids in Hugging Face than its file says.
  Result<void> add(AddedToken token);

  bool has(std::string_view content) const { return place_.contains(content); }
  std::optional<std::int32_t> id_in_vocabulary(std::string_view content) const;
  std::optional<std::int32_t> id(std::string_view content) const;  // there, or of an added token
  std::int32_t next_id() const { return next_; }                   // the next free one
  std::int32_t highest_id() const { return highest_; }             // of both; -1: there is none
  std::vector<AddedToken> take() && { return std::move(tokens_); }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the standard's name
  };
  std::string where_;
  std::unordered_map<std::string_view, std::int32_t> vocabulary_;
  std::unordered_map<std::string, std::size_t, Hash, std::equal_to<>> place_;  // in tokens_
  std::vector<AddedToken> tokens_;
  std::int32_t next_ = 0, highest_ = -1;
};

}  // namespace breakeven::text

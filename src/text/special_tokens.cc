#include "text/special_tokens.h"

namespace breakeven::text {
namespace {

constexpr std::array<std::string_view, SpecialTokens::kRoles> kRoleFields = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

// A token is a string, or an object with content and flags.
Result<SpecialTokens::Token> read_token(const JsonObject& file, JsonValue value,
                                        std::string_view field, bool special) {
  SpecialTokens::Token out;
  out.named = SpecialTokens::Named::by_file;
  out.has_flags = value.is_object();
  if (out.has_flags) {
    BREAKEVEN_TRY(const JsonObject object, file.as_object(value, field));
    BREAKEVEN_TRY(out.token, read_added_token(object, special));
    out.token.special = true;  // whatever the file says: that it is named here makes it so
  } else {
    BREAKEVEN_TRY(out.token.content, file.as_text(value, field));
  }
  return out;
}

// Tokens in a list, or as the values of an object.
Result<void> read_further(const JsonObject& file, std::string_view field, bool special,
                          std::vector<SpecialTokens::Token>& tokens) {
  const auto value = file.find(field);
  if (!value) return {};
  std::vector<JsonValue> values;
  if (value->is_object()) {
    for (const auto& [name, each] : value->object()) values.push_back(each);
  } else {
    BREAKEVEN_TRY(values, file.list(field));
  }
  for (const JsonValue each : values) {
    BREAKEVEN_TRY(SpecialTokens::Token token, read_token(file, each, field, special));
    tokens.push_back(std::move(token));
  }
  return {};
}

SpecialTokens of_class(const std::array<const char*, SpecialTokens::kRoles>& contents) {
  SpecialTokens tokens;
  for (std::size_t role = 0; role < SpecialTokens::kRoles; ++role) {
    tokens.roles[role].token.content = contents[role];
    tokens.roles[role].named = SpecialTokens::Named::by_class;
  }
  return tokens;
}

}  // namespace

SpecialTokens bert_special_tokens() {
  return of_class({"", "", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"});
}

SpecialTokens roberta_special_tokens() {
  return of_class({"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"});
}

SpecialTokens deberta_special_tokens() {
  return of_class({"[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"});
}

std::vector<SpecialTokens::Token> camembert_further_tokens() {
  std::vector<SpecialTokens::Token> tokens;
  for (const char* content : {"<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"}) {
    SpecialTokens::Token& token = tokens.emplace_back();
    token.token.content = content;
    token.named = SpecialTokens::Named::by_class;
  }
  return tokens;
}

Result<void> read_special_tokens(const JsonObject& file, bool special, SpecialTokens& tokens) {
  for (const auto& [name, value] : file.fields()) {
    for (std::size_t role = 0; role < SpecialTokens::kRoles; ++role) {
      if (name != kRoleFields[role]) continue;
      SpecialTokens::Token& token = tokens.roles[role];
      if (value.is_null()) {
        token.named = SpecialTokens::Named::no;
      } else {
        BREAKEVEN_TRY(token, read_token(file, value, name, special));
      }
    }
  }
  // Transformers 5 calls the additional ones extra, and does not look at them where both are lists.
  const auto extra = file.find("extra_special_tokens");
  const bool replaced = extra && extra->is_list() && !extra->list().empty();
  if (!replaced) {
    BREAKEVEN_TRY_VOID(read_further(file, "additional_special_tokens", special, tokens.further));
  }
  BREAKEVEN_TRY_VOID(read_further(file, "extra_special_tokens", special, tokens.further));
  return read_further(file, "model_specific_special_tokens", special, tokens.further);
}

}  // namespace breakeven::text

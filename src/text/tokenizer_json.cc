#include "text/tokenizer_json.h"

#include "base/files.h"
#include "text/part_kinds.h"
#include "text/pre_tokenizers/bert.h"
#include "text/pre_tokenizers/byte_level.h"
#include "text/pre_tokenizers/metaspace.h"

namespace breakeven::text {
namespace {

Result<void> read_added_tokens(const JsonObject& root, TokenizerSpec& spec) {
  if (!root.find("added_tokens")) return {};
  BREAKEVEN_TRY(const auto tokens, root.list("added_tokens"));
  for (const JsonValue each : tokens) {
    BREAKEVEN_TRY(const JsonObject object, root.as_object(each, "added_tokens"));
    BREAKEVEN_TRY(AddedToken token, read_added_token(object, false));
    const auto id = object.find("id") ? object.find("id")->count() : std::nullopt;
    if (!id || *id >= kMostIds)
      return fail("tokenizer/vocabulary",
                  fmt::format("{}: '{}' has no id from 0 to {}", root.where("added_tokens"),
                              token.content, kMostIds - 1),
                  "download the file again");
    token.id = static_cast<std::int32_t>(*id);
    spec.added.push_back(std::move(token));
  }
  return {};
}

// How the last training step cut its texts says nothing about the model: HF takes the side from
// there and nothing else.
Result<void> read_truncation(const JsonObject& root, TokenizerSpec& spec) {
  if (!root.find("truncation")) return {};
  BREAKEVEN_TRY(const JsonObject truncation, root.object("truncation"));
  BREAKEVEN_TRY(const std::string side, truncation.text("direction", "Right"));
  if (side != "Left" && side != "Right")
    return unsupported(truncation.where("direction"), side, "Left or Right");
  spec.info.truncation_side = side == "Left" ? TruncationSide::left : TruncationSide::right;
  return {};
}

Result<void> read_padding(const JsonObject& root, TokenizerSpec& spec) {
  if (!root.find("padding")) return {};
  BREAKEVEN_TRY(const JsonObject padding, root.object("padding"));
  BREAKEVEN_TRY(spec.padding_token, padding.text("pad_token", ""));
  return {};
}

// Words reach a model in the form that it is made for.
Result<void> check_model_fits(const JsonObject& root, const TokenizerSpec& spec) {
  const PreTokenizer* words = spec.pre_tokenizer.get();
  const bool bytes = dynamic_cast<const ByteLevel*>(words) != nullptr;
  const bool metaspace = dynamic_cast<const Metaspace*>(words) != nullptr;
  if (bytes == spec.model.is_bpe() && metaspace == spec.model.is_unigram()) return {};
  return unsupported(root.where("model"),
                     fmt::format("{} behind {}", spec.model.kind->type,
                                 bytes       ? "ByteLevel"
                                 : metaspace ? "Metaspace"
                                             : "another pre_tokenizer than ByteLevel or Metaspace"),
                     "BPE behind ByteLevel, Unigram behind Metaspace or WordPiece behind another");
}

}  // namespace

JsonSource tokenizer_source(const std::string& path) {
  return {path, "tokenizer/json", "tokenizer/json", "download the model's tokenizer files again"};
}

Result<void> read_tokenizer_json(const std::string& path, TokenizerSpec& spec) {
  BREAKEVEN_TRY(const std::string content, read_file(path));
  BREAKEVEN_TRY(const auto document, JsonDocument::parse(content, tokenizer_source(path)));
  BREAKEVEN_TRY(const JsonObject root, document.object());
  BREAKEVEN_TRY(spec.normalizer, read_normalizer(root));
  if (root.find("normalizer")) {
    BREAKEVEN_TRY(const JsonObject normalizer, root.object("normalizer"));
    BREAKEVEN_TRY(spec.normalizer_type, normalizer.text("type"));
  }
  BREAKEVEN_TRY(spec.pre_tokenizer, read_pre_tokenizer(root));
  spec.model.bert_words = dynamic_cast<BertPreTokenizer*>(spec.pre_tokenizer.get()) != nullptr;
  BREAKEVEN_TRY_VOID(read_model(root, spec.model));
  BREAKEVEN_TRY_VOID(check_model_fits(root, spec));
  BREAKEVEN_TRY_VOID(read_added_tokens(root, spec));
  BREAKEVEN_TRY(spec.processor, read_processor(root));
  BREAKEVEN_TRY_VOID(read_truncation(root, spec));
  return read_padding(root, spec);
}

}  // namespace breakeven::text

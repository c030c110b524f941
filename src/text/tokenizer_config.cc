#include "text/tokenizer_config.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "base/files.h"
#include "base/numbers.h"
#include "text/tokenizer_json.h"

namespace breakeven::text {
namespace {

constexpr std::array<std::string_view, 3> kBertClasses = {"BertTokenizer", "DistilBertTokenizer",
                                                          "ElectraTokenizer"};
constexpr std::array<std::string_view, 2> kGenericClasses = {"PreTrainedTokenizerFast",
                                                             "TokenizersBackend"};
constexpr std::array<std::string_view, 3> kBertModelTypes = {"bert", "distilbert", "electra"};
constexpr std::string_view kRobertaClass = "RobertaTokenizer", kRobertaModelType = "roberta";
// HF writes 1e30 for "no limit"; nothing real comes near this.
constexpr double kNoLengthLimit = 1e9;

template <std::size_t Size>
bool contains(const std::array<std::string_view, Size>& names, std::string_view name) {
  for (const std::string_view each : names)
    if (each == name) return true;
  return false;
}

// A special token is a string, or an object with content and flags.
Result<void> read_special(const JsonObject& config, std::string_view field,
                          TokenizerConfig::Special& special) {
  const auto value = config.find(field);
  if (!value) return {};
  if (value->is_object()) {
    BREAKEVEN_TRY(const JsonObject object, config.object(field));
    BREAKEVEN_TRY(special.token, read_added_token(object));
  } else {
    BREAKEVEN_TRY(special.token.content, config.text(field));
  }
  special.named = true;
  return {};
}

Result<void> read_class(const JsonObject& config, bool& named, TokenizerConfig& out) {
  BREAKEVEN_TRY(std::string name, config.text("tokenizer_class", ""));
  if (name.empty()) return {};
  named = true;
  if (contains(kGenericClasses, name)) return {};
  constexpr std::string_view kFast = "Fast";
  if (name.ends_with(kFast)) name.resize(name.size() - kFast.size());
  out.bert_class = contains(kBertClasses, name);
  out.roberta_class = name == kRobertaClass;
  if (!out.bert_class && !out.roberta_class)
    return fail("tokenizer/unsupported",
                fmt::format("{} is '{}'; only the tokenizers of BERT and RoBERTa are supported",
                            config.where("tokenizer_class"), name),
                "use a model with another tokenizer, or run this one with another runtime");
  return {};
}

Result<void> read_lengths(const JsonObject& config, TokenizerConfig& out) {
  if (config.find("model_max_length")) {
    BREAKEVEN_TRY(const double length, config.number("model_max_length"));
    if (!(length >= 0)) return config.wrong("model_max_length", "a length");
    if (length < kNoLengthLimit) out.model_max_length = static_cast<std::size_t>(length);
  }
  BREAKEVEN_TRY(const std::string side, config.text("truncation_side", ""));
  if (side == "left") out.truncation_side = TruncationSide::left;
  if (side == "right") out.truncation_side = TruncationSide::right;
  if (!side.empty() && !out.truncation_side)
    return fail("tokenizer/unsupported",
                fmt::format("{} is '{}'", config.where("truncation_side"), side),
                "use \"left\" or \"right\"");
  return {};
}

Result<void> read_added_decoder(const JsonObject& config, std::vector<AddedToken>& added) {
  if (!config.find("added_tokens_decoder")) return {};
  BREAKEVEN_TRY(const JsonObject decoder, config.object("added_tokens_decoder"));
  for (const auto& [name, value] : decoder.fields()) {
    BREAKEVEN_TRY(const JsonObject object, decoder.as_object(value, name));
    BREAKEVEN_TRY(AddedToken token, read_added_token(object));
    token.id = parse_number<std::int32_t>(name).value_or(-1);
    if (token.id < 0) return decoder.wrong(name, value, "named by an id");
    added.push_back(std::move(token));
  }
  return {};
}

Result<void> read_fields(const JsonObject& config, TokenizerConfig& out, bool& class_named) {
  BREAKEVEN_TRY_VOID(read_class(config, class_named, out));
  BREAKEVEN_TRY(out.do_lower_case, config.boolean("do_lower_case", true));
  BREAKEVEN_TRY(out.add_prefix_space, config.boolean("add_prefix_space", false));
  BREAKEVEN_TRY(out.tokenize_chinese_chars, config.boolean("tokenize_chinese_chars", true));
  if (config.find("strip_accents")) {
    BREAKEVEN_TRY(out.strip_accents, config.boolean("strip_accents", false));
  }
  BREAKEVEN_TRY_VOID(read_lengths(config, out));
  BREAKEVEN_TRY_VOID(read_special(config, "unk_token", out.unk));
  BREAKEVEN_TRY_VOID(read_special(config, "cls_token", out.cls));
  BREAKEVEN_TRY_VOID(read_special(config, "sep_token", out.sep));
  BREAKEVEN_TRY_VOID(read_special(config, "pad_token", out.pad));
  BREAKEVEN_TRY_VOID(read_special(config, "mask_token", out.mask));
  return read_added_decoder(config, out.added);
}

// Where tokenizer_config.json names no class, HF takes the class of the model.
Result<void> take_class_of_model(const std::filesystem::path& folder, TokenizerConfig& out) {
  const auto path = folder / "config.json";
  if (!is_there(path)) return {};
  BREAKEVEN_TRY(const std::string content, read_file(path.string()));
  BREAKEVEN_TRY(const auto document, JsonDocument::parse(content, tokenizer_source(path.string())));
  BREAKEVEN_TRY(const JsonObject config, document.object());
  BREAKEVEN_TRY(const std::string type, config.text("model_type", ""));
  out.bert_class = contains(kBertModelTypes, type);
  out.roberta_class = type == kRobertaModelType;
  return {};
}

void name_special(TokenizerConfig::Special& special, const char* content) {
  if (!special.named) special.token.content = content;
  special.named = true;
}

}  // namespace

Result<TokenizerConfig> read_tokenizer_config(const std::string& folder) {
  TokenizerConfig out;
  out.unk.token.content = "[UNK]";
  out.cls.token.content = "[CLS]";
  out.sep.token.content = "[SEP]";
  out.pad.token.content = "[PAD]";
  out.mask.token.content = "[MASK]";
  bool class_named = false;
  const auto path = std::filesystem::path(folder) / "tokenizer_config.json";
  if (is_there(path)) {
    BREAKEVEN_TRY(const std::string content, read_file(path.string()));
    BREAKEVEN_TRY(const auto document,
                  JsonDocument::parse(content, tokenizer_source(path.string())));
    BREAKEVEN_TRY(const JsonObject config, document.object());
    BREAKEVEN_TRY_VOID(read_fields(config, out, class_named));
  }
  if (!class_named) {
    BREAKEVEN_TRY_VOID(take_class_of_model(folder, out));
  }
  if (out.bert_class) {
    for (auto* special : {&out.unk, &out.cls, &out.sep, &out.pad, &out.mask}) special->named = true;
  }
  if (out.roberta_class) {
    out.mask.token.lstrip = true;
    name_special(out.unk, "<unk>");
    name_special(out.cls, "<s>");
    name_special(out.sep, "</s>");
    name_special(out.pad, "<pad>");
    name_special(out.mask, "<mask>");
  }
  return out;
}

}  // namespace breakeven::text
